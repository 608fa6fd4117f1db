"""Which public models are captured, what their nodes' statuses are, and what it costs.

    python benchmarks/model_table.py [--only TEXT] [--confirm] [--save]

Every classification, segmentation, detection-backbone, video and optical-flow model of
torchvision; of timm the model named like its module, else the first, for every module; sequence
architectures written after their papers. `--confirm` asks the real networks, on seeded samples:
that a far input matters where a field is global, and that gradients reach just what it says where
it is exact. The ratio is capture and all fields over the bare export, once each, after a warm-up.
"""

from __future__ import annotations

import argparse
import gc
import json
import random
import statistics
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import Tensor, nn

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tools"), str(ROOT / "tests"), str(ROOT / "benchmarks")]

import timm
from torchvision import models as torchvision_models

from architectures import SEQUENCES
from atrous.analysis.field import fields
from atrous.graph.capture import capture
from confirm import confirm_exact, confirm_global
from fuzz import machine

SAMPLE = 20


@dataclass(frozen=True)
class Entry:
    """A model of the table.

    Attributes:
        source: "torchvision", "timm" or "sequence".
        name: its name there.
        convolutional: whether it is one of convolutions, without attention.
    """

    source: str
    name: str

    def build(self) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """The model in inference mode, with random weights, and an input for it."""
        torch.manual_seed(0)
        if self.source == "sequence":
            case = SEQUENCES[self.name]
            return case.make().eval(), case.inputs()
        if self.source == "timm":
            model = timm.create_model(self.name, pretrained=False).eval()
            return model, (torch.rand(1, *model.default_cfg["input_size"]),)
        return _torchvision(self.name)


_DETECTORS = ("rcnn", "retinanet", "fcos", "ssd")
_SEGMENTERS = ("deeplab", "fcn_", "lraspp")


def _torchvision(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    detector = any(part in name for part in _DETECTORS)
    options: dict[str, Any] = {"weights": None}
    if detector or any(part in name for part in _SEGMENTERS):
        options["weights_backbone"] = None
    model = torchvision_models.get_model(name, **options).eval()
    if detector:
        return model.backbone, (torch.rand(1, 3, 320, 320),)
    if name.startswith("raft"):
        return model, (torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128))
    if name in torchvision_models.list_models(torchvision_models.video):
        size = 112 if any(part in name for part in ("r3d", "mc3", "r2plus1d")) else 224
        return model, (torch.rand(1, 3, 16, size, size),)
    size = 299 if "inception" in name else 224
    return model, (torch.rand(1, 3, size, size),)


def entries() -> Iterator[Entry]:
    """Every model of the table."""
    for name in torchvision_models.list_models():
        yield Entry("torchvision", name)
    for module in timm.list_modules():
        names = timm.list_models(module=module)
        if names:
            yield Entry("timm", module if module in names else names[0])
    for name in SEQUENCES:
        yield Entry("sequence", name)


def examined(entry: Entry) -> dict[str, Any]:
    """One row of the table."""
    row: dict[str, Any] = {"source": entry.source, "model": entry.name}
    try:
        model, x = entry.build()
        row["export_s"] = _seconds(lambda: torch.export.export(model, x, strict=False))
        began = time.perf_counter()
        program = capture(model, x)
        found = fields(program)
        row["fields_s"] = time.perf_counter() - began
    except Exception as error:
        return row | {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"[:300]}
    row["ratio"] = row["fields_s"] / row["export_s"]
    row["nodes"] = len(program.nodes)
    row["statuses"] = dict(Counter(field.status for field in found.values()))
    row["causes"] = sorted(
        {
            f"{axis.status}: {axis.cause}"
            for field in found.values()
            for axis in field.axes
            if axis.status in ("bound", "unknown")
        }
    )
    kinds = {node.kind for node in program.nodes.values()}
    row["convolutional"] = any("conv" in kind for kind in kinds) and not kinds & _ATTENTION
    name = next(iter(program.outputs.values()))
    if name in found:
        row["output"] = str(found[name]).splitlines()[1:]
    return row


_ATTENTION = {"scaled_dot_product_attention", "softmax", "matmul", "bmm", "einsum"}


def _seconds(function: Any) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def show(rows: list[dict[str, Any]]) -> None:
    """The table, and what it comes to."""
    console = Console(width=150 if not sys.stdout.isatty() else None)
    table = Table(title="models captured, statuses of their nodes, time", title_justify="left")
    for column in ("source", "model", "nodes", "exact", "bound", "global", "unknown", "s", "ratio"):
        table.add_column(column, justify="left" if column in ("source", "model") else "right")
    for row in rows:
        if "error" in row:
            table.add_row(row["source"], row["model"], row["error"][:60])
            continue
        counts = [str(row["statuses"].get(s, "")) for s in ("exact", "bound", "global", "unknown")]
        table.add_row(
            row["source"], row["model"], str(row["nodes"]), *counts,
            f"{row['fields_s']:.2f}", f"{row['ratio']:.2f}",
        )  # fmt: skip
    console.print(table)
    for line in summary(rows):
        console.print(line)


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """What the table comes to, in sentences."""
    fine = [row for row in rows if "error" not in row]
    nets = [row for row in fine if row["convolutional"]]
    loose = [row for row in nets if row["statuses"].get("bound")]
    lines = [
        f"{len(fine)} of {len(rows)} models captured; "
        f"{sum('unknown' in row['statuses'] for row in fine)} with an unknown node.",
        f"{len(loose)} of {len(nets)} convolutional models "
        f"({len(loose) / max(len(nets), 1):.1%}) with a bound node.",
        f"capture and all fields over the bare export: median "
        f"{statistics.median(row['ratio'] for row in fine):.2f} (target 1.25), "
        f"largest {max(row['ratio'] for row in fine):.2f}.",
    ]
    for row in fine:
        if row["causes"]:
            lines.append(f"{row['model']}: {'; '.join(row['causes'])}"[:400])
    return lines


def confirmed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Seeded samples of models, asked themselves."""
    rng = random.Random(0)
    fine = [row for row in rows if "error" not in row]
    whole = [row for row in fine if "global" in row["statuses"]]
    chosen = rng.sample(whole, min(SAMPLE, len(whole)))
    taken = {row["model"] for row in chosen}
    others = [row for row in fine if row["model"] not in taken and "exact" in row["statuses"]]
    results = []
    for row in track(chosen, "far inputs of global fields", console=Console(stderr=True)):
        results.append(_asked(row, "global", confirm_global))
    rng.shuffle(others)
    exact: list[dict[str, Any]] = []
    for row in track(others, "gradients of exact fields", console=Console(stderr=True)):
        if len(exact) == SAMPLE:
            break
        result = _asked(row, "exact", confirm_exact)
        if result["said"] not in ("no window", "no gradient"):
            exact.append(result)
    return results + exact


def _asked(row: dict[str, Any], kind: str, ask: Any) -> dict[str, Any]:
    model, x = Entry(row["source"], row["model"]).build()
    answer = {"model": row["model"], "kind": kind, "said": ask(model, x)}
    gc.collect()
    return answer


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="models whose source or name holds this text")
    parser.add_argument("--confirm", action="store_true", help="ask the real networks, by sample")
    parser.add_argument("--save", action="store_true", help="keep the result in the repository")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    wanted = [e for e in entries() if args.only in e.source or args.only in e.name]
    examined(wanted[0])
    rows = []
    for entry in track(wanted, "models", console=Console(stderr=True)):
        rows.append(examined(entry))
        gc.collect()
    show(rows)
    answers = confirmed(rows) if args.confirm else []
    for answer in answers:
        print(f"{answer['kind']:7} {answer['model']:40} {answer['said']}")
    if args.save:
        result = {"machine": machine(), "date": datetime.now(UTC).date().isoformat(),
                  "summary": summary(rows), "rows": rows, "confirmed": answers}  # fmt: skip
        path = ROOT / "benchmarks" / "results" / "model_table.json"
        path.write_text(json.dumps(result, indent=1) + "\n")
        print(f"written to {path.relative_to(ROOT)}")


if __name__ == "__main__":
    main()

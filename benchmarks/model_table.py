"""Which public models are captured, what their nodes' statuses are, and what it costs.

    python benchmarks/model_table.py [--only TEXT] [--confirm] [--save]

The models are those of `public_models`. `--confirm` asks the real networks, on seeded samples:
that a far input matters where a field is global, and that gradients reach just what it says where
it is exact. The ratio is capture and all fields over the bare export, once each, after a warm-up.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import time
import warnings
from collections import Counter
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from atrous.analysis.fields.field import fields
from atrous.graph.capture import capture
from confirm import confirm_exact, confirm_global
from measuring import save
from public_models import Entry, entries

SAMPLE = 20


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
        save("model_table", {"summary": summary(rows), "rows": rows, "confirmed": answers})


if __name__ == "__main__":
    main()

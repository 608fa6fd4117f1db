"""Whether dense models give the values of the models they were made of: here, and elsewhere.

    python benchmarks/densify_table.py [--only TEXT ...] [--jobs N] [--resume] [--save]

Each backbone of `dense_peers` is brought to output strides 16, 8 and 4 by this package, by its own
library and by segmentation_models_pytorch (if installed), in double precision, with weights of
which none is zero. Its features, taken by plain hooks at two sizes, are compared at every r-th
position with those of the original: the largest difference is told as a share of the largest
value. `--save` keeps every model as soon as it is done, `--resume` leaves out what was kept, and
the table in `docs/densify.md` is written anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

import atrous
import dense_peers
from dense_peers import TIMM, TORCHVISION, Backbone, Refused
from measuring import ROOT, save

STRIDES = (16, 8, 4)
SIZES = ((97, 105), (128, 128))
NEAREST = ((96, 104), (96, 112), (96, 96), (128, 128), (224, 224), (256, 256))
"""What is tried in place of a size that a model does not accept."""

EQUAL = 1e-9
PLAIN = {"no option": "no option", "no such encoder": "", "not installed": "not installed"}
"""Answers that are no refusal by name."""

PAGE = ROOT / "docs" / "densify.md"


def measured(backbone: Backbone) -> dict[str, Any]:
    """One model: its sizes, its own stride, and by stride what each library makes of it."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    began = time.perf_counter()
    model = backbone.build()
    dense_peers.shake(model)
    row: dict[str, Any] = {"source": backbone.source, "model": backbone.name, "strides": {}}
    inputs = list(accepted(backbone, model))
    row["sizes"] = ["x".join(map(str, x.shape[2:])) for x in inputs]
    wanted = [backbone.values(model, x) for x in inputs]
    row["shapes"] = [list(w.shape) for w in wanted]
    if any(w.dim() != 4 for w in wanted):
        return row | {"error": "its features are no maps"}
    row["stride"] = own = stride_of(backbone, model)
    for stride in STRIDES:
        if stride < own:
            row["strides"][str(stride)] = told = {}
            told["atrous"] = ours(backbone, model, inputs, wanted, stride)
            told["library"] = its_own(backbone, model, inputs, wanted, stride, own)
            if max(told["library"].get("errors", [0.0])) >= EQUAL:
                told["library"]["beside_all"] = beside_all(backbone, model, inputs, stride)
            told["smp"] = encoders(backbone.name, inputs, stride)
    return row | {"seconds": round(time.perf_counter() - began, 1)}


def accepted(backbone: Backbone, model: nn.Module) -> Iterator[Tensor]:
    """Random inputs of the sizes of the table, or the nearest that the model takes."""
    generator = torch.Generator().manual_seed(2)
    for size in SIZES:
        for tried in (size, *NEAREST):
            x = torch.randn(1, 3, *tried, generator=generator, dtype=torch.float64)
            try:
                backbone.values(model, x)
            except Exception:  # whatever a model says of a size it does not take
                continue
            yield x
            break


def stride_of(backbone: Backbone, model: nn.Module) -> int:
    """The model's own output stride: what two lengths of the input differ by, over what those of
    the features do."""
    lengths = []
    for size in (192, 256):
        try:
            x = torch.zeros(1, 3, size, size, dtype=torch.float64)
            lengths.append(backbone.values(model, x).shape[-1])
        except Exception:  # made for one size only
            return 32
    return round(64 / (lengths[1] - lengths[0]))


def ours(
    backbone: Backbone, model: nn.Module, inputs: list[Tensor], wanted: list[Tensor], stride: int
) -> dict[str, Any]:
    """What this package makes of a model, captured at the last size.

    Where a plain call of the model would have to change, what it makes of its features as a graph.
    """
    began = time.perf_counter()
    sizes = tuple(inputs[0].shape[2:])
    values, as_graph = backbone.values, False
    try:
        dense = atrous.densify(model, inputs[-1], stride, sizes=sizes)
    except atrous.DensifyError as error:
        if backbone.source != "timm" or "as_graph=True" not in str(error):
            return {"refused": dense_peers.told(error)}
        as_graph, features = True, dense_peers.Features(model).eval()
        try:
            dense = atrous.densify(features, inputs[-1], stride, sizes=sizes, as_graph=True)
        except Exception as also:
            return {"refused": dense_peers.told(also)}
        values = dense_peers.features
    except Exception as error:
        return {"refused": dense_peers.told(error)}
    seconds = time.perf_counter() - began
    certificate: Any = dense.certificate
    density = certificate.compared[-1].density
    found = compared(values, dense, inputs, wanted, density[-2:])
    found |= {"certificate": certificate.error, "seconds": round(seconds, 1)}
    return found | ({"as_graph": True} if as_graph else {})


def its_own(
    backbone: Backbone, model: nn.Module, inputs: list[Tensor], wanted: list[Tensor],
    stride: int, own: int,
) -> dict[str, Any]:  # fmt: skip
    """What the model's library makes of it."""
    try:
        dense = backbone.dense_by_its_library(model, stride)
        return compared(backbone.values, dense, inputs, wanted, (own // stride,) * 2)
    except Refused as error:
        return {"refused": str(error)}


def beside_all(
    backbone: Backbone, model: nn.Module, inputs: list[Tensor], stride: int
) -> float | None:
    """How far a library's dense form is from ours if ours pools over all positions, as theirs do:
    nothing, if that choice is all the difference there is. None if they cannot be compared."""
    try:
        theirs = backbone.dense_by_its_library(model, stride)
        size = tuple(inputs[0].shape[2:])
        mine = atrous.densify(model, inputs[-1], stride, pooling="all", sizes=size)
    except (Refused, ValueError):
        return None
    errors = []
    for x in inputs:
        one, other = backbone.values(theirs, x), backbone.values(mine, x)
        if one.shape != other.shape:
            return None
        errors.append(float((one - other).abs().max() / other.abs().max()))
    return max(errors)


def encoders(name: str, inputs: list[Tensor], stride: int) -> dict[str, Any]:
    """What segmentation_models_pytorch makes of its encoder of that name."""
    try:
        model = dense_peers.encoder(name)
        dense_peers.shake(model)
        dense = dense_peers.dilated_encoder(model, stride)
        wanted = [dense_peers.encoder_values(model, x) for x in inputs]
        return compared(dense_peers.encoder_values, dense, inputs, wanted, (32 // stride,) * 2)
    except Refused as error:
        return {"refused": str(error)}


def compared(
    values: dense_peers.Values, dense: nn.Module, inputs: list[Tensor], wanted: list[Tensor],
    density: tuple[int, ...],
) -> dict[str, Any]:  # fmt: skip
    """The largest difference on the grid, as a share of the largest value, by size."""
    errors, shapes, whole = [], [], True
    for x, coarse in zip(inputs, wanted, strict=True):
        try:
            found = values(dense, x)
        except Exception as error:
            return {"fails": dense_peers.told(error)}
        if found.shape == coarse.shape:
            return {"fails": "not dense"}
        grid = found[..., :: density[0], :: density[1]]
        cut = tuple(map(min, zip(grid.shape[2:], coarse.shape[2:], strict=True)))
        whole = whole and grid.shape == coarse.shape
        differs = grid[..., : cut[0], : cut[1]] - coarse[..., : cut[0], : cut[1]]
        errors.append(float(differs.abs().max() / coarse.abs().max()))
        shapes.append(list(found.shape[2:]))
    return {"errors": errors, "shapes": shapes, "all": whole}


def verdict(told: dict[str, Any]) -> str:
    """One cell: equal, or by how much not, or why there is nothing to compare."""
    if "refused" in told:
        return PLAIN.get(told["refused"], "refused")
    if "fails" in told:
        return "not dense" if told["fails"] == "not dense" else "fails"
    error = max(told["errors"])
    if error < EQUAL:
        how = " (as a graph)" if told.get("as_graph") else ""
        return f"equal{how}" if told["all"] else "equal, cut short"
    text = f"{error:.1g}" if error >= 0.001 else f"{error:.0e}"
    beside = told.get("beside_all")
    return f"{text} (pooling)" if beside is not None and beside < EQUAL else text


def cell(row: dict[str, Any], who: str) -> str:
    """What becomes of a model at all strides: "equal at 16, 8; refused at 4"."""
    by_verdict: dict[str, list[str]] = {}
    for stride, told in row["strides"].items():
        by_verdict.setdefault(verdict(told[who]), []).append(stride)
    if len(by_verdict) == 1:
        return next(iter(by_verdict))
    return "; ".join(f"{text} at {', '.join(at)}" for text, at in by_verdict.items() if text)


def table(rows: list[dict[str, Any]]) -> list[str]:
    """The table as Markdown."""
    lines = [
        "| model | stride | atrous | torchvision, timm | segmentation_models_pytorch |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['source']} {row['model']} | | {row['error']} | | |")
            continue
        cells = " | ".join(cell(row, who) for who in ("atrous", "library", "smp"))
        lines.append(f"| {row['source']} {row['model']} | {row['stride']} | {cells} |")
    return lines


def summary(rows: list[dict[str, Any]]) -> list[str]:
    """What the table comes to, in sentences."""
    fine = [row for row in rows if "error" not in row]
    lines = []
    names = {"atrous": "atrous", "library": "their libraries", "smp": "segmentation_models_pytorch"}
    for who, name in names.items():
        told = [found[who] for row in fine for found in row["strides"].values()]
        told = [t for t in told if t.get("refused") not in ("no such encoder", "not installed")]
        if not told:
            continue
        equal = [t for t in told if verdict(t) in ("equal", "equal (as a graph)")]
        wrong = [t for t in told if max(t.get("errors", [0.0])) >= EQUAL]
        by_pooling = sum("(pooling)" in verdict(t) for t in told)
        lines.append(
            f"{name}: of {len(told)} models and strides {len(equal)} equal, {len(wrong)} of other "
            f"values ({by_pooling} of them by pooling over all positions alone), "
            f"{len(told) - len(equal) - len(wrong)} refused or not dense"
        )
    ours = [
        e for row in fine for t in row["strides"].values() for e in t["atrous"].get("errors", [])
    ]
    if ours:
        lines.append(f"largest difference of atrous: {max(ours):.1e}")
    return lines


def refusals(rows: list[dict[str, Any]]) -> list[str]:
    """What this package says where it refuses."""
    return [
        f"{row['model']}, {stride}: {told['atrous'].get('refused') or told['atrous']['fails']}"
        for row in rows
        for stride, told in row["strides"].items()
        if "refused" in told["atrous"] or "fails" in told["atrous"]
    ]


def kept() -> list[dict[str, Any]]:
    """The rows of the results in the repository."""
    path = ROOT / "benchmarks" / "results" / "densify_table.json"
    rows: list[dict[str, Any]] = json.loads(path.read_text())["rows"] if path.exists() else []
    return rows


def write_page(rows: list[dict[str, Any]]) -> None:
    """Put the table into the page, between its marks."""
    text = "\n".join(["<!-- table -->", *table(rows), "<!-- end of table -->"])
    page = PAGE.read_text()
    PAGE.write_text(
        re.sub(r"<!-- table -->.*?<!-- end of table -->", lambda _: text, page, flags=re.S)
    )


def main() -> None:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", default=[""], help="models whose source:name holds one"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--resume", action="store_true", help="leave out models that are kept")
    parser.add_argument("--save", action="store_true", help="keep the result in the repository")
    args = parser.parse_args()
    everything = [Backbone("torchvision", name) for name in TORCHVISION]
    everything += [Backbone("timm", name) for name in TIMM]
    order = {(b.source, b.name): number for number, b in enumerate(everything)}
    wanted = [b for b in everything if any(t in f"{b.source}:{b.name}" for t in args.only)]
    rows = {(row["source"], row["model"]): row for row in kept()} if args.save else {}
    if args.resume:
        wanted = [b for b in wanted if (b.source, b.name) not in rows]
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(args.jobs, mp_context=fresh, max_tasks_per_child=1) as pool:
        waiting = {pool.submit(measured, backbone): backbone for backbone in wanted}
        for done in track(
            as_completed(waiting), "models", len(waiting), console=Console(stderr=True)
        ):
            backbone = waiting[done]
            try:
                row = done.result()
            except Exception as error:
                row = {"source": backbone.source, "model": backbone.name, "strides": {}}
                row["error"] = dense_peers.told(error)
            rows[backbone.source, backbone.name] = row
            ordered = sorted(rows.values(), key=lambda r: order.get((r["source"], r["model"]), 999))
            if args.save:
                save("densify_table", {"summary": summary(ordered), "rows": ordered}, quiet=True)
    print("\n".join([*table(ordered), "", *summary(ordered), *refusals(ordered)]))
    if args.save:
        write_page(ordered)


if __name__ == "__main__":
    main()

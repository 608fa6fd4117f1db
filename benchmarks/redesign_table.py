"""Whether public models with holes can be mended: how long it takes, and what gradients say.

    python benchmarks/redesign_table.py [--only TEXT ...] [--jobs N] [--resume] [--save]

Each model of `redesign_models` is redesigned at default settings. Of those that change, the
outputs in the middle are measured by autograd (`gradients`), before and after: holes, and from
where to where they read. `--save` keeps every model as soon as it is done, `--resume` leaves out
what was kept, and the table in `docs/redesign.md` is written anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import re
import time
import warnings
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from torch import nn

import atrous
import gradients
from measuring import ROOT, save
from redesign_models import Entry, entries

PAGE = ROOT / "docs" / "redesign.md"
OUTPUTS = (8, 3, 2)
"""Neighbouring outputs in the middle that are measured, by number of axes: along all together."""

REASONS = {
    "positions without holes, and the field is": "the field is larger than kernels can fill",
    "none was found that keeps the field": "none found",
    "stand in plain calls": "dilations written into forward",
    "was not found for": "padding not found",
    "could not be proven": "not proven",
    "in all axes together": "holes between axes",
}
"""Parts of refusals, and what they are counted as."""


def redesigned(entry: Entry) -> dict[str, Any]:
    """One row of the table."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    torch.manual_seed(0)
    row: dict[str, Any] = {"family": entry.family, "model": entry.name}
    model, inputs = entry.make().eval(), entry.inputs()
    row["input"] = "x".join(map(str, inputs[0].shape))
    began = time.perf_counter()
    try:
        found = atrous.redesign(model, inputs)
    except atrous.RedesignError as error:
        row |= {"answer": "refused", "reason": _counted_as(str(error)), "told": str(error)}
    except Exception as error:  # what a user would see as a failure
        row |= {"answer": "failed", "told": f"{type(error).__name__}: {error}"[:300]}
    else:
        row |= {
            "answer": "changed" if found.changes else "no holes",
            "changes": [
                [c.path, list(c.kernel_size), list(c.before), list(c.after)] for c in found.changes
            ],
            "least": found.design.is_least,
            "told": list(found.design.searched),
            "left": [f"{f.code} {f.path}" for f in found.findings],
            "before": [f"{f.code} {f.path}" for f in found.lint_before],
        }
    row["seconds"] = round(time.perf_counter() - began, 1)
    if row["answer"] in ("changed", "no holes") and entry.judged != "-":
        try:
            row["gradients"] = measured(entry, model, found.model if found.changes else None)
        except Exception as error:  # no measurement is told as such
            row["unmeasured"] = f"{type(error).__name__}: {error}"[:300]
    return row


def _counted_as(told: str) -> str:
    return next((name for part, name in REASONS.items() if part in told), "other")


def measured(entry: Entry, before: nn.Module, after: nn.Module | None) -> dict[str, Any]:
    """Holes of outputs in the middle and what they span, of a model and what became of it."""
    inputs = entry.inputs()
    told: dict[str, Any] = {}
    for name, model in (("before", before), ("after", after)):
        if model is None:
            continue
        out, leaf, axes = gradients.results(gradients.opened(model), inputs, entry.judged)
        lengths = out.shape[out.dim() - len(axes) :]
        reads = []
        for shift in range(OUTPUTS[len(axes) - 1]):
            at = [min(n // 2 + shift, n - 1) for n in lengths]
            reads.append(gradients.read_by(out, leaf, axes, at))
        told[name] = {
            "holes": max(map(gradients.holes, reads)),
            "central": gradients.holes(reads[0]),
            "span": [[own.start, own.stop] for own in gradients.span(reads[0])],
        }
    if after is not None:
        pairs = list(zip(told["before"]["span"], told["after"]["span"], strict=True))
        told["field"] = (
            "same"
            if all(a == b for a, b in pairs)
            else "larger"
            if all(b[0] <= a[0] and b[1] >= a[1] for a, b in pairs)
            else "other"
        )
    return told


def wrong(row: dict[str, Any]) -> list[str]:
    """What is not as it is promised."""
    told = row.get("gradients", {})
    last = told.get("after", told.get("before", {}))
    found = []
    if row["answer"] == "failed":
        found.append(row["told"])
    if "unmeasured" in row:
        found.append(f"not measured: {row['unmeasured']}")
    if last.get("holes"):
        found.append(f"{last['holes']} holes by gradients")
    if told.get("field") == "other":
        found.append(f"the field moves from {told['before']['span']} to {told['after']['span']}")
    found += [f"lint still finds {code}" for code in row.get("left", ()) if code[:6] in _ABOUT]
    return found


_ABOUT = ("ATR101", "ATR105")


def told(rows: list[dict[str, Any]]) -> list[str]:
    """The table of the page: a line per family."""
    lines = [
        "| models | count | without holes | mended | refused | s, median | s, most |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for family in dict.fromkeys(row["family"] for row in rows):
        own = [row for row in rows if row["family"] == family]
        answers = Counter(row["answer"] for row in own)
        times = sorted(row["seconds"] for row in own)
        lines.append(
            f"| {family} | {len(own)} | {answers['no holes']} | {answers['changed']} | "
            f"{answers['refused'] + answers['failed']} | {times[len(times) // 2]:.1f} | "
            f"{times[-1]:.1f} |"
        )
    return lines


def show(rows: list[dict[str, Any]]) -> None:
    """A line per model, and the table."""
    for row in rows:
        about = row.get("reason") or "; ".join(
            f"{path} {'x'.join(map(str, before))}->{'x'.join(map(str, after))}"
            for path, _, before, after in row.get("changes", ())[:3]
        )
        more = max(len(row.get("changes", ())) - 3, 0)
        print(
            f"{row['answer']:9} {row['seconds']:6.1f} s  {row['model']}: {about}"
            + (f" and {more} more" if more else "")
        )
        for line in wrong(row):
            print(f"          wrong: {line}")
    print("\n".join(["", *told(rows)]))


def write(rows: list[dict[str, Any]]) -> None:
    """Put the table where the page has it."""
    text = PAGE.read_text()
    table = "\n".join(told(rows))
    new = re.sub(
        r"(<!-- table of redesigns -->\n).*?(<!-- end -->)", rf"\1{table}\n\2", text, flags=re.S
    )
    PAGE.write_text(new)


def main() -> int:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="parts of families or names")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="leave out what was kept")
    parser.add_argument("--save", action="store_true", help="keep the result in the repository")
    args = parser.parse_args()
    kept = ROOT / "benchmarks" / "results" / "redesign_table.json"
    known = {}
    if args.resume and kept.exists():
        known = {row["model"]: row for row in json.loads(kept.read_text())["rows"]}
    every = list(entries())
    wanted = [
        e
        for e in every
        if e.name not in known
        and (not args.only or any(part in f"{e.family} {e.name}" for part in args.only))
    ]
    names = {entry.name: k for k, entry in enumerate(every)}
    with ProcessPoolExecutor(args.jobs, multiprocessing.get_context("spawn")) as pool:
        done = {pool.submit(_named, entry.name): entry for entry in wanted}
        for future in track(
            as_completed(done), "models", total=len(done), console=Console(stderr=True)
        ):
            row = future.result()
            known[row["model"]] = row
            rows = sorted(known.values(), key=lambda row: names[row["model"]])
            if args.save:
                save("redesign_table", {"versions": versions(), "rows": rows}, quiet=True)
    rows = sorted(known.values(), key=lambda row: names[row["model"]])
    show(rows)
    if args.save:
        write(rows)
    return 1 if any(map(wrong, rows)) else 0


def _named(name: str) -> dict[str, Any]:
    """The row of a model, in a process of its own."""
    return redesigned(next(entry for entry in entries() if entry.name == name))


def versions() -> dict[str, str]:
    """What the result was made with."""
    import timm
    import torchvision

    return {
        "atrous": atrous.__version__,
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "timm": timm.__version__,
    }


if __name__ == "__main__":
    raise SystemExit(main())

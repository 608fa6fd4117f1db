"""What lint says of public models, and whether every word of it has been reviewed.

    python benchmarks/lint_table.py [--only TEXT] [--notes] [--save]

The models are those of `public_models`, at their own input sizes. Findings of warning and error at
default settings must be among those of `reviewed_findings.toml`, where a person has written what
to think of them; the exit code is 1 if there are others, or if a reviewed one is gone. `--notes`
counts the notes too.
"""

from __future__ import annotations

import argparse
import gc
import sys
import time
import tomllib
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from atrous.graph.capture import capture
from atrous.lint.check import check
from atrous.lint.finding import Finding
from atrous.lint.rule import lint_rules
from atrous.lint.subject import Subject
from measuring import save
from public_models import Entry, entries

REVIEWED = Path(__file__).parent / "reviewed_findings.toml"


def judged(entry: Entry) -> dict[str, Any]:
    """One row of the table: what the rules that run by default find."""
    row: dict[str, Any] = {"source": entry.source, "model": entry.name, "findings": []}
    try:
        model, x = entry.build()
        program = capture(model, x)
        began = time.perf_counter()
        rules = [rule for rule in lint_rules().values() if rule.default]
        found = check(Subject(program, model), rules)
    except Exception as error:
        return row | {"error": f"{type(error).__name__}: {str(error).splitlines()[0]}"[:300]}
    row["seconds"] = time.perf_counter() - began
    row["notes"] = dict(Counter(f.code for f in found if f.severity == "note"))
    row["findings"] = [_told(f) for f in found if f.severity != "note"]
    return row


def _told(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "path": finding.path,
        "message": finding.message,
    }


def reviewed() -> dict[str, dict[str, str]]:
    """By model, the codes that are expected and what a person thinks of them."""
    return tomllib.loads(REVIEWED.read_text()) if REVIEWED.exists() else {}


def compare(rows: list[dict[str, Any]]) -> list[str]:
    """Where findings and review differ, in sentences."""
    known, wrong = reviewed(), []
    for row in rows:
        mine = known.get(f"{row['source']}:{row['model']}", {})
        codes = {finding["code"] for finding in row["findings"]}
        wrong += [f"{row['model']}: {code} is not reviewed" for code in sorted(codes - set(mine))]
        wrong += [f"{row['model']}: {code} is gone" for code in sorted(set(mine) - codes)]
        if "error" in row:
            wrong.append(f"{row['model']}: {row['error']}")
    return wrong


def show(rows: list[dict[str, Any]], *, notes: bool) -> None:
    """The findings, a line each."""
    table = Table(title="findings at default severity", title_justify="left", box=None)
    for column in ("model", "code", "severity", "path", "message"):
        table.add_column(column, overflow="fold")
    for row in rows:
        for f in row["findings"]:
            table.add_row(row["model"], f["code"], f["severity"], f["path"], f["message"])
    console = Console(width=160 if not sys.stdout.isatty() else None)
    console.print(table)
    counted: Counter[str] = Counter()
    for row in rows:
        counted.update(dict.fromkeys(row.get("notes", {}), 1))
    if notes:
        console.print("models with notes:", dict(sorted(counted.items())))
    clean = sum(not row["findings"] and "error" not in row for row in rows)
    slow = max(rows, key=lambda row: row.get("seconds", 0.0))
    console.print(
        f"{len(rows)} models, {clean} without a warning; the slowest to judge is "
        f"{slow['model']} with {slow.get('seconds', 0.0):.1f} s"
    )


def main() -> int:
    """The table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="models whose source or name holds this text")
    parser.add_argument("--notes", action="store_true", help="count the notes too")
    parser.add_argument("--save", action="store_true", help="keep the result in the repository")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows = []
    wanted = [e for e in entries() if args.only in e.source or args.only in e.name]
    for entry in track(wanted, "models", console=Console(stderr=True)):
        rows.append(judged(entry))
        gc.collect()
    show(rows, notes=args.notes)
    wrong = compare(rows)
    for line in wrong:
        print(line)
    if args.save:
        save("lint_table", {"rows": rows})
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

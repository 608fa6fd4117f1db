"""What benchmarks share: interleaved times, tables, and results kept with machine and date."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from fuzz import machine


def interleaved(functions: dict[str, Callable[[], Any]], repeats: int) -> dict[str, list[float]]:
    """Seconds of each function, taken in turns after one warm-up each."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(repeats):
        for name, function in functions.items():
            gc.collect()
            began = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - began)
    return times


def show(title: str, rows: list[dict[str, Any]]) -> None:
    """A table of the rows."""
    table = Table(title=title, title_justify="left", box=None, header_style="bold")
    for key in rows[0]:
        table.add_column(key, justify="left" if isinstance(rows[0][key], str) else "right")
    for row in rows:
        table.add_row(*(_text(row.get(key, "")) for key in rows[0]))
    Console(width=150).print(table, "")


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, list):
        return " to ".join(_text(v) for v in value)
    return str(value)


def save(name: str, result: dict[str, Any], *, quiet: bool = False) -> None:
    """Keep a result in the repository, with the machine and the date."""
    path = ROOT / "benchmarks" / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    kept = {"date": datetime.now(UTC).date().isoformat(), "machine": machine(), **result}
    path.write_text(json.dumps(kept, indent=2) + "\n")
    if not quiet:
        print(f"written to {path.relative_to(ROOT)}")

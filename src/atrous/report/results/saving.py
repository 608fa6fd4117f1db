"""Results as text of a console, and in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console

from atrous.report.json.layout import as_json


def saved(text: str, path: str | Path | None) -> str:
    """The text, also written to a file if one is named, whose folders are made."""
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    return text


def saved_json(value: dict[str, Any], path: str | Path | None) -> str:
    """JSON text, also written to a file if one is named."""
    return saved(as_json(value), path)


def printed(value: Any, width: int = 100) -> str:
    """What a console shows of a value, without colours."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(value)
    return captured.get()

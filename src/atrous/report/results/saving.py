"""Results as text of a console, and in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.console import Console


def saved(text: str, path: str | Path | None) -> str:
    """The text, also written to a file if one is named, whose folders are made."""
    if path is not None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text.rstrip("\n") + "\n", encoding="utf-8")
    return text


def saved_json(value: dict[str, Any], path: str | Path | None) -> str:
    """JSON text, also written to a file if one is named."""
    return saved(json.dumps(value, indent=2), path)


def printed(value: Any, width: int = 100) -> str:
    """What a console shows of a value, without colours."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(value)
    return captured.get()

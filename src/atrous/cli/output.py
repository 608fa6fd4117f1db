"""Where commands write."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console


def output_console() -> Console:
    """Standard output; a pipe or a file has no width to fit."""
    console = Console()
    return console if console.is_terminal else Console(width=1000)


def check_writable(path: Path) -> None:
    """Make the folder a report goes to, before any work is done.

    Raises:
        ValueError: if the path is a folder, or its folder cannot be made.
    """
    if path.is_dir():
        raise ValueError(f"a report must be written to a file, got the folder {str(path)!r}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"a report must be in a folder that can be made, got {str(path)!r} ({error.strerror}). "
            "Choose another."
        ) from error

"""`atrous inspect --coverage`: what one output reads, in figures and as a picture."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from atrous.analysis.coverage.coverage import Coverage
from atrous.report.notebook.fragments import Pictured

_MOST_BLAMED = 8


def show_coverage(console: Console, cover: Coverage) -> None:
    """Figures, the picture, and the layers that leave the holes."""
    console.print(Text(str(cover)))
    if not cover.counts.size:
        return
    console.print(Pictured(cover))
    blamed = sorted(cover.blame, key=lambda layer: -layer.closes)
    for layer in blamed[:_MOST_BLAMED]:
        text = f"{layer.node} would close {layer.closes:,} of {len(cover.holes):,} holes"
        if layer.dilation is not None:
            dilations = " x ".join(map(str, dict.fromkeys(layer.dilation)))
            text += f"; with dilation {dilations} it leaves none"
        console.print(Text(text, style="yellow"))
    if len(blamed) > _MOST_BLAMED:
        console.print(Text(f"and {len(blamed) - _MOST_BLAMED} more layers", style="yellow"))


def positions(text: str | None) -> tuple[int, ...] | None:
    """`--at` as positions.

    Raises:
        ValueError: if it is no list of whole numbers.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(
            f"--at must be one position per axis of the output, as 12,40, got {text!r}."
        ) from None

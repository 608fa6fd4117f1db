"""Draws the pictures of docs/pictures.md: python tools/pictures.py."""

from __future__ import annotations

from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import nn

import atrous
from atrous import geometry, plot
from atrous.models import create

FOLDER = Path(__file__).parent.parent / "docs" / "pictures"


def stack(kind: type[nn.Module], *dilations: int) -> nn.Module:
    """Layers of three taps at these dilations."""
    return nn.Sequential(*(kind(1, 1, 3, dilation=d, padding=d) for d in dilations))


def save(name: str, ax: Axes) -> None:
    """A small file, read on light and on dark pages."""
    figure = ax.figure
    assert isinstance(figure, Figure)
    figure.savefig(FOLDER / f"{name}.png", dpi=72, facecolor="white", metadata={"Software": None})


def main() -> None:
    """Every picture of the page."""
    FOLDER.mkdir(exist_ok=True)
    torch.manual_seed(0)
    doubling = nn.Sequential(*(nn.Conv1d(1, 1, 2, dilation=2**k) for k in range(4)))
    save("kernel", plot.kernel((3, 3), 2))
    windows = (geometry.Window(3, dilation=3, left=3),) * 2
    save("index_map", plot.index_map(geometry.index_map((7, 9), windows, (1, 7))))
    save("coverage", plot.coverage(atrous.coverage(stack(nn.Conv2d, 2, 2, 4), (1, 1, 40, 40))))
    save("coverage_line", plot.coverage(atrous.coverage(stack(nn.Conv1d, 2, 2, 6), (1, 1, 48))))
    save("stack", plot.stack(atrous.routes(doubling, (1, 1, 32), at=8)))
    save("growth", plot.growth(atrous.inspect(create("segmenter"), (1, 3, 257, 257))))
    save(
        "matrix", plot.matrix(atrous.matrix(nn.Conv1d(1, 1, 3, dilation=4, padding=4), (1, 1, 32)))
    )
    deep = nn.Sequential(*(nn.Conv2d(4 if k else 1, 4, 3, padding=1) for k in range(8)))
    field = atrous.effective_field(deep, torch.randn(16, 1, 40, 40))
    save("effective_field", plot.effective_field(field))
    box = nn.Conv1d(1, 1, 5, dilation=4)
    nn.init.constant_(box.weight, 0.2)
    save("spectrum", plot.spectrum(atrous.spectrum(box, (1, 1, 64))))
    designs = {"17 taps": nn.Conv1d(8, 8, 17), "3 taps, dilation 8": nn.Conv1d(8, 8, 3, dilation=8)}
    save("cost", plot.cost(atrous.compare(designs, (1, 8, 64))))


if __name__ == "__main__":
    main()

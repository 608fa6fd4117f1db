"""Cells that are filled or empty, of any number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atrous.geometry.relation import Flags
from atrous.report.views.colours import QUIET, RAMP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MOST_LINES = 48
"""Cells along an axis up to which lines are drawn between them: more would run into each other."""
_SMALLEST = 2.5
"""Sides of a filled cell, in points, from which on it is seen."""
_MOST_OF_GAP = 0.6
"""Of the way from one filled cell to the next, what a cell that is drawn larger may take."""


def cells(ax: Axes, grid: Flags, *, line: float = 0.8) -> None:
    """Cells filled where the grid is true, cell (y, x) around the position (x, y).

    Where there are many, no lines are drawn between them, and each filled one is as large as its
    neighbours leave room for, so that it is seen: cells that touch stay as they are.

    Args:
        ax: axes to draw into.
        grid: rows of cells.
        line: width of the lines, in points.
    """
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import ListedColormap
    from matplotlib.patches import Rectangle

    rows, columns = grid.shape
    if max(rows, columns) <= MOST_LINES:
        ax.pcolormesh(
            np.arange(columns + 1) - 0.5,
            np.arange(rows + 1) - 0.5,
            grid.astype(int),
            cmap=ListedColormap(["none", RAMP[3]]),
            vmin=0,
            vmax=1,
            edgecolors=QUIET,
            linewidth=line,
        )
        return
    ax.add_patch(Rectangle((-0.5, -0.5), columns, rows, fill=False, edgecolor=QUIET, lw=line))
    at = np.argwhere(grid)
    if not len(at):
        return
    unit = _points_per_cell(ax, rows, columns)
    tall, wide = (
        0.5 if n == 1 else _side(at[:, k], unit) / 2 for k, n in enumerate((rows, columns))
    )
    corners = np.array([(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)])
    # Edges of antialiased neighbours would show as lines where cells touch.
    touching = tall == 0.5 or wide == 0.5
    ax.add_collection(
        PolyCollection(
            at[:, ::-1, None].transpose(0, 2, 1) + corners[None],
            facecolors=RAMP[3],
            linewidths=0,
            antialiaseds=not touching,
            clip_on=False,
        )
    )


def _side(positions: np.ndarray, unit: float) -> float:
    """The side of a filled cell, in cells."""
    distinct = np.unique(positions)
    gap = int(np.diff(distinct).min()) if len(distinct) > 1 else 0
    if gap == 1:
        return 1.0
    seen = max(1.0, _SMALLEST / unit)
    return min(seen, max(1.0, _MOST_OF_GAP * gap)) if gap else seen


def _points_per_cell(ax: Axes, rows: int, columns: int) -> float:
    figure = ax.get_figure(root=True)
    if figure is None:
        return 1.0
    box = ax.get_position()
    width, height = figure.get_size_inches()
    across, down = box.width * width * 72 / columns, box.height * height * 72 / rows
    return float(across if rows == 1 else down if columns == 1 else min(across, down))

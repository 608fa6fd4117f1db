"""The mask of a dilated kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from atrous.geometry.relation import Flags
from atrous.report.plot.canvas import axes_for, plain
from atrous.report.plot.marks import MOST_LINES, cells
from atrous.report.views.kernels import kernel_mask

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def kernel(
    kernel_size: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    *,
    ax: Axes | None = None,
) -> Axes:
    """The cells that a dilated kernel spans: filled where a tap is, empty between.

    Beyond 48 cells along an axis lines between them are left out, and taps that do not touch are
    drawn larger than their cells, so that each is seen.

    Args:
        kernel_size: taps per axis; one number makes a line, two a grid.
        dilation: from one tap to the next, one number for all axes or one per axis.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes. Cell a of an axis holds a tap where a is a multiple of the dilation.

    Raises:
        ImportError: if matplotlib is not installed.
        ValueError: if there are more than two axes, or a number below 1.

    Example:
        >>> from matplotlib.figure import Figure
        >>> axes = kernel((3, 3), 2, ax=Figure().subplots())
        >>> axes.get_title()
        '3 x 3 taps, dilation 2: spans 5 x 5'
    """
    mask, title = kernel_mask(kernel_size, dilation)
    if mask.ndim > 2:
        raise ValueError(
            f"kernel_size must have one or two axes for a picture, got {mask.ndim}. "
            "Draw two of them at a time."
        )
    grid = np.atleast_2d(mask)
    rows, columns = grid.shape
    unit = min(0.5, 6.0 / max(rows, columns))
    ax = axes_for(ax, size=(max(columns * unit, 3.2) + 0.4, rows * unit + 0.9))
    return _drawn(ax, grid, title)


def _drawn(ax: Axes, grid: Flags, title: str) -> Axes:
    """Cells, filled where the grid is true."""
    rows, columns = grid.shape
    cells(ax, grid)
    # A long strip of square cells would be a hair.
    ax.set_aspect("auto" if rows == 1 and columns > MOST_LINES else "equal")
    # A little room, so that the outer lines are drawn whole.
    ax.set_ylim(rows - 0.47, -0.53)
    ax.set_xlim(-0.53, columns - 0.47)
    ax.set_xticks([])
    ax.set_yticks([])
    plain(ax, keep=())
    ax.set_title(title, fontsize="medium")
    return ax

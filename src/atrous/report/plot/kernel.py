"""The mask of a dilated kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from atrous.report.plot.canvas import axes_for, plain
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
    return draw_cells(ax, grid, title)


def draw_cells(ax: Axes, grid: np.ndarray, title: str) -> Axes:
    """Cells with lines between them, filled where the grid is true."""
    from matplotlib.colors import ListedColormap

    from atrous.report.views.colours import QUIET, RAMP

    rows, columns = grid.shape
    ax.pcolormesh(
        np.arange(columns + 1) - 0.5,
        np.arange(rows + 1) - 0.5,
        grid.astype(int),
        cmap=ListedColormap(["none", RAMP[3]]),
        vmin=0,
        vmax=1,
        edgecolors=QUIET,
        linewidth=0.8,
    )
    ax.set_aspect("equal")
    # A little room, so that the outer lines are drawn whole.
    ax.set_ylim(rows - 0.47, -0.53)
    ax.set_xlim(-0.53, columns - 0.47)
    ax.set_xticks([])
    ax.set_yticks([])
    plain(ax, keep=())
    ax.set_title(title, fontsize="medium")
    return ax

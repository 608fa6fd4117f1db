"""Which inputs one output reads, padding told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from atrous.geometry.index_map import IndexMap
from atrous.report.plot.canvas import axes_for, plain, whole_ticks
from atrous.report.plot.checking import check_drawn
from atrous.report.plot.marks import cells
from atrous.report.views.colours import HOLE

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def index_map(taps: IndexMap, *, ax: Axes | None = None) -> Axes:
    """The input as cells: blue where a tap reads data, an orange cross where it reads padding.

    Args:
        taps: what `atrous.geometry.index_map` returns, in one or two dimensions.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes; positions of the input are the coordinates, negative in padding.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.
        ValueError: if the map has more than two axes.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from atrous import geometry
        >>> windows = (geometry.Window(3, dilation=2, left=2),) * 2
        >>> axes = index_map(geometry.index_map((6, 8), windows, (0, 3)), ax=Figure().subplots())
        >>> axes.get_title()
        'output (0, 3): 6 taps on data, 3 on padding'
    """
    check_drawn(
        "taps", taps, (IndexMap,), "atrous.geometry.index_map(input_shape, windows, output_index)"
    )
    shape = taps.input_shape
    if not 1 <= len(shape) <= 2:
        raise ValueError(
            f"taps must have one or two axes for a picture, got {len(shape)}. "
            "Print the map: a text shows it slice by slice."
        )
    lines, columns = (1, *shape)[-2:]
    at = np.array([(0, *tap.input_index)[-2:] for tap in taps.taps])
    padding = np.array([tap.is_padding for tap in taps.taps])
    low = np.minimum(at.min(axis=0), 0)
    high = np.maximum(at.max(axis=0), (lines - 1, columns - 1))
    rows, width = (high - low + 1).tolist()
    unit = min(0.35, 8.0 / max(rows, width))
    ax = axes_for(ax, size=(width * unit + 1.0, rows * unit + 1.1))

    read = np.zeros((lines, columns), dtype=bool)
    inside = at[~padding]
    read[inside[:, 0], inside[:, 1]] = True
    cells(ax, read, line=0.6)
    outside = at[padding]
    size = max(min(unit * 72 * 0.55, 12), 2)
    ax.plot(
        outside[:, 1], outside[:, 0], "x", color=HOLE, markersize=size, markeredgewidth=size / 5
    )
    ax.set_xlim(low[1] - 0.6, high[1] + 0.6)
    ax.set_ylim(high[0] + 0.6, low[0] - 0.6)
    ax.set_aspect("equal")
    plain(ax, keep=())
    whole_ticks(ax, "x", "y")
    if len(shape) == 1:
        ax.set_yticks([])
    ax.set_xlabel("input position")
    place = ", ".join(map(str, taps.output_index))
    ax.set_title(
        f"output {f'({place})' if len(shape) > 1 else place}: {len(inside)} taps on data, "
        f"{len(outside)} on padding",
        fontsize="medium",
    )
    return ax

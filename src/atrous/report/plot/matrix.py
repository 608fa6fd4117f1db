"""The bands of an operation's sparse matrix."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.analysis.matrix.matrix import LinearMap
from atrous.report.plot.canvas import axes_for, colour_bar, plain, whole_ticks
from atrous.report.views.colours import HOLE, RAMP

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from scipy.sparse import sparray, spmatrix

_MOST = 800
"""Cells of a picture along an axis; a cell of several coefficients has that of largest size."""


def matrix(found: LinearMap | sparray | spmatrix, *, ax: Axes | None = None) -> Axes:
    """The coefficients that are stored, by sign and size; what is not stored is left empty.

    Args:
        found: what `atrous.matrix` returns, or any sparse matrix of scipy.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes: columns (inputs) along x, rows (outputs) along y, in row-major order.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it is no sparse matrix.

    Example:
        >>> from torch import nn
        >>> from matplotlib.figure import Figure
        >>> import atrous
        >>> net = nn.Conv1d(1, 1, 3, dilation=2, padding=2, bias=False)
        >>> axes = matrix(atrous.matrix(net, (1, 1, 12)), ax=Figure().subplots())
        >>> axes.get_title()
        '12 x 12, 32 coefficients\\ntoeplitz'
    """
    name = ""
    if isinstance(found, LinearMap):
        name = f"\n{found.structure}" if found.structure else ""
        found = found.matrix
    cells, block = _cells(found)
    rows, columns = found.shape
    tall = 5.2 * rows / max(columns, 1)
    ax = axes_for(ax, size=(6.4, float(np.clip(tall, 1.5, 8.0)) + 0.7))
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    # Orange below 0, blue above, pale in between: apart for every kind of colour vision.
    both = LinearSegmentedColormap.from_list(
        "signs", ["#6b2f00", HOLE, "#f6dcc6", RAMP[0], RAMP[3], RAMP[5]]
    )
    largest = float(np.abs(cells).max()) if cells.count() else 1.0
    image = ax.imshow(
        cells,
        cmap=both,
        norm=Normalize(-largest or -1.0, largest or 1.0),
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
        interpolation="none",
        aspect="auto" if max(rows, columns) > 8 * min(rows, columns) else "equal",
    )
    note = "coefficient" if block == 1 else f"largest coefficient of {block} x {block}"
    colour_bar(ax, image, note)
    plain(ax, keep=("left", "bottom", "right", "top"))
    whole_ticks(ax, "x", "y")
    ax.set_xlabel("input (column)")
    ax.set_ylabel("output (row)")
    count = found.nnz
    ax.set_title(
        f"{rows:,} x {columns:,}, {count:,} coefficient{'' if count == 1 else 's'}{name}",
        fontsize="medium",
    )
    return ax


def _cells(found: Any) -> tuple[np.ma.MaskedArray[Any, Any], int]:
    """The coefficients in square blocks, each with the one of largest size; others masked."""
    try:
        entries = found.tocoo()
    except AttributeError:
        raise TypeError(
            f"found must be a LinearMap, which atrous.matrix(model, x) returns, or a sparse matrix "
            f"of scipy, got {type(found).__name__}. Wrap a dense one in scipy.sparse.csr_array."
        ) from None
    rows, columns = found.shape
    block = -(-max(rows, columns) // _MOST)
    cells = np.zeros((-(-rows // block), -(-columns // block)))
    stored = np.zeros(cells.shape, dtype=bool)
    # The largest comes last, and stays.
    order = np.argsort(np.abs(entries.data), kind="stable")
    at = entries.row[order] // block, entries.col[order] // block
    cells[at] = entries.data[order]
    stored[at] = True
    return np.ma.masked_array(cells, ~stored), block

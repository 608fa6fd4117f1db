"""Field size over depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atrous.analysis.inspection import Inspection
from atrous.report.plot.canvas import axes_for, level, plain, whole_ticks
from atrous.report.plot.checking import check_drawn
from atrous.report.results.report import Report
from atrous.report.views.colours import LINES
from atrous.report.views.growth import Growth, growth_lines

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def growth(found: Report | Inspection, *, log: bool = False, ax: Axes | None = None) -> Axes:
    """Field size of every node, each joined to the nodes it reads; dashed: the input's length.

    Branches are lines of their own that part and meet. Where all of the input is read besides, the
    size is that of the other ways; nodes that know no other way are left out.

    Args:
        found: what `atrous.inspect` returns, or its `.inspection`.
        log: whether sizes have a logarithmic scale.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes: nodes in order of computation along x, sizes in input positions along y.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.

    Example:
        >>> from torch import nn
        >>> from matplotlib.figure import Figure
        >>> import atrous
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=2**k) for k in range(4)))
        >>> axes = growth(atrous.inspect(net, (1, 1, 64)), ax=Figure().subplots())
        >>> axes.get_ylabel()
        'field size (input positions)'
    """
    check_drawn("found", found, (Report, Inspection), "atrous.inspect(model, x)")
    inspection = found.inspection if isinstance(found, Report) else found
    ax = axes_for(ax, size=(7.5, 3.8))
    drawn = growth_lines(inspection)
    several = len(drawn) > 1
    for number, line in enumerate(drawn):
        _draw(ax, line, LINES[number % len(LINES)], several)
    for length in sorted({length for line in drawn for length in line.lengths}):
        level(ax, length, f"input: {length}")
    if log:
        ax.set_yscale("log")
    else:
        ax.set_ylim(bottom=0)
    if several:
        ax.legend(frameon=False, fontsize="small", loc="upper left")
    plain(ax)
    whole_ticks(ax, "x")
    ax.set_xlabel("node, in order of computation")
    ax.set_ylabel("field size (input positions)")
    ax.set_title(f"growth of the field of {inspection.model}", fontsize="medium")
    return ax


def _draw(ax: Axes, line: Growth, colour: str, several: bool) -> None:
    from matplotlib.collections import LineCollection

    ends = [[line.points[a], line.points[b]] for a, b in line.joins]
    ax.add_collection(LineCollection(ends, colors=colour, linewidths=1.5, alpha=0.6))
    axes = " and ".join(map(str, line.axes))
    label = f"axis {axes}" if several else None
    at = list(line.points.values())
    ax.plot([x for x, _ in at], [y for _, y in at], "o", color=colour, markersize=4, label=label)

"""The tree of a dilated stack: one output down to the inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atrous.analysis.coverage.route_tree import Level, RouteTree
from atrous.report.plot.canvas import axes_for, plain, whole_ticks
from atrous.report.plot.checking import check_drawn
from atrous.report.views.colours import HOLE, LINES, QUIET, RAMP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_DOTS = 400
"""Positions of one level up to which those that are not read are drawn as well."""


def stack(tree: RouteTree, *, ax: Axes | None = None) -> Axes:
    """Every layer as a row of dots, and the taps by which one output reaches the inputs.

    Filled dots lie on routes, hollow ones do not; inputs between the first and the last one read
    that no route reaches are orange: holes. Dots stand over the input position they belong to,
    `position * stride`.

    Args:
        tree: what `atrous.routes` returns.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes: input positions along x, layers along y, the input at 0.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.

    Example:
        >>> from torch import nn
        >>> from matplotlib.figure import Figure
        >>> import atrous
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 2, dilation=2**k) for k in range(4)))
        >>> axes = stack(atrous.routes(net, (1, 1, 32)), ax=Figure().subplots())
        >>> [label.get_text() for label in axes.get_yticklabels()]
        ['input', '0', '1', '2', '3']
    """
    check_drawn("tree", tree, (RouteTree,), "atrous.routes(model, x)")
    from matplotlib.collections import LineCollection

    count = len(tree.levels)
    reached = [float(p * own.rate) for own in tree.levels for p in own.positions]
    low, high = min(reached, default=0.0), max(reached, default=1.0)
    width = high - low + 1
    ax = axes_for(ax, size=(max(5.0, min(0.28 * width, 12.0)), max(2.2, 0.65 * count + 0.9)))
    lines = []
    for reading in tree.readings:
        upper, lower = tree.levels[reading.reader], tree.levels[reading.source]
        x = float(reading.position * upper.rate)
        lines += [
            _edge((x, reading.reader), (float(p * lower.rate), reading.source))
            for p in reading.inputs
        ]
    thin = max(0.25, min(1.2, 250 / max(len(lines), 1)))
    ax.add_collection(LineCollection(lines, colors=RAMP[2], linewidths=thin, zorder=1))
    size = max(1.0, min(7.0, 360 / width))
    for height, own in enumerate(tree.levels):
        _dots(ax, own, height, (low, high), size, top=height == count - 1)
    margin = max(0.7, 0.02 * width)
    ax.set_xlim(low - margin, high + margin)
    ax.set_ylim(-0.5, count - 0.5)
    ax.set_yticks(range(count), [own.label for own in tree.levels])
    ax.tick_params(axis="y", length=0)
    whole_ticks(ax, "x")
    plain(ax, keep=("bottom",))
    ax.set_xlabel(f"input position, axis {tree.axis}")
    read = len(tree.levels[0].positions)
    ax.set_title(
        f"{tree.node} at {tree.at} reads {read} position{'' if read == 1 else 's'} of {tree.input}",
        fontsize="medium",
    )
    return ax


def _edge(top: tuple[float, int], bottom: tuple[float, int]) -> list[tuple[float, float]]:
    """A straight line between neighbours; a bent one where it passes the dots of other levels."""
    if top[1] - bottom[1] == 1:
        return [top, bottom]
    steps = [k / 16 for k in range(17)]
    return [
        (top[0] + (bottom[0] - top[0]) * t + 1.6 * t * (1 - t), top[1] + (bottom[1] - top[1]) * t)
        for t in steps
    ]


def _dots(
    ax: Axes, own: Level, height: int, shown: tuple[float, float], size: float, *, top: bool
) -> None:
    rate = float(own.rate)
    taken = set(own.positions)
    # With a tolerance: a rate such as 1/3 is no float.
    visible = [p for p in range(own.length) if shown[0] - 1e-6 <= p * rate <= shown[1] + 1e-6]
    rest = [p for p in visible if p not in taken]
    holes = [p for p in rest if height == 0 and taken and min(taken) < p < max(taken)]
    hollow = [p for p in rest if p not in set(holes)] if len(visible) <= _MOST_DOTS else []
    for positions, face, edge in (
        (hollow, "none", QUIET),
        (holes, HOLE, HOLE),
        (own.positions, LINES[5] if top else RAMP[3], RAMP[4]),
    ):
        ax.plot(
            [p * rate for p in positions], [height] * len(positions), "o", markersize=size,
            markerfacecolor=face, markeredgecolor=edge, markeredgewidth=min(0.8, size / 4),
            clip_on=False, zorder=2,
        )  # fmt: skip

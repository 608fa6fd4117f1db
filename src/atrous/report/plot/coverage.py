"""Path counts of one output, holes visible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.analysis.coverage.coverage import Coverage
from atrous.report.plot.canvas import axes_for, colour_bar, plain, ramp_map, whole_ticks
from atrous.report.plot.checking import check_drawn
from atrous.report.views.colours import HOLE, MARK, QUIET, RAMP
from atrous.report.views.projection import Projection, projection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

_FEW = 200
"""Positions up to which stems are told apart."""


def coverage(
    cover: Coverage,
    *,
    axes: int | tuple[int, ...] | None = None,
    at: Mapping[int, int] | None = None,
    log: bool | None = None,
    whole: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """How often one output reads each input position, holes in orange.

    Two axes are shown as a heat map, one as stems. The output's own position is marked.

    Args:
        cover: what `atrous.coverage` returns.
        axes: one or two axes of the input; by default the last two, or the only one.
        at: for axes that are not shown, the input position to cut at, axis -> position. By default
            the counts along them are added up: then a hole is a hole at all of their positions.
        log: whether counts have a logarithmic scale; by default where the largest is more than 100
            times the smallest.
        whole: show the whole input instead of the span that is read.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes; input positions are the coordinates.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.
        ValueError: if `axes` or `at` do not fit.

    Example:
        >>> from torch import nn
        >>> from matplotlib.figure import Figure
        >>> import atrous
        >>> net = nn.Sequential(*(nn.Conv2d(1, 1, 3, dilation=2, padding=2) for _ in range(3)))
        >>> drawn = coverage(atrous.coverage(net, (1, 1, 32, 32)), ax=Figure().subplots())
        >>> drawn.get_title()
        '2 reads 13 x 13 of input: 120 holes'
    """
    check_drawn("cover", cover, (Coverage,), "atrous.coverage(model, x)")
    found = projection(cover, axes, at=at)
    flat = len(found.axes) == 1
    rows, columns = (1, *found.counts.shape)[-2:]
    tall = 4.8 * rows / max(columns, 1)
    size = (6.4, 2.8) if flat else (6.2, float(np.clip(tall, 2.0, 8.0)) + 0.6)
    ax = axes_for(ax, size=size)
    if found.counts.size:
        log = found.is_wide if log is None else log
        (stems if flat else _heat_map)(ax, found, log)
    if whole or not found.counts.size:
        _show_all(ax, found, cover)
    # The legend stands between the picture and its title.
    ax.set_title(_title(cover, found), fontsize="medium", pad=24 if ax.get_legend() else None)
    return ax


def _title(cover: Coverage, found: Projection) -> str:
    title = f"{cover.node} reads {_span(cover)} of {cover.input}"
    if found.counts.size:
        holes = int(found.holes.sum())
        title += f": {holes:,} hole{'' if holes == 1 else 's'}" if holes else ": no holes"
    if cover.status != "exact":
        title += f" ({cover.status})"
    return f"{title}\n{found.note}" if found.note else title


def _span(cover: Coverage) -> str:
    return " x ".join(map(str, cover.span)) if cover.counts.size else "nothing"


def _scale(values: np.ndarray[Any, Any], log: bool) -> Normalize:
    from matplotlib.colors import LogNorm, Normalize

    low, high = float(values[values > 0].min()), float(values.max())
    # From 0 on, so that a count twice as large is twice as far along the ramp; a single value is
    # the middle of it.
    return (
        LogNorm(low, high) if log and low < high else Normalize(0, high if low < high else 2 * high)
    )


def _heat_map(ax: Axes, found: Projection, log: bool) -> None:
    values, are_logs = found.values()
    masked = np.ma.masked_array(values, found.holes)
    (top, left), (bottom, right) = found.start, found.stop
    image = ax.imshow(
        masked,
        cmap=ramp_map(),
        norm=_scale(values, log and not are_logs),
        extent=(left - 0.5, right - 0.5, bottom - 0.5, top - 0.5),
        interpolation="none",
    )
    colour_bar(ax, image, "routes, log10 + 1" if are_logs else "routes to the position", whole=True)
    if found.holes.any():
        # An empty line, for the legend.
        ax.plot([], [], "s", color=HOLE, label="holes")
    for_each = [(y, x) for y in found.places[0] for x in found.places[1]]
    if for_each:
        rows, columns = np.array(for_each).T
        ax.plot(
            columns, rows, "o", markersize=6, markerfacecolor=MARK, markeredgecolor="black",
            linestyle="none", label="the output" if len(for_each) == 1 else "the outputs",
        )  # fmt: skip
    _legend(ax)
    whole_ticks(ax, "x", "y")
    plain(ax, keep=())
    ax.set_xlabel(f"input position, axis {found.axes[1]}")
    ax.set_ylabel(f"input position, axis {found.axes[0]}")


def stems(ax: Axes, found: Projection, log: bool) -> None:
    """Counts along one axis as stems, or filled where they are many."""
    values, are_logs = found.values()
    log = log and not are_logs
    positions = np.arange(found.start[0], found.stop[0])
    read = ~found.holes
    bottom = 10 ** np.floor(np.log10(values[read].min()) - 0.3) if log else 0.0
    if log:
        ax.set_yscale("log")
    if len(positions) <= _FEW:
        ax.vlines(positions[read], bottom, values[read], color=RAMP[3], linewidth=1.5)
        ax.plot(positions[read], values[read], "o", color=RAMP[3], markersize=4, label="routes")
    else:
        heights = np.where(read, values, bottom)
        ax.fill_between(positions, bottom, heights, step="mid", color=RAMP[3], linewidth=0)
    ax.set_ylim(bottom, None)
    floor = ax.get_xaxis_transform()
    if found.holes.any():
        ax.plot(
            positions[found.holes], np.zeros(int(found.holes.sum())), "s", color=HOLE,
            markersize=4 if len(positions) <= _FEW else 2, transform=floor, clip_on=False,
            linestyle="none", label="holes", zorder=3,
        )  # fmt: skip
    if found.places[0]:
        ax.plot(
            found.places[0], np.zeros(len(found.places[0])), "^", color=MARK, markersize=9,
            markeredgecolor="black", transform=floor, clip_on=False, zorder=4, linestyle="none",
            label="the output" if len(found.places[0]) == 1 else "the outputs",
        )  # fmt: skip
    _legend(ax)
    plain(ax)
    ax.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)
    ax.set_axisbelow(True)
    whole_ticks(ax, "x")
    ax.set_xlabel(f"input position, axis {found.axes[0]}")
    ax.set_ylabel("routes, log10 + 1" if are_logs else "routes")


def _legend(ax: Axes) -> None:
    """Above the picture, where it hides nothing."""
    handles, labels = ax.get_legend_handles_labels()
    kept = [(h, t) for h, t in zip(handles, labels, strict=True) if t != "routes"]
    if kept:
        ax.legend(
            *zip(*kept, strict=True), loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2,
            frameon=False, fontsize="small", handletextpad=0.2, borderaxespad=0.1,
        )  # fmt: skip


def _show_all(ax: Axes, found: Projection, cover: Coverage) -> None:
    lengths = [cover.shape[cover.axes.index(axis)] for axis in found.axes]
    ax.set_xlim(-0.5, lengths[-1] - 0.5)
    if len(lengths) == 2:
        ax.set_ylim(lengths[0] - 0.5, -0.5)
        ax.set_aspect("equal")
        plain(ax, keep=("left", "bottom", "right", "top"))

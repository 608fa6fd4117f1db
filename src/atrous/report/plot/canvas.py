"""What all pictures share: axes to draw into, colours, ticks on positions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from atrous.report.views.colours import HOLE, QUIET, RAMP

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap


def axes_for(ax: Axes | None, *, size: tuple[float, float] = (6.4, 4.0)) -> Axes:
    """The axes that are given, or those of a new figure of pyplot.

    A new figure, not the current one: a picture with a colour bar in the axes of another would
    spoil both. It is pyplot's, so that notebooks and `plt.show()` show it. Where axes are given,
    pyplot is left alone.

    Args:
        ax: axes to draw into.
        size: width and height of a new figure, in inches.

    Raises:
        ImportError: if matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401 - the pictures need it
    except ImportError as error:
        raise ImportError(
            'matplotlib must be installed for pictures. Use pip install "atrous[plot]".'
        ) from error
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    width, height = size
    _, made = plt.subplots(figsize=(min(width, 14.0), min(height, 10.0)), layout="constrained")
    return made


def ramp_map() -> Colormap:
    """The ramp as a map of matplotlib; what is masked has the colour of holes."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("atrous", list(RAMP)).with_extremes(bad=HOLE)


def whole_ticks(ax: Axes, *axes: str) -> None:
    """Ticks at whole positions only."""
    from matplotlib.ticker import MaxNLocator

    for name in axes:
        which = ax.xaxis if name == "x" else ax.yaxis
        which.set_major_locator(MaxNLocator(nbins=8, integer=True, steps=[1, 2, 5, 10]))


def plain(ax: Axes, *, keep: Sequence[str] = ("left", "bottom")) -> None:
    """Only the frame's sides that carry something."""
    for side in ("left", "bottom", "right", "top"):
        ax.spines[side].set_visible(side in keep)


def colour_bar(ax: Axes, shown: Any, label: str, *, whole: bool = False) -> None:
    """A bar beside the axes that tells the colours.

    Args:
        ax: the axes.
        shown: the image.
        label: what the colours tell.
        whole: ticks at whole numbers only; a logarithmic scale keeps its own.
    """
    from matplotlib.colors import LogNorm
    from matplotlib.ticker import MaxNLocator

    figure = ax.get_figure()
    if figure is None:
        return
    ticks = MaxNLocator(integer=True) if whole and not isinstance(shown.norm, LogNorm) else None
    # Inside the axes' own frame, so that it is as tall as the image.
    beside = ax.inset_axes((1.03, 0.0, 0.04, 1.0))
    bar = figure.colorbar(shown, cax=beside, label=label, ticks=ticks)
    bar.outline.set_visible(False)


def bound(ax: Axes, at: float, *, colour: str = QUIET) -> None:
    """A dashed line from bottom to top."""
    ax.axvline(at, color=colour, linestyle=(0, (4, 3)), linewidth=1, zorder=1)


def level(ax: Axes, at: float, text: str) -> None:
    """A dashed level with its name."""
    ax.axhline(at, color=QUIET, linestyle=(0, (4, 3)), linewidth=1, zorder=1)
    ax.annotate(
        text,
        (0, at),
        xycoords=("axes fraction", "data"),
        xytext=(4, 3),
        textcoords="offset points",
        color=QUIET,
        fontsize="small",
    )

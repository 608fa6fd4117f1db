"""What designs cost, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, get_args

from atrous.analysis.cost.cost import Costs
from atrous.report.plot.canvas import axes_for, plain
from atrous.report.plot.checking import check_drawn
from atrous.report.results.comparison import Comparison
from atrous.report.results.cost import Cost
from atrous.report.text import quantities
from atrous.report.views.colours import LINES, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Measure = Literal["parameters", "macs", "memory"]

_NAMES = {"parameters": "parameters", "macs": "MACs", "memory": "activations"}


def cost(
    designs: Comparison | Mapping[str, Costs],
    *,
    measures: tuple[Measure, ...] = ("parameters", "macs", "memory"),
    ax: Axes | None = None,
) -> Axes:
    """Bars of parameters, multiply-accumulates and memory, each over that of the first design.

    The numbers themselves stand at the bars.

    Args:
        designs: what `atrous.compare` returns, or costs (of `atrous.cost`) by name.
        measures: which bars, in this order.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes: ratios to the first design along x, a group of bars per measure.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.
        ValueError: if there is no design, or an unknown measure.

    Example:
        >>> from torch import nn
        >>> from matplotlib.figure import Figure
        >>> import atrous
        >>> dense, dilated = nn.Conv1d(8, 8, 17), nn.Conv1d(8, 8, 3, dilation=8)
        >>> found = atrous.compare({"dense": dense, "dilated": dilated}, (1, 8, 64))
        >>> cost(found, ax=Figure().subplots()).get_xlabel()
        'times that of dense'
    """
    if isinstance(designs, Mapping):
        for name, one in designs.items():
            check_drawn(f"designs[{name!r}]", one, (Cost, Costs), "atrous.cost(model, x)")
    else:
        check_drawn("designs", designs, (Comparison,), "atrous.compare(models, x)")
    named = (
        dict(designs)
        if isinstance(designs, Mapping)
        else {design.name: design.cost for design in designs.designs}
    )
    if not named:
        raise ValueError("designs must hold at least one, got none.")
    unknown = [measure for measure in measures if measure not in get_args(Measure)]
    if unknown or not measures:
        raise ValueError(
            f"measures must be some of {', '.join(get_args(Measure))}, got {measures!r}."
        )
    groups, bars = len(measures), len(named)
    ax = axes_for(ax, size=(7.0, 0.9 + groups * (0.3 * bars + 0.25)))
    thick = 0.8 / bars
    for number, (name, found) in enumerate(named.items()):
        ratios, numbers, places = [], [], []
        for group, measure in enumerate(measures):
            value, first = _value(found, measure), _value(next(iter(named.values())), measure)
            ratios.append(value / first if first else float(value > 0))
            numbers.append(_told(value, measure))
            places.append(group + (number - (bars - 1) / 2) * thick)
        colour = LINES[number % len(LINES)]
        drawn = ax.barh(places, ratios, height=0.9 * thick, color=colour, label=name)
        ax.bar_label(
            drawn,
            numbers,
            padding=3,
            fontsize="small",
        )
    ax.axvline(1, color=QUIET, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)
    ax.set_yticks(range(groups), [_NAMES[measure] for measure in measures])
    ax.tick_params(axis="y", length=0)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel(f"times that of {next(iter(named))}")
    plain(ax, keep=("bottom",))
    ax.legend(frameon=False, fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return ax


def _value(found: Costs, measure: str) -> int:
    return found.inference if measure == "memory" else int(getattr(found, measure))


def _told(value: int, measure: str) -> str:
    return quantities.size(value) if measure == "memory" else quantities.number(value)

"""What a schedule reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.plan import Plan
from atrous.report.plot.canvas import axes_for, plain, whole_ticks
from atrous.report.plot.checking import check_drawn
from atrous.report.plot.coverage import stems
from atrous.report.text.quantities import counted
from atrous.report.text.schedule import rates_text
from atrous.report.views.schedules import of_schedule

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def schedule(found: Plan | Schedule, *, log: bool | None = None, ax: Axes | None = None) -> Axes:
    """How many routes lead from one output to each position, holes in orange.

    Args:
        found: what `atrous.schedule` returns, or a named schedule.
        log: whether counts have a logarithmic scale; by default where the largest is more than 100
            times the smallest.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes; positions are counted from the output's own.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.

    Example:
        >>> from matplotlib.figure import Figure
        >>> from atrous import schedules
        >>> schedule(schedules.hdc((1, 2, 9)), ax=Figure().subplots()).get_title()
        'hdc: dilations 1 2 9, field 25, 4 holes, varies by 0.58'
    """
    check_drawn("found", found, (Plan, Schedule), "atrous.schedule(field)")
    own = found.schedule if isinstance(found, Plan) else found
    ax = axes_for(ax, size=(6.4, 2.8))
    shown = of_schedule(own)
    stems(ax, shown, shown.is_wide if log is None else log)
    ax.set_xlabel("position, from the output's own")
    whole_ticks(ax, "x")
    plain(ax)
    ax.set_title(_title(own), fontsize="medium", pad=24 if ax.get_legend() else None)
    return ax


def _title(own: Schedule) -> str:
    name = f"{own.name}: " if own.name else ""
    holes = counted(len(own.holes), "hole") if len(own.holes) else "no holes"
    varies = f"varies by {own.uniformity.cv:.2f}"
    return f"{name}dilations {rates_text(own.dilations)}, field {own.field:,}, {holes}, {varies}"

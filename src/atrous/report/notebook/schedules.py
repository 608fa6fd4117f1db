"""What schedules and plans look like in notebooks, to rich and as JSON."""

from __future__ import annotations

from typing import Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.plan import Plan
from atrous.design.schedule.pyramid import Pyramid
from atrous.report.json.schedule import plan_to_dict
from atrous.report.notebook import drawing
from atrous.report.notebook.fragments import Pictured, figures, note, table
from atrous.report.text.schedule import (
    beside_table,
    facts,
    layer_table,
    layers_text,
    plan_text,
    proof_text,
    pyramid_facts,
    pyramid_text,
    pyramid_title,
    rates_text,
    schedule_text,
)
from atrous.report.views.projection import Projection
from atrous.report.views.schedules import of_pyramid, of_schedule
from atrous.shown import as_dict, as_html, as_rich


@as_rich.register
def _schedule_rich(found: Schedule) -> Group:
    return Group(schedule_text(found), *([Pictured(found)] if found.is_countable else []))


@as_rich.register
def _pyramid_rich(found: Pyramid) -> Group:
    return Group(pyramid_text(found), Pictured(found))


@as_rich.register
def _plan_rich(found: Plan) -> Group:
    parts: list[RenderableType] = [plan_text(found), Text(), Pictured(found)]
    schedule, request = found.schedule, found.request
    if request.map_size or schedule.stride > 1 or len(set(schedule.kernels)) > 1:
        parts += [Text(), layer_table(schedule, request.map_size)]
    if found.runners_up or found.usual is not None:
        parts += [Text(), _Beside(found)]
    return Group(*parts)


class _Beside:
    """The plan and what comes next, as wide as the console has room for."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield beside_table(self._plan, options.max_width)


@as_html.register
def _schedule_html(found: Schedule) -> str:
    title = f"{found.name}: {layers_text(found)}" if found.name else layers_text(found)
    notes = [*facts(found)[1:], *([found.about] if found.about else [])]
    if found.is_countable:
        text = _drawn(title, facts(found)[0], of_schedule(found))
    else:
        text = figures(title, [("reads", facts(found)[0])])
    return text + "".join(map(note, notes))


@as_html.register
def _pyramid_html(found: Pyramid) -> str:
    title = f"{found.name}: {pyramid_title(found)}" if found.name else pyramid_title(found)
    first, *lines = pyramid_facts(found)
    return _drawn(title, first, of_pyramid(found)) + "".join(map(note, lines))


@as_html.register
def _plan_html(found: Plan) -> str:
    text = _drawn(
        layers_text(found.schedule), facts(found.schedule)[0], of_schedule(found.schedule)
    )
    lines = [*facts(found.schedule)[1:], f"asked: {', '.join(found.request.words())}"]
    text += "".join(map(note, [*lines, proof_text(found)]))
    rows = [("plan", found.schedule), *(("next", own) for own in found.runners_up)]
    if found.usual is not None:
        rows.append((found.usual.name, found.usual))
    head = ("", "dilations", "layers", "field", "holes", "varies")
    return text + table(
        "beside others",
        head,
        [
            (
                name, rates_text(own.dilations), str(len(own)), f"{own.field:,}",
                str(len(own.holes)), f"{own.uniformity.cv:.3f}",
            )
            for name, own in rows
        ],
    )  # fmt: skip


@as_dict.register
def _plan_dict(found: Plan) -> dict[str, Any]:
    return plan_to_dict(found)


def _drawn(title: str, field: str, found: Projection) -> str:
    flat = len(found.axes) == 1
    drawn, _ = (drawing.bars if flat else drawing.heat_map)(found)
    text = figures(title, [("reads", field)]) + drawn
    return text + (note("orange: holes") if found.holes.any() else "")

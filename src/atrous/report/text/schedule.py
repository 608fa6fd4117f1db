"""Schedules and plans in words and tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from atrous.design.schedule.chain import MOST_COUNTED, Schedule
from atrous.design.schedule.plan import Plan
from atrous.design.schedule.pyramid import Pyramid
from atrous.report.text.pictures import strip
from atrous.report.text.quantities import counted, routes, share
from atrous.report.text.tables import plain_table
from atrous.report.views.colours import HOLE
from atrous.report.views.schedules import of_schedule

_LONG = 4
"""Equal dilations in a row that are told as one and how often."""
_FEWEST = 16
"""Columns that a picture of routes needs."""


def rates_text(dilations: Iterable[int]) -> str:
    """Dilations in a row, what repeats told once.

    >>> rates_text((1, 3, 9, 9)), rates_text((1, *[16] * 12)), rates_text((1, 2, 4) * 3)
    ('1 3 9 9', '1 16(x12)', '(1 2 4)(x3)')
    """
    rates = tuple(dilations)
    for period in range(2, len(rates) // 2 + 1):
        cycles = len(rates) // period
        if rates == rates[:period] * cycles and len(set(rates)) > 1:
            return f"({rates_text(rates[:period])})(x{cycles})"
    told = []
    for rate, run in groupby(rates):
        count = len(list(run))
        told += [f"{rate}(x{count})"] if count >= _LONG else [str(rate)] * count
    return " ".join(told)


def layers_text(schedule: Schedule) -> str:
    """What a schedule is made of."""
    text = counted(len(schedule), "layer")
    if len(set(schedule.kernels)) == 1:
        text += f" of kernel {schedule.kernels[0]}"
    else:
        text += f", kernels {rates_text(schedule.kernels)}"
    text += f", dilations {rates_text(schedule.dilations)}"
    if schedule.stride > 1:
        text += f", strides {rates_text(schedule.strides)}"
    return text + (", causal" if schedule.causal else "")


def facts(schedule: Schedule) -> list[str]:
    """What is true of a schedule, a line each."""
    before, after = schedule.reach
    sides = f"{before:,} to the past" if schedule.causal else f"{before:,} before, {after:,} after"
    read = "no holes"
    if not schedule.is_countable:
        read = read if schedule.is_hole_free else "it has holes"
    elif unread := len(schedule.holes):
        read = f"{counted(unread, 'hole')}, {share(schedule.density)} read"
    found = [f"field {schedule.field:,}: {sides}; {read}", _evenness(schedule)]
    if schedule.gcd > 1:
        found.append(
            f"all steps are multiples of {schedule.gcd}: {schedule.gcd} nets side by side that "
            "never mix"
        )
    if schedule.stride > 1:
        found.append(f"one output per {schedule.stride} positions")
    return found


def _evenness(schedule: Schedule) -> str:
    """How many routes there are to a position."""
    if not schedule.is_countable:
        return f"too wide to count the routes to each position (above {MOST_COUNTED:,})"
    inside = schedule.counts[schedule.counts > 0]
    low, high = int(inside.min()), int(inside.max())
    each = routes(low) if low == high else f"{routes(low)} to {routes(high)}"
    varies = schedule.uniformity.cv
    even = "; perfectly even" if varies == 0 else f"; counts vary by {varies:.2f} of their mean"
    return f"{each} route{'s' * (high != 1)} to each position read{even}"


def _hdc(schedule: Schedule) -> list[str]:
    """What the published rule says of it, and whether it errs."""
    if schedule.hdc is None:
        return []
    whole = schedule.is_hole_free
    if schedule.hdc:
        return ["the HDC rule accepts it, " + ("rightly" if whole else "although it has holes")]
    return ["the HDC rule rejects it, " + ("although it has no holes" if whole else "rightly")]


def schedule_text(schedule: Schedule) -> Group:
    """A schedule in words."""
    title = Text(f"{schedule.name}: " if schedule.name else "", "bold")
    title.append(layers_text(schedule), "not bold")
    about = [schedule.about] if schedule.about else []
    return _lines(title, [*facts(schedule), *_hdc(schedule), *about])


def pyramid_title(pyramid: Pyramid) -> str:
    """What a pyramid is made of."""
    many = f"{len(pyramid.rates) + pyramid.pointwise} side by side"
    own = f"{many}: kernel {pyramid.kernel}, rates {rates_text(pyramid.rates)}"
    return own + (" and 1x1" if pyramid.pointwise else "")


def pyramid_facts(pyramid: Pyramid) -> list[str]:
    """What is true of branches side by side, a line each."""
    size = f"{pyramid.field}" + (f"^{pyramid.dims}" if pyramid.dims > 1 else "")
    return [
        f"reads {pyramid.read:,} of {size} positions ({share(pyramid.density)})",
        f"a backbone that reads {pyramid.backbone()} or more around each position leaves no holes",
        *([pyramid.about] if pyramid.about else []),
    ]


def pyramid_text(pyramid: Pyramid) -> Group:
    """Branches side by side in words."""
    title = Text(f"{pyramid.name}: " if pyramid.name else "", "bold")
    title.append(pyramid_title(pyramid), "not bold")
    return _lines(title, pyramid_facts(pyramid))


def _lines(title: Text, lines: Sequence[str]) -> Group:
    return Group(title, *(Padding(Text(line), (0, 0, 0, 2), expand=False) for line in lines))


def plan_text(plan: Plan) -> Group:
    """A plan in words: what it is, what was asked, what is proven."""
    title = Text("plan: ", "bold")
    title.append(layers_text(plan.schedule), "not bold")
    lines = facts(plan.schedule)
    cost = f"{plan.macs:,} multiply-adds per output{_with_channels(plan)}"
    if plan.parameters != plan.macs:
        cost += f", {counted(plan.parameters, 'weight')}"
    lines.append(cost)
    lines.append(f"asked: {', '.join(plan.request.words())}")
    lines.append(proof_text(plan))
    return _lines(title, lines)


def _with_channels(plan: Plan) -> str:
    request = plan.request
    told = []
    if request.channels > 1:
        told.append(f"{request.channels} channels")
    if request.dims > 1:
        told.append(f"{request.dims} dimensions")
    return f" ({', '.join(told)})" if told else " and channel pair"


def proof_text(plan: Plan) -> str:
    """What is proven, in a sentence."""
    goal = f"best ({plan.request.objective})"
    if plan.proof.by == "bound":
        return f"{goal}: proven, no counts can be flatter"
    if plan.proof.by == "search":
        return f"{goal}: proven, all that might be better has been looked at"
    return f"best found ({plan.request.objective}): {_open(plan)}"


def _open(plan: Plan) -> str:
    """What is not settled: the first number that might be smaller, and how much."""
    names = _TERMS[plan.request.objective.name]
    for name, own, least in zip(names, plan.key, plan.proof.bound, strict=True):
        if own != least:
            # The key holds the square of the variation.
            root = 0.5 if name == "variation" else 1.0
            own, least = float(own) ** root, float(least) ** root
            return f"not proven; {name} is {own:,.4g}, and that of none can be below {least:,.4g}"
    return "not proven"


_TERMS = {
    "uniform": ("the number of holes", "variation", "the cost", "the field"),
    "cheap": ("the number of holes", "the cost", "variation", "the field"),
    "weighted": ("the sum", "the number of holes", "variation", "the cost", "the field"),
}
"""What the numbers of a key are."""


def layer_table(schedule: Schedule, map_size: int | None = None) -> Table:
    """One line per layer: what it reads, how far all so far see, and what falls on padding."""
    table = plain_table()
    strided = schedule.stride > 1
    titles = ["layer", "kernel", "dilation", *(["stride", "step"] if strided else []), "field"]
    seen = schedule.on_map(map_size) if map_size is not None else ()
    for title in [*titles, *(["map", "padding", "dead taps"] if seen else [])]:
        table.add_column(title, justify="right", no_wrap=True)
    field = 1
    for k, (kernel, step) in enumerate(schedule.layers):
        field += (kernel - 1) * step
        row: list[object] = [k + 1, kernel, schedule.dilations[k]]
        row += [schedule.strides[k], step, f"{field:,}"] if strided else [f"{field:,}"]
        if seen:
            own = seen[k]
            row += [f"{own.length:,}", share(float(own.share)), own.dead or ""]
        table.add_row(*map(str, row))
    return table


def branch_table(pyramid: Pyramid, map_size: int) -> Table:
    """One line per rate: how much of what it reads on a map is padding."""
    table = plain_table()
    for title in ("rate", "map", "padding", "dead taps"):
        table.add_column(title, justify="right", no_wrap=True)
    for rate, own in zip(pyramid.rates, pyramid.on_map(map_size), strict=True):
        cells = (rate, f"{own.length:,}", share(float(own.share)), own.dead or "")
        table.add_row(*map(str, cells))
    return table


def beside_table(plan: Plan, width: int) -> Table:
    """The plan and what comes next, a line each; with a picture of its routes if there is room."""
    table = plain_table()
    table.add_column("", no_wrap=True)
    table.add_column("dilations", overflow="fold", max_width=44)
    for title in ("layers", "field", "holes", "varies"):
        table.add_column(title, justify="right", no_wrap=True)
    cells = min(40, width - 80)
    if cells >= _FEWEST:
        table.add_column("routes, first to last", no_wrap=True)
    rows = [("plan", plan.schedule)]
    rows += [(f"next {k}", other) for k, other in enumerate(plan.runners_up, 1)]
    if plan.usual is not None:
        rows.append((plan.usual.name, plan.usual))
    for name, own in rows:
        table.add_row(
            name,
            rates_text(own.dilations),
            str(len(own)),
            f"{own.field:,}",
            f"{len(own.holes):,}" if len(own.holes) else "",
            f"{own.uniformity.cv:.3f}",
            *_routes(own, cells),
        )
    return table


def _routes(own: Schedule, cells: int) -> list[Text]:
    """The routes as one line, if there is room."""
    if cells < _FEWEST:
        return []
    drawn = Text(strip(of_schedule(own), cells))
    drawn.highlight_regex(r"[·▚]+", style=HOLE)
    return [drawn]


def family_table(found: Sequence[Schedule | Pyramid], width: int) -> Table:
    """Named schedules, a line each."""
    table = plain_table()
    table.add_column("family", no_wrap=True)
    table.add_column("dilations", overflow="fold", max_width=40)
    for title in ("kernel", "field", "read", "varies"):
        table.add_column(title, justify="right", no_wrap=True)
    cells = min(40, width - 80)
    if cells >= _FEWEST:
        table.add_column("routes", no_wrap=True)
    for own in found:
        if isinstance(own, Pyramid):
            table.add_row(
                own.name, f"{rates_text(own.rates)} side by side", str(own.kernel),
                f"{own.field}^{own.dims}", share(own.density),
            )  # fmt: skip
            continue
        table.add_row(
            own.name, rates_text(own.dilations), str(own.kernels[0]), f"{own.field:,}",
            share(own.density), f"{own.uniformity.cv:.2f}", *_routes(own, cells),
        )  # fmt: skip
    return table


def option_table(options: Mapping[str, Sequence[str]]) -> Table:
    """What each family may be given, with defaults."""
    table = plain_table()
    table.add_column("family", no_wrap=True)
    table.add_column("options and their defaults", overflow="fold")
    for name, own in options.items():
        table.add_row(name, Text(" ".join(own)))
    return table

"""What results look like in notebooks and to rich: `atrous.shown` is taught here.

A fragment takes colours from the page around it and needs no library, no script and no network.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from math import pi

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.text import Text

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.route_tree import RouteTree
from atrous.analysis.effective.effective import EffectiveField
from atrous.analysis.fields.field import Field
from atrous.analysis.inspection import Branches
from atrous.analysis.spectrum.aliasing import AliasEnergy
from atrous.analysis.spectrum.limits import Limit
from atrous.convert.acceleration import Acceleration
from atrous.convert.certificate import Certificate
from atrous.geometry.index_map import IndexMap
from atrous.report.notebook import drawing
from atrous.report.text.acceleration import COLUMNS, accelerated_rows, acceleration_table
from atrous.report.text.densify import certificate_table, changed_rows
from atrous.report.text.effective import effective_table, profile
from atrous.report.text.fields import branch_table, describe_field, field_cells
from atrous.report.text.pictures import picture
from atrous.report.text.quantities import counted
from atrous.report.views.colours import HOLE
from atrous.report.views.projection import projection
from atrous.shown import as_html, as_rich

_PROFILE = 100
_WIDEST = 160
"""Columns of a picture where the console is endless, as a file is."""


def figures(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """A title over names and values; all text is escaped."""
    lines = "".join(
        f"<tr><th style='text-align:left'>{escape(name)}</th>"
        f"<td style='text-align:left'>{escape(value)}</td></tr>"
        for name, value in rows
    )
    return f"<div><p><b>{escape(title)}</b></p><table>{lines}</table></div>"


def table(title: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A title over a table; all text is escaped."""
    names = "".join(f"<th style='text-align:left'>{escape(name)}</th>" for name in head)
    lines = "".join(
        "<tr>" + "".join(f"<td style='text-align:left'>{escape(c)}</td>" for c in row) + "</tr>"
        for row in rows
    )
    return f"<div><p><b>{escape(title)}</b></p><table><tr>{names}</tr>{lines}</table></div>"


def note(text: str) -> str:
    """A quiet line."""
    return f"<p style='opacity:.75'>{escape(text)}</p>"


def as_pre(text: str) -> str:
    """Text as it is."""
    return f"<pre>{escape(text)}</pre>"


@as_html.register
def _field_html(found: Field) -> str:
    some = "" if found.channels is None else f", channels {', '.join(map(str, found.channels))}"
    title = f"field of {found.node}{some} on {found.input}"
    head = ("axis", "size", "stride", "start", "reach", "read", "status", "because of")
    return table(title, head, [field_cells(axis) for axis in found.axes])


@as_html.register
def _coverage_html(found: Coverage) -> str:
    place = ", ".join("several" if len(own) > 1 else str(own[0]) for own in found.at)
    title = f"coverage of {found.node} at ({place}) on {found.input}"
    if not found.counts.size:
        return figures(title, [("read", "nothing")]) + (note(found.hint) if found.hint else "")
    spans = [
        f"{start} to {start + length - 1}"
        for start, length in zip(found.start, found.span, strict=True)
    ]
    even = found.uniformity
    rows = [
        ("read", f"{' x '.join(map(str, found.span))}: {', '.join(spans)}"),
        ("density", f"{found.density:.1%}, {counted(len(found.holes), 'hole')}"),
        ("routes", f"{found.total:,}, up to {found.counts.max():,} to a position"),
        ("evenness", f"counts vary by {even.cv:.2f} of their mean"),
        ("status", found.status + (f", because of {found.cause}" if found.cause else "")),
    ]
    shown = projection(found)
    drawn, blocks = (drawing.bars if len(shown.axes) == 1 else drawing.heat_map)(shown)
    notes = []
    if shown.holes.any():
        notes.append("orange: holes")
    if shown.is_wide:
        notes.append("log scale")
    if shown.note:
        notes.append(shown.note)
    if max(blocks.block) > 1:
        size = " x ".join(map(str, blocks.block))
        notes.append(f"reduced: one cell is {size} positions and tells the largest count")
        if blocks.partly.any():
            notes.append("pale orange: some of them are holes")
    return figures(title, rows) + drawn + (note("; ".join(notes)) if notes else "")


@as_html.register
def _effective_html(found: EffectiveField) -> str:
    text = as_pre(str(found))
    if len(found.axes) == 2:
        return text + drawing.shades(found.energy)
    lines = [f"axis {own.axis}: {profile(own, _PROFILE)}" for own in found.axes]
    return text + as_pre("\n".join(lines))


@as_html.register
def _index_map_html(found: IndexMap) -> str:
    return drawing.cells(found) or as_pre(str(found))


@as_html.register
def _tree_html(found: RouteTree) -> str:
    title = f"<p><b>{escape(str(found))}</b></p>"
    return title + (drawing.tree(found) or as_pre(picture(found)))


@as_html.register
def _branches_html(found: Branches) -> str:
    if not found:
        return note(str(found))
    head = ("branch", "axis", "size", "stride", "start", "reach", "read", "status", "because of")
    title = f"branches on {found[0].input}"
    return table(title, head, [[f.node, *field_cells(axis)] for f in found for axis in f.axes])


@as_html.register
def _limit_html(found: Limit) -> str:
    rows = [
        (
            branch.label,
            str(axis.axis),
            str(axis.taps),
            str(axis.distance),
            axis.profile.kind,
            f"{axis.passed:.0%}",
            f"{axis.highest / pi:.3g} π",
        )
        for branch in found.branches
        for axis in branch.axes
    ]
    head = ("branch", "axis", "taps", "distance", "kind", "passes", "up to")
    title, *lines = str(found).splitlines()
    told = {branch.label for branch in found.branches if branch.axes}
    # Branches that are told stand in the table.
    rest = [line for line in lines if line.strip().partition(": ")[0] not in told]
    return table(title, head, rows) + "".join(map(note, rest))


@as_html.register
def _energy_html(found: AliasEnergy) -> str:
    return figures(
        "power at stride 1",
        [
            ("total", f"{found.total:.4g} times the input's"),
            ("kept in band", f"{found.in_band:.4g}"),
            ("folded", f"{found.aliased:.4g}: {found.fraction:.1%}"),
        ],
    )


@as_rich.register
def _branches_rich(found: Branches) -> RenderableType:
    return branch_table(found) if found else Text(str(found), style="dim")


@as_rich.register
def _field_rich(found: Field) -> Text:
    return describe_field(found, found.node)


@as_rich.register
def _coverage_rich(found: Coverage) -> Group:
    return Group(Text(str(found)), Pictured(found))


@as_rich.register
def _effective_rich(found: EffectiveField) -> RenderableType:
    return effective_table(found)


@as_rich.register
def _tree_rich(found: RouteTree) -> Group:
    return Group(Text(str(found)), Pictured(found))


class Pictured:
    """A picture as wide as the console has room for."""

    def __init__(self, found: object) -> None:
        self._found = found

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, _WIDEST)
        text = Text(picture(self._found, width=width), no_wrap=True)
        text.highlight_regex(r"[·▚]+", style=HOLE)
        yield text


@as_rich.register
def _(result: Certificate) -> RenderableType:
    return certificate_table(result)


@as_html.register
def _(result: Certificate) -> str:
    head, *lines = str(result).splitlines()
    names = ("module", "", "kind", "changed", "density", "settings now")
    return table(head, names, changed_rows(result)) + "".join(map(note, lines))


@as_rich.register
def _(result: Acceleration) -> RenderableType:
    return acceleration_table(result)


@as_html.register
def _(result: Acceleration) -> str:
    head, *lines = str(result).splitlines()
    return table(head, COLUMNS, accelerated_rows(result)) + "".join(map(note, lines))

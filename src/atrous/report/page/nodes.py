"""The table of nodes: a tree of modules that folds, filters and sorts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath

from atrous.analysis.fields.field import Field
from atrous.analysis.inspection import Inspection, NodeRow
from atrous.report.page.markup import cell, crossed, section, sortable, text
from atrous.report.page.summary import moving
from atrous.report.text.fields import joined, place_cells
from atrous.report.text.quantities import count, counted, size

_HEAD = (
    ("node", "module path, or the operation's own name", False),
    ("operator", "what is computed", False),
    ("shape", "shape of the value", False),
    ("field", "input positions from the first to the last one read", True),
    ("stride", "input steps per output step", True),
    ("start", "first position that the first output reads", True),
    ("reach", "positions before and after the output's own", True),
    ("growth", "how much larger the field is than the largest it reads", True),
    ("status", "exact, a bound, global (an operator reads all) or unknown", False),
    ("params", "parameters that are read here first", True),
    ("MACs", "multiply-accumulate operations", True),
    ("memory", "bytes of activations that come into being", True),
    ("source", "line of your code", False),
)


def nodes(found: Inspection) -> str:
    """The section."""
    outputs = {name: label for label, name in found.outputs.items()}
    rows = list(_tree(found.rows, (), 0, outputs))
    tools = (
        '<div class="tools js"><label>Search <input type="search" id="filter" '
        'placeholder="name, operator, status, line" autocomplete="off" aria-keyshortcuts="/">'
        '</label><label>Operator <select id="kind"><option value="">all</option></select></label>'
        '<button type="button" id="unfold">Unfold all</button>'
        '<button type="button" id="fold">Fold all</button>'
        '<button type="button" id="in-order" hidden>Back to the order of the model</button>'
        '<span id="shown" role="status"></span></div>'
    )
    table = sortable("nodes-table", _HEAD, rows, "nodes in order of computation")
    lead = (
        "In order of computation. Headings sort, modules fold, the key "
        "<kbd>/</kbd> leads to the search. Numbers with k, M, G are "
        "rounded; point at one to read it whole."
    )
    return section("nodes", f"Nodes ({len(found.rows):,})", tools + table, lead)


def _tree(
    rows: Sequence[NodeRow],
    above: tuple[str, ...],
    level: int,
    outputs: Mapping[str, str],
) -> Iterator[str]:
    """Rows of the table: modules of several nodes, each followed by what lies in it."""
    depth = len(above)
    start = 0
    while start < len(rows):
        calls = rows[start].calls
        stop = start + 1
        if len(calls) > depth:
            while stop < len(rows) and rows[stop].calls[: depth + 1] == calls[: depth + 1]:
                stop += 1
        inside = rows[start:stop]
        if len(inside) > 1:
            yield _group(inside, calls[depth], above, level)
            yield from _tree(inside, calls[: depth + 1], level + 1, outputs)
        else:
            yield _node(rows[start], above, level, outputs)
        start = stop


def _group(
    inside: Sequence[NodeRow],
    path: str,
    above: tuple[str, ...],
    level: int,
) -> str:
    many = counted(len(inside), "node")
    own = next((row.module_type for row in inside if row.label == path), "")
    about = f"{own} ({many})" if own else many
    last = inside[-1]
    name = (
        f'<th scope="row" style="--level:{level}"><button type="button" class="twist" '
        f'aria-expanded="true">{text(_short(path, above))}</button></th>'
    )
    costs = _costs(
        sum(row.parameters for row in inside),
        sum(row.macs for row in inside),
        sum(row.allocated for row in inside),
    )
    cells = (
        cell(about, style="note")
        + cell(_shape(last))
        + _field(last.field, "")
        + costs
        + "<td></td>"
    )
    return f'<tr class="group" data-level="{level}">{name}{cells}</tr>'


def _node(
    row: NodeRow,
    above: tuple[str, ...],
    level: int,
    outputs: Mapping[str, str],
) -> str:
    short = row.kind if above and row.label == above[-1] else _short(row.label, above)
    output = ""
    if row.name in outputs:
        label = outputs[row.name]
        told = "output" if label == "output" else f"output {label!r}"
        output = f' <span class="tag">{text(told)}</span>'
    name = (
        f'<th scope="row" style="--level:{level}"><span class="full">{text(row.label)}</span>'
        f'<span class="short">{text(short)}</span>{output}</th>'
    )
    kind = f'<td class="kind" title="{text(row.module_type)}">{text(row.kind)}</td>'
    file, _, line = row.source.rpartition(":")
    source = f"{PurePath(file).name}:{line}" if file else ""
    cells = (
        kind
        + cell(_shape(row))
        + _field(row.field, _growth(row))
        + _costs(row.parameters, row.macs, row.allocated)
        + f'<td title="{text(row.source)}">{text(source)}</td>'
    )
    return f'<tr id="n-{text(row.name)}" data-level="{level}">{name}{cells}</tr>'


def _short(path: str, above: tuple[str, ...]) -> str:
    """A path without the module it lies in."""
    around = f"{above[-1]}." if above and above[-1] else ""
    return path.removeprefix(around) or path


def _shape(row: NodeRow) -> str:
    return crossed(row.shape, "")


def _growth(row: NodeRow) -> str:
    if not any(row.growth):
        return ""
    told = [f"{g:+d}" if g else "+0" for g in row.growth]
    return joined(told, ", ")


def _field(field: Field | None, growth: str) -> str:
    if field is None:
        return cell("not of this input", style="note") + "<td></td>" * 5
    rows = [place_cells(axis) for axis in field.axes]

    def told(column: int) -> str:
        # Signs and pluses between signs of multiplication would read as sums.
        return joined((row[column] for row in rows), ", " if column else crossed(["", ""]))

    sizes = max((axis.size for axis in field.axes if axis.status != "unknown"), default=-1)
    own = [axis for axis in map(moving, field.axes) if axis is not None]
    stride = float(max((axis.stride for axis in own), default=0))
    starts = min((axis.start for axis in own), default=0)
    reach = max((sum(axis.reach) for axis in own), default=0)
    grown = int(growth.partition(",")[0]) if growth else 0
    return (
        cell(told(0), sizes, "n")
        + cell(told(1), stride, "n")
        + cell(told(2), starts, "n")
        + cell(told(3), reach, "n")
        + cell(growth, grown, "n")
        + f'<td class="status-{field.status}">{text(field.status)}</td>'
    )


def _costs(parameters: int, macs: int, made: int) -> str:
    return (
        cell(count(parameters), parameters, "n", f"{parameters:,}" if parameters else "")
        + cell(count(macs), macs, "n", f"{macs:,}" if macs else "")
        + cell(size(made) if made else "", made, "n", f"{made:,} bytes" if made else "")
    )

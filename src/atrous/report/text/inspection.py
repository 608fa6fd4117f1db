"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from atrous.analysis.fields.field import AxisField
from atrous.analysis.inspection import Inspection, NodeRow
from atrous.report.text.fields import (
    STATUS_COLOURS,
    describe_field,
    joined,
    per_axis,
    reach_of,
    size_of,
    start_of,
    stride_of,
    titled_fields,
)
from atrous.report.text.quantities import count, counted, size
from atrous.report.text.tables import plain_table

_COLUMNS = (
    "node", "kind", "shape", "field", "stride", "start", "reach", "growth", "status", "params",
    "MACs",
)  # fmt: skip
_LEFT = {"node", "kind", "shape", "status"}
_DROPPED_FIRST = ("MACs", "params", "growth", "kind", "start", "reach", "shape", "stride")
"""What goes, in this order, where the terminal is too narrow for all."""


def render(found: Inspection, *, depth: int | None = None) -> RenderableType:
    """An inspection as a table of nodes with a summary under it.

    Args:
        found: what to show.
        depth: with a number, one row per module at most that many levels deep: its last node.
    """
    rows = list(found.rows) if depth is None else modules(found, depth)
    outputs = {name: label for label, name in found.outputs.items()}
    shape = "x".join(map(str, found.input_shape))
    title = Text(f"{found.model} on {found.input} {shape}", style="italic")
    return Group(title, _NodeTable(rows, outputs), *_summary(found))


class _NodeTable:
    """The rows in as many columns as there is room for."""

    def __init__(self, rows: Sequence[NodeRow], outputs: Mapping[str, str]) -> None:
        # Names come from the model: no markup in them.
        self._cells = [[Text(c) if isinstance(c, str) else c for c in _cells(row)] for row in rows]
        several = len(outputs) > 1
        for row, cells in zip(rows, self._cells, strict=True):
            if several and row.name in outputs:
                cells[0] = Text.assemble(row.label, (f" = output {outputs[row.name]!r}", "bold"))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = list(_COLUMNS)
        endless = options.update(max_width=10_000)
        for dropped in (None, *_DROPPED_FIRST):
            if dropped is not None:
                columns.remove(dropped)
            table = self._table(columns)
            if console.measure(table, options=endless).maximum <= options.max_width:
                break
        yield table
        left_out = [name for name in _COLUMNS if name not in columns]
        if left_out:
            yield Text(f"(no room for {', '.join(left_out)}; widen the terminal)", style="dim")

    def _table(self, columns: Sequence[str]) -> Table:
        table = plain_table()
        for name in columns:
            table.add_column(
                name,
                justify="left" if name in _LEFT else "right",
                no_wrap=name != "node",
                overflow="fold",
            )
        for cells in self._cells:
            table.add_row(*(cells[_COLUMNS.index(name)] for name in columns))
        return table


def modules(found: Inspection, depth: int) -> list[NodeRow]:
    """One row per module path cut at `depth`, in order: the last node, with costs added up."""
    groups: dict[str, list[NodeRow]] = {}
    for row in found.rows:
        groups.setdefault(row.calls[:depth][-1] if row.calls else row.name, []).append(row)
    merged = []
    for path, rows in groups.items():
        last = rows[-1]
        first = next((r for r in rows if r.field), last)
        inside = path == last.label or len(rows) == 1
        merged.append(
            NodeRow(
                name=last.name,
                label=path,
                module=path.partition("@")[0] if last.module else "",
                calls=last.calls[:depth],
                module_type=last.module_type if inside else "",
                kind=last.kind if len(rows) == 1 else counted(len(rows), "node"),
                reads=last.reads,
                source=last.source,
                shape=last.shape,
                field=last.field,
                growth=_grown(first, last),
                parameters=sum(r.parameters for r in rows),
                macs=sum(r.macs for r in rows),
                allocated=sum(r.allocated for r in rows),
            )
        )
    return merged


def _grown(first: NodeRow, last: NodeRow) -> tuple[int, ...]:
    if first.field is None or last.field is None:
        return ()
    pairs = zip(first.field.axes, last.field.axes, first.growth, strict=False)
    return tuple(
        0 if "all" in (size_of(a), size_of(b)) else _local(b) - _local(a) + g for a, b, g in pairs
    )


def _local(axis: AxisField) -> int:
    return axis.size if axis.local is None else axis.local.size


def _cells(row: NodeRow) -> list[RenderableType]:
    cells: list[RenderableType] = [row.label, row.kind, "x".join(map(str, row.shape))]
    if row.field is None:
        cells += ["", "", "", "", "", ""]
    elif row.field.status == "unknown":
        cells += ["?", "?", "?", "?", "", Text("unknown", style=STATUS_COLOURS["unknown"])]
    else:
        axes = row.field.axes
        cells += [
            per_axis(axes, size_of),
            per_axis(axes, stride_of),
            per_axis(axes, start_of),
            per_axis(axes, reach_of),
            joined((f"{g:+d}" if g else "+0" for g in row.growth), ", ") if any(row.growth) else "",
            Text(row.field.status, style=STATUS_COLOURS[row.field.status]),
        ]
    return [*cells, count(row.parameters), count(row.macs)]


def _summary(found: Inspection) -> list[RenderableType]:
    lines: list[RenderableType] = [Text("")]
    if not any(found.row(name).field for name in found.outputs.values()):
        lines.append(Text(f"no output depends on input {found.input!r}", style="yellow"))
    lines += [describe_field(field, title) for title, field in titled_fields(found)]
    lines.append(
        Text(f"{counted(found.parameters, 'parameter')}, {'at least ' if found.unknown else ''}"
             f"{count(found.macs) or '0'} MACs, "
             f"{size(found.activations)} of activations at a time, "
             f"{counted(len(found.rows), 'node')}")
    )  # fmt: skip
    others = [repr(name) for name in found.inputs if name != found.input]
    if others:
        lines.append(
            Text(
                f"fields of nodes refer to input {found.input!r}; ask for {' or '.join(others)} "
                "with input= or --of"
            )
        )
    apart = [
        f"out of step: {m}" + (f" ({m.source})" if m.source else "") for m in found.misalignments
    ]
    lines += [Text(line, style="yellow") for line in dict.fromkeys(apart)]
    reasons: dict[str, list[str]] = {}
    for node, reason in found.unknown:
        reasons.setdefault(reason, []).append(node)
    for reason, nodes in reasons.items():
        times = f", and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        lines.append(
            Text(f"unknown: {reason} (at {nodes[0]}{times}); teach it with atrous.rule", "red")
        )
    return lines

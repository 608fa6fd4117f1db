"""Tables for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table
from rich.text import Text

from atrous.analysis.fields.field import AxisField, Field
from atrous.analysis.inspection import Inspection, NodeRow
from atrous.report.quantities import count, size

_COLOURS = {"exact": "green", "bound": "yellow", "global": "cyan", "unknown": "red"}


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
        table = Table(header_style="bold", box=None, pad_edge=False)
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
                kind=last.kind if len(rows) == 1 else f"{len(rows)} nodes",
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
        0 if "all" in (_size(a), _size(b)) else _local(b) - _local(a) + g for a, b, g in pairs
    )


def _local(axis: AxisField) -> int:
    return axis.size if axis.local is None else axis.local.size


def _cells(row: NodeRow) -> list[RenderableType]:
    cells: list[RenderableType] = [row.label, row.kind, "x".join(map(str, row.shape))]
    if row.field is None:
        cells += ["", "", "", "", "", ""]
    elif row.field.status == "unknown":
        cells += ["?", "?", "?", "?", "", Text("unknown", style=_COLOURS["unknown"])]
    else:
        axes = row.field.axes
        cells += [
            _per_axis(axes, _size),
            _per_axis(axes, _stride),
            _per_axis(axes, _start),
            _per_axis(axes, _reach),
            _joined(f"{g:+d}" if g else "+0" for g in row.growth) if any(row.growth) else "",
            Text(row.field.status, style=_COLOURS[row.field.status]),
        ]
    return [*cells, count(row.parameters), count(row.macs)]


def _per_axis(axes: Sequence[AxisField], show: object) -> str:
    return _joined(show(axis) for axis in axes)  # type: ignore[operator]


def _joined(texts: Iterable[str]) -> str:
    """One text where all axes agree, else all of them."""
    found = list(texts)
    return found[0] if len(set(found)) == 1 else " x ".join(found)


def _size(axis: AxisField) -> str:
    if axis.status == "global":
        # What is read besides, where nothing is read whole, is what people ask for.
        return "all" if axis.local is None else f"all, {_size(axis.local)}"
    low, high = axis.sizes
    return f"{high}" if low == high else f"{low}-{high}"


def _stride(axis: AxisField) -> str:
    own = _own(axis)
    if own is None:
        return "-"
    slow, fast = own.strides
    return _fraction(fast) if slow == fast else f"{_fraction(slow)}-{_fraction(fast)}"


def _start(axis: AxisField) -> str:
    own = _own(axis)
    return "-" if own is None else str(own.start)


def _reach(axis: AxisField) -> str:
    own = _own(axis)
    return "-" if own is None else f"{own.reach[0]}+{own.reach[1]}"


def _own(axis: AxisField) -> AxisField | None:
    """What moves with the output: the axis itself, or its local part; None if all is read alike."""
    if axis.status != "global" or axis.stride:
        return axis
    return axis.local


def _fraction(value: Fraction) -> str:
    return str(value) if value.denominator < 100 else f"{float(value):.4g}"


def _summary(found: Inspection) -> list[RenderableType]:
    lines: list[RenderableType] = [Text("")]
    if not any(found.row(name).field for name in found.outputs.values()):
        lines.append(Text(f"no output depends on input {found.input!r}", style="yellow"))
    lines += [describe_field(field, title) for title, field in titled_fields(found)]
    lines.append(
        Text(f"{found.parameters:,} parameters, {'at least ' if found.unknown else ''}"
             f"{count(found.macs) or '0'} MACs, "
             f"{size(found.activations)} of activations at a time, {len(found.rows)} nodes")
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


def titled_fields(found: Inspection) -> list[tuple[str, Field]]:
    """The fields of the outputs on the inputs, with what to call them where there are several."""
    titled = []
    for label, field in found.output_fields:
        title = f"output {label!r}" if label != "output" else label
        titled.append((f"{title} on {field.input!r}" if len(found.inputs) > 1 else title, field))
    return titled


def describe_field(field: Field, title: str) -> Text:
    """One field in words, a line per axis that differs."""
    text = Text(f"{title}: ")
    lines = list(dict.fromkeys(_sentence(axis) for axis in field.axes))
    if len(lines) == 1:
        text.append(lines[0])
        return text
    for axis in field.axes:
        text.append(f"\n  axis {axis.axis}: {_sentence(axis)}")
    return text


def _sentence(axis: AxisField) -> str:
    if axis.status == "unknown":
        return f"unknown, because of {axis.cause}"
    if axis.status == "global":
        side = ""
        if axis.stride:
            side = " up to its own" if axis.reach[1] < axis.reach[0] else " from its own on"
        text = f"reads all {axis.length} positions{side} (global, because of {axis.cause})"
        return text if axis.local is None else f"{text}; without that {_sentence(axis.local)}"
    share = f", {axis.density:.0%} of it read" if axis.density < 1 else ""
    if not axis.output_axes:
        note = f" ({axis.status}, because of {axis.cause})" if axis.cause else ""
        first = axis.start
        return (
            f"field {_size(axis)}{share}, the same for every output, from position {first} to "
            f"{first + axis.size - 1} of {axis.length}{note}"
        )
    lo, hi = axis.interior
    inside = f"{hi - lo} of {axis.lineage.length} outputs" if hi > lo else "no output"
    note = f" (a bound, because of {axis.cause})" if axis.status == "bound" else ""
    return (
        f"field {_size(axis)}{share}{note}, stride {_stride(axis)}, start {axis.start}, "
        f"{axis.reach[0]} before and {axis.reach[1]} after; {inside} clear of the border"
    )


def size_text(field: Field) -> str:
    """The field's size along each axis: "31 x 31"; "?" where it is unknown."""
    return " x ".join("?" if a.status == "unknown" else _size(a) for a in field.axes)


def stride_text(field: Field) -> str:
    """The field's stride, once where all axes agree; "?" where it is unknown."""
    return _per_axis(field.axes, lambda a: "?" if a.status == "unknown" else _stride(a))


def branch_table(branches: Sequence[Field]) -> Table:
    """The branches that meet before an output, one row each."""
    table = Table(
        title="branches", title_justify="left", header_style="bold", box=None, pad_edge=False
    )
    table.add_column("branch", overflow="fold")
    for title in ("field", "stride", "start", "reach", "read"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("status")
    for field in branches:
        table.add_row(
            Text(field.node),
            _per_axis(field.axes, _size),
            _per_axis(field.axes, _stride),
            _per_axis(field.axes, _start),
            _per_axis(field.axes, _reach),
            _per_axis(field.axes, lambda a: f"{a.density:.0%}"),
            Text(field.status, style=_COLOURS[field.status]),
        )
    return table


def place_cells(axis: AxisField) -> list[str]:
    """One axis of a field: its size, stride, start and reach."""
    if axis.status == "unknown":
        return ["?", "?", "?", "?"]
    return [_size(axis), _stride(axis), _start(axis), _reach(axis)]


def field_cells(axis: AxisField) -> list[str]:
    """One axis of a field: its number, size, stride, start, reach, share read, status, cause."""
    own = None if axis.status == "unknown" else _own(axis)
    read = "?" if axis.status == "unknown" else "-" if own is None else f"{own.density:.0%}"
    return [str(axis.axis), *place_cells(axis), read, axis.status, axis.cause]

"""Fields in words and in cells of tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction

from rich.table import Table
from rich.text import Text

from atrous.analysis.fields.field import AxisField, Field
from atrous.analysis.inspection import Inspection
from atrous.report.text.tables import plain_table

STATUS_COLOURS = {"exact": "green", "bound": "yellow", "global": "cyan", "unknown": "red"}


def per_axis(axes: Sequence[AxisField], show: Callable[[AxisField], str]) -> str:
    """What is shown of each axis, once where all agree; sizes and nothing else are crossed."""
    return joined(map(show, axes), " x " if show is size_of else ", ")


def joined(texts: Iterable[str], between: str) -> str:
    """One text where all axes agree, else all of them."""
    found = list(texts)
    return found[0] if len(set(found)) == 1 else between.join(found)


def size_of(axis: AxisField) -> str:
    """Its size: "31", "29-31", "all", "all, 31"."""
    if axis.status == "global":
        # What is read besides, where nothing is read whole, is what people ask for.
        return "all" if axis.local is None else f"all, {size_of(axis.local)}"
    low, high = axis.sizes
    return f"{high}" if low == high else f"{low}-{high}"


def stride_of(axis: AxisField) -> str:
    """Input steps per output step: "2", "1/2"; "-" where the field does not move."""
    own = _own(axis)
    if own is None or not own.output_axes:
        return "-"
    slow, fast = own.strides
    return _fraction(fast) if slow == fast else f"{_fraction(slow)}-{_fraction(fast)}"


def start_of(axis: AxisField) -> str:
    """Where the field of output 0 begins."""
    own = _own(axis)
    return "-" if own is None else str(own.start)


def reach_of(axis: AxisField) -> str:
    """Positions before its own and after it: "15+15"; "-" where it has no position of its own."""
    own = _own(axis)
    if own is None or not own.output_axes:
        return "-"
    before, after = own.reach
    return f"{before}+{after}" if after >= 0 else f"{before}+({after})"


def _own(axis: AxisField) -> AxisField | None:
    """What moves with the output: the axis itself, or its local part; None if all is read alike."""
    if axis.status != "global" or axis.stride:
        return axis
    return axis.local


def _fraction(value: Fraction) -> str:
    return str(value) if value.denominator < 100 else f"≈{float(value):.4g}"


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
            f"field {size_of(axis)}{share}, the same for every output, from position {first} to "
            f"{first + axis.size - 1} of {axis.length}{note}"
        )
    lo, hi = axis.interior
    inside = f"{hi - lo} of {axis.lineage.length} outputs" if hi > lo else "no output"
    note = f" (a bound, because of {axis.cause})" if axis.status == "bound" else ""
    return (
        f"field {size_of(axis)}{share}{note}, stride {stride_of(axis)}, start {axis.start}, "
        f"{axis.reach[0]} before and {axis.reach[1]} after; {inside} clear of the border"
    )


def size_text(field: Field) -> str:
    """The field's size along each axis: "31 x 31"; "?" where it is unknown."""
    return " x ".join("?" if a.status == "unknown" else size_of(a) for a in field.axes)


def stride_text(field: Field) -> str:
    """The field's stride, once where all axes agree; "?" where it is unknown."""
    return per_axis(field.axes, lambda a: "?" if a.status == "unknown" else stride_of(a))


def branch_table(branches: Sequence[Field]) -> Table:
    """The branches that meet before an output, one row each."""
    table = plain_table("branches")
    table.add_column("branch", overflow="fold")
    for title in ("field", "stride", "start", "reach", "read"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("status")
    for field in branches:
        table.add_row(
            Text(field.node),
            per_axis(field.axes, size_of),
            per_axis(field.axes, stride_of),
            per_axis(field.axes, start_of),
            per_axis(field.axes, reach_of),
            per_axis(field.axes, lambda a: f"{a.density:.0%}"),
            Text(field.status, style=STATUS_COLOURS[field.status]),
        )
    return table


def place_cells(axis: AxisField) -> list[str]:
    """One axis of a field: its size, stride, start and reach."""
    if axis.status == "unknown":
        return ["?", "?", "?", "?"]
    return [size_of(axis), stride_of(axis), start_of(axis), reach_of(axis)]


def field_cells(axis: AxisField) -> list[str]:
    """One axis of a field: its number, size, stride, start, reach, share read, status, cause."""
    own = None if axis.status == "unknown" else _own(axis)
    read = "?" if axis.status == "unknown" else "-" if own is None else f"{own.density:.0%}"
    return [str(axis.axis), *place_cells(axis), read, axis.status, axis.cause]

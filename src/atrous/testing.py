"""Assertions about models, for tests: what is expected of a field, and what was found instead.

Plain functions; under pytest also fixtures of the same names, so that a test needs no import.
"""

from __future__ import annotations

from fractions import Fraction

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis.fields.field import AxisField, Field, traced
from atrous.api.arguments import checked_axes, chosen_node
from atrous.graph.capture import Inputs, capture
from atrous.lint.facts.causes import named, why_future, why_holes, why_size, why_stride
from atrous.lint.subject import Subject

Number = int | Fraction


def assert_receptive_field(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    size: int | tuple[int, ...] | None = None,
    stride: Number | tuple[Number, ...] | None = None,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    axes: int | tuple[int, ...] | None = None,
    local: bool = False,
) -> None:
    """Fail unless the receptive field is of this size and stride.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `atrous.receptive_field`.
        size: the size that is expected, along every axis or axis by axis.
        stride: the stride that is expected, likewise.
        node: a module path or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output; by default the first.
        axes: which axes of the input, as in `atrous.receptive_field`.
        local: leave out the ways on which an operator reads an axis whole, as image pooling does.

    Raises:
        AssertionError: if it is another, or not known; tells what was found, which nodes make it so
            and, on a chain of layers, a dilation that gives the wanted size.
        ValueError: if neither a size nor a stride is expected, or for another number of axes.

    Example:
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, padding=d) for d in (1, 2, 4)))
        >>> assert_receptive_field(net, (1, 1, 64), size=15, stride=1)
        >>> assert_receptive_field(net, (1, 1, 64), size=17)
        Traceback (most recent call last):
            ...
        AssertionError: size of the field of '2' must be 17 along axis 2, got size 15, stride 1,
        start -7 (exact).
          Nodes that add most: '2' +8, '1' +4, '0' +2.
          Use dilation=5, padding=5 instead of dilation=4, padding=4 at '2'.
    """
    __tracebackhide__ = True
    if size is None and stride is None:
        raise ValueError("size or stride must be given, got neither.")
    program = capture(model, x)
    target = chosen_node(program, node, output)
    source = program.input(input)
    chosen = checked_axes(axes, len(source.shape))
    followed = traced(program, input=input, axes=chosen)
    field = followed.field(target)
    where = named(target)
    if field is None:
        raise AssertionError(f"{where} must depend on the input {source.name!r}, but does not.")
    sizes, strides = _each("size", size, field), _each("stride", stride, field)
    for axis, wanted_size, wanted_stride in zip(field.axes, sizes, strides, strict=True):
        own = axis.local if local and axis.local is not None else axis
        found = _told(own)
        if wanted_size is not None and not _is(own, own.sizes, wanted_size):
            raise AssertionError(
                f"size of the field of {where} must be {wanted_size} along axis {axis.axis}, got "
                f"{found}.{_reason(own)}{why_size(followed, target, own, int(wanted_size))}"
            )
        if wanted_stride is not None and not _is(own, own.strides, wanted_stride):
            raise AssertionError(
                f"stride of the field of {where} must be {wanted_stride} along axis {axis.axis}, "
                f"got {found}.{_reason(own)}{why_stride(followed, target, own.axis)}"
            )


def assert_no_holes(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    min_density: float = 1.0,
) -> None:
    """Fail if an output leaves out positions inside its field.

    Judged is the central output in all dimensions together, along the ways that read nothing whole,
    as by the lint rule `holes`.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `atrous.receptive_field`.
        node: a module path or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output; by default the first.
        min_density: the share of the span that must be read.

    Raises:
        AssertionError: if less is read; tells how much, the first node that leaves holes, and the
            largest dilation that leaves none there.
        ValueError: if an operator on the way has no rule.

    Example:
        >>> dilations = (1, 2, 9)
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, padding=d) for d in dilations))
        >>> assert_no_holes(net, (1, 1, 64))
        Traceback (most recent call last):
            ...
        AssertionError: '2' must read 100.0% of its field of 25, got 84.0%: 4 holes.
          The holes come from '2', whose taps lie 9 apart where each reads 7.
          Use a dilation of at most 7 there instead of 9.
    """
    __tracebackhide__ = True
    program = capture(model, x)
    target = chosen_node(program, node, output)
    program.input(input)
    subject = Subject(program, input=input)
    cover = subject.coverage(target)
    if not cover.counts.size or (cover.density >= min_density and cover.status != "bound"):
        return
    where = named(target)
    if cover.density >= min_density:
        raise AssertionError(
            f"what {where} reads must be known exactly, got a superset because of {cover.cause}."
        )
    raise AssertionError(
        f"{where} must read {min_density:.1%} of its field of "
        f"{' x '.join(map(str, cover.span))}, got {cover.density:.1%}: "
        f"{len(cover.holes):,} holes.{why_holes(subject.traced, target)}"
    )


def assert_causal(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    axis: int = -1,
    delay: int = 0,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
) -> None:
    """Fail if an output reads the future along an axis.

    An output's own position is its index times its stride.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `atrous.receptive_field`.
        axis: the axis of the input that is time; by default the last.
        delay: how many positions after its own an output may read: for convolutions without
            padding, whose output 0 stands for a later input.
        node: a module path or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output; by default the first.

    Raises:
        AssertionError: if it does, or that is not known; tells how far, the first layer that does,
            and the padding that mends it.

    Example:
        >>> assert_causal(nn.Conv1d(1, 1, 3, dilation=4, padding=4), (1, 1, 64))
        Traceback (most recent call last):
            ...
        AssertionError: 'conv1d' must read nothing after its own position along axis 2, got 4
        positions.
          The first to read the future is 'conv1d'.
          Pad 8 positions on the left alone: nn.functional.pad(x, (8, 0)) before it, and
          padding=0 instead of padding=4.
    """
    __tracebackhide__ = True
    program = capture(model, x)
    target = chosen_node(program, node, output)
    source = program.input(input)
    (along,) = checked_axes(axis, len(source.shape)) or (0,)
    followed = traced(program, input=input, axes=(along,))
    field = followed.field(target)
    if field is None:
        # What reads nothing reads no future.
        return
    (own,) = field.axes
    if own.status != "unknown" and own.reach[1] <= delay:
        return
    where = named(target)
    if own.status == "unknown":
        raise AssertionError(f"what {where} reads must be known, got unknown.{_reason(own)}")
    allowed = f"at most {delay} positions" if delay else "nothing"
    many = f"{own.reach[1]} position{'s' * (own.reach[1] != 1)}"
    raise AssertionError(
        f"{where} must read {allowed} after its own position along axis {along}, got "
        f"{'at most ' if own.status == 'bound' else ''}{many}."
        f"{why_future(followed, target, delay)}"
    )


def _each(
    name: str, wanted: Number | tuple[Number, ...] | None, field: Field
) -> list[Number | None]:
    """What is expected, axis by axis."""
    if not isinstance(wanted, tuple):
        return [wanted] * len(field.axes)
    if len(wanted) != len(field.axes):
        raise ValueError(
            f"{name} must be one number or one for each of the axes "
            f"{', '.join(str(axis.axis) for axis in field.axes)}, got {wanted}."
        )
    return list(wanted)


def _is(axis: AxisField, found: tuple[Number, Number], wanted: Number) -> bool:
    """Whether what is known exactly is what is wanted, everywhere."""
    return axis.status in ("exact", "global") and found[0] == found[1] == wanted


def _told(axis: AxisField) -> str:
    """A field along one axis, in a few words."""
    if axis.status == "unknown":
        return "an unknown one"
    (low, high), (slow, fast) = axis.sizes, axis.strides
    size = f"{high}" if low == high else f"{low} to {high}"
    stride = f"{fast}" if slow == fast else f"{slow} to {fast}"
    beside = f"; {axis.local.size} without what reads the axis whole" if axis.local else ""
    return f"size {size}, stride {stride}, start {axis.start} ({axis.status}{beside})"


def _reason(axis: AxisField) -> str:
    return f" That is because of {axis.cause}." if axis.cause else ""

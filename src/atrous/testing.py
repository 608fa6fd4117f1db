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
from atrous.lint.check import check
from atrous.lint.facts.along import on_axis
from atrous.lint.facts.causes import located, why_size, why_stride
from atrous.lint.facts.layers import quoted
from atrous.lint.facts.lookahead import clock_of
from atrous.lint.rule import find_rule
from atrous.lint.rules.reads_the_future import future_of
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
    where = located(target)
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

    The judgement is that of the lint rule `holes`: the central output in all dimensions together,
    along the ways that read nothing whole; of a classifier the values that are pooled.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `atrous.receptive_field`.
        node: a module path or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output; by default the first.
        min_density: the share of the span that must be read.

    Raises:
        AssertionError: if less is read; tells how much, the layers that leave the holes, and the
            largest dilation that leaves none, if that of one layer is enough.
        ValueError: if an operator on the way has no rule.

    Example:
        >>> dilations = (1, 2, 9)
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, padding=d) for d in dilations))
        >>> assert_no_holes(net, (1, 1, 64))
        Traceback (most recent call last):
            ...
        AssertionError: '2' must read 100.0% of its field, but one output of '2' reads 84.0% of its
        field of 25: 4 holes, left by the steps of 9 in '2'; dilation 7 at '2' closes them all, and
        makes the field smaller by 4.
          nn.Conv1d(1, 1, 3, padding=7, dilation=7)
    """
    __tracebackhide__ = True
    program = capture(model, x)
    target = chosen_node(program, node, output)
    program.input(input)
    subject = Subject(
        program, model if isinstance(model, nn.Module) else None, input=input, node=target
    )
    where = located(target)
    for found in check(subject, [find_rule("holes")], {"holes": {"min-density": min_density}}):
        mended = "".join(f"\n  {line}" for line in found.fix.splitlines())
        raise AssertionError(
            f"{where} must read {min_density:.1%} of its field, but {found.message}.{mended}"
        )
    for end in subject.ends:
        cover = subject.coverage(end)
        if cover.status == "bound":
            raise AssertionError(
                f"what {located(end)} reads must be known exactly, got a superset because of "
                f"{cover.cause}."
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
    """Fail if an output reads the future along an axis, any position of it, borders included.

    The judgement is that of the lint rule `reads-the-future`. An output of stride s stands for s
    inputs and may read all of them; where windows without padding leave fewer outputs than inputs,
    the last output stands for the last input.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `atrous.receptive_field`.
        axis: the axis of the input that is time; by default the last.
        delay: how many positions after its own an output may read: for a net that answers late.
        node: a module path or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output; by default the first.

    Raises:
        AssertionError: if it does, or that is not known; tells how far, the first layer that does,
            and what to write instead.

    Example:
        >>> assert_causal(nn.Conv1d(1, 1, 3, dilation=4, padding=4), (1, 1, 64))
        Traceback (most recent call last):
            ...
        AssertionError: 'conv1d' must read nothing after its own position along axis 2, got 4
        positions: output 0 reads input 4.
          The first to read the future is 'conv1d'. Instead:
          x = F.pad(x, (8, 0))
          x = nn.Conv1d(1, 1, 3, dilation=4)(x)
    """
    __tracebackhide__ = True
    program = capture(model, x)
    target = chosen_node(program, node, output)
    source = program.input(input)
    (along,) = checked_axes(axis, len(source.shape)) or (0,)
    where = located(target)
    subject = Subject(program, input=input, node=target, axes=(along,))
    own = on_axis(subject.fields.get(target.name), along)
    if own is not None and own.status == "unknown":
        raise AssertionError(f"what {where} reads must be known, got unknown.{_reason(own)}")
    if own is None or not own.output_axes:
        # What reads nothing reads no future, and a single answer for the whole has none.
        return
    if clock_of(own) is None:
        raise AssertionError(
            f"{where} must have its positions in order along one axis, got axes {own.output_axes} "
            f"that move along axis {along}. Name a node before it."
        )
    found = future_of(subject, target, along, delay)
    if found is None:
        return
    numbers, first = found.numbers, found.node
    allowed = f"at most {delay} positions" if delay else "nothing"
    many = f"{numbers['ahead']} position{'s' * (numbers['ahead'] != 1)}"
    told = f"{where} must read {allowed} after its own position along axis {along}, got "
    told += f"{'at most ' if own.status == 'bound' else ''}{many}: "
    told += f"output {numbers['output']} reads input {numbers['reads']}."
    if first is not None:
        told += f"\n  The first to read the future is {located(first)}."
    whole = numbers.get("whole")
    if whole and not isinstance(whole, int | float):
        labels = [str(label) for label in whole]
        told += f"\n  Further on {quoted(labels)} read{'s' * (len(labels) == 1)} all of it."
    if found.fix:
        told += " Instead:" + "".join(f"\n  {line}" for line in found.fix.splitlines())
    raise AssertionError(told)


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

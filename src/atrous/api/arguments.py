"""The arguments that public functions share, checked and normalised once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import index

from atrous.analysis.fields.field import traced
from atrous.graph.program import Node, Program


def other_inputs(program: Program, source: Node) -> str:
    """A sentence that names the other inputs; "" if there are none."""
    names = [repr(name) for name in program.inputs if name != source.name]
    return f" Other inputs: {', '.join(names)}." if names else ""


def chosen_node(program: Program, node: str | None, output: str | None) -> Node:
    """The node that is asked for: by its name, as an output, or the first output.

    Raises:
        KeyError: if there is no such node or output.
        ValueError: if both are given.
    """
    one_of_both(node, output)
    return program.find(node) if node is not None else program.output(output)


def check_depends(
    program: Program, target: Node, *, input: str | None, node: str | None, output: str | None
) -> None:
    """Check that a node depends on an input.

    Raises:
        KeyError: if there is no such input.
        ValueError: if it does not depend on it.
    """
    source = program.input(input)
    if traced(program, input=input).field(target) is None:
        raise independent(program, source, repr(node or output or "the output"))


def independent(program: Program, source: Node, what: str) -> ValueError:
    """The error for a value that does not depend on an input."""
    return ValueError(
        f"node must depend on the input, but {what} does not depend on {source.name!r}."
        f"{other_inputs(program, source)} Choose another with input=, output= or node=."
    )


def one_of_both(node: str | None, output: str | None) -> None:
    """Check that not both a node and an output are asked for.

    Raises:
        ValueError: if both are given.
    """
    if node is not None and output is not None:
        raise ValueError(
            f"node and output must not both be given, got {node!r} and {output!r}. "
            "Name one of them."
        )


def checked_channels(
    channels: int | slice | Sequence[int], axis: int, node: Node
) -> tuple[int, list[int]]:
    """The channel axis, and the channels as positions on it.

    Raises:
        ValueError: if there are no such channels.
    """
    count = len(node.shape)
    if not isinstance(axis, int) or not -count <= axis < count:
        raise ValueError(
            f"channel_axis must be a whole number between {-count} and {count - 1} for "
            f"{node.label!r} of shape {node.shape}, got {axis!r}. Give the axis along which the "
            "channels lie."
        )
    length = node.shape[axis]
    where = f"the {length} of {node.label!r} (axis {axis % count} of shape {node.shape})"
    if isinstance(channels, slice):
        found = list(range(length))[channels]
        if not found:
            raise ValueError(
                f"channels must be some of {where}, got {channels}, none of them. "
                "Leave it out for all."
            )
        return axis % count, found
    try:
        several = list(channels) if isinstance(channels, Iterable) else [channels]
        if any(isinstance(channel, bool) for channel in several):
            raise TypeError
        found = [index(channel) for channel in several]
    except TypeError:
        raise ValueError(
            f"channels must be whole numbers or a slice, got {channels!r}. "
            "Use [0, 2] or slice(0, 8)."
        ) from None
    if not found or not all(-length <= channel < length for channel in found):
        got = ", ".join(map(str, found)) or "none"
        raise ValueError(
            f"channels must be among {where}, got {got}. Count from 0, or from the end with "
            "negative numbers."
        )
    return axis % count, [channel % length for channel in found]


def checked_axes(axes: int | tuple[int, ...] | None, count: int) -> tuple[int, ...] | None:
    """Axes as numbers from 0; None for those along which the first window moves.

    Raises:
        ValueError: if there is no such axis, or one is named twice.
    """
    if axes is None:
        return None
    several = axes if isinstance(axes, tuple | list) else (axes,)
    for axis in several:
        if type(axis) is not int or not -count <= axis < count:
            raise ValueError(
                f"axes must be whole numbers between {-count} and {count - 1} for an input of "
                f"{count} axes, got {axis!r}. Count from 0, or leave "
                "it out for those that hold positions."
            )
    if not several or len({axis % count for axis in several}) < len(several):
        raise ValueError(
            f"axes must name at least one axis, none of them twice, got {axes}. Leave it out for "
            "those that hold positions."
        )
    return tuple(axis % count for axis in several)


def per_axis(name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    """A whole number from 1 for each of some axes, given one for all or one for each.

    Args:
        name: what the argument is called.
        value: what was given.
        axes: how many axes there are.

    Raises:
        ValueError: if there are not as many numbers as axes, or one is below 1.
    """
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or min(values) < 1:
        raise ValueError(
            f"{name} must be a whole number from 1, or {axes} of them, one per axis, got {value}. "
            "Use 1 for every position."
        )
    return values

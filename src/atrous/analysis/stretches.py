"""Stretches of a model at one resolution, each as a small program of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import groupby, pairwise

from atrous.analysis.fields.field import Field
from atrous.geometry.primitives import Window
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local


@dataclass(frozen=True, eq=False)
class Stretch:
    """What lies between two values of the same stride through which every way to an output leads.

    Attributes:
        program: the stretch alone, its first value as the input.
        first: the value it begins with, as a node of the whole model.
        last: the value it ends with.
        stride: per axis of the fields, their stride.
        axes: the axes of the values that move along the axes of the fields.
        windows: the layers in it that read more than one position along these axes, with their
            windows, in order; None along an axis without a window.
    """

    program: Program
    first: Node
    last: Node
    stride: tuple[Fraction, ...]
    axes: tuple[int, ...]
    windows: tuple[tuple[Node, tuple[Window | None, ...]], ...]

    def schedule(self, axis: int) -> tuple[tuple[int, int], ...]:
        """(kernel size, dilation) of the layers with taps along one of `axes`, by its place."""
        own = (windows[axis] for _, windows in self.windows)
        return tuple((w.kernel_size, w.dilation) for w in own if w and w.kernel_size > 1)

    @property
    def is_chain(self) -> bool:
        """Whether every layer reads what the one before it gives, side ways around layers aside.

        Layers side by side, as the branches of a pyramid, are no chain.
        """
        names = [node.name for node, _ in self.windows]
        reached: dict[str, set[str]] = {}
        for name, node in self.program.nodes.items():
            before = (reached.get(o.name, set()) | {o.name} for o in node.operands)
            reached[name] = set().union(*before)
        return all(b in reached[a] for b, a in pairwise(names))


def stretches(program: Program, fields: Mapping[str, Field], end: Node) -> Iterator[Stretch]:
    """The stretches on the way to a value, from the input on; those without windows left out.

    Args:
        program: the captured model.
        fields: the field of every node.
        end: the value.
    """
    gates = [program.nodes[name] for name in dominators(program, end) if name in fields]
    for stride, group in groupby(gates, lambda node: _strides(fields[node.name])):
        members = list(group)
        first, last = members[0], members[-1]
        axes = _axes(fields[first.name])
        if stride is None or axes is None or axes != _axes(fields[last.name]):
            continue
        inner = between(program, first, last)
        windows = tuple(
            (node, tuple(found.get(a) for a in axes))
            for node in inner.nodes.values()
            if (found := _windows(node)) and any(a in found for a in axes)
        )
        windows = tuple(
            (node, own)
            for node, own in windows
            if any(w is not None and w.kernel_size > 1 for w in own)
        )
        # A branch that reads all, as image pooling, has no stride of its own.
        inside = {_strides(fields[name]) for name in inner.nodes if name in fields}
        if windows and inside <= {stride, None}:
            yield Stretch(inner, first, last, stride, axes, windows)


def dominators(program: Program, end: Node) -> list[str]:
    """The values through which every way from an input to `end` leads, in order, `end` the last.

    Of several inputs only the one of the first node counts; values that no input reaches are
    passed over.
    """
    order = list(program.nodes)
    place = {name: k for k, name in enumerate(order)}
    parent: dict[str, str | None] = {}
    for name in order[: place[end.name] + 1]:
        node = program.nodes[name]
        known = [o.name for o in node.operands if o.name in parent]
        if node.call is None:
            parent[name] = None
        elif known:
            common: str | None = known[0]
            for other in known[1:]:
                common = _common(parent, place, common, other)
            parent[name] = common
    chain: list[str] = []
    at: str | None = end.name if end.name in parent else None
    while at is not None:
        chain.append(at)
        at = parent[at]
    return chain[::-1]


def _common(
    parent: Mapping[str, str | None], place: Mapping[str, int], one: str | None, other: str | None
) -> str | None:
    while one != other:
        if one is None or other is None:
            return None
        if place[one] > place[other]:
            one = parent[one]
        else:
            other = parent[other]
    return one


def between(program: Program, first: Node, last: Node) -> Program:
    """The part of a program from one value to another, the first as its only input."""
    needed = {last.name}
    inner: dict[str, Node] = {}
    for name, node in reversed(list(program.nodes.items())):
        if name == first.name:
            inner[name] = replace(node, call=None, description=None)
            break
        if name in needed:
            inner[name] = node
            needed |= {operand.name for operand in node.operands}
    return Program(
        nodes=dict(reversed(list(inner.items()))),
        inputs=(first.name,),
        outputs={"": last.name},
        constants=program.constants,
        parameters=program.parameters,
    )


def _windows(node: Node) -> Mapping[int, Window]:
    return node.description.windows if isinstance(node.description, Local) else {}


def _strides(field: Field) -> tuple[Fraction, ...] | None:
    """The strides along the ways that read nothing whole; None if one has no single stride."""
    own = [axis.local or axis for axis in field.axes]
    if any(a.status not in ("exact", "bound") or a.strides[0] != a.strides[1] for a in own):
        return None
    return tuple(axis.stride for axis in own)


def _axes(field: Field) -> tuple[int, ...] | None:
    """The axes of the value that move along the input's; None if they are not one for one."""
    found = tuple(
        own.output_axis
        for axis in field.axes
        if (own := axis.local or axis).output_axis is not None
    )
    whole = len(found) == len(field.axes) == len(set(found))
    return tuple(a for a in found if a is not None) if whole else None

"""How far apart the positions of every value lie on the input, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from atrous.geometry.relation import Relation
from atrous.graph.factors import Factors
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local, Read


@dataclass(frozen=True)
class Along:
    """How the positions of an axis lie on the input.

    Attributes:
        axis: the input's axis, counted from the end of those that hold positions.
        stride: its positions per position.
    """

    axis: int
    stride: Fraction


Strides = tuple[Along | None, ...]
"""Of every axis of a value; None for one that holds no positions."""


def axis_strides(program: Program, axes: Mapping[str, tuple[int, ...]]) -> dict[str, Strides]:
    """The stride of every axis of every value, from edge to edge.

    An axis that is cut into others or put together of some, and one of which every position reads
    all of an axis of another length (as after global pooling), holds no positions.

    Args:
        program: the captured model.
        axes: the axes of each input that hold positions.
    """
    found: dict[str, Strides] = {}
    for name, node in program.nodes.items():
        mine: list[Along | None] = [None] * len(node.shape)
        if node.call is None:
            own = axes.get(name, ())
            for k, axis in enumerate(own):
                mine[axis] = Along(k - len(own), Fraction(1))
        for read in node.reads:
            theirs = found[read.operand.name]
            for axis, other, relation in axis_links(read, len(node.shape)):
                before = theirs[other]
                rate = _rate(node, axis, relation)
                if before is not None and rate is not None:
                    mine[axis] = Along(before.axis, before.stride * rate)
        found[name] = tuple(mine)
    return found


def axis_links(read: Read, count: int) -> list[tuple[int, int, Relation]]:
    """(result axis, operand axis, relation) of all axes that are no products of factors."""
    own = _places(read.merge, count)
    theirs = _places(read.split, len(read.operand.shape))
    axis_of = {place: axis for axis, place in theirs.items()}
    return [
        (axis, axis_of[link.axis], link.relation)
        for axis, place in own.items()
        if (link := read.links[place]) is not None and link.axis in axis_of
    ]


def _places(factors: Factors | None, count: int) -> dict[int, int]:
    """Of the axes that are one factor, where that stands among all factors."""
    if factors is None:
        return {axis: axis for axis in range(count)}
    found, at = {}, 0
    for axis, own in enumerate(factors):
        if len(own) == 1:
            found[axis] = at
        at += len(own)
    return found


def _rate(node: Node, axis: int, relation: Relation) -> Fraction | None:
    """Operand positions per position of the result; None if all of them are read."""
    if isinstance(node.description, Local) and axis in node.description.windows:
        # Also where the result has but one position.
        return Fraction(node.description.windows[axis].stride)
    if relation.is_constant and relation.outputs == relation.inputs:
        # A normalisation or softmax reads all positions and keeps each.
        return Fraction(1)
    if relation.is_constant and relation.inputs > 1:
        return None
    return Fraction(abs(relation.step), relation.period)

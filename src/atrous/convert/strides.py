"""How far apart the positions of every value lie on the input, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from atrous.geometry.algebra import compose
from atrous.geometry.relation import Relation
from atrous.geometry.taps import Taps
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

    def too_far(self, wanted: Mapping[int, int]) -> bool:
        """Whether they lie further apart than wanted.

        Args:
            wanted: the largest stride, by axis.
        """
        return self.stride > wanted.get(self.axis, self.stride)


Strides = tuple[Along | None, ...]
"""Of every axis of a value; None for one that holds no positions."""


def axis_strides(program: Program, axes: Mapping[str, tuple[int, ...]]) -> dict[str, Strides]:
    """The stride of every axis of every value, from edge to edge.

    Where an axis is cut into factors, as views cut it, the slowest factor has its positions,
    further apart; where one is put together of factors, its positions are those of the slowest,
    nearer, if none of the others has any. An axis of which every position reads all of an axis of
    another length (as after global pooling) holds no positions.

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
            mixed = _mixed(read, theirs)
            for axis, other, relation in axis_links(read, len(node.shape)):
                before = theirs[other]
                rate = _rate(node, axis, relation)
                if before is not None and rate is not None and axis not in mixed:
                    mine[axis] = Along(before.axis, before.stride * rate)
        found[name] = tuple(mine)
    return found


def axis_links(read: Read, count: int) -> list[tuple[int, int, Relation]]:
    """(result axis, operand axis, relation) of all axes whose slowest factors are linked."""
    own = _axes(read.merge, count)
    theirs = _axes(read.split, len(read.operand.shape))
    axis_of = {place: axis for axis, (place, _) in theirs.items()}
    found = []
    for axis, (place, joined) in own.items():
        link = read.links[place]
        if link is None or link.axis not in axis_of:
            continue
        other = axis_of[link.axis]
        found.append((axis, other, _whole_axis(link.relation, joined, theirs[other][1])))
    return found + [(axis, other, Relation.identity(1)) for axis, other in _single(read)]


def _axes(factors: Factors | None, count: int) -> dict[int, tuple[int, int]]:
    """Of axes with factors: where the slowest stands among all, and the product of its others."""
    if factors is None:
        return {axis: (axis, 1) for axis in range(count)}
    found, at = {}, 0
    for axis, own in enumerate(factors):
        if own:
            found[axis] = (at, prod(own[1:]))
        at += len(own)
    return found


def _whole_axis(relation: Relation, joined: int, cut: int) -> Relation:
    """A relation of slowest factors as one of the axes they are the slowest of."""
    if joined > 1:
        spread = Relation(relation.outputs * joined, relation.outputs, 1, Taps.of([[0]] * joined))
        relation = compose(spread, relation)
    if cut > 1:
        run = Taps.single(np.arange(cut, dtype=np.int64))
        relation = compose(relation, Relation(relation.inputs, relation.inputs * cut, cut, run))
    return relation


def _single(read: Read) -> list[tuple[int, int]]:
    """Axes of one position, which have no factors, by what stands beside them."""
    if read.split is None or read.merge is None:
        return []
    own, theirs = (_empty(factors) for factors in (read.merge, read.split))
    return [
        pair
        for beside in own.keys() & theirs.keys()
        for pair in zip(reversed(own[beside]), reversed(theirs[beside]), strict=False)
    ]


def _empty(factors: Factors) -> dict[int, list[int]]:
    """Axes without factors, by the number of factors before them."""
    found: dict[int, list[int]] = {}
    at = 0
    for axis, own in enumerate(factors):
        if not own:
            found.setdefault(at, []).append(axis)
        at += len(own)
    return found


def _mixed(read: Read, theirs: Strides) -> set[int]:
    """Result axes with a factor beside the slowest that has positions of its own."""
    if read.merge is None:
        return set()
    places = _axes(read.split, len(read.operand.shape))
    moving = {place for axis, (place, _) in places.items() if theirs[axis] is not None}
    found, at = set(), 0
    for axis, own in enumerate(read.merge):
        links = read.links[at + 1 : at + len(own)]
        if any(link is not None and link.axis in moving for link in links):
            found.add(axis)
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
    rate = Fraction(abs(relation.step), relation.period)
    if min(relation.inputs, relation.outputs) > 1 and rate == Fraction(
        relation.inputs - 1, relation.outputs - 1
    ):
        # Resizing that lines up the ends is told by its factor, which all sizes have in common.
        factor = Fraction(relation.inputs, relation.outputs)
        kernel = getattr(node.description, "kernel", None)
        return factor if kernel is None and 1 in (factor.numerator, factor.denominator) else rate
    return rate

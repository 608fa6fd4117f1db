"""How far apart the positions of every value lie on the input, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from math import prod

import numpy as np

from atrous.convert.parts import Along, Part, Parts, along, cut, joined
from atrous.geometry.algebra import compose
from atrous.geometry.relation import Relation
from atrous.geometry.taps import Taps
from atrous.graph.factors import Factors
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local, Read

Strides = tuple[Along | None, ...]
"""Of every axis of a value; None for one that holds no positions."""


def axis_strides(lying: Mapping[str, Sequence[Parts]]) -> dict[str, Strides]:
    """The stride of every axis of every value that goes from edge to edge."""
    return {name: tuple(map(along, parts)) for name, parts in lying.items()}


def axis_parts(
    program: Program, axes: Mapping[str, tuple[int, ...]]
) -> dict[str, tuple[Parts, ...]]:
    """How every axis of every value lies along the input, in parts.

    Where an axis is cut into factors, as views cut it, the slowest factor has its positions,
    further apart; where one is put together of factors, its positions are those of the slowest,
    nearer, if the others are cuts of the same or have none: maps cut into windows and laid
    together again hold the positions they had. An axis of which every position reads all of an
    axis of another length (as after global pooling) holds no positions.

    Args:
        program: the captured model.
        axes: the axes of each input that hold positions.
    """
    found: dict[str, tuple[Parts, ...]] = {}
    for name, node in program.nodes.items():
        mine: list[Parts] = [(Part(length),) for length in node.shape]
        if node.call is None:
            own = axes.get(name, ())
            for k, axis in enumerate(own):
                mine[axis] = (Part(node.shape[axis], Along(k - len(own), Fraction(1)), True),)
        # Of several operands the largest tells: others may be one position held against all.
        for read in sorted(node.reads, key=lambda read: prod(read.operand.shape)):
            for axis, parts in _parts(node, read, found[read.operand.name]).items():
                if along(parts) is not None or all(part.along is None for part in mine[axis]):
                    mine[axis] = parts
        found[name] = tuple(mine)
    return found


def _parts(node: Node, read: Read, theirs: Sequence[Parts]) -> dict[int, Parts]:
    """By axis of the result, the parts that a read gives it."""
    factors: list[Parts] = []
    for axis, parts in enumerate(theirs):
        factors += [parts] if read.split is None else cut(parts, read.split[axis])
    found: dict[int, Parts] = {}
    at = 0
    for axis, length in enumerate(node.shape):
        own: list[Part] = []
        for size in (length,) if read.merge is None else read.merge[axis]:
            link, at = read.links[at], at + 1
            own += (
                (Part(size),)
                if link is None
                else _read_parts(node, axis, link.relation, factors[link.axis])
            )
        found[axis] = joined(own or [Part(length)])
    return found | {axis: theirs[other] for axis, other in _single(read)}


def _read_parts(node: Node, axis: int, relation: Relation, parts: Parts) -> Parts:
    rate = _rate(node, axis, relation)
    if rate == 1 and relation.outputs == relation.inputs:
        return parts
    size, only = relation.outputs, parts[0]
    if len(parts) > 1 or only.along is None or rate is None:
        return (Part(size),)
    return (Part(size, Along(only.along.axis, only.along.stride * rate), only.is_whole),)


def axis_links(read: Read, count: int) -> list[tuple[int, int, Relation]]:
    """(result axis, operand axis, relation) of all axes whose slowest factors are linked."""
    own = _axes(read.merge, count)
    theirs = _axes(read.split, len(read.operand.shape))
    axis_of = {place: axis for axis, (place, _) in theirs.items()}
    found = []
    for axis, (place, rest) in own.items():
        link = read.links[place]
        if link is None or link.axis not in axis_of:
            continue
        other = axis_of[link.axis]
        found.append((axis, other, _whole_axis(link.relation, rest, theirs[other][1])))
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


def _whole_axis(relation: Relation, joins: int, cuts: int) -> Relation:
    """A relation of slowest factors as one of the axes they are the slowest of."""
    if joins > 1:
        spread = Relation(relation.outputs * joins, relation.outputs, 1, Taps.of([[0]] * joins))
        relation = compose(spread, relation)
    if cuts > 1:
        run = Taps.single(np.arange(cuts, dtype=np.int64))
        relation = compose(relation, Relation(relation.inputs, relation.inputs * cuts, cuts, run))
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
    if relation.inputs == 1 and relation.is_constant:
        # The only position there is, enlarged.
        return Fraction(1, relation.outputs)
    rate = Fraction(abs(relation.step), relation.period)
    ends = min(relation.inputs, relation.outputs) > 1 and rate == Fraction(
        relation.inputs - 1, relation.outputs - 1
    )
    if ends and isinstance(node.description, Local) and node.description.kernel is None:
        # Resizing that lines up the ends is told by its factor, which all sizes have in common.
        factor = Fraction(relation.inputs, relation.outputs)
        return factor if 1 in (factor.numerator, factor.denominator) else rate
    return rate

"""How far outputs read ahead of their own position along one axis, borders included."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod

import numpy as np

from atrous.analysis.fields.field import AxisField
from atrous.geometry.ends import ends
from atrous.geometry.lineage import Lineage
from atrous.geometry.relation import Relation
from atrous.graph.program import Node
from atrous.graph.rule import Movement
from atrous.lint.facts.along import local, on_axis
from atrous.lint.subject import Subject


@dataclass(frozen=True)
class Ahead:
    """What one value reads ahead of its own place.

    An output stands for the inputs that its stride passes over: output `o` of stride `s` for those
    from `o * s` to `o * s + s - 1`, the last of which is the latest it may read. Where windows
    without padding leave fewer outputs, the last output stands for the last input. What is cut off
    at the end is no such loss: the outputs before it keep their places.

    Attributes:
        by: how many positions beyond that the worst output reads; 0 if none does.
        output: that output, of equals the first.
        read: the last input that it reads.
        outputs: how many outputs read ahead.
    """

    by: int
    output: int
    read: int
    outputs: int


@dataclass(frozen=True)
class Clock:
    """Which input is the present of every position of a value.

    Attributes:
        rate: input positions per position.
        block: inputs that one position stands for.
        shift: how far the present lies behind `position * rate`.
    """

    rate: Fraction
    block: int
    shift: int

    @classmethod
    def of(cls, field: AxisField) -> Clock:
        """The clock of an output by itself."""
        rate = rate_of(field)
        block = max(int(rate), 1)
        lost = min(_lost(field.lineage, rate), int(_late(field.lineage)))
        return cls(rate, block, lost if lost >= block else 0)

    def inside(self, target: Clock) -> Clock:
        """The clock of a value on the way to an output that may be finer, or lose nothing."""
        return Clock(self.rate, min(self.block, target.block), self.shift if target.shift else 0)


def clock_of(field: AxisField) -> Clock | None:
    """The clock of a value to judge; None if its positions do not lie in order of the input's.

    A value without positions is a single answer for the whole, and has no future.
    """
    slow, fast = field.strides
    if not field.output_axes or (len(field.output_axes) > 1 and not slow == fast > 0):
        return None
    return Clock.of(field)


def rate_of(field: AxisField) -> Fraction:
    """Input positions per output position, also of an output that reads everything."""
    own = local(field) or field
    return _rate(own.lineage)


def _rate(lineage: Lineage) -> Fraction:
    if lineage.length == lineage.inputs:
        return Fraction(1)
    slow, fast = lineage.pattern.rates
    return fast if slow == fast > 0 else Fraction(lineage.inputs, max(lineage.length, 1))


def _lost(lineage: Lineage, rate: Fraction) -> int:
    """Inputs behind those that the last output stands for; below 0 where outputs go past them."""
    return lineage.inputs - 1 - int((lineage.length - 1) * rate) - (max(int(rate), 1) - 1)


def _late(lineage: Lineage) -> Fraction:
    """Inputs by which outputs come late: what windows without padding lose, and cuts in front.

    What nothing reads at the end of a value was cut off there, and is no such loss. Of several ways
    to a value the latest counts: the others wait for it.
    """
    late: dict[Lineage, Fraction] = {}
    for at in lineage.ancestry():
        lost = _lost(at, _rate(at))
        ways = []
        for edge in at.edges:
            rate = _rate(edge.source)
            more = lost - _lost(edge.source, rate) - _unread_at_end(edge.relation) * rate
            ways.append(late[edge.source] + max(more, Fraction(0)))
        late[at] = max(ways, default=Fraction(0))
    return late[lineage]


def _unread_at_end(relation: Relation) -> int:
    """Positions at the end of a source that nothing reads."""
    start, stop = relation.inputs_of(0, relation.outputs)
    return relation.inputs - stop if start < stop else 0


def ahead(field: AxisField, clock: Clock) -> Ahead:
    """How far the outputs of a value read ahead."""
    found = ends(field.lineage)
    outputs = np.arange(field.lineage.length, dtype=np.int64)
    rate = clock.rate
    present = outputs * rate.numerator // rate.denominator + clock.block - 1 + clock.shift
    by = np.where(found.first <= found.last, found.last - present, 0)
    worst = int(by.argmax())
    return Ahead(max(int(by[worst]), 0), worst, int(found.last[worst]), int((by > 0).sum()))


def aheads(subject: Subject, nodes: Sequence[Node], axis: int, target: Clock) -> dict[str, int]:
    """How far every value that has its own place along the axis reads ahead, by node name."""
    found: dict[str, int] = {}
    known: dict[int, int] = {}
    for node in nodes:
        field = on_axis(subject.fields.get(node.name), axis)
        if field is None or field.status == "unknown" or len(field.output_axes) != 1:
            continue
        key = id(field.lineage)
        if key not in known:
            known[key] = ahead(field, Clock.of(field).inside(target)).by
        found[node.name] = known[key]
    return found


def origin(nodes: Sequence[Node], by: dict[str, int], allowed: int) -> Node:
    """The first node to read ahead of those that the last one reads ahead through.

    A later layer can make good what an earlier one did, and is then not gone through.

    Args:
        nodes: in order of computation; the last is the one that is judged.
        by: how far they read ahead (see `aheads`).
        allowed: how far they may.
    """
    target, program = nodes[-1], {node.name: node for node in nodes}
    wrong = {target.name}
    for node in nodes:
        # Padding on the left looks back only until the window it is for has been applied.
        pads = isinstance(node.description, Movement) and prod(node.shape) > max(
            prod(operand.shape) for operand in node.operands
        )
        still = pads and any(operand.name in wrong for operand in node.operands)
        if still or by.get(node.name, 0) > allowed:
            wrong.add(node.name)
    through, pending = {target.name}, [target]
    while pending:
        for operand in pending.pop().operands:
            if operand.name in wrong and operand.name not in through:
                through.add(operand.name)
                pending.append(program[operand.name])
    return next(node for node in nodes if node.name in through)

"""How far outputs read ahead of their own position along one axis, borders included."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from atrous.analysis.fields.field import AxisField
from atrous.geometry.ends import ends
from atrous.graph.program import Node
from atrous.lint.facts.along import local, on_axis
from atrous.lint.subject import Subject


@dataclass(frozen=True)
class Ahead:
    """What one value reads ahead of its own place.

    An output stands for the inputs that its stride passes over: output `o` of stride `s` for those
    from `o * s` to `o * s + s - 1`, the last of which is the latest it may read. Where nothing is
    padded and outputs are lost at the end, the last output stands for the last input.

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
        count, inputs = field.lineage.length, field.length
        rate = rate_of(field)
        block = max(int(rate), 1)
        lost = inputs - 1 - int((count - 1) * rate) - (block - 1)
        return cls(rate, block, lost if lost >= block else 0)

    def inside(self, target: Clock) -> Clock:
        """The clock of a value on the way to an output that may be finer, or lose nothing."""
        return Clock(self.rate, min(self.block, target.block), self.shift if target.shift else 0)


def rate_of(field: AxisField) -> Fraction:
    """Input positions per output position, also of an output that reads everything."""
    if field.lineage.length == field.length:
        return Fraction(1)
    own = local(field) or field
    slow, fast = own.lineage.pattern.rates
    return fast if slow == fast > 0 else Fraction(field.length, max(own.lineage.length, 1))


def ahead(field: AxisField, clock: Clock) -> Ahead:
    """How far the outputs of a value read ahead."""
    found = ends(field.lineage)
    outputs = np.arange(field.lineage.length, dtype=np.int64)
    rate = clock.rate
    present = outputs * rate.numerator // rate.denominator + clock.block - 1 + clock.shift
    by = np.where(found.first <= found.last, found.last - present, 0)
    worst = int(by.argmax())
    return Ahead(max(int(by[worst]), 0), worst, int(found.last[worst]), int((by > 0).sum()))


def aheads(subject: Subject, nodes: Iterable[Node], axis: int, target: Clock) -> dict[str, int]:
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

"""Where branches meet whose fields are not centred on the same input positions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from atrous.analysis.fields.field import AxisField, Field
from atrous.geometry.taps import Ints
from atrous.graph.program import Node, Program
from atrous.graph.rule import Operand, Pointwise


@dataclass(frozen=True)
class Misalignment:
    """Two branches that meet out of step.

    Attributes:
        node: where they meet: module path or node name.
        source: `file:line` of that place.
        axis: the input axis.
        first: one branch.
        second: the other.
        offset: how far the second lies behind the first, in input positions, on average.
        drift: how much that changes from the first output to the last; not 0 where the branches
            advance at different rates.
        names: the nodes themselves: where they meet, the first branch, the second.
    """

    node: str
    source: str
    axis: int
    first: str
    second: str
    offset: Fraction
    drift: Fraction
    names: tuple[str, str, str] = field(default=("", "", ""), compare=False, repr=False)

    def __str__(self) -> str:
        text = (
            f"{self.second} lies {float(self.offset):+g} input positions from {self.first} on "
            f"axis {self.axis} where they meet at {self.node}"
        )
        return text + (f", drifting by {float(self.drift):g}" if self.drift else "")


def misalignments(program: Program, fields: Mapping[str, Field]) -> list[Misalignment]:
    """Every place where two branches of a sum, product or concatenation are out of step.

    Branches count as aligned if their fields have the same centre, or if neither reads the future
    and both end at the same position.
    """
    found = []
    for node in program.nodes.values():
        operands = list(dict.fromkeys(o.name for o in meeting(node)))
        known = [name for name in operands if name in fields]
        for name in known[1:]:
            found += _compare(node, program, known[0], name, fields)
    return found


def meeting(node: Node) -> list[Operand]:
    """The operands that meet at a node position by position; empty if fewer than two do."""
    reads = node.reads
    joins = isinstance(node.description, Pointwise) or any(r.segment is not None for r in reads)
    return [r.operand for r in reads] if joins and len(reads) > 1 else []


def _compare(
    node: Node, program: Program, first: str, second: str, fields: Mapping[str, Field]
) -> list[Misalignment]:
    found = []
    others = {axis.axis: axis.local or axis for axis in fields[second].axes}
    for axis in fields[first].axes:
        one, other = axis.local or axis, others.get(axis.axis)
        if other is None or not _comparable(one, other):
            continue
        outputs = np.arange(one.lineage.length, dtype=np.int64)
        a, b = one.lineage.pattern.hulls(outputs), other.lineage.pattern.hulls(outputs)
        both = (a[0] <= a[1]) & (b[0] <= b[1])
        causal = max(one.reach[1], other.reach[1]) <= 0 and bool((a[1] == b[1])[both].all())
        if not both.any() or causal:
            continue
        # Twice the distance of the centres, in whole numbers.
        apart: Ints = ((b[0] + b[1]) - (a[0] + a[1]))[both]
        offset = Fraction(int(apart.sum()), 2 * len(apart))
        if max(one.size, other.size) <= one.stride and abs(offset) < one.stride:
            # Phases of one stride, side by side on purpose.
            continue
        rates_differ = one.strides != other.strides
        drift = Fraction(int(apart[-1] - apart[0]), 2) if rates_differ else Fraction(0)
        if abs(offset) * len(apart) * 2 <= _partial_period(one, other) or (offset == drift == 0):
            continue
        found.append(
            Misalignment(
                node.label,
                node.place.source,
                one.axis,
                _label(program, first),
                _label(program, second),
                offset,
                drift,
                (node.name, first, second),
            )
        )
    return found


def _comparable(one: AxisField, other: AxisField) -> bool:
    return (
        one.lineage.length == other.lineage.length > 1
        and one.output_axis == other.output_axis is not None
        and {one.status, other.status} <= {"exact", "bound"}
    )


def _partial_period(one: AxisField, other: AxisField) -> int:
    """What an incomplete last period of phases can add to a sum of twice the distances."""
    if one.strides != other.strides:
        return 0
    period = max(len(getattr(p, "lo", ())) for p in (one.lineage.pattern, other.lineage.pattern))
    if one.lineage.length % max(period, 1) == 0:
        return 0
    spread = max(a.sizes[1] - a.sizes[0] for a in (one, other)) + int(one.stride * period)
    return spread * period


def _label(program: Program, name: str) -> str:
    node = program.nodes[name]
    return node.label

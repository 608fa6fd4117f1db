"""Whether what a value reads to come grows with the axis, judged by its own rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from atrous.analysis.fields.field import AxisField
from atrous.geometry.ends import ends
from atrous.geometry.pattern import Periodic
from atrous.graph.program import Node
from atrous.lint.facts.along import on_axis
from atrous.lint.facts.lookahead import Clock
from atrous.lint.subject import Subject


@dataclass(frozen=True)
class Endless:
    """A value of which an output reads ahead by more than half of the axis, without bound.

    Attributes:
        node: the node.
        output: the output that reads ahead most.
        read: the last input that it reads.
        length: of the axis.
    """

    node: Node
    output: int
    read: int
    length: int


def endless(node: Node, field: AxisField) -> Endless | None:
    """How far a value reads ahead if no fixed number bounds it; None if one does.

    A value whose outputs all advance at one rate looks ahead by what its pattern says, however far
    that is, but where rows at the ends leave the pattern, as with wrapping around. Of any other the
    look-ahead of the pattern itself, borders not clipping, differs from output to output: by more
    than half of the axis where something is read from its end on, from a fixed position at its end,
    or across blocks of it. Growth cannot be seen at one length, so that half of it stands for all.
    """
    cut = len(field.output_axes) > 1 and field.lineage.length <= field.length
    if field.status == "unknown" or not (cut or field.output_axis is not None):
        # Of an axis that views have cut up the parts are told in the order of the whole; the
        # scores of an attention, of which there are more, have two places each.
        return None
    if not field.lineage.length:
        return None
    found, pattern = ends(field.lineage), field.lineage.pattern
    outputs = np.arange(field.lineage.length, dtype=np.int64)
    slow, fast = pattern.rates
    if fast > 0:
        present = outputs * fast.numerator // fast.denominator
        if slow == fast:
            present = present + Clock.of(field).shift
    else:
        present = outputs * field.length // len(outputs)
    reads = found.first <= found.last
    by = np.where(reads, found.last - present, 0)
    lo, hi = pattern.hulls(outputs)
    if isinstance(pattern, Periodic) and fast > 0:
        by = np.where(lo <= hi, np.minimum(by, found.last - hi), by)
    else:
        known = lo <= hi
        apart = (hi - present)[known]
        if not len(apart) or int(apart.max() - apart.min()) <= field.length // 2:
            return None
    worst = int(by.argmax())
    if by[worst] <= field.length // 2:
        return None
    return Endless(node, worst, int(found.last[worst]), field.length)


def first_endless(
    subject: Subject, nodes: Iterable[Node], axis: int, told: Collection[str]
) -> Iterator[Endless]:
    """The values that read ahead without bound while nothing that they read does.

    Args:
        subject: the model.
        nodes: on the way to the output, in order of computation.
        axis: the input's axis.
        told: names of nodes that something else is said of: what follows from them is left out.
    """
    below = set(told)
    fine: set[object] = set()
    for node in nodes:
        if node.name in below or any(operand.name in below for operand in node.operands):
            below.add(node.name)
            continue
        field = on_axis(subject.fields.get(node.name), axis)
        key = (id(field.lineage), field.output_axes) if field is not None else None
        if field is None or key in fine:
            continue
        found = endless(node, field)
        if found is None:
            fine.add(key)
        if found is not None:
            below.add(node.name)
            yield found

"""What reads an axis whole, or in an order that no bounded piece of it can follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from atrous.geometry.relation import Relation
from atrous.graph.program import Node
from atrous.graph.rule import Global, Link, Movement, Read, Unknown
from atrous.lint.facts.along import on_axis
from atrous.lint.subject import Subject

Way = Literal[
    "statistic", "weights", "pairs", "earlier pairs", "recurrence", "backward", "all", "flip",
    "wrap", "pick", "size", "constant", "unknown",
]  # fmt: skip
"""How an axis is read.

- statistic: whole, by something that can be gathered piece by piece
- weights: whole, with a weight for every position
- pairs: every position with every other
- earlier pairs: every position with all before it
- recurrence: one after the other, from the first on
- backward: from the last on, or whole by a recurrence
- all: whole, by something that needs all at once
- flip: from the end
- wrap: across the ends
- pick: one position of it is kept
- size: it is brought to a length that the call tells
- constant: something is put to it that has a value for every position
- unknown: no rule tells
"""

UNTOLD = (
    "has no rule: what it reads cannot be told",
    '# teach how it reads its inputs: @atrous.rule("namespace.name")',
)
"""Of the way "unknown": what hinders, and what to do."""


@dataclass(frozen=True)
class Whole:
    """A node that reads an axis in one of these ways.

    Attributes:
        node: the node.
        axis: the axis of the input.
        way: how.
    """

    node: Node
    axis: int
    way: Way


def whole_readings(subject: Subject, nodes: Iterable[Node], axis: int) -> Iterator[Whole]:
    """The ways in which nodes read an input axis that are more than a bounded neighbourhood."""
    for node in nodes:
        if node.description is None or node.name not in subject.fields:
            continue
        ways = dict.fromkeys(_ways(subject, node, axis))
        for way in ways:
            yield Whole(node, axis, way)


def _ways(subject: Subject, node: Node, axis: int) -> Iterator[Way]:
    description = node.description
    assert description is not None
    if isinstance(description, Unknown):
        yield "unknown"
        return
    own = on_axis(subject.fields.get(node.name), axis)
    data = node.reads
    several = len(data) > 1
    for read in data:
        field = on_axis(subject.fields.get(read.operand.name), axis)
        if read.split is not None or field is None or len(field.output_axes) != 1:
            # Of an axis that views have cut up a part is read.
            continue
        at, length = field.output_axes[0], read.operand.shape[field.output_axes[0]]
        for link in (*read.links, *read.unlinked):
            if link is not None and link.axis == at and length > 1:
                way = _way(node, link, read, several)
                if way is not None:
                    yield way
    if own is None or own.output_axis is None:
        return
    if own.output_axis in description.sized and node.shape[own.output_axis] > 1:
        yield "size"
    if any(_varies(read, own.output_axis) for read in description.reads):
        yield "constant"


def _way(node: Node, link: Link, read: Read, several: bool) -> Way | None:
    description, relation = node.description, link.relation
    recurrent = isinstance(description, Global) and bool(description.along)
    if relation.step < 0:
        return "flip"
    if link.status != "global":
        if isinstance(description, Movement) and link not in read.links and relation.outputs == 1:
            return "pick"
        return "wrap" if _wraps(relation) else None
    outputs = np.arange(relation.outputs, dtype=np.int64)
    lo, hi = relation.hulls(outputs)
    earlier = bool((hi <= outputs).all()) and relation.outputs == relation.inputs
    later = bool((lo >= outputs).all()) and relation.outputs == relation.inputs
    if recurrent:
        return "recurrence" if earlier else "backward"
    if several and isinstance(description, Global):
        return "earlier pairs" if earlier else "pairs"
    if earlier or later:
        return "recurrence" if earlier else "backward"
    if not isinstance(description, Global) or description.gathers:
        return "weights" if description is not None and description.macs else "statistic"
    return "all"


def _wraps(relation: Relation) -> bool:
    """Whether exceptional rows read from beyond the middle of the axis: its other end."""
    if not len(relation.exceptional) or relation.inputs < 2:
        return False
    position, inputs, _ = relation.reads(relation.exceptional)
    slow = relation.exceptional[position] * relation.step // relation.period
    return bool((np.abs(inputs - slow) > relation.inputs // 2).any())


def _varies(read: Read, axis: int) -> bool:
    """Whether a constant has different values along an axis of the result."""
    link = read.links[axis] if read.operand.is_constant and axis < len(read.links) else None
    if link is None or link.relation.inputs < 2 or read.split is not None:
        return False
    try:
        value = read.operand.known()
    except NotImplementedError:
        return True
    first = value.narrow(link.axis, 0, 1)
    return not bool((value == first).all())

"""What one output reads along one axis, as bits of a whole number, to try thousands of choices.

Away from borders, and without regard to channels: what a search tries, not what is proven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from atrous.geometry.bits import Offsets, Step, spread, united
from atrous.geometry.primitives import Window
from atrous.geometry.relation import Relation
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local, Read

_NOTHING = np.array([], dtype=np.int64)


@dataclass(frozen=True)
class _Link:
    """What a value reads of another."""

    source: str
    taken: Step
    relation: Relation


@dataclass(frozen=True)
class Line:
    """A program along one axis: from one output position back to a value.

    Attributes:
        order: the values on the way, the last computed first.
        steps: by value, what it reads.
        windows: by value, its window along the axis, if it slides one.
        axis: by value, the axis.
        jumps: by value, positions of the source per position, where that is one number.
        target: the value it begins at.
        source: the value it ends at.
        at: the position it begins at.
    """

    order: tuple[str, ...]
    steps: Mapping[str, tuple[_Link, ...]]
    windows: Mapping[str, Window]
    axis: Mapping[str, int]
    target: str
    source: str
    at: int

    def offsets(self, windows: Mapping[str, Window] | None = None) -> Offsets | None:
        """What is read of the source; None if nothing is.

        Args:
            windows: by value, the window to be used in place of its own.
        """
        other = windows or {}
        known = {self.target: Offsets(self.at, 1)}
        for name in self.order:
            own = known.pop(name, None)
            if name == self.source:
                return own
            if own is None:
                continue
            new = other.get(name)
            for step in self.steps[name]:
                if new is None:
                    back = step.taken.back(own)
                else:
                    taps = tuple(a * new.dilation - new.left for a in range(new.kernel_size))
                    back = spread(own, new.stride, taps)
                if back is not None:
                    before = known.get(step.source)
                    known[step.source] = back if before is None else united(before, back)
        return known.get(self.source)

    def read_at(self, output: int, windows: Mapping[str, Window] | None = None) -> frozenset[int]:
        """What one output really reads of the source: nothing of padding, whatever it is part of.

        Args:
            output: its position.
            windows: by value, the window to be used in place of its own.
        """
        other = windows or {}
        known = {self.target: np.array([output], dtype=np.int64)}
        for name in self.order:
            own = known.pop(name, _NOTHING)
            if name == self.source:
                return frozenset(own.tolist())
            new = other.get(name)
            for step in self.steps[name]:
                relation = step.relation
                if new is not None:
                    taps = [a * new.dilation - new.left for a in range(new.kernel_size)]
                    relation = Relation.of(
                        relation.outputs, relation.inputs, [taps], step=new.stride
                    )
                _, read, _ = relation.reads(own)
                known[step.source] = np.union1d(known.get(step.source, _NOTHING), read)
        return frozenset()

    def is_like(self, other: Line) -> bool:
        """Whether another reads alike, away from the borders."""
        own = {
            name: [(step.source, step.taken) for step in steps]
            for name, steps in self.steps.items()
        }
        theirs = {
            name: [(step.source, step.taken) for step in steps]
            for name, steps in other.steps.items()
        }
        return self.order == other.order and own == theirs and self.windows == other.windows

    def is_plain(self, names: Iterable[str]) -> bool:
        """Whether values read the same at the ends of a map as elsewhere: by padding with zeros,
        not by one that reflects or wraps around."""
        steps = (step for name in names for step in self.steps.get(name, ()))
        return all(len(step.relation.exceptional) == 0 for step in steps)


def line_of(
    program: Program, target: Node, axis: int, source: Node, wanted: int, *, at: int | None = None
) -> Line | None:
    """The program along one axis.

    Args:
        program: the captured model.
        target: the value whose output is asked about.
        axis: the axis of it.
        source: the value that is read.
        wanted: the axis of it.
        at: the position; the central one by default.

    Returns:
        None where the axis is no single axis of some value on the way, as where it is cut up.
    """
    where = {target.name: axis}
    steps: dict[str, tuple[_Link, ...]] = {}
    windows: dict[str, Window] = {}
    order = []
    needed = {node.name for node in program.behind(target)}
    ahead = program.ahead(source)
    for name in reversed(list(program.nodes)):
        if name not in where or name not in needed or name not in ahead:
            continue
        node = program.nodes[name]
        order.append(name)
        if name == source.name:
            if where[name] != wanted:
                return None
            break
        own = where[name]
        if isinstance(node.description, Local) and own in node.description.windows:
            windows[name] = node.description.windows[own]
        found = []
        for read in node.reads:
            if read.operand.name not in ahead:
                continue
            link = _along(read, own)
            if isinstance(link, str):
                return None
            if link is None:
                continue
            theirs, relation = link
            if where.setdefault(read.operand.name, theirs) != theirs:
                return None
            found.append(_step(read.operand.name, relation))
        steps[name] = tuple(found)
    if source.name not in order:
        return None
    middle = target.shape[axis] // 2 if at is None else at
    return Line(tuple(order), steps, windows, where, target.name, source.name, middle)


def _along(read: Read, axis: int) -> tuple[int, Relation] | Literal["cut"] | None:
    """The operand's axis and the relation; None where all is read or nothing; "cut" in views."""
    place = axis
    if read.merge is not None:
        if len(read.merge[axis]) != 1:
            return "cut"
        place = sum(len(own) for own in read.merge[:axis])
    link = read.links[place]
    if link is None or link.status == "global":
        return None
    if read.split is None:
        return link.axis, link.relation
    count = 0
    for theirs, own in enumerate(read.split):
        if count <= link.axis < count + len(own):
            return (theirs, link.relation) if len(own) == 1 else "cut"
        count += len(own)
    return "cut"


def _step(source: str, relation: Relation) -> _Link:
    return _Link(source, Step.of(relation), relation)

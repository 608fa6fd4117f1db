"""What a redesign has to reach: values whose coverage must have no holes, or share no factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import Literal

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.question import clearest
from atrous.analysis.fields.ends import ends
from atrous.analysis.fields.field import AxisField, Field, traced
from atrous.analysis.stretches import between, stretches
from atrous.design.redesign.offsets import Line, line_of
from atrous.geometry.alike import repeats, unlike
from atrous.graph.program import Node, Program

Kind = Literal["holes", "mixed"]
"""No holes in what is read; or no factor that divides all distances in it."""

_MOST_LINES = 16
_MOST_PHASES = 64
"""Outputs that are followed along an axis: of patterns of their own, and of all phases."""


@dataclass(frozen=True, eq=False)
class Goal:
    """One value, and what its coverage must be.

    Attributes:
        kind: what is asked of it.
        program: the captured model, or the stretch of it that is asked about.
        node: the value.
        source: what it is to read: the model's input, or the value a stretch begins with.
        axes: the axes of that.
        output: the label of the output it lies behind.
    """

    kind: Kind
    program: Program
    node: Node
    source: Node
    axes: tuple[int, ...]
    output: str

    @cached_property
    def cover(self) -> Coverage:
        """What the output reads that says most, along the ways that read nothing whole."""
        return clearest(self.program, self.node, input=self.source.name, axes=self.axes)

    @cached_property
    def covers(self) -> tuple[Coverage, ...]:
        """That of this output, and of one for each other pattern that outputs read in."""
        return (self.cover, *(self.cover.unlike if self.kind == "holes" else ()))

    @cached_property
    def is_met(self) -> bool:
        """Whether it is as it must be."""
        return all(map(self.holds, self.covers))

    def holds(self, cover: Coverage) -> bool:
        """Whether a coverage is as it must be."""
        if not cover.counts.size:
            return True
        if self.kind == "mixed":
            return max(cover.factor) < 2
        return bool(cover.read.all())

    @cached_property
    def is_whole(self) -> bool:
        """Whether a change is to leave it no holes, if that can be had: a stretch that never mixes
        is mended, and one that has none keeps that."""
        return self.kind == "holes" or not self.is_met or bool(self.cover.read.all())

    @cached_property
    def phase_holes(self) -> int:
        """Holes that outputs of any phase have along single axes, borders aside."""
        read = (line.offsets() for lines in self.lines.values() for line in lines)
        return sum(own.holes for own in read if own is not None)

    @cached_property
    def field(self) -> Field | None:
        """The field of the value; None if it reads nothing."""
        return traced(self.program, input=self.source.name, axes=self.axes).field(self.node)

    @cached_property
    def local(self) -> dict[int, AxisField]:
        """By axis of the source, the field along the ways that read nothing whole."""
        known = self.field.axes if self.field is not None else ()
        found = {own.axis: own.local if own.status == "global" else own for own in known}
        return {axis: own for axis, own in found.items() if own is not None}

    @cached_property
    def lines(self) -> dict[int, tuple[Line, ...]]:
        """By axis of the source, the program along it, for an output of every pattern.

        Axes along which the value is no single line are left out.
        """
        found: dict[int, tuple[Line, ...]] = {}
        for axis, own in self.local.items():
            if own.output_axis is None:
                continue
            middle = self.node.shape[own.output_axis] // 2
            whole = own.lineage.length == self.node.shape[own.output_axis]
            several = self.kind == "holes" and whole
            outputs = unlike(own.lineage, middle) if several else (middle,)
            lines = [self.line(axis, at) for at in outputs[:_MOST_LINES]]
            if all(line is not None for line in lines):
                found[axis] = tuple(line for line in lines if line is not None)
        return found

    @cached_property
    def phases(self) -> dict[int, tuple[Line, ...]]:
        """The same for every output until all repeats: other dilations may make their patterns
        part."""
        found = {}
        for axis, lines in self.lines.items():
            own = self.local[axis]
            assert own.output_axis is not None
            repeat = repeats(own.lineage)[own.lineage] if self.kind == "holes" else None
            length = self.node.shape[own.output_axis]
            count = min(repeat[0] if repeat else 1, length - lines[0].at, _MOST_PHASES)
            every = [self.line(axis, lines[0].at + more) for more in range(count)]
            found[axis] = tuple(line for line in every if line is not None)
        return found

    def line(self, axis: int, at: int) -> Line | None:
        """The program along an axis of the source from one output on; None if there is none."""
        own = self.local.get(axis)
        if own is None or own.output_axis is None:
            return None
        if axis not in self._lines:
            self._lines[axis] = line_of(self.program, self.node, own.output_axis, self.source, axis)
        line = self._lines[axis]
        return None if line is None else replace(line, at=at)

    @cached_property
    def _lines(self) -> dict[int, Line | None]:
        return {}


def again(goal: Goal, program: Program) -> Goal | None:
    """The same stretch of a changed model; None if it has no such values.

    Args:
        goal: a stretch of the model as it was.
        program: the captured changed model.
    """
    first, last = (program.nodes.get(node.name) for node in (goal.source, goal.node))
    if first is None or last is None or first.label != goal.source.label:
        return None
    inner = between(program, first, last)
    nodes = inner.nodes[last.name], inner.nodes[first.name]
    return Goal("mixed", inner, *nodes, goal.axes, goal.output)


def goals_of(
    program: Program,
    *,
    input: str | None = None,
    outputs: Sequence[str] = (),
    node: Node | None = None,
) -> tuple[Goal, ...]:
    """What must hold of outputs, or of a node: no holes, and no stretch that never mixes.

    Args:
        program: the captured model.
        input: the input; the first by default.
        outputs: labels of the outputs; by default all that depend on it.
        node: a value to be asked about instead.

    Raises:
        ValueError: if an operator on the way has no rule.
    """
    followed = traced(program, input=input)
    fields = followed.fields()
    labels = outputs or [label for label, name in program.outputs.items() if name in fields]
    targets = (
        [("", node)]
        if node is not None
        else [(label, program.nodes[program.outputs[label]]) for label in labels]
    )
    found: dict[tuple[str, str], Goal] = {}
    for (label, target), kind in product(targets, ("holes", "mixed")):
        for end in ends(program, fields, target):
            if kind == "holes":
                goal = Goal("holes", program, end, followed.source, followed.axes, label)
                found.setdefault((followed.source.name, end.name), goal)
                continue
            for stretch in stretches(program, fields, end):
                dilated = [
                    n
                    for n, own in stretch.windows
                    if any(w is not None and w.kernel_size > 1 < w.dilation for w in own)
                ]
                inner = stretch.program
                first, last = inner.nodes[stretch.first.name], inner.nodes[stretch.last.name]
                if len(dilated) > 1:
                    goal = Goal("mixed", inner, last, first, stretch.axes, label)
                    found.setdefault((first.name, last.name), goal)
    return tuple(found.values())

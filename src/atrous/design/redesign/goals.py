"""What a redesign has to reach: values whose coverage must have no holes, or share no factor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Literal

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.question import coverage
from atrous.analysis.fields.ends import ends
from atrous.analysis.fields.field import AxisField, Field, traced
from atrous.analysis.stretches import stretches
from atrous.design.redesign.offsets import Line, line_of
from atrous.graph.program import Node, Program

Kind = Literal["holes", "mixed"]
"""No holes in what is read; or no factor that divides all distances in it."""

_MOST_PHASES = 64


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
        """What its central output reads, along the ways that read nothing whole."""
        return coverage(self.program, self.node, input=self.source.name, axes=self.axes, local=True)

    @cached_property
    def is_met(self) -> bool:
        """Whether it is as it must be."""
        return self.holds(self.cover)

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
        """By axis of the source, the program along it, for an output of every phase.

        Axes along which the value is no single line are left out.
        """
        found: dict[int, tuple[Line, ...]] = {}
        for axis, own in self.local.items():
            if own.output_axis is None:
                continue
            length = self.node.shape[own.output_axis]
            period = own.stride.denominator if self.kind == "holes" else 1
            shifts = range(min(period, length, _MOST_PHASES))
            middle = length // 2
            lines = [
                line_of(
                    self.program, self.node, own.output_axis, self.source, axis, at=middle + shift
                )
                for shift in shifts
            ]
            if all(line is not None for line in lines):
                found[axis] = tuple(line for line in lines if line is not None)
        return found


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

"""What a value reads, before a redesign or after it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from atrous.analysis.coverage.coverage import Coverage
from atrous.design.redesign.goals import Goal, Kind


@dataclass(frozen=True)
class State:
    """What one value reads.

    Attributes:
        output: the label of the output it lies behind; "" for a value that was asked for itself.
        node: the value: a module path or node name.
        reads: the input, or the value that a stretch of layers begins with.
        kind: "holes" where it must read all of its field, "mixed" where no factor may divide all
            distances between what it reads.
        field: its size along each axis in positions of what it reads, borders aside.
        holes: positions inside the span of its central output that are not read, or of one in
            another phase of what was upsampled, if that leaves out more.
        density: share of that span that is read.
        cv: variation of the path counts over it, as a share of their mean.
        factor: per axis, what divides all distances between positions read.
        cover: the coverage itself.
    """

    output: str
    node: str
    reads: str
    kind: Kind
    field: tuple[int, ...]
    holes: int
    density: float
    cv: float
    factor: tuple[int, ...]
    cover: Coverage = dataclasses.field(repr=False, compare=False)


def state_of(goal: Goal) -> State:
    """The state of one value."""
    cover = goal.cover.sparsest if goal.kind == "holes" else goal.cover
    return State(
        output=goal.output,
        node=goal.node.label,
        reads=goal.source.label,
        kind=goal.kind,
        field=tuple(goal.local[axis].size for axis in goal.axes if axis in goal.local),
        holes=len(cover.holes),
        density=cover.density,
        cv=cover.uniformity.cv if cover.counts.size else 0.0,
        factor=cover.factor,
        cover=cover,
    )

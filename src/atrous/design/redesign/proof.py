"""What a changed model must keep: shapes, weights, fields; and what it must have reached."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from torch import nn

from atrous.analysis.stretches import between
from atrous.design.redesign.goals import Goal
from atrous.design.redesign.offsets import Offsets
from atrous.graph.program import Program


def broken(
    before: Program,
    after: Program,
    goals: Sequence[Goal],
    reached: Sequence[Goal],
    *,
    smaller: bool = False,
) -> str:
    """What of a changed model is not as it was; "" if all is.

    Args:
        before: the captured model.
        after: the captured changed model.
        goals: what was asked of the one.
        reached: the same, of the other.
        smaller: whether fields may be smaller than they were.
    """
    for label, name in before.outputs.items():
        shape = before.nodes[name].shape
        now = after.nodes[after.outputs[label]].shape if label in after.outputs else None
        if now != shape:
            return f"output {label!r} has shape {now} instead of {shape}"
    pairs = paired(goals, reached)
    if pairs is None:
        return "the values that are judged are not the same"
    for goal, other in pairs:
        for axis, own in goal.local.items():
            theirs = other.local.get(axis)
            if theirs is None or theirs.stride != own.stride:
                return f"the stride of {goal.node.label!r} changes along axis {axis}"
            if theirs.size < own.size and not smaller:
                return f"the field of {goal.node.label!r} shrinks along axis {axis}"
            if (own.reach[0] > 0 >= own.reach[1]) and theirs.reach[1] > own.reach[1]:
                return f"{goal.node.label!r} reads the future along axis {axis}"
            moved = (theirs.reach[1] - theirs.reach[0]) - (own.reach[1] - own.reach[0])
            if theirs.size == own.size and moved:
                return f"the field of {goal.node.label!r} moves along axis {axis}"
        if other.phase_holes and not (goal.is_met and goal.phase_holes):
            return f"{goal.node.label!r} still has holes away from the borders, or in a phase"
    for end in reached:
        if not end.is_met:
            if end.kind == "holes":
                return f"{end.node.label!r} still has {len(end.cover.holes):,} holes"
            return f"the layers before {end.node.label!r} still never mix"
    return ""


def broken_stretch(after: Program, goals: Iterable[Goal], *, smaller: bool = False) -> str:
    """What of stretches that must have no holes is not as it must be; "" if all is.

    Args:
        after: the captured changed model.
        goals: the stretches, of the model as it was.
        smaller: whether their fields may be smaller than they were.
    """
    for goal in goals:
        ends = [after.nodes.get(node.name) for node in (goal.source, goal.node)]
        first, last = ends
        told = f"the layers from {goal.source.label!r} to {goal.node.label!r}"
        if first is None or last is None or first.label != goal.source.label:
            return f"{told} are not the same"
        inner = between(after, first, last)
        nodes = inner.nodes[last.name], inner.nodes[first.name]
        other = Goal("mixed", inner, *nodes, goal.axes, goal.output)
        if not other.cover.read.all():
            return f"{told} leave {len(other.cover.holes):,} holes"
        for axis, own in goal.local.items():
            theirs = other.local.get(axis)
            if theirs is None or (theirs.size < own.size and not smaller):
                return f"{told} see less along axis {axis}"
    return ""


def paired(goals: Sequence[Goal], reached: Sequence[Goal]) -> list[tuple[Goal, Goal]] | None:
    """The values that must have no holes, of both models; None if they are not the same."""
    own, theirs = ([goal for goal in some if goal.kind == "holes"] for some in (goals, reached))
    if [(g.output, g.node.kind, len(g.node.shape)) for g in own] != [
        (g.output, g.node.kind, len(g.node.shape)) for g in theirs
    ]:
        return None
    return list(zip(own, theirs, strict=True))


def same_weights(before: nn.Module, after: nn.Module) -> bool:
    """Whether both have the same weights by name and shape."""
    own, theirs = (
        {name: tuple(getattr(value, "shape", ())) for name, value in model.state_dict().items()}
        for model in (before, after)
    )
    return own == theirs and type(before) is type(after)


def moved_alike(one: Offsets | None, other: Offsets | None, *, anywhere: bool) -> bool:
    """Whether two sets of positions are the same, or the same but for their place."""
    if one is None or other is None:
        return one is other
    zeros = [(o.bits & -o.bits).bit_length() - 1 for o in (one, other)]
    same = one.bits >> zeros[0] == other.bits >> zeros[1]
    return same and (anywhere or one.start + zeros[0] == other.start + zeros[1])

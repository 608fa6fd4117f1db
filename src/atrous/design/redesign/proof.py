"""What a changed model must keep: shapes, weights, fields; and what it must have reached."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from torch import nn

from atrous.design.redesign.goals import Goal, again
from atrous.design.redesign.layers import Layer
from atrous.geometry.bits import Offsets
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
                left = len(end.cover.sparsest.holes)
                return f"{end.node.label!r} still has {left:,} holes"
            return f"the layers before {end.node.label!r} still never mix"
    return ""


def broken_ends(
    goals: Sequence[Goal],
    reached: Sequence[Goal],
    changes: Sequence[tuple[Layer, Mapping[int, int]]],
) -> str:
    """What the first and the last outputs read that the dilations alone do not explain; "" if
    nothing.

    They have to read what the layers read there with the new dilations, of maps as long as they
    were: what is padded and cut in the wrong place leaves the middle as it is, but lets the last
    outputs read padding instead of values, or values that come of padding alone.

    Args:
        goals: what was asked of the model.
        reached: the same, of the changed one.
        changes: the layers that changed, with their dilations by axis.
    """
    if not all(layer.padded for layer, _ in changes):
        # Maps shrink by other lengths, and no padding is read.
        return ""
    for goal, other in paired(goals, reached) or ():
        for axis, lines in goal.lines.items():
            line, new = lines[0], other.line(axis, lines[0].at)
            if new is None:
                return f"{goal.node.label!r} is no single line along axis {axis}"
            windows = {
                name: layer.window(line.axis[name], dilations[line.axis[name]])
                for layer, dilations in changes
                for name in layer.names
                if name in line.windows and line.axis[name] in dilations
            }
            pads = {pad for layer, _ in changes for pad in layer.pads}
            if not line.is_plain({*pads, *windows}):
                continue
            length = goal.node.shape[line.axis[goal.node.name]]
            for output, which in ((0, "first"), (length - 1, "last")):
                if line.read_at(output, windows) != new.read_at(output):
                    return (
                        f"the {which} output of {goal.node.label!r} along axis {axis} reads other "
                        "positions than the dilations alone make it read"
                    )
    return ""


def broken_stretch(after: Program, goals: Iterable[Goal], *, smaller: bool = False) -> str:
    """What of stretches that must have no holes is not as it must be; "" if all is.

    Args:
        after: the captured changed model.
        goals: the stretches, of the model as it was.
        smaller: whether their fields may be smaller than they were.
    """
    for goal in goals:
        told = f"the layers from {goal.source.label!r} to {goal.node.label!r}"
        other = again(goal, after)
        if other is None:
            return f"{told} are not the same"
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

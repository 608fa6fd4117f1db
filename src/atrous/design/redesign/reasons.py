"""Why a model cannot be redesigned, in a sentence."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from atrous.design.redesign.goals import Goal
from atrous.design.redesign.layers import Layer
from atrous.design.redesign.problem import Problem
from atrous.design.redesign.search import Solutions


def reason(
    goals: Sequence[Goal],
    axes: Sequence[tuple[Problem, Solutions]],
    stuck: Collection[Layer],
    failed: Sequence[str],
) -> str:
    """Why there is no solution, and what to do.

    Args:
        goals: what was asked for.
        axes: by axis, what was searched and found.
        stuck: layers whose padding was not found.
        failed: why changed models were refused.
    """
    goal = next(goal for goal in goals if not goal.is_met)
    head = f"model must have dilations that close the holes of {goal.node.label!r}, "
    if stuck:
        told = "; ".join(
            f"{layer.label!r}" + (f" ({layer.place})" if layer.place else "") for layer in stuck
        )
        if not any(layer.is_module for layer in stuck):
            return (
                f"{head}but dilations stand in plain calls of forward: {told}. Use modules as "
                "nn.Conv2d there, or keep the dilation and the padding as attributes."
            )
        return (
            f"{head}but the padding that goes with them was not found for {told}. Let the "
            "layer pad by itself, or keep the number that forward pads or cuts by as an "
            "attribute of its module."
        )
    for place, (problem, solutions) in enumerate(axes):
        if solutions.choices:
            continue
        axis = goal.axes[place]
        size = max(problem.reached(problem.now).sizes, default=0)
        if solutions.bound is not None:
            return (
                f"{head}but along axis {axis} {solutions.how} {_can(problem)} read at most "
                f"{solutions.bound} positions without holes, and the field is {size}. Add "
                f"layers, use larger kernels, or let the field shrink by smaller_field=True."
            )
        instead = "Add a layer of dilation 1 before the dilated ones, or use larger kernels."
        if not problem.smaller:
            instead = instead.replace(
                ", or use larger kernels", ", use larger kernels, or try smaller_field=True"
            )
        keeps = "has no holes" if problem.smaller else f"keeps the field of {size}"
        return (
            f"{head}but along axis {axis} none was found that {keeps} ({solutions.how}). {instead}"
        )
    if failed:
        return (
            f"{head}but what was found could not be proven: {failed[-1]}. Change the "
            "dilations by hand."
        )
    return (
        f"{head}but those that close them along every axis leave some in all axes together, "
        "or at the borders of this map. Add a layer of dilation 1, or use a larger input."
    )


def _can(problem: Problem) -> str:
    windows = [
        layer.windows[axis]
        for layer, axis in zip(problem.layers, problem.axes, strict=True)
        if axis in layer.windows
    ]
    kernels = sorted({w.kernel_size for w in windows if w.kernel_size > 1})
    return f"of kernel {' or '.join(map(str, kernels))} can"

"""Gradients of inputs as forward convolutions: of the given gradient, with flipped weights.

Where PyTorch computes them in another way than forward convolutions, it is often slower. What the
input's positions were to the output, the output's are now to the input: padding of `d (k - 1) - p`
in front makes both meet at the same taps. Holds for a stride of 1.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from atrous.ops import aten
from atrous.ops.problem import Problem, cut


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if problem.job != "input gradient":
        return "computes gradients of inputs alone"
    if any(stride != 1 for stride in problem.stride):
        return "the stride must be 1"
    return aten.can_run(transposed(problem))


def transposed(problem: Problem) -> Problem:
    """The forward convolution that gives the gradient of the input."""
    pads = []
    for length, outputs, (before, _), d, k in zip(
        problem.lengths, problem.outputs, problem.padding, problem.dilation, problem.kernel,
        strict=True,
    ):  # fmt: skip
        front = d * (k - 1) - before
        pads.append((front, length - 1 + d * (k - 1) + 1 - outputs - front))
    return replace(
        problem, job="forward", channels=problem.channels[::-1], lengths=problem.outputs,
        padding=tuple(pads),
    )  # fmt: skip


def flipped_weight(problem: Problem, weight: Tensor) -> Tensor:
    """(C_in, C_out / groups, *kernel), taps in the opposite order."""
    groups = cut(weight, 0, (problem.groups, -1)).transpose(1, 2).flatten(0, 1)
    return groups.flip(tuple(range(2, weight.dim())))


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input."""
    return aten.forward(transposed(problem), grad, flipped_weight(problem, weight), None)

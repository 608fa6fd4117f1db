"""Gradients of dense weights as one matrix product per tap."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from atrous.ops import aten
from atrous.ops.problem import Problem


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if problem.job != "weight gradient":
        return "computes gradients of weights alone"
    if problem.is_depthwise:
        return "of depthwise layers a tap is no matrix"
    return ""


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights: per tap, what it read times what was given."""
    read = aten.padded(problem, x).unflatten(1, (problem.groups, -1))
    given = grad.unflatten(1, (problem.groups, -1)).flatten(3)
    found = grad.new_empty(problem.weight_shape)
    for tap in itertools.product(*map(range, problem.kernel)):
        index = [
            slice(k * d, k * d + (n - 1) * s + 1, s)
            for k, d, n, s in zip(
                tap, problem.dilation, problem.outputs, problem.stride, strict=True
            )
        ]
        shifted = read[(..., *index)].flatten(3)
        found[(..., *tap)] = torch.einsum("ngot,ngit->goi", given, shifted).flatten(0, 1)
    return found

"""Numbers of 16 bits computed with as numbers of 32, by PyTorch's own convolution."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from atrous.ops import aten
from atrous.ops.problem import Problem


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if problem.dtype.itemsize > 2:
        return "numbers have 32 bits or more as they are"
    return ""


def forward(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The output."""
    wide = None if bias is None else bias.float()
    with torch.autocast(problem.device, enabled=False):
        made = aten.forward(widened(problem), x.float(), weight.float(), wide)
    return made.to(problem.dtype)


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input."""
    made = aten.input_gradient(widened(problem), grad.float(), weight.float())
    return made.to(problem.dtype)


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights."""
    return aten.weight_gradient(widened(problem), grad.float(), x.float()).to(problem.dtype)


def widened(problem: Problem) -> Problem:
    """The same in numbers of 32 bits."""
    return replace(problem, dtype=torch.float32)

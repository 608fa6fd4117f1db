"""Depthwise convolutions as sums of shifted copies, by PyTorch's own operators."""

from __future__ import annotations

import torch
from torch import Tensor

from atrous.ops.problem import Problem, at_tap
from atrous.ops.reach import taps


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if not problem.is_depthwise or problem.channels[0] != problem.channels[1]:
        return "every channel must be read by itself, by one output"
    if problem.dtype not in (torch.float32, torch.float64):
        return "sums are kept in numbers of the input's kind: they have to be of 32 bits or more"
    return ""


def forward(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The output."""
    y = problem.empty(x, problem.output_shape)
    y.copy_(_by_channel(problem, bias) if bias is not None else y.new_zeros(()))
    for tap, inputs, outputs in taps(problem):
        y[outputs].addcmul_(x[inputs], _by_channel(problem, at_tap(weight, tap)))
    return y


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input."""
    found = problem.empty(grad, problem.input_shape).zero_()
    for tap, inputs, outputs in taps(problem):
        found[inputs].addcmul_(grad[outputs], _by_channel(problem, at_tap(weight, tap)))
    return found


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights."""
    found = grad.new_zeros(problem.weight_shape)
    for tap, inputs, outputs in taps(problem):
        axes = (0, *range(2, grad.dim()))
        at_tap(found, tap)[:, 0] = (x[inputs] * grad[outputs]).sum(axes)
    return found


def _by_channel(problem: Problem, numbers: Tensor) -> Tensor:
    return numbers.view(-1, *(1,) * problem.axes)

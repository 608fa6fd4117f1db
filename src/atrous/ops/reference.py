"""Convolutions and their gradients written down as their definition: slow, and obviously right.

One tap after the other: output `o` reads input `o * stride + tap * dilation - padding`.
"""

from __future__ import annotations

import torch
from torch import Tensor

from atrous.ops.problem import Problem, at_tap, cut
from atrous.ops.reach import taps


def can_run(problem: Problem) -> str:
    """Why not; "" as it always can."""
    return ""


def forward(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The output."""
    y = x.new_zeros(problem.output_shape)
    for tap, inputs, outputs in taps(problem):
        read = _grouped(x[inputs], problem)
        mixed = torch.einsum("ngi...,goi->ngo...", read, _tap_weights(weight, tap, problem))
        y[outputs] += mixed.reshape(y[outputs].shape)
    return y if bias is None else y + bias.view(-1, *(1,) * problem.axes)


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input, given that of the output."""
    found = grad.new_zeros(problem.input_shape)
    for tap, inputs, outputs in taps(problem):
        given = _grouped(grad[outputs], problem)
        mixed = torch.einsum("ngo...,goi->ngi...", given, _tap_weights(weight, tap, problem))
        found[inputs] += mixed.reshape(found[inputs].shape)
    return found


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights, given that of the output."""
    found = grad.new_zeros(problem.weight_shape)
    for tap, inputs, outputs in taps(problem):
        read, given = _grouped(x[inputs], problem), _grouped(grad[outputs], problem)
        made = torch.einsum("ngi...,ngo...->goi", read, given)
        at_tap(found, tap).copy_(made.flatten(0, 1))
    return found


def _grouped(tensor: Tensor, problem: Problem) -> Tensor:
    return cut(tensor, 1, (problem.groups, -1))


def _tap_weights(weight: Tensor, tap: tuple[int, ...], problem: Problem) -> Tensor:
    """(groups, outputs, inputs) of one tap."""
    return cut(at_tap(weight, tap), 0, (problem.groups, -1))

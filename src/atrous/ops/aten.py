"""PyTorch's own convolution and its gradients."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.ops.problem import Problem

_CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if problem.dtype != torch.bfloat16 or problem.device != "cpu":
        return ""
    # Seen with PyTorch 2.13 on processors with AMX: other values, or the process ends.
    if max(problem.dilation) > 1 and problem.job == "weight gradient" and problem.groups > 1:
        return "PyTorch's gradient of dilated grouped weights is wrong in bfloat16"
    sizes = zip(problem.dilation, problem.kernel, problem.lengths, problem.outputs, strict=True)
    if any(d > 1 and d * (k - 1) >= min(n, outputs) for d, k, n, outputs in sizes):
        return "PyTorch reads beyond its memory in bfloat16 where a kernel spans the input"
    return ""


def forward(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The output."""
    pad: Any = [before for before, _ in problem.padding]
    if not problem.is_symmetric:
        x, pad = padded(problem, x), 0
    made: Tensor = _CONVOLUTIONS[problem.axes](
        x, weight, bias, problem.stride, pad, problem.dilation, problem.groups
    )
    return made


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input."""
    x = grad.new_empty(1).expand(_read_shape(problem))
    found: Tensor = _backward(problem, grad, x, weight, (True, False, False))[0]
    return found if problem.is_symmetric else unpadded(problem, found)


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights."""
    read = x if problem.is_symmetric else padded(problem, x)
    weight = grad.new_empty(1).expand(problem.weight_shape)
    found: Tensor = _backward(problem, grad, read, weight, (False, True, False))[1]
    return found


def padded(problem: Problem, x: Tensor) -> Tensor:
    """The input with its padding as positions; negative padding leaves some out."""
    return F.pad(x, [side for pair in reversed(problem.padding) for side in pair])


def unpadded(problem: Problem, grad: Tensor) -> Tensor:
    """What lies within the input, of something as long as the padded one."""
    return F.pad(grad, [-side for pair in reversed(problem.padding) for side in pair])


def _read_shape(problem: Problem) -> tuple[int, ...]:
    if problem.is_symmetric:
        return problem.input_shape
    pairs = zip(problem.lengths, problem.padding, strict=True)
    return (*problem.input_shape[:2], *(length + sum(pad) for length, pad in pairs))


def _backward(
    problem: Problem, grad: Tensor, x: Tensor, weight: Tensor, mask: tuple[bool, bool, bool]
) -> Any:
    pad = [before if problem.is_symmetric else 0 for before, _ in problem.padding]
    return torch.ops.aten.convolution_backward(
        grad, x, weight, None, problem.stride, pad, problem.dilation, False,
        [0] * problem.axes, problem.groups, mask,
    )  # fmt: skip

"""Depthwise convolutions and their gradients by compiled loops, where Numba is installed."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from math import prod
from typing import Any

import torch
from torch import Tensor

from atrous.ops import team
from atrous.ops.problem import Problem

_GRAIN = 1 << 15
"""Multiplications that are worth a thread."""
_PARTS = 4
"""Parts per thread: one that is slow has the others take over."""
_DTYPES = (torch.float32, torch.float64, torch.bfloat16)
_LARGEST = 1 << 28
"""Bytes of a padded plane that a thread may hold."""
_LONG = 1024
"""Positions of a row that is worth a loop of its own, with its borders apart."""


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if not problem.is_depthwise:
        return "every channel must be read by itself (groups = input channels)"
    if problem.dtype not in _DTYPES:
        return f"has no loops for {problem.dtype}"
    if problem.layout == "channels last" and problem.channels[0] != problem.channels[1]:
        return "with channels last there must be as many outputs as inputs"
    if problem.is_empty:
        return "there is nothing to compute"
    reach = (d * (k - 1) for d, k in zip(problem.dilation, problem.kernel, strict=True))
    if any(not 0 <= before <= r for (before, _), r in zip(problem.padding, reach, strict=True)):
        return "padding in front must be no more than what a kernel spans"
    if _plane(problem) > _LARGEST:
        return "a padded plane would be too large"
    return _numba()


def forward(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The output."""
    return _correlated(problem, x, weight.flatten(2), bias, problem.output_shape)


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input: the given one spread apart, read by flipped taps."""
    return _correlated(problem, grad, weight.flatten(2).flip(2), None, problem.input_shape)


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights, summed in double precision from one block to the next."""
    k = _kernels()
    last = problem.layout == "channels last"
    kernel = k.channels_last.weigh if last else k.planes.weigh
    numbers, _tables = k.numbers.numbers_of(problem, last)
    grad, x = _laid_out(problem, grad), _laid_out(problem, x)
    taps, channels = prod(problem.kernel), problem.channels[1]
    parts = _parts(problem, prod(problem.outputs[:-1]) * problem.batch if last else channels)
    # Where channels lie side by side every part adds up all of them.
    shape = (min(parts, torch.get_num_threads()), taps, channels) if last else (channels, taps)
    found = grad.new_empty(shape, dtype=torch.float64)
    _run(kernel, problem, numbers, (x, found, None, grad), shape[0] if last else parts)
    whole = found.sum(0).t() if last else found
    return whole.to(grad.dtype).reshape(problem.weight_shape)


def _correlated(
    problem: Problem, x: Tensor, taps: Tensor, bias: Tensor | None, shape: tuple[int, ...]
) -> Tensor:
    k = _kernels()
    kernel = _correlation(problem)
    whole = kernel is k.planes.correlate
    numbers, _tables = k.numbers.numbers_of(problem, not whole)
    most = prod(shape[2:-1]) * shape[0]
    if problem.layout == "channels last":
        taps = taps.flatten(0, 1).t()
        y = x.new_empty((shape[0], *shape[2:], shape[1])).movedim(-1, 1)
    else:
        y = x.new_empty(shape)
        most = shape[0] * shape[1] * (1 if whole else prod(shape[2:-1]))
    plain = None if bias is None else bias.contiguous()
    tensors = (_laid_out(problem, x), taps.contiguous(), plain, y)
    _run(kernel, problem, numbers, tensors, _parts(problem, most))
    return y


def _correlation(problem: Problem) -> Any:
    """The loops that are best for forward convolutions and gradients of inputs."""
    k = _kernels()
    if problem.layout == "channels last":
        return k.channels_last.correlate
    long = problem.lengths[-1] >= _LONG and problem.stride[-1] == 1
    one_each = problem.channels[0] == problem.channels[1] or problem.job == "forward"
    if long and one_each and problem.dtype.itemsize > 2 and set(problem.stride) == {1}:
        return k.rows.correlate
    return k.planes.correlate


def _laid_out(problem: Problem, tensor: Tensor) -> Tensor:
    if problem.layout == "channels last":
        return tensor.movedim(1, -1).contiguous().movedim(-1, 1)
    return tensor.contiguous()


def _run(
    kernel: Any, problem: Problem, numbers: team.Numbers,
    tensors: tuple[Tensor, Tensor, Tensor | None, Tensor], parts: int,
) -> None:  # fmt: skip
    own = numbers.copy()
    own[2:6] = [0 if t is None else t.data_ptr() for t in tensors]
    team.run(kernel.address(problem.dtype), own, parts)


def _parts(problem: Problem, most: int) -> int:
    return max(1, min(problem.macs // _GRAIN, most, _PARTS * torch.get_num_threads()))


def _plane(problem: Problem) -> int:
    """Bytes of a plane with all of its padding, no less than what a thread holds."""
    sizes = zip(
        problem.lengths, problem.outputs, problem.stride, problem.dilation, problem.kernel,
        strict=True,
    )  # fmt: skip
    sides = (max(n, (outputs - 1) * s + 1) + 2 * d * (k - 1) for n, outputs, s, d, k in sizes)
    return prod(sides) * 8 * max(1, problem.channels[1] // max(1, problem.channels[0]))


@cache
def _numba() -> str:
    """Why there are no compiled loops; "" if there are."""
    if find_spec("numba") is None:
        return "Numba is not installed (pip install 'atrous[fast]')"
    try:
        _kernels()
    except Exception as error:
        return f"Numba cannot be imported: {error}"
    return ""


@cache
def _kernels() -> Any:
    """The compiled loops: imported when they are first called."""
    return import_module("atrous.ops.kernels")

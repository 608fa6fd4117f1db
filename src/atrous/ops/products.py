"""One matrix product per tap.

The padded input and the output are laid along one flat axis with the same distance from row to row.
Then a tap is a constant offset on it, and what the tap adds is a product of two matrices that lie
in place: channels by positions. What falls between rows is left out, or zero.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from math import prod

import torch.nn.functional as F
from torch import Tensor

from atrous.ops import aten
from atrous.ops.problem import Problem, at_tap, cut


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if any(stride != 1 for stride in problem.stride):
        return "the stride must be 1"
    if problem.is_depthwise and problem.channels[0] > 1:
        return "of depthwise layers a tap is no matrix"
    if problem.is_empty:
        return "there is nothing to multiply"
    return ""


def forward(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The output."""
    read = _grouped(aten.padded(problem, x).flatten(2), problem)
    factors = _grouped_weight(weight, problem)
    count = _count(problem)
    made = read.new_zeros(problem.batch, problem.groups, factors.shape[1], _room(problem))
    for tap, offset in _offsets(problem):
        matrix = at_tap(factors, tap)
        for item, total in zip(read, made, strict=True):
            total[..., :count].baddbmm_(matrix, item[..., offset : offset + count])
    y = _cropped(made.flatten(1, 2), problem)
    return y.add_(bias.view(-1, *(1,) * problem.axes)) if bias is not None else y


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input."""
    given = _grouped(_spaced(grad, problem), problem)
    factors = _grouped_weight(weight, problem).transpose(1, 2)
    count = _count(problem)
    made = grad.new_zeros(problem.batch, problem.groups, factors.shape[1], prod(_padded(problem)))
    for tap, offset in _offsets(problem):
        matrix = at_tap(factors, tap)
        for item, total in zip(given, made, strict=True):
            total[..., offset : offset + count].baddbmm_(matrix, item[..., :count])
    whole = made.view(problem.batch, problem.channels[0], *_padded(problem))
    return aten.unpadded(problem, whole)


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights: per tap, what it read times what was given."""
    read = _grouped(aten.padded(problem, x).flatten(2), problem)
    given, count = _grouped(_spaced(grad, problem), problem), _count(problem)
    found = grad.new_zeros(problem.weight_shape)
    parts = cut(found, 0, (problem.groups, -1))
    for tap, offset in _offsets(problem):
        for item, one in zip(read, given, strict=True):
            shifted = item[..., offset : offset + count].transpose(1, 2)
            at_tap(parts, tap).add_(one[..., :count] @ shifted)
    return found


def _padded(problem: Problem) -> tuple[int, ...]:
    return tuple(n + sum(pad) for n, pad in zip(problem.lengths, problem.padding, strict=True))


def _steps(problem: Problem) -> tuple[int, ...]:
    """From one position to the next, on the flat axis, per axis."""
    lengths = _padded(problem)
    return tuple(prod(lengths[axis + 1 :]) for axis in range(len(lengths)))


def _offsets(problem: Problem) -> Iterator[tuple[tuple[int, ...], int]]:
    steps = _steps(problem)
    for tap in itertools.product(*map(range, problem.kernel)):
        pairs = zip(tap, problem.dilation, steps, strict=True)
        yield tap, sum(k * d * step for k, d, step in pairs)


def _count(problem: Problem) -> int:
    """Flat positions from the first output to the last."""
    pairs = zip(problem.outputs, _steps(problem), strict=True)
    return sum((outputs - 1) * step for outputs, step in pairs) + 1


def _room(problem: Problem) -> int:
    return problem.outputs[0] * _steps(problem)[0]


def _cropped(flat: Tensor, problem: Problem) -> Tensor:
    whole = cut(flat, 2, (problem.outputs[0], *_padded(problem)[1:]))
    for axis, outputs in enumerate(problem.outputs):
        whole = whole.narrow(2 + axis, 0, outputs)
    return whole.contiguous()


def _spaced(grad: Tensor, problem: Problem) -> Tensor:
    """The gradient given, on the flat axis."""
    pairs = list(zip(_padded(problem), problem.outputs, strict=True))
    pairs[0] = (problem.outputs[0],) * 2
    return F.pad(grad, [s for n, outputs in reversed(pairs) for s in (0, n - outputs)]).flatten(2)


def _grouped(flat: Tensor, problem: Problem) -> Tensor:
    return cut(flat, 1, (problem.groups, -1))


def _grouped_weight(weight: Tensor, problem: Problem) -> Tensor:
    """(groups, outputs, inputs, *kernel)."""
    return cut(weight, 0, (problem.groups, -1))

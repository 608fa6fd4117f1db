"""A dilated convolution as many without dilation.

Outputs whose positions leave the same remainder by the dilation read inputs of the same remainder:
what lies in between never meets. Cut into these phases, which are laid side by side as items of a
batch, the convolution has no dilation, and PyTorch's fastest ways of computing it apply. (Known as
space-to-batch in TensorFlow.)
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from math import prod

import torch.nn.functional as F
from torch import Tensor

from atrous.ops import aten
from atrous.ops.problem import Problem, cut


def can_run(problem: Problem) -> str:
    """Why not; "" if it can."""
    if all(d == 1 for d in problem.dilation):
        return "without dilation there is one phase"
    if any(stride != 1 for stride in problem.stride):
        return "the stride must be 1"
    if problem.is_empty:
        return "there is nothing to compute"
    return ""


def forward(problem: Problem, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The output."""
    inner = undilated(problem)
    return _join(problem, aten.forward(inner, _read(problem, x), weight, bias), problem.outputs)


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input."""
    inner = undilated(problem)
    given = _split(problem, grad, inner.outputs)
    lengths = [n + sum(pad) for n, pad in zip(problem.lengths, problem.padding, strict=True)]
    found = _join(problem, aten.input_gradient(inner, given, weight), lengths)
    return aten.unpadded(problem, found)


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights: of all phases together."""
    inner = undilated(problem)
    return aten.weight_gradient(inner, _split(problem, grad, inner.outputs), _read(problem, x))


@lru_cache(maxsize=1024)
def undilated(problem: Problem) -> Problem:
    """The convolution of all phases at once."""
    outputs = [-(-n // d) for n, d in zip(problem.outputs, problem.dilation, strict=True)]
    return replace(
        problem,
        batch=problem.batch * prod(problem.dilation),
        lengths=tuple(n + k - 1 for n, k in zip(outputs, problem.kernel, strict=True)),
        padding=((0, 0),) * problem.axes,
        dilation=(1,) * problem.axes,
        layout="channels first",
    )


def _read(problem: Problem, x: Tensor) -> Tensor:
    return _split(problem, aten.padded(problem, x), undilated(problem).lengths)


def _split(problem: Problem, tensor: Tensor, lengths: tuple[int, ...]) -> Tensor:
    """Phases of so many positions each, as items; what is lacking is zero, the rest left out."""
    sides = []
    for axis, (length, d) in enumerate(zip(lengths, problem.dilation, strict=True)):
        sides.append((0, length * d - tensor.shape[2 + axis]))
    tensor = F.pad(tensor, [side for pair in reversed(sides) for side in pair])
    for axis, d in reversed(list(enumerate(problem.dilation))):
        tensor = cut(tensor, 2 + axis, (-1, d))
    axes = range(problem.axes)
    order = [0, *(3 + 2 * axis for axis in axes), 1, *(2 + 2 * axis for axis in axes)]
    return tensor.permute(order).flatten(0, problem.axes).contiguous()


def _join(problem: Problem, phases: Tensor, lengths: tuple[int, ...] | list[int]) -> Tensor:
    """The opposite of `_split`, of so many positions."""
    axes = range(problem.axes)
    apart = cut(phases, 0, (problem.batch, *problem.dilation))
    order = [0, problem.axes + 1]
    for axis in axes:
        order += [problem.axes + 2 + axis, 1 + axis]
    joined = apart.permute(order)
    for axis in axes:
        joined = joined.flatten(2 + axis, 3 + axis)
    sides = [n - joined.shape[2 + axis] for axis, n in enumerate(lengths)]
    # What the last phases lack was never read.
    return F.pad(joined, [side for over in reversed(sides) for side in (0, over)]).contiguous()

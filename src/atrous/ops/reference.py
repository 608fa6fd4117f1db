"""Convolutions and their gradients written down as their definition: slow, and obviously right.

One tap after the other: output `o` reads input `o * stride + tap * dilation - padding`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import torch
from torch import Tensor

from atrous.ops.problem import Problem


def forward(problem: Problem, x: Tensor, weight: Tensor) -> Tensor:
    """The output, without bias."""
    y = x.new_zeros(problem.output_shape)
    for tap, inputs, outputs in _taps(problem):
        read = _grouped(x[inputs], problem)
        mixed = torch.einsum("ngi...,goi->ngo...", read, _tap_weights(weight, tap, problem))
        y[outputs] += mixed.reshape(y[outputs].shape)
    return y


def input_gradient(problem: Problem, grad: Tensor, weight: Tensor) -> Tensor:
    """The gradient of the input, given that of the output."""
    found = grad.new_zeros(problem.input_shape)
    for tap, inputs, outputs in _taps(problem):
        given = _grouped(grad[outputs], problem)
        mixed = torch.einsum("ngo...,goi->ngi...", given, _tap_weights(weight, tap, problem))
        found[inputs] += mixed.reshape(found[inputs].shape)
    return found


def weight_gradient(problem: Problem, grad: Tensor, x: Tensor) -> Tensor:
    """The gradient of the weights, given that of the output."""
    found = grad.new_zeros(problem.weight_shape)
    for tap, inputs, outputs in _taps(problem):
        read, given = _grouped(x[inputs], problem), _grouped(grad[outputs], problem)
        found[(..., *tap)] = torch.einsum("ngi...,ngo...->goi", read, given).flatten(0, 1)
    return found


def _taps(problem: Problem) -> Iterator[tuple[tuple[int, ...], tuple[slice, ...], tuple[slice, ...]]]:
    """Every tap, and the input and output positions that it joins."""
    for tap in itertools.product(*map(range, problem.kernel)):
        inputs, outputs = [slice(None)] * 2, [slice(None)] * 2
        for axis, k in enumerate(tap):
            first, last = _reach(problem, axis, k)
            start = first * problem.stride[axis] + k * problem.dilation[axis]
            start -= problem.padding[axis][0]
            count = last - first
            outputs.append(slice(first, last))
            inputs.append(slice(start, start + (count - 1) * problem.stride[axis] + 1, problem.stride[axis]))
            if count <= 0:
                break
        else:
            yield tap, tuple(inputs), tuple(outputs)


def _reach(problem: Problem, axis: int, k: int) -> tuple[int, int]:
    """The outputs whose tap `k` lies within the input: the first, and the one after the last."""
    stride, length = problem.stride[axis], problem.lengths[axis]
    shift = k * problem.dilation[axis] - problem.padding[axis][0]
    first = max(0, -(shift // stride))
    last = min(problem.outputs[axis], (length - 1 - shift) // stride + 1)
    return first, max(first, last)


def _grouped(tensor: Tensor, problem: Problem) -> Tensor:
    return tensor.unflatten(1, (problem.groups, -1))


def _tap_weights(weight: Tensor, tap: tuple[int, ...], problem: Problem) -> Tensor:
    """(groups, outputs, inputs) of one tap."""
    return weight[(..., *tap)].unflatten(0, (problem.groups, -1))

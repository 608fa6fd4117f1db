"""Which input and output positions each tap joins."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from atrous.ops.problem import Problem

Slices = tuple[slice, ...]


def taps(problem: Problem) -> Iterator[tuple[tuple[int, ...], Slices, Slices]]:
    """Every tap that reads anything, and the input and output positions that it joins.

    Output `o` reads input `o * stride + tap * dilation - padding`, where there is one.

    >>> problem = Problem("forward", 1, (1, 1), 1, (5,), (2,), (1,), ((2, 0),), (2,))
    >>> for tap, inputs, outputs in taps(problem):
    ...     print(tap, inputs[2:], outputs[2:])
    (0,) (slice(0, 3, 1),) (slice(2, 5, None),)
    (1,) (slice(0, 5, 1),) (slice(0, 5, None),)
    """
    for tap in itertools.product(*map(range, problem.kernel)):
        inputs, outputs = [slice(None)] * 2, [slice(None)] * 2
        for axis, k in enumerate(tap):
            first, last = _reach(problem, axis, k)
            if first == last:
                break
            stride = problem.stride[axis]
            start = first * stride + k * problem.dilation[axis] - problem.padding[axis][0]
            outputs.append(slice(first, last))
            inputs.append(slice(start, start + (last - first - 1) * stride + 1, stride))
        else:
            yield tap, tuple(inputs), tuple(outputs)


def _reach(problem: Problem, axis: int, k: int) -> tuple[int, int]:
    """The outputs whose tap `k` lies within the input: the first, and the one after the last."""
    stride, length = problem.stride[axis], problem.lengths[axis]
    shift = k * problem.dilation[axis] - problem.padding[axis][0]
    first = max(0, -(shift // stride))
    last = min(problem.outputs[axis], (length - 1 - shift) // stride + 1)
    return first, max(first, last)

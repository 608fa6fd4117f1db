"""What a schedule's real module reads, by gradients; and the same in whole numbers of any size."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod

import numpy as np
import torch
from torch import nn

from atrous.design.schedule.chain import Schedule
from atrous.geometry.taps import Counts

_EXACT = 2**53
"""Whole numbers that float64 holds."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What one output of the module reads.

    Attributes:
        counts: routes to every position from the first to the last that is read.
        reach: how far it sees before its own position, and after it.
    """

    counts: Counts
    reach: tuple[int, int]

    @property
    def field(self) -> int:
        """Positions from the first to the last."""
        return len(self.counts)

    @property
    def holes(self) -> int:
        """Positions between that are not read."""
        return int((self.counts == 0).sum())

    @property
    def squares(self) -> int:
        """Sum of the squares of the counts, exact."""
        return sum(count * count for count in self.counts.tolist())


def measured(schedule: Schedule) -> Measured:
    """The gradient of one output of the module, all weights 1, in float64.

    Where routes are too many for floats, floats say what is read, and whole numbers how often.

    Raises:
        ArithmeticError: if the two do not agree.
    """
    module = schedule.module(1).double()
    for layer in module:
        if isinstance(layer, nn.Conv1d):
            nn.init.ones_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    # More than is claimed to each side, so that a wider field shows.
    stride, room = schedule.stride, schedule.field + 64
    own = -(-room // stride)
    x = torch.ones(1, 1, own * stride + room, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x)[0, 0, own], x)
    routes = gradient[0, 0].numpy()
    at = np.flatnonzero(routes)
    first, last = int(at[0]), int(at[-1])
    reach = own * stride - first, last - own * stride
    seen = routes[first : last + 1]
    if schedule.ways < _EXACT:
        return Measured(seen.round().astype(np.int64), reach)
    counts = whole_counts(schedule)
    floats = np.array([_as_float(count) for count in counts.tolist()])
    if len(counts) != len(seen) or not np.allclose(floats, seen, rtol=1e-9):
        raise ArithmeticError("counts in whole numbers must agree with the gradient, but do not.")
    return Measured(counts, reach)


def _as_float(count: int) -> float:
    """The nearest float; infinite beyond them, as sums in floats are."""
    try:
        return float(count)
    except OverflowError:
        return inf


def whole_counts(schedule: Schedule) -> Counts:
    """Routes to every position: one long number that holds a digit per position.

    >>> whole_counts(Schedule((3, 3), (1, 2))).tolist()
    [1, 1, 2, 1, 2, 1, 1]
    """
    width = schedule.ways.bit_length() // 8 + 1
    number = 1
    for kernel, step in schedule.layers:
        number = sum(number << (8 * width * step * tap) for tap in range(kernel))
    text = number.to_bytes(width * schedule.field, "little")
    digits = [
        int.from_bytes(text[k : k + width], "little") for k in range(0, len(text), width)
    ]  # fmt: skip
    found: Counts = np.empty(len(digits), dtype=object)
    found[:] = digits
    return found


def counted_macs(schedule: Schedule, front: int, channels: int, dims: int) -> int:
    """Multiply-adds per output position of the module's layers behind the front."""
    layers = _convolutions(schedule, channels, dims)
    total = 0
    for k in range(front, len(layers)):
        runs = prod(prod(later.stride) for later in layers[k + 1 :])
        total += layers[k].weight.numel() * runs
    return total


def counted_weights(schedule: Schedule, front: int, channels: int, dims: int) -> int:
    """Weights of the module's layers behind the front, without biases."""
    return sum(m.weight.numel() for m in _convolutions(schedule, channels, dims)[front:])


def _convolutions(
    schedule: Schedule, channels: int, dims: int
) -> list[nn.Conv1d | nn.Conv2d | nn.Conv3d]:
    with torch.device("meta"):
        built = schedule.module(channels, dims=dims)
    return [m for m in built if isinstance(m, nn.Conv1d | nn.Conv2d | nn.Conv3d)]

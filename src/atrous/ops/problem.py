"""What is to be computed: a convolution or one of its gradients, with all its sizes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal

import torch
from torch import Tensor

Job = Literal["forward", "input gradient", "weight gradient"]
JOBS: tuple[Job, ...] = ("forward", "input gradient", "weight gradient")
Layout = Literal["channels first", "channels last"]


@dataclass(frozen=True)
class Problem:
    """A convolution, or one of its gradients, without data.

    Attributes:
        job: which of the three.
        batch: items.
        channels: of the input and of the output.
        groups: parts that the channels are cut into, each read by itself.
        lengths: the input's positions, per axis.
        kernel: taps per axis.
        stride: input positions per output position, per axis.
        padding: zeros before and after the input, per axis; negative ones leave positions out.
        dilation: input positions between taps, per axis.
        dtype: of all tensors.
        layout: which axis of the input, or of the gradient that comes in, lies densest in memory.
        device: type of the device, as "cpu".
    """

    job: Job
    batch: int
    channels: tuple[int, int]
    groups: int
    lengths: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]
    dtype: torch.dtype = torch.float32
    layout: Layout = "channels first"
    device: str = "cpu"

    @cached_property
    def outputs(self) -> tuple[int, ...]:
        """The output's positions, per axis.

        >>> Problem("forward", 1, (1, 1), 1, (9,), (3,), (2,), ((2, 2),), (2,)).outputs
        (5,)
        """
        return tuple(
            (length + sum(pad) - d * (k - 1) - 1) // s + 1
            for length, pad, d, k, s in zip(
                self.lengths, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )

    @property
    def axes(self) -> int:
        """How many axes hold positions."""
        return len(self.lengths)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of the input, (N, C, *lengths)."""
        return (self.batch, self.channels[0], *self.lengths)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the output, (N, C, *outputs)."""
        return (self.batch, self.channels[1], *self.outputs)

    @property
    def weight_shape(self) -> tuple[int, ...]:
        """Shape of the weights, (C_out, C_in / groups, *kernel)."""
        return (self.channels[1], self.channels[0] // self.groups, *self.kernel)

    @property
    def is_depthwise(self) -> bool:
        """Whether every channel is read by itself."""
        return self.groups == self.channels[0]

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to multiply."""
        return 0 in (*self.input_shape, *self.output_shape, *self.weight_shape)

    @property
    def is_symmetric(self) -> bool:
        """Whether as many zeros stand before as after, on every axis, and none are negative."""
        return all(before == after >= 0 for before, after in self.padding)

    @property
    def macs(self) -> int:
        """Multiplications, borders counted like the rest."""
        per_output = self.channels[0] // self.groups * prod(self.kernel)
        return prod(self.output_shape) * per_output

    def empty(self, like: Tensor, shape: tuple[int, ...]) -> Tensor:
        """A tensor of that shape, laid out in memory as the problem says."""
        if self.layout == "channels last":
            return like.new_empty((shape[0], *shape[2:], shape[1])).movedim(-1, 1)
        return like.new_empty(shape)


def at_tap(tensor: Tensor, tap: tuple[int, ...]) -> Tensor:
    """What the last axes of a tensor hold at a tap, as a view."""
    index: Any = (..., *tap)
    found: Tensor = tensor[index]
    return found


def cut(tensor: Tensor, axis: int, sizes: tuple[int, ...]) -> Tensor:
    """A tensor with one axis cut into several."""
    made: Tensor = tensor.unflatten(axis, sizes)  # type: ignore[no-untyped-call]
    return made

"""The weights of a linear operation that slides: what a frequency view needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Kernel:
    """What a linear sliding operation multiplies its inputs by.

    Away from the borders, and but for a bias, with `g` the group of output channel `c`, `size` the
    input channels of a group and everything spatial told per axis:

    `out[c, o] = sum over i, a of weights[c, i, a] * x[g * size + i, p(o, a)]` with
    `p(o, a) = (o * stride + a * dilation - left) / upsampling`, where that is whole.

    Attributes:
        weights: computes them, of shape (output channels, input channels of a group, *taps).
        groups: how many runs of channels are kept apart.
        first: the first axis it slides along; its channels lie along the axis before.
        stride: per axis, from one output to the next.
        dilation: per axis, from one tap to the next.
        left: per axis, where the first tap of the first output lies before position 0.
        upsampling: per axis, what the input is spread by, zeros between: the stride of a transposed
            convolution.
    """

    weights: Callable[[], Tensor]
    groups: int
    first: int
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    left: tuple[int, ...]
    upsampling: tuple[int, ...]

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes it slides along."""
        return tuple(range(self.first, self.first + len(self.stride)))


def turned(weight: Tensor, groups: int) -> Tensor:
    """The weights of a transposed convolution as a `Kernel` has them.

    A transposed convolution holds (inputs, outputs of a group, *taps), and what its tap `a` reads
    lies `a * dilation` before the output, not behind it.

    >>> turned(torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]), groups=2).tolist()
    [[[2.0, 1.0]], [[4.0, 3.0]]]
    """
    inputs, outputs, *taps = weight.shape
    apart = weight.reshape(groups, inputs // groups, outputs, *taps).transpose(1, 2)
    joined = apart.reshape(groups * outputs, inputs // groups, *taps)
    return torch.flip(joined, tuple(range(2, joined.dim())))

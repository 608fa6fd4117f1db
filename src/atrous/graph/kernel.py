"""The weights of a linear operation that slides: what a frequency view needs of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

CONVOLUTIONS = {1: torch.conv1d, 2: torch.conv2d, 3: torch.conv3d}
"""The convolution of PyTorch by how many axes it slides along."""


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

    def applied(self, x: Tensor) -> Tensor:
        """What it makes of values at stride 1, where all its taps lie inside: no padding, no bias.

        Args:
            x: values whose last axes are those that it slides along, spread already where
                `upsampling` is above 1.

        Returns:
            Values of shape (..., output channels, *(lengths - (taps - 1) * dilation)), on the
            device and of the type of `x`.

        Raises:
            ValueError: if an axis of `x` is shorter than the taps reach.

        Example:
            >>> taps = torch.tensor([[[1.0, -1.0]]])
            >>> kernel = Kernel(lambda: taps, 1, 2, (4,), (2,), (0,), (1,))
            >>> kernel.applied(torch.tensor([[[1.0, 2.0, 4.0, 8.0]]])).tolist()
            [[[-3.0, -6.0]]]
        """
        weights = self.weights().detach().to(x.device, x.dtype)
        axes = len(self.stride)
        spans = [(k - 1) * d + 1 for k, d in zip(weights.shape[2:], self.dilation, strict=True)]
        if any(n < s for n, s in zip(x.shape[-axes:], spans, strict=True)):
            raise ValueError(
                f"x must be at least as long as the taps reach, {tuple(spans)}, got "
                f"{tuple(x.shape[-axes:])}."
            )
        return CONVOLUTIONS[axes](x, weights, None, 1, 0, list(self.dilation), self.groups)


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

"""The undecimated (stationary, a trous) wavelet transform as a stack of dilated convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.nn.filters import FilterBank, HasFilters


class _StationaryWavelet(nn.Module):
    """What the transforms in one and two dimensions share: a level along one axis, and back.

    Taps are kept as numbers and become tensors of the input's type, so that a module that is cast
    to single precision and back has lost nothing.
    """

    def __init__(
        self, wavelet: str | Sequence[float] | HasFilters | FilterBank, levels: int
    ) -> None:
        super().__init__()
        if isinstance(levels, bool) or not isinstance(levels, int) or levels < 1:
            raise ValueError(
                f"levels must be a whole number of at least 1, got {levels!r}. "
                "Each level doubles the scale."
            )
        self.wavelet = wavelet if isinstance(wavelet, str) else "taps"
        self.levels = levels
        self.bank = FilterBank.of(wavelet)

    @property
    def receptive_field(self) -> int:
        """Samples that the coarsest outputs see, from first to last: 1 + (F - 1)(2^levels - 1)."""
        return 1 + (len(self.bank.low) - 1) * ((1 << self.levels) - 1)

    def extra_repr(self) -> str:
        """Its settings, as they show in a printed module."""
        return f"{self.wavelet}, levels={self.levels}, receptive_field={self.receptive_field}"

    def _analysed(self, x: Tensor, axis: int, dilation: int) -> Tensor:
        """Low and high pass along an axis: `(batch, channels, ...)` to twice the channels, each
        channel's low pass before its high pass."""
        size = len(self.bank.low)
        before = (size // 2 - 1) * dilation
        x = _wrapped(x, axis, before, size // 2 * dilation)
        # A convolution of signals; the operator correlates.
        return _depthwise(x, [self.bank.low[::-1], self.bank.high[::-1]], axis, dilation)

    def _synthesised(self, x: Tensor, axis: int, dilation: int) -> Tensor:
        """The inverse: pairs of channels to single ones."""
        size = len(self.bank.low)
        after = (size // 2 - 1) * dilation
        x = _wrapped(x, axis, size // 2 * dilation, after)
        pair = [
            [tap / 2 for tap in taps[::-1]] for taps in (self.bank.low_back, self.bank.high_back)
        ]
        return _depthwise(x, pair, axis, dilation, merge=True)


class StationaryWavelet1d(_StationaryWavelet):
    """The undecimated wavelet transform of signals, by depthwise dilated convolutions.

    Level j convolves with the wavelet's filters at dilation 2^(j-1), zeros inserted between their
    taps ("with holes": a trous), around the ends. The result is that of `pywt.swt(x, wavelet,
    levels, trim_approx=True)`, which takes only lengths that 2^levels divides; here any length
    does (M. Holschneider et al., "A real-time algorithm for signal analysis with the help of the
    wavelet transform", 1989; M. J. Shensa, 1992).

    Args:
        wavelet: a name that PyWavelets knows ("db4"; needs the extra `wavelets`), the low-pass taps
            of an orthogonal wavelet, or an object with the four filters as `filter_bank`.
        levels: how many levels.

    Shape:
        - input: (batch, channels, length)
        - output: (batch, channels, levels + 1, length): the approximation of the last level, then
          details from the last level to the first.

    Raises:
        ValueError: if there is no such wavelet, its taps are not usable, or `levels` is below 1.
        ImportError: if it is a name and PyWavelets is not installed.

    Example:
        >>> import torch
        >>> haar = StationaryWavelet1d([0.5**0.5, 0.5**0.5], levels=2)
        >>> x = torch.tensor([[[1.0, 3.0, 2.0, 6.0, 0.0]]], dtype=torch.float64)
        >>> coefficients = haar(x)
        >>> coefficients.shape, haar.receptive_field
        (torch.Size([1, 1, 3, 5]), 4)
        >>> torch.allclose(haar.inverse(coefficients), x)
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        """The coefficients of signals `(batch, channels, length)`."""
        _check_axes("x", x, 3, "(batch, channels, length)")
        details = []
        for level in range(self.levels):
            pairs = self._analysed(x, 2, 1 << level)
            x, detail = pairs[:, 0::2], pairs[:, 1::2]
            details.append(detail)
        return torch.stack([x, *reversed(details)], 2)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """The signals `(batch, channels, length)` that have these coefficients.

        Changed coefficients may belong to no signal: then it is the mean over all ways to choose
        every other sample at each level, as `pywt.iswt` has it. `bank.error` tells how exact the
        filters are.
        """
        _check_axes("coefficients", coefficients, 4, "(batch, channels, levels + 1, length)")
        _check_count(coefficients, self.levels + 1)
        x = coefficients[:, :, 0]
        for level in reversed(range(self.levels)):
            pairs = torch.stack([x, coefficients[:, :, self.levels - level]], 2)
            x = self._synthesised(pairs.flatten(1, 2), 2, 1 << level)
        return x


class StationaryWavelet2d(_StationaryWavelet):
    """The undecimated wavelet transform of images, by separable depthwise dilated convolutions.

    As `StationaryWavelet1d`, along rows and columns: the result is that of `pywt.swt2(x, wavelet,
    levels, trim_approx=True)`, for any height and width.

    Args:
        wavelet: as for `StationaryWavelet1d`.
        levels: how many levels.

    Shape:
        - input: (batch, channels, height, width)
        - output: (batch, channels, 3 * levels + 1, height, width): the approximation of the last
          level, then horizontal, vertical and diagonal details from the last level to the first.
          Horizontal details are high-passed along the height.

    Raises:
        ValueError: if there is no such wavelet, its taps are not usable, or `levels` is below 1.
        ImportError: if it is a name and PyWavelets is not installed.

    Example:
        >>> import torch
        >>> haar = StationaryWavelet2d([0.5**0.5, 0.5**0.5], levels=2)
        >>> x = torch.arange(35.0).reshape(1, 1, 5, 7)
        >>> haar(x).shape
        torch.Size([1, 1, 7, 5, 7])
        >>> torch.allclose(haar.inverse(haar(x)), x, atol=1e-5)
        True
    """

    def forward(self, x: Tensor) -> Tensor:
        """The coefficients of images `(batch, channels, height, width)`."""
        _check_axes("x", x, 4, "(batch, channels, height, width)")
        details: list[Tensor] = []
        for level in range(self.levels):
            both = self._analysed(self._analysed(x, 2, 1 << level), 3, 1 << level)
            # Per channel: low and high along the height, each low and high along the width.
            x, vertical, horizontal, diagonal = (both[:, k::4] for k in range(4))
            details = [horizontal, vertical, diagonal, *details]
        return torch.stack([x, *details], 2)

    def inverse(self, coefficients: Tensor) -> Tensor:
        """The images `(batch, channels, height, width)` that have these coefficients."""
        _check_axes(
            "coefficients", coefficients, 5, "(batch, channels, 3 * levels + 1, height, width)"
        )
        _check_count(coefficients, 3 * self.levels + 1)
        x = coefficients[:, :, 0]
        for level in reversed(range(self.levels)):
            first = 3 * (self.levels - 1 - level) + 1
            horizontal, vertical, diagonal = coefficients[:, :, first : first + 3].unbind(2)
            bands = torch.stack([x, vertical, horizontal, diagonal], 2).flatten(1, 2)
            x = self._synthesised(self._synthesised(bands, 3, 1 << level), 2, 1 << level)
        return x


def _wrapped(x: Tensor, axis: int, before: int, after: int) -> Tensor:
    """The axis continued around its ends, as far as needed: even several times around."""
    length = x.shape[axis]
    around = torch.arange(-before, length + after, device=x.device) % length
    return x.index_select(axis, around)


def _depthwise(
    x: Tensor,
    taps: Sequence[Sequence[float]],
    axis: int,
    dilation: int,
    *,
    merge: bool = False,
) -> Tensor:
    """Each channel with each of the taps; with `merge`, as many neighbouring channels with one of
    the taps each, summed."""
    weight = torch.tensor(taps, dtype=x.dtype, device=x.device)
    groups = x.shape[1] // (len(taps) if merge else 1)
    weight = weight.unsqueeze(0 if merge else 1).repeat(groups, 1, 1)
    if x.dim() == 3:
        return F.conv1d(x, weight, dilation=dilation, groups=groups)
    shape, steps = ((-1, 1), (dilation, 1)) if axis == 2 else ((1, -1), (1, dilation))
    return F.conv2d(x, weight.reshape(*weight.shape[:2], *shape), dilation=steps, groups=groups)


def _check_axes(name: str, x: Tensor, count: int, form: str) -> None:
    if x.dim() != count or x.numel() == 0:
        raise ValueError(
            f"{name} must have the shape {form}, none of them 0, got {tuple(x.shape)}. "
            "Add the missing axes."
        )
    if not x.is_floating_point():
        raise ValueError(f"{name} must be floating-point, got {x.dtype}. Convert it with .float().")


def _check_count(coefficients: Tensor, count: int) -> None:
    if coefficients.shape[2] != count:
        raise ValueError(
            f"coefficients must have {count} bands, got {coefficients.shape[2]}. "
            "Use the levels they were made with."
        )

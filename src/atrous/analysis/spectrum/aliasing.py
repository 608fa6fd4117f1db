"""How much of what a strided layer computes folds onto other frequencies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from math import floor, inf, pi, prod

import numpy as np
import torch
from torch import Tensor

from atrous.analysis.spectrum.passband import Floats, comb, highest
from atrous.shown import Shown

_CHUNK = 1 << 22


@dataclass(frozen=True)
class AliasEnergy(Shown):
    """The power that a stride folds.

    Attributes:
        total: the mean power of an output at stride 1, in units of the input's.
        in_band: the part at frequencies that the stride keeps: at most `pi / stride` on every axis.
        aliased: the rest, which the stride adds onto other frequencies.
    """

    total: float
    in_band: float

    @property
    def aliased(self) -> float:
        """The power beyond the new Nyquist frequency of any axis."""
        return max(self.total - self.in_band, 0.0)

    @property
    def fraction(self) -> float:
        """The aliased part of the total; 0 where there is no power."""
        return self.aliased / self.total if self.total > 0 else self.total * 0.0

    def __str__(self) -> str:
        return (
            f"{self.fraction:.1%} of the power is folded: {self.aliased:.4g} of {self.total:.4g} "
            "times the input's"
        )


@dataclass(frozen=True, eq=False)
class Covariance:
    """The autocovariance of a filtered white signal.

    Attributes:
        values: its values, one axis per axis of the signal.
        lags: per axis, the lags they belong to; it is 0 at all others.
    """

    values: Floats
    lags: tuple[Floats, ...]

    def kept(self, strides: Sequence[int]) -> Covariance:
        """That of the signal at every stride-th position: the lags that are multiples."""
        at = [lags % s == 0 for lags, s in zip(self.lags, strides, strict=True)]
        lags = tuple(lags[keep] / s for lags, keep, s in zip(self.lags, at, strides, strict=True))
        return Covariance(self.values[np.ix_(*at)], lags)

    def energy(self, strides: Sequence[int]) -> AliasEnergy:
        """What strides keep: the integral of the spectrum over the box `[-pi/s, pi/s]`.

        Term by term of the cosine series: `sin(pi t / s) / (pi t)` at lag t, and 1/s at lag 0.
        """
        weights = [np.sinc(lags / s) / s for lags, s in zip(self.lags, strides, strict=True)]
        total = self.values[tuple(int(np.flatnonzero(lags == 0)[0]) for lags in self.lags)]
        return AliasEnergy(
            float(total), float((self.values * reduce(np.multiply.outer, weights)).sum())
        )


def covariance(weights: Tensor, dilation: Sequence[int]) -> Covariance:
    """The autocovariance of what weights make of white noise of power 1.

    Summed over the inputs of a group, on average over the outputs.

    Args:
        weights: of shape (outputs, inputs of a group, *taps).
        dilation: per axis, from one tap to the next.
    """
    filters = weights.detach().cpu().double().flatten(0, 1)
    taps = filters.shape[1:]
    sizes = [2 * k - 1 for k in taps]
    axes = tuple(range(1, len(taps) + 1))
    power = torch.zeros(*sizes[:-1], sizes[-1] // 2 + 1, dtype=torch.float64)
    for part in torch.split(filters, max(_CHUNK // prod(sizes), 1)):
        power += torch.fft.rfftn(part, s=sizes, dim=axes).abs().square().sum(0)
    values = torch.fft.irfftn(power, s=sizes) / weights.shape[0]
    rolled = torch.fft.fftshift(values).numpy()
    lags = tuple(
        np.arange(1 - k, k, dtype=np.float64) * d for k, d in zip(taps, dilation, strict=True)
    )
    return Covariance(rolled, lags)


def power_on_grid(found: Covariance, lengths: Sequence[int]) -> Floats:
    """The power spectrum of an autocovariance on the frequencies of a DFT of these lengths."""
    grid = np.zeros(tuple(lengths))
    at = [np.mod(lags, n).astype(np.int64) for lags, n in zip(found.lags, lengths, strict=True)]
    np.add.at(grid, np.ix_(*at), found.values)
    return np.maximum(np.fft.fftn(grid).real, 0.0)


def energy_on_grid(power: Floats, strides: Sequence[int]) -> AliasEnergy:
    """The part of a power spectrum, given on the frequencies of a DFT, that strides keep."""
    inside = [
        np.abs(np.fft.fftfreq(n)) <= 0.5 / s + 1e-12
        for n, s in zip(power.shape, strides, strict=True)
    ]
    mask = reduce(np.logical_and.outer, inside)
    scale = 1.0 / power.size
    return AliasEnergy(float(power.sum()) * scale, float(power[mask].sum()) * scale)


def periodogram(values: Tensor, axes: int) -> Floats:
    """The power spectrum of a signal, averaged over all but its last `axes` axes.

    The mean of each signal is taken off, and a Hann window keeps its ends from adding frequencies
    of their own (Welch, 1967); the sum over the grid is the signal's variance times its size.
    """
    signal = values.detach().cpu().double()
    over = tuple(range(-axes, 0))
    signal = signal - signal.mean(dim=over, keepdim=True)
    scale = 1.0
    for axis in over:
        length = signal.shape[axis]
        window = torch.hann_window(length, dtype=torch.float64) if length > 2 else None
        if window is not None:
            shape = [length if a == axis else 1 for a in range(-signal.dim(), 0)]
            signal = signal * window.reshape(shape)
            scale *= float(window.square().mean())
    power = torch.fft.fftn(signal, dim=over).abs().square()
    power = power.reshape(-1, *power.shape[-axes:]).mean(0)
    found: Floats = (power / (prod(power.shape) * scale)).numpy()
    return found


@dataclass(frozen=True)
class StrideAdvice(Shown):
    """The rule of thumb for a stride behind a dilated low-pass, and what it rests on.

    Attributes:
        stride: what the rule allows: the largest whole number up to `pi * dilation / cutoff`.
        condition: the input must hold no frequency from here on, in radians per position: at
            `(2 * pi - cutoff) / dilation` the next image of the passband begins.
        holds: whether the input's band keeps that condition.
        safe: the largest stride at which nothing passed lies beyond the new Nyquist frequency.
    """

    stride: int
    condition: float
    holds: bool
    safe: int

    def __str__(self) -> str:
        limit = f"{self.condition / pi:.3g} pi"
        if self.holds:
            return f"stride {self.stride}: the input ends below {limit}"
        return (
            f"stride {self.stride} only if the input ends below {limit}, which it does not: "
            f"stride {self.safe} is safe"
        )


def stride_advice(cutoff: float, dilation: int, band: float) -> StrideAdvice:
    """The rule of thumb for a low-pass of half-power frequency `cutoff`, dilated.

    Args:
        cutoff: w_c of the filter undilated, in (0, pi].
        dilation: from one tap to the next.
        band: the input's highest frequency, in (0, pi].
    """
    condition = (2 * pi - cutoff) / dilation
    top = highest(comb(((0.0, cutoff),), dilation), band)
    return StrideAdvice(
        max(_whole(pi * dilation / cutoff), 1),
        condition,
        band <= condition,
        _whole(pi / (top or inf)) or 1,
    )


def _whole(value: float) -> int:
    """The largest whole number up to a value that rounding may have put below one."""
    return floor(value * (1 + 1e-9))

"""How dilated stacks compare with the continuous wavelet transform: near it, not equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from atrous.nn.filters import FilterBank
from atrous.nn.wavelet import StationaryWavelet1d

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ScaleComparison:
    """Two dilated responses beside the continuous transform at one scale.

    Each is shifted by whole samples, and its sign chosen, to fit best; an error is the size of the
    difference as a share of the continuous transform's own.

    Attributes:
        level: the level j of the stack.
        scale: the scale of the continuous transform, 2^j.
        stack_correlation: of the details of the undecimated transform, smoothing included.
        stack_error: their relative error.
        zeros_correlation: of the wavelet's high pass alone with zeros inserted: one dilated
            convolution.
        zeros_error: its relative error.
    """

    level: int
    scale: int
    stack_correlation: float
    stack_error: float
    zeros_correlation: float
    zeros_error: float

    def __str__(self) -> str:
        return (
            f"scale {self.scale:>4}: stack {self.stack_correlation:.3f} (error "
            f"{self.stack_error:.1%}), zeros inserted alone {self.zeros_correlation:.3f} (error "
            f"{self.zeros_error:.1%})"
        )


def compare_continuous(
    wavelet: str, *, levels: int = 6, signal: Sequence[float] | None = None, seed: int = 0
) -> tuple[ScaleComparison, ...]:
    """How far dilated convolutions are from the continuous transform by the same wavelet.

    The continuous transform resamples the wavelet at every scale. A dilated convolution inserts
    zeros between its taps; with the smoothing that the levels before it add, the holes are filled
    and the response approaches the continuous one; without, it is another filter.

    Args:
        wavelet: the name of an orthogonal wavelet.
        levels: how many scales, from 2 on, each twice the one before.
        signal: the signal, taken as periodic; by default 2,048 samples of white noise.
        seed: of the noise.

    Raises:
        ValueError: if the wavelet is unknown or not orthogonal, or `levels` is below 1.
        ImportError: if PyWavelets is not installed.

    Example:
        >>> found = compare_continuous("db2", levels=6)
        >>> found[-1].stack_correlation > 0.99 > 0.9 > found[-1].zeros_correlation
        True
    """
    bank = FilterBank.of(wavelet)
    import pywt

    if not pywt.Wavelet(wavelet).orthogonal:
        raise ValueError(
            f"wavelet must be orthogonal, got {wavelet!r}. Use one of the families haar, db, sym "
            "or coif."
        )
    x = (
        np.random.default_rng(seed).normal(size=2048)
        if signal is None
        else np.asarray(signal, dtype=np.float64)
    )
    if x.ndim != 1 or len(x) < 2 or not np.isfinite(x).all():
        raise ValueError(
            f"signal must be a sequence of finite numbers, got shape {x.shape}. "
            "Give at least two, along one axis."
        )
    transform = StationaryWavelet1d(bank, levels)
    details = transform(torch.from_numpy(x).reshape(1, 1, -1))[0, 0, 1:].flip(0).numpy()
    scales = [2**level for level in range(1, levels + 1)]
    continuous = _continuous(wavelet, x, scales)
    found = []
    for level, (scale, wanted) in enumerate(zip(scales, continuous, strict=True), start=1):
        stack = _best(wanted, details[level - 1])
        alone = _best(wanted, _zeros_inserted(x, bank.high, scale // 2))
        found.append(ScaleComparison(level, scale, *stack, *alone))
    return tuple(found)


def _continuous(wavelet: str, x: Floats, scales: list[int]) -> Floats:
    """`pywt.cwt` of a periodic signal by a discrete wavelet's own function."""
    import pywt

    class Continuous(pywt.Wavelet):  # type: ignore[misc]
        # cwt asks for it, and would take any wavelet whose function can be integrated.
        complex_cwt = False

    # The function of scale s is as long as s times the filter.
    around = -(-scales[-1] * pywt.Wavelet(wavelet).dec_len // len(x))
    mother: Any = Continuous(wavelet)
    found, _ = pywt.cwt(np.tile(x, 2 * around + 1), scales, mother, precision=14)
    middle: Floats = found[:, around * len(x) : (around + 1) * len(x)]
    return middle


def _zeros_inserted(x: Floats, taps: Sequence[float], dilation: int) -> Floats:
    """One circular convolution whose taps lie `dilation` apart."""
    out = np.zeros(len(x))
    for k, tap in enumerate(taps):
        out += tap * np.roll(x, k * dilation)
    return out


def _best(wanted: Floats, given: Floats) -> tuple[float, float]:
    """Correlation and relative error at the shift and sign that fit best."""
    products = np.fft.irfft(np.fft.rfft(wanted) * np.fft.rfft(given).conj(), len(wanted))
    at = int(np.argmax(np.abs(products)))
    sizes = float(np.linalg.norm(wanted)), float(np.linalg.norm(given))
    if min(sizes) == 0.0:
        return 0.0, 1.0
    moved = np.sign(products[at]) * np.roll(given, at)
    error = float(np.linalg.norm(moved - wanted)) / sizes[0]
    return float(abs(products[at])) / (sizes[0] * sizes[1]), error

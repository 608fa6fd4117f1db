"""The filters of a wavelet: by name, as taps, or from another object that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Protocol

import numpy as np


class HasFilters(Protocol):
    """Anything with four filters, as a `pywt.Wavelet`."""

    @property
    def filter_bank(self) -> tuple[Sequence[float], ...]:
        """Low and high pass of decomposition, low and high pass of reconstruction."""
        ...


@dataclass(frozen=True)
class FilterBank:
    """Four filters of one even length, in the order convolution takes them.

    Attributes:
        low: low pass of the decomposition.
        high: high pass of the decomposition.
        low_back: low pass of the reconstruction.
        high_back: high pass of the reconstruction.

    Example:
        >>> FilterBank.orthogonal((0.5**0.5, 0.5**0.5)).high
        (-0.7071067811865476, 0.7071067811865476)
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    low_back: tuple[float, ...]
    high_back: tuple[float, ...]

    def __post_init__(self) -> None:
        lengths = [len(taps) for taps in self.filters]
        if len(set(lengths)) > 1 or lengths[0] < 2 or lengths[0] % 2:
            raise ValueError(
                f"wavelet must have four filters of one even length, got {lengths}. "
                "Fill up shorter ones with zeros."
            )
        if not all(isfinite(tap) for taps in self.filters for tap in taps):
            raise ValueError(
                "wavelet must have finite taps, got nan or inf. Check the filters' values."
            )

    @property
    def filters(self) -> tuple[tuple[float, ...], ...]:
        """All four, decomposition first."""
        return self.low, self.high, self.low_back, self.high_back

    @property
    def error(self) -> float:
        """How far it is from perfect reconstruction: the largest deviation of one level.

        Without decimation one level and back is a filter: half the sum of both ways. It must be a
        plain delay.
        """
        low, high = (
            np.convolve(a, b) for a, b in zip(self.filters[:2], self.filters[2:], strict=True)
        )
        delay = np.zeros(len(low))
        delay[len(self.low) - 1] = 1.0
        return float(np.abs((low + high) / 2 - delay).max())

    @classmethod
    def orthogonal(cls, low: Sequence[float]) -> FilterBank:
        """The four filters of an orthogonal wavelet from the low pass of its decomposition.

        The others are it turned round, with alternating signs (S. Mallat, "A Wavelet Tour of Signal
        Processing", section 7.1.3).

        Raises:
            ValueError: if the filter is not orthonormal to its shifts by even numbers.
        """
        taps = np.asarray(low, dtype=np.float64)
        if taps.ndim != 1 or len(taps) < 2 or len(taps) % 2:
            raise ValueError(
                f"wavelet must be taps of an even number, got {low!r}. Fill up with a zero."
            )
        products = np.convolve(taps, taps[::-1])[len(taps) - 1 :: 2]
        off = float(np.abs(products - np.eye(1, len(products))[0]).max())
        if not off < 1e-6:
            raise ValueError(
                f"wavelet must be orthonormal to its shifts by 2, got taps off by {off:.2g}. "
                "Scale them to a sum of sqrt(2), or give all four filters."
            )
        signs = np.resize([1.0, -1.0], len(taps))
        back = taps[::-1]
        high_back = signs * taps
        return cls(*(tuple(map(float, t)) for t in (taps, high_back[::-1], back, high_back)))

    @classmethod
    def of(cls, wavelet: str | Sequence[float] | HasFilters | FilterBank) -> FilterBank:
        """The filters of a wavelet in any of the forms that are accepted.

        Args:
            wavelet: a name that PyWavelets knows, the low-pass taps of an orthogonal wavelet, an
                object with a `filter_bank` of four filters, or a `FilterBank`.

        Raises:
            ValueError: if there is no wavelet of that name, or taps are not usable.
            ImportError: if it is a name and PyWavelets is not installed.
        """
        if isinstance(wavelet, FilterBank):
            return wavelet
        found = _named(wavelet) if isinstance(wavelet, str) else wavelet
        if isinstance(found, Sequence | np.ndarray):
            return cls.orthogonal(found)
        if not hasattr(found, "filter_bank"):
            raise ValueError(
                f"wavelet must be a name, taps, or have a filter_bank, got {type(found).__name__}. "
                'Use "db2", or the low-pass taps.'
            )
        return cls(*(tuple(map(float, taps)) for taps in found.filter_bank))


def _named(name: str) -> HasFilters:
    try:
        import pywt
    except ImportError as error:
        raise ImportError(
            'PyWavelets must be installed for wavelets by name. Use pip install "atrous[wavelets]",'
            " or give the taps."
        ) from error
    if name not in pywt.wavelist(kind="discrete"):
        raise ValueError(
            f"wavelet must be the name of a discrete wavelet, got {name!r}. "
            'See pywt.wavelist(kind="discrete"), or give the taps.'
        )
    found: HasFilters = pywt.Wavelet(name)
    return found

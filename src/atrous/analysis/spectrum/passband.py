"""Which frequencies a filter passes, from the cosine series of its power."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import ceil, pi
from typing import Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

Kind = Literal[
    "low-pass", "high-pass", "band-pass", "band-stop", "all-pass", "several bands", "nothing",
    "not finite",
]  # fmt: skip
"""What a filter passes: the frequencies at which its power is at least half of its largest."""

Bands = tuple[tuple[float, float], ...]
"""Intervals of frequencies, ascending, in radians per position."""

_FINEST = 512
_PER_PERIOD = 32
_HALVINGS = 60


@dataclass(frozen=True, eq=False)
class Profile:
    """The power of a filter with its taps side by side, over the frequency.

    `power(w) = series[0] + 2 * sum over t of series[t] * cos(t * w)`, the transform of the
    autocorrelation of the taps (Wiener-Khinchin).

    Attributes:
        series: the autocorrelation at lags 0, 1, ...
        scale: the power that counts as large: below 1e-12 of it is rounding.

    Example:
        >>> box = Profile(np.array([3.0, 2.0, 1.0]) / 9)
        >>> box.kind, round(box.cutoff / pi, 3), round(box.gain(0.0), 3)
        ('low-pass', 0.311, 1.0)
    """

    series: Floats = field(repr=False)
    scale: float = 0.0

    def power(self, frequencies: Floats | float) -> Floats:
        """The power at frequencies in radians per tap."""
        at = np.asarray(frequencies, dtype=np.float64)
        found = np.full(at.shape, self.series[0])
        for lag in range(1, len(self.series)):
            found += 2 * self.series[lag] * np.cos(lag * at)
        # A sum of cosines that is a square is negative by rounding only.
        power: Floats = np.maximum(found, 0.0)
        return power

    def gain(self, frequency: float) -> float:
        """The root of the power at one frequency."""
        return float(np.sqrt(self.power(frequency)))

    @cached_property
    def _half(self) -> float:
        return float(self._samples.max()) / 2

    @cached_property
    def _grid(self) -> Floats:
        return np.linspace(0.0, pi, max(_FINEST, _PER_PERIOD * len(self.series)) + 1)

    @cached_property
    def _samples(self) -> Floats:
        return self.power(self._grid)

    @property
    def peak(self) -> float:
        """The largest gain."""
        return float(np.sqrt(self._samples.max()))

    @cached_property
    def kind(self) -> Kind:
        """What it passes."""
        return kinds(self._samples[None], self.scale)[0]

    @cached_property
    def bands(self) -> Bands:
        """The frequencies in [0, pi] at which the power is at least half of the largest."""
        if self.kind in ("nothing", "not finite"):
            return ()
        passed = self._samples >= self._half
        turns = np.flatnonzero(passed[1:] != passed[:-1])
        edges = [self._crossing(float(self._grid[t]), float(self._grid[t + 1])) for t in turns]
        ends = [*([0.0] if passed[0] else []), *edges, *([pi] if passed[-1] else [])]
        return tuple(zip(ends[::2], ends[1::2], strict=True))

    def _crossing(self, low: float, high: float) -> float:
        rising = float(self.power(high)) >= self._half
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            if (float(self.power(middle)) >= self._half) == rising:
                high = middle
            else:
                low = middle
        return (low + high) / 2

    @property
    def cutoff(self) -> float | None:
        """w_c, where a low- or high-pass has half its power; None for the other kinds."""
        if self.kind == "low-pass":
            return self.bands[0][1]
        return self.bands[0][0] if self.kind == "high-pass" else None


def kinds(samples: Floats, scale: float = 0.0) -> list[Kind]:
    """What filters pass, from their power at ascending frequencies from 0 to pi.

    Args:
        samples: one row per filter.
        scale: below 1e-12 of this a power is rounding.
    """
    peaks = samples.max(axis=1)
    passed = samples >= peaks[:, None] / 2
    changes = (passed[:, 1:] != passed[:, :-1]).sum(axis=1)
    return [
        _kind(float(peak), scale, bool(row[0]), int(turns))
        for peak, row, turns in zip(peaks, passed, changes, strict=True)
    ]


def _kind(peak: float, scale: float, at_zero: bool, turns: int) -> Kind:
    if not np.isfinite(peak):
        return "not finite"
    if peak <= 1e-12 * scale:
        return "nothing"
    if turns == 0:
        return "all-pass"
    if turns == 1:
        return "low-pass" if at_zero else "high-pass"
    if turns == 2:
        return "band-stop" if at_zero else "band-pass"
    return "several bands"


def comb(bands: Bands, factor: int | Fraction, limit: float = pi) -> Bands:
    """What a filter passes in [0, limit] when its taps lie `factor` positions apart.

    The response is that of the taps side by side at `factor` times the frequency: it repeats every
    `2 * pi / factor`, so that over the whole circle there are `factor` images of each passband.

    >>> [(round(a / pi, 3), round(b / pi, 3)) for a, b in comb(((0.0, pi / 5),), 4)]
    [(0.0, 0.05), (0.45, 0.55), (0.95, 1.0)]
    """
    stretch = float(factor)
    found: list[tuple[float, float]] = []
    for turn in range(ceil(stretch * limit / (2 * pi)) + 1):
        for low, high in bands:
            for a, b in ((-high, -low), (low, high)):
                start = max((2 * pi * turn + a) / stretch, 0.0)
                stop = min((2 * pi * turn + b) / stretch, limit)
                if start < stop:
                    found.append((start, stop))
    merged: list[tuple[float, float]] = []
    for start, stop in sorted(found):
        if merged and start <= merged[-1][1] + 1e-12:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return tuple(merged)


def share(bands: Bands, limit: float = pi) -> float:
    """Which part of the frequencies in [0, limit] lies in the bands."""
    return sum(max(min(b, limit) - min(a, limit), 0.0) for a, b in bands) / limit


def highest(bands: Bands, limit: float = pi) -> float | None:
    """The highest frequency in [0, limit] that the bands hold; None if they hold none."""
    inside = [min(b, limit) for a, b in bands if a < limit]
    return max(inside, default=None)


def autocorrelation(taps: Floats, *, axis: int = -1) -> Floats:
    """The autocorrelation of rows of taps at lags 0, 1, ..., along one axis.

    >>> autocorrelation(np.array([1.0, 2.0])).round(9).tolist()
    [5.0, 2.0]
    """
    count = taps.shape[axis]
    if count == 1:
        return taps * taps
    spectrum = np.abs(np.fft.rfft(taps, n=2 * count - 1, axis=axis)) ** 2
    full = np.fft.irfft(spectrum, n=2 * count - 1, axis=axis)
    return np.take(full, np.arange(count), axis=axis)


def summed_autocorrelation(taps: Floats) -> Floats:
    """The sum over all rows of their autocorrelations along the last axis."""
    count = taps.shape[-1]
    rows = taps.reshape(-1, count)
    if count == 1:
        return np.array([float((rows * rows).sum())])
    if count <= _FEW:
        # Products of taps, summed over the rows: what lies t apart belongs to lag t.
        products = rows.T @ rows
        return np.array([np.trace(products, offset=lag) for lag in range(count)])
    spectrum = np.zeros(count)
    for start in range(0, len(rows), max(_AT_ONCE // count, 1)):
        part = rows[start : start + max(_AT_ONCE // count, 1)]
        spectrum = spectrum + (np.abs(np.fft.rfft(part, n=2 * count - 1, axis=1)) ** 2).sum(axis=0)
    return np.fft.irfft(spectrum, n=2 * count - 1)[:count]


_FEW = 64
_AT_ONCE = 1 << 22


def as_text(bands: Sequence[tuple[float, float]]) -> str:
    """Bands in units of pi.

    >>> as_text(((0.0, pi / 4), (pi / 2, pi)))
    '0-0.25, 0.5-1'
    """
    return ", ".join(f"{a / pi:.3g}-{b / pi:.3g}" for a, b in bands)

"""What strides fold of an input whose power falls with frequency: `1 / f^a`, by quadrature."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import ceil, pi, prod

import numpy as np

from atrous.analysis.spectrum.aliasing import AliasEnergy, Covariance
from atrous.analysis.spectrum.passband import Floats

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(10)
_CHUNK = 1 << 22


@dataclass(frozen=True)
class PowerLaw:
    """Power `1 / |w|^exponent` down to a lowest frequency, below which there is none.

    The law itself has a pole at 0 whose power has no end: over n axes from exponent n on. What is
    left out are the waves below `lowest` on every axis at once, which are longer than they may be
    along each.

    Attributes:
        exponent: of the power; that of the amplitude is half of it.
        lowest: per axis, in radians per position.
    """

    exponent: float
    lowest: tuple[float, ...]

    @classmethod
    def fitting(
        cls, exponent: float, lengths: Sequence[int], lowest: float | None = None
    ) -> PowerLaw:
        """With waves as long as the axes of these lengths, or down to one frequency on all.

        Raises:
            ValueError: if no wave is left.
        """
        own = tuple(2 * pi / n if lowest is None else lowest for n in lengths)
        if min(own) >= pi:
            raise ValueError(f"no wave fits into {' x '.join(map(str, lengths))} positions")
        return cls(exponent, own)


def energy_of_law(
    law: PowerLaw, found: Covariance, strides: Sequence[int], earlier: Sequence[int] | None = None
) -> AliasEnergy:
    """What strides keep of an input with such a spectrum, filtered.

    Args:
        law: the input's spectrum; channels are uncorrelated.
        found: what the filter makes of white noise.
        strides: per axis.
        earlier: strides of the filter itself, before: what it folds takes part as what it became.

    Returns:
        In units of the input's power, by Gauss-Legendre quadrature on panels that no kink, no more
        than half a wave of the response and no more than an octave crosses: to about 1e-9.

    Example:
        >>> one = Covariance(np.ones(1), (np.zeros(1),))
        >>> law = PowerLaw.fitting(2.0, [64])
        >>> # 1 / w^2 has the integral 1 / a - 1 / b from a to b: here from pi / 32 to pi / 2 and pi
        >>> round(energy_of_law(law, one, [2]).fraction, 9), round(1 / 31, 9)
        (0.032258065, 0.032258065)
    """
    before = tuple(earlier or (1,) * len(strides))
    axes = [
        _Axis.of(lowest, min(law.lowest), lags, stride, first)
        for lowest, lags, stride, first in zip(law.lowest, found.lags, strides, before, strict=True)
    ]
    head, *rest = axes
    step = max(_CHUNK // prod(len(axis.at) for axis in rest), 1)
    sums = np.zeros(3)
    for first in range(0, len(head.at), step):
        sums += _sums(law, found, [head.part(slice(first, first + step)), *rest])
    given, total, kept = (float(value) for value in sums)
    return AliasEnergy(total / given, kept / given)


@dataclass(frozen=True, eq=False)
class _Axis:
    """Nodes of a quadrature over frequencies from 0 to pi.

    Attributes:
        at: the frequencies.
        weights: theirs.
        below: which lie below the lowest frequency.
        kept: which the strides keep.
    """

    at: Floats
    weights: Floats
    below: Floats
    kept: Floats

    @classmethod
    def of(cls, lowest: float, least: float, lags: Floats, stride: int, earlier: int) -> _Axis:
        edges = {0.0, pi, min(lowest, pi)}
        octave = least
        while octave < pi:
            edges.add(octave)
            octave *= 2
        # Behind the earlier stride w is w * earlier, around 0 and around each 2 pi.
        middles = 2 * pi * np.arange(earlier) / earlier
        half = pi / (stride * earlier)
        edges |= {w for m in middles for w in (m - half, m + half) if 0 < w < pi}
        width = pi / (1 + float(np.abs(lags).max(initial=0)))
        nodes, weights = [], []
        ordered = sorted(edges)
        for low, high in pairwise(ordered):
            parts = np.linspace(low, high, ceil((high - low) / width) + 1)
            for a, b in pairwise(parts):
                nodes.append((a + b) / 2 + (b - a) / 2 * _NODES)
                weights.append((b - a) / 2 * _WEIGHTS)
        at = np.concatenate(nodes)
        from_zero = np.abs((at * earlier + pi) % (2 * pi) - pi)
        kept = (from_zero <= pi / stride).astype(np.float64)
        return cls(at, np.concatenate(weights), (at < lowest).astype(np.float64), kept)

    def part(self, some: slice) -> _Axis:
        return _Axis(self.at[some], self.weights[some], self.below[some], self.kept[some])


def _sums(law: PowerLaw, found: Covariance, axes: Sequence[_Axis]) -> Floats:
    """Power that is given, that passes the filter, and that the strides keep of it."""
    squares = np.asarray(reduce(np.add.outer, [axis.at**2 for axis in axes]))
    weights = np.asarray(reduce(np.multiply.outer, [axis.weights for axis in axes]))
    low = np.asarray(reduce(np.multiply.outer, [axis.below for axis in axes]))
    given = weights * (1 - low) * squares ** (-law.exponent / 2)
    # The law is even along each axis: of the response only what is so along each takes part.
    passed = found.values
    for lags, axis in zip(found.lags, axes, strict=True):
        passed = np.tensordot(passed, np.cos(np.outer(lags, axis.at)), axes=(0, 0))
    passed = given * np.maximum(passed, 0.0)
    kept = passed * np.asarray(reduce(np.multiply.outer, [axis.kept for axis in axes]))
    return np.array([given.sum(), passed.sum(), kept.sum()])

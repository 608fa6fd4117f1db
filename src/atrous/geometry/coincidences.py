"""How often ways of a chain end at the same position: what makes its path counts uneven.

With `c` the path counts of a chain, `sum(c ** 2)` counts pairs of ways that end together. At a
given span and number of ways it is the one thing that evenness depends on, and it can be had
without the counts themselves: from how many pairs of ways lie each distance apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from atrous.geometry.taps import Ints

Pairs = npt.NDArray[Any]
"""Pairs of ways by the distance between their ends, from `-reach` to `reach`."""


def least_squares(ways: int, span: int) -> int:
    """The least sum of squares of `span` whole numbers of at least 0 that add up to `ways`.

    They are as flat as whole numbers can be, so no chain of that span does better.

    >>> least_squares(9, 9), least_squares(9, 7), least_squares(4, 9)
    (9, 13, 4)
    """
    each, more = divmod(ways, span)
    return span * each**2 + more * (2 * each + 1)


def squared_variation(ways: int, span: int, squares: int) -> Fraction:
    """The square of the coefficient of variation of path counts, exact.

    Args:
        ways: sum of the counts.
        span: how many positions there are, holes among them.
        squares: sum of the squares of the counts.

    >>> squared_variation(4, 4, 6)  # counts 1, 2, 1, 0
    Fraction(1, 2)
    """
    return Fraction(span * squares, ways**2) - 1


def pairs_of(layers: Sequence[tuple[int, int]], kind: npt.DTypeLike = np.int64) -> Pairs:
    """How many pairs of ways of a chain lie each distance apart.

    Args:
        layers: (kernel size, step) of every layer.
        kind: int64 is exact below 2^31 ways; a float type tells shares of all pairs instead.

    Returns:
        One number per distance from minus the reach to the reach; the middle one is the sum of
        the squares of the path counts.

    >>> pairs_of([(3, 1), (2, 3)]).tolist()
    [1, 2, 3, 4, 5, 6, 5, 4, 3, 2, 1]
    """
    pairs: Pairs = np.ones(1, dtype=kind)
    for kernel, step in layers:
        pairs = with_layer(pairs, kernel, step)
    return pairs


def with_layer(pairs: Pairs, kernel: int, step: int) -> Pairs:
    """The pairs of a chain that is one layer longer.

    Two taps of a kernel k lie e steps apart in k - |e| ways.
    """
    reach = (kernel - 1) * step
    wider = np.zeros(len(pairs) + 2 * reach, dtype=pairs.dtype)
    for e in range(1 - kernel, kernel):
        weight: float = kernel - abs(e)
        if pairs.dtype.kind == "f":
            weight /= kernel**2
        wider[reach + e * step : reach + e * step + len(pairs)] += pairs * pairs.dtype.type(weight)
    return wider


def squares_with_two(
    pairs: Pairs, kernels: tuple[int, int], steps: tuple[Ints, Ints]
) -> npt.NDArray[Any]:
    """The sum of squares of a chain that is two layers longer, for many choices of their steps.

    Args:
        pairs: those of the chain without the two.
        kernels: of the two layers.
        steps: of the two layers, one entry per choice.

    >>> one = pairs_of([(3, 1)])
    >>> squares_with_two(one, (3, 3), (np.array([1, 3]), np.array([1, 9]))).tolist()
    [141, 27]
    """
    reach = len(pairs) // 2
    # Distances beyond the reach find the 0 at the end.
    half = np.append(pairs[reach:], pairs.dtype.type(0))
    (first, second), (one, other) = kernels, steps
    scale = 1.0 if pairs.dtype.kind != "f" else 1.0 / (first * second) ** 2
    found = np.zeros(len(one), dtype=pairs.dtype)
    for e in range(first):
        for f in range(1 - second if e else 0, second):
            distance = np.abs(e * one + f * other)
            weight = (first - e) * (second - abs(f)) * (2 if e or f else 1)
            found += half[np.minimum(distance, reach + 1)] * pairs.dtype.type(weight)
    return found if scale == 1.0 else found * scale


def least_squares_spread(ways: int, twelfths: int) -> int:
    """The least sum of squares of counts that spread no further than this.

    Of all densities of one standard deviation s the parabola has the least integral of its square,
    3 / (5 sqrt(5) s) (Epanechnikov, Non-Parametric Estimation of a Multivariate Probability
    Density, 1969). Counts as steps of a density have the variance of their positions and 1/12.

    Args:
        ways: sum of the counts.
        twelfths: at least twelve times the variance of their positions: of a chain the sum of
            (k^2 - 1) d^2.

    >>> least_squares_spread(9, 8 + 8 * 9)  # kernels of 3, dilations 1 and 3
    9
    """
    # Rounded up: the square of the sum is at least this.
    square = -(-108 * ways**4 // (125 * (twelfths + 1)))
    root = isqrt(square)
    return root if root * root == square else root + 1

"""What a set of taps is worth: holes, density, uniformity."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf, sqrt

import numpy as np

from atrous.geometry.taps import Counts, Ints


@dataclass(frozen=True)
class Uniformity:
    """How evenly path counts are spread over the taps' span, holes counted as 0.

    Attributes:
        mean: mean path count.
        variance: population variance of the path counts.
        cv: coefficient of variation, standard deviation over mean; 0 is perfectly even.
    """

    mean: float
    variance: float
    cv: float


def holes(taps: Ints) -> Ints:
    """The positions between the first and the last tap that no tap reads.

    >>> holes(np.array([0, 2, 4, 5])).tolist()
    [1, 3]
    """
    if len(taps) == 0:
        return np.zeros(0, dtype=np.int64)
    return np.setdiff1d(np.arange(taps.min(), taps.max() + 1, dtype=np.int64), taps)


def density(taps: Ints) -> float:
    """Distinct taps over the span from the first to the last; 0 for no taps.

    >>> density(np.array([-6, -4, -2, 0, 2, 4, 6]))
    0.5384615384615384
    """
    if len(taps) == 0:
        return 0.0
    return len(np.unique(taps)) / int(taps.max() - taps.min() + 1)


def uniformity(taps: Ints, counts: Counts) -> Uniformity:
    """Evenness of the path counts of `taps` over their span.

    Raises:
        ValueError: if there are no taps.

    >>> uniformity(np.array([0, 1, 2, 3]), np.array([1, 3, 3, 1])).cv
    0.5
    """
    if len(taps) == 0:
        raise ValueError(
            "taps must hold at least one position, got none. Choose an output that reads something."
        )
    spread = np.zeros(int(taps.max() - taps.min() + 1), dtype=counts.dtype)
    spread[taps - taps.min()] = counts
    return evenness(spread)


def evenness(counts: Counts) -> Uniformity:
    """How even numbers are, of any shape and size; mean and variance are infinite beyond floats.

    Raises:
        ValueError: if there are none, or all are 0.

    >>> evenness(np.array([[1, 1], [3, 3]])).cv
    0.5
    """
    if not counts.any():
        raise ValueError(
            "counts must hold a number above 0, got 0 everywhere. Choose an output that reads "
            "something."
        )
    largest = counts.max()
    # A power of two keeps every digit; Python divides whole numbers of any size.
    unit = 2 ** max(0, int(largest).bit_length() - 1)
    share = np.asarray(counts / unit, dtype=np.float64)
    mean = float(share.mean())
    variance = 0.0 if (counts == largest).all() else float(((share - mean) ** 2).mean())
    scale = float(unit) if unit < 2**511 else inf
    return Uniformity(mean * scale, variance * scale**2, variance**0.5 / mean)


def spread(taps: Ints, counts: Counts) -> float:
    """Standard deviation of taps weighed by their path counts, in positions.

    That of what an output sees with equal positive weights everywhere: sqrt of the sum of
    (k^2 - 1) d^2 / 12 over a chain of kernels k and dilations d. Exact sums, rounded once.

    Raises:
        ValueError: if there are no taps.

    >>> spread(np.array([-1, 0, 1]), np.array([1, 1, 1])) ** 2
    0.6666666666666666
    """
    if len(taps) == 0:
        raise ValueError(
            "taps must hold at least one position, got none. Choose an output that reads something."
        )
    pairs = [(int(tap), int(count)) for tap, count in zip(taps, counts, strict=True)]
    total = sum(count for _, count in pairs)
    first = sum(tap * count for tap, count in pairs)
    # total^2 times the variance, in whole numbers.
    second = total * sum(tap * tap * count for tap, count in pairs) - first * first
    return sqrt(Fraction(second, total**2))


def hole_free(schedule: Sequence[tuple[int, int]]) -> bool:
    """Whether a stride-1 chain of (kernel size, dilation) layers reads its whole span.

    Exact for kernel sizes of at least 2, in any order: sorted by dilation, each dilation is at
    most one more than what the smaller ones span together.

    >>> hole_free([(3, 1), (3, 2), (3, 5)]), hole_free([(3, 2), (3, 3)])
    (True, False)
    """
    reach = 0
    for dilation, kernel_size in sorted((d, k) for k, d in schedule if k > 1):
        if dilation > 1 + reach:
            return False
        reach += (kernel_size - 1) * dilation
    return True


def phases(outputs: Ints, inputs: Ints) -> int:
    """Into how many sets of inputs that do not mix the outputs fall.

    The arguments are the pairs of an output and an input it reads, in order. With D the greatest
    divisor of all distances inside rows, outputs mix only if they read the same residue of D. A
    stack of stride 1 whose dilations all are multiples of d is d nets side by side; a layer of
    stride s and dilation d has d / gcd(s, d) phases.

    >>> phases(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 2, 1, 3, 2, 4]))
    2
    """
    if len(outputs) == 0:
        return 0
    same = outputs[1:] == outputs[:-1]
    distance = int(np.gcd.reduce(np.diff(inputs)[same], initial=0))
    if distance == 0:
        return 1
    first = np.concatenate([[True], ~same])
    return len(np.unique(inputs[first] % distance))

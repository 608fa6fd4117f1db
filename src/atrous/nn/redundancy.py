"""How many coefficients a wavelet transform of a signal has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class WaveletRedundancy:
    """Numbers of coefficients of one signal.

    Attributes:
        length: N, samples of the signal.
        levels: S, levels or scales.
        decimated: of the discrete transform with periodic ends: N where 2^S divides it, else up to
            S more, since odd lengths round up.
        undecimated: of the stationary transform: N (S + 1), S details and the last approximation.
        continuous: of the continuous one at S scales: N S; it keeps no approximation.
    """

    length: int
    levels: int
    decimated: int
    undecimated: int
    continuous: int


def wavelet_redundancy(length: int, levels: int) -> WaveletRedundancy:
    """How many coefficients each kind of wavelet transform has.

    Args:
        length: samples of the signal.
        levels: levels, or scales of the continuous transform.

    Raises:
        ValueError: if either is smaller than 1.

    Example:
        >>> wavelet_redundancy(64, 3)
        WaveletRedundancy(length=64, levels=3, decimated=64, undecimated=256, continuous=192)
    """
    for name, value in (("length", length), ("levels", levels)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}. Use 1.")
    decimated, left = 0, length
    for _ in range(levels):
        left = -(-left // 2)
        decimated += left
    return WaveletRedundancy(
        length, levels, decimated + left, length * (levels + 1), length * levels
    )

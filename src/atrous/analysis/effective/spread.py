"""How an effective field is spread along one axis, and what its shape is."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from atrous.analysis.effective.curves import Curve, box_fit, gaussian_fit, moments

Energy = npt.NDArray[np.float64]

_GOOD_FIT = 0.95
_FEWEST = 7
"""Positions from which on a fit tells something: a curve of three numbers passes near any three
positions, and a bell and a box look alike on five."""


@dataclass(frozen=True)
class Span:
    """What one output reads along one input axis, by the theory.

    Attributes:
        start: the first position it reads, inside the input.
        stop: one past the last.
        clipped: whether a border keeps something from it.
        expected_std: standard deviation of the number of ways to each position, which is what
            equal positive weights give; None where the field is global.
    """

    start: int
    stop: int
    clipped: bool
    expected_std: float | None

    @property
    def size(self) -> int:
        """Positions from the first to the last."""
        return self.stop - self.start


@dataclass(frozen=True, eq=False)
class AxisSpread:
    """How the energy is spread along one input axis.

    Attributes:
        axis: the input axis.
        profile: the energy summed over the other axes; adds up to 1.
        centre: centre of mass, in positions; NaN where the profile is 0 everywhere.
        std: standard deviation, in positions; NaN likewise.
        kurtosis: excess kurtosis: 0 for a Gaussian, -1.2 for a box, positive for a peak with long
            tails; None if all lies at one position, or the profile is 0 everywhere.
        span: what the output reads by the theory; None if that is unknown.
    """

    axis: int
    profile: Energy = field(repr=False)
    centre: float
    std: float
    kurtosis: float | None
    span: Span | None

    @cached_property
    def gaussian(self) -> Curve:
        """The Gaussian nearest to the profile, with its goodness."""
        return gaussian_fit(self.profile)

    @cached_property
    def box(self) -> Curve:
        """The box nearest to the profile, with its goodness."""
        return box_fit(self.profile)

    @property
    def positions(self) -> int:
        """Positions from the first to the last that has any energy; 0 if none has."""
        filled = np.flatnonzero(self.profile)
        return int(filled[-1] - filled[0]) + 1 if len(filled) else 0

    @property
    def shape(self) -> Literal["gaussian", "box", "neither", "few"]:
        """Which curve describes the profile; "few" where it has less than 7 positions to tell by.

        The better of the two whose R squared is 0.95 or more, and whose standard deviation is
        within a quarter of the profile's: squares see the peak, the second moment the tails. A
        narrow peak on wide tails is neither.
        """
        if self.positions < _FEWEST:
            return "few"
        good = [
            curve
            for curve in (self.gaussian, self.box)
            if curve.r_squared >= _GOOD_FIT and abs(curve.std - self.std) <= self.std / 4
        ]
        return max(good, key=lambda curve: curve.r_squared).kind if good else "neither"

    def __str__(self) -> str:
        if not self.profile.any():
            return "0 everywhere"
        expected = self.span.expected_std if self.span else None
        beside = f" (equal weights: {expected:.4g})" if expected is not None else ""
        text = f"centre {self.centre:.4g}, std {self.std:.4g}{beside}"
        if self.kurtosis is not None:
            text += f", excess kurtosis {self.kurtosis:+.2f}"
        shape = self.shape
        if shape == "few":
            text += f"; {counted(self.positions, 'position')}, too few to tell a shape"
            return text + self._cut()
        bell, box = self.gaussian, self.box
        own = f"std {bell.width:.4g}, R2 {bell.r_squared:.3f}"
        match shape:
            case "gaussian":
                text += f"; a Gaussian fits ({own})"
            case "box":
                text += (
                    f"; a box of {box.width:g} fits (R2 {box.r_squared:.3f}), no Gaussian ({own})"
                )
            case "neither":
                text += f"; no Gaussian fits ({own}) and no box (R2 {box.r_squared:.3f})"
        return text + self._cut()

    def _cut(self) -> str:
        return "; cut by the border" if self.span and self.span.clipped else ""


def spreads(
    energy: Energy, axes: tuple[int, ...], spans: tuple[Span | None, ...]
) -> tuple[AxisSpread, ...]:
    """How an energy that adds up to 1, or is 0 everywhere, is spread along each axis."""
    found = []
    for k, (axis, span) in enumerate(zip(axes, spans, strict=True)):
        profile = energy.sum(axis=tuple(a for a in range(energy.ndim) if a != k))
        own = moments(profile)
        found.append(AxisSpread(axis, profile, own.mean, own.std, own.kurtosis, span))
    return tuple(found)


def counted(number: int, word: str) -> str:
    """A number of things, in words."""
    return f"{number:,} {word}{'' if number == 1 else 's'}"

"""The shape of a profile: its moments, and the curves that fit it best."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
import numpy.typing as npt

Profile = npt.NDArray[np.float64]

_MANY_WIDTHS = 1024


@dataclass(frozen=True)
class Moments:
    """Moments of a profile whose values add up to 1, in positions.

    Attributes:
        mean: the centre of mass.
        std: standard deviation.
        kurtosis: excess kurtosis: 0 for a Gaussian, -1.2 for a box, positive for a peak with long
            tails; None if all lies at one position, or the profile is 0 everywhere.
    """

    mean: float
    std: float
    kurtosis: float | None


@dataclass(frozen=True)
class Curve:
    """A curve fitted to a profile by least squares.

    Attributes:
        kind: "gaussian" or "box".
        centre: where its middle lies, in positions.
        width: standard deviation of a Gaussian, positions of a box.
        height: its value in the middle.
        r_squared: 1 minus the sum of squared residuals over the sum of squares of the profile,
            both over an endless axis on which the profile is 0 outside. 1 is a perfect fit. A box
            that is fitted by a Gaussian, and the reverse, has about 0.89.
    """

    kind: Literal["gaussian", "box"]
    centre: float
    width: float
    height: float
    r_squared: float

    @property
    def std(self) -> float:
        """Standard deviation of the curve, in positions."""
        return self.width if self.kind == "gaussian" else ((self.width**2 - 1) / 12) ** 0.5


def _no_curve(kind: Literal["gaussian", "box"]) -> Curve:
    """What fits a profile that is 0 everywhere: nothing."""
    return Curve(kind, nan, nan, 0.0, 0.0)


def moments(profile: Profile) -> Moments:
    """Moments of a profile that adds up to 1; NaN if it is 0 everywhere.

    >>> moments(np.array([0.25, 0.5, 0.25]))
    Moments(mean=1.0, std=0.7071067811865476, kurtosis=-1.0)
    """
    if not profile.any():
        return Moments(nan, nan, None)
    position = np.arange(len(profile), dtype=np.float64)
    mean = float(profile @ position)
    away = position - mean
    variance = float(profile @ away**2)
    if np.count_nonzero(profile) < 2:
        return Moments(mean, 0.0, None)
    return Moments(mean, variance**0.5, float(profile @ away**4) / variance**2 - 3.0)


def gaussian_fit(profile: Profile) -> Curve:
    """The Gaussian nearest to a profile: height, centre and standard deviation by least squares.

    Levenberg-Marquardt from several widths around the mean and around the largest value; the best
    end point wins. Positions outside count as 0 over one more span of the profile on each side.

    >>> x = np.arange(41)
    >>> curve = gaussian_fit(0.1 * np.exp(-0.5 * ((x - 17.3) / 4.5) ** 2))
    >>> round(curve.centre, 4), round(curve.width, 4), round(curve.r_squared, 4)
    (17.3, 4.5, 1.0)
    """
    filled = np.flatnonzero(profile)
    if not len(filled):
        return _no_curve("gaussian")
    first, last = int(filled[0]), int(filled[-1])
    if first == last:
        return Curve("gaussian", float(first), 0.0, float(profile[first]), 1.0)
    span = last - first + 1
    x = np.arange(first - span, last + span + 1, dtype=np.float64)
    y = np.zeros(len(x))
    y[span:-span] = profile[first : last + 1]
    own = moments(y / y.sum())
    middle, peak = first - span + own.mean, first - span + float(y.argmax())
    starts = [(middle, own.std * scale) for scale in (0.3, 0.6, 1.0, 1.5)]
    starts += [(peak, own.std * scale) for scale in (0.0, 0.1, 0.3)]
    cost, height, centre, width = min(_descend(x, y, *start) for start in starts)
    return Curve("gaussian", centre, width, height, 1.0 - cost / float(y @ y))


def _descend(
    x: Profile, y: Profile, centre: float, width: float
) -> tuple[float, float, float, float]:
    """Squared residuals, height, centre and width where the descent ends."""

    def curve(centre: float, width: float) -> tuple[float, float, Profile]:
        bell = np.exp(-0.5 * ((x - centre) / width) ** 2)
        # For a given shape the best height is known.
        height = float(bell @ y) / max(float(bell @ bell), 1e-300)
        return float(((y - height * bell) ** 2).sum()), height, bell

    # A bell much narrower than a position fits one sample and says nothing.
    width, damping = max(width, 0.2), 1e-3
    cost, height, bell = curve(centre, width)
    for _ in range(200):
        away = (x - centre) / width
        slopes = np.stack(
            [bell, height * bell * away / width, height * bell * away**2 / width], axis=1
        )
        normal = slopes.T @ slopes
        pull = slopes.T @ (y - height * bell)
        damped = normal + damping * np.diag(np.diag(normal) + 1e-300)
        step = np.linalg.lstsq(damped, pull, rcond=None)[0]
        nearby = centre + float(step[1]), max(width + float(step[2]), 0.2)
        tried = curve(*nearby)
        if tried[0] < cost:
            gain = cost - tried[0]
            (centre, width), (cost, height, bell) = nearby, tried
            damping = max(damping / 5, 1e-12)
            if gain < 1e-14 * cost:
                break
        else:
            damping *= 5
            if damping > 1e10:
                break
    return cost, height, centre, width


def box_fit(profile: Profile) -> Curve:
    """The box nearest to a profile: the window whose mean explains most of it.

    Every window is tried; on axes of more than a thousand positions, every place of a thousand
    widths, and then all widths near the best.

    >>> box_fit(np.array([0.0, 0.25, 0.25, 0.25, 0.25, 0.0]))
    Curve(kind='box', centre=2.5, width=4.0, height=0.25, r_squared=1.0)
    """
    filled = np.flatnonzero(profile)
    if not len(filled):
        return _no_curve("box")
    first, last = int(filled[0]), int(filled[-1])
    y = profile[first : last + 1]
    until = np.concatenate([[0.0], np.cumsum(y)])
    span = len(y)

    def best(widths: npt.NDArray[np.int64]) -> tuple[float, int, int]:
        found = (-1.0, 1, 0)
        for width in widths.tolist():
            explained = (until[width:] - until[:-width]) ** 2 / width
            at = int(explained.argmax())
            # Sums that round differently must not choose another width.
            if explained[at] > found[0] * (1 + 1e-12):
                found = (float(explained[at]), width, at)
        return found

    widths = np.unique(np.geomspace(1, span, _MANY_WIDTHS).round().astype(np.int64))
    if span <= _MANY_WIDTHS:
        widths = np.arange(1, span + 1)
    explained, width, at = best(widths)
    if span > _MANY_WIDTHS:
        margin = 1 + width // 100
        explained, width, at = best(
            np.arange(max(1, width - margin), min(span, width + margin) + 1)
        )
    height = float(until[at + width] - until[at]) / width
    centre = first + at + (width - 1) / 2
    return Curve("box", centre, float(width), height, min(1.0, explained / float(y @ y)))

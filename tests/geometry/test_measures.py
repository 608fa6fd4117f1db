"""Holes, density and uniformity against the numbers of the literature and brute force."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest

from atrous.geometry.lineage import Edge, Lineage
from atrous.geometry.measures import density, hole_free, holes, uniformity
from atrous.geometry.primitives import Window
from atrous.geometry.taps import Counts, Ints


def stack(dilations: tuple[int, ...], kernel: int = 3) -> tuple[Ints, Counts]:
    node = Lineage.input(1)
    for dilation in dilations:
        node = Lineage(1, [Edge(Window(kernel, dilation=dilation).relation(1, 1), node)])
    return node.taps(0, clipped=False)


@pytest.mark.parametrize(
    ("dilations", "cv"),
    [((1, 2, 4, 8, 1, 2, 4, 8), 0.77), ((1, 2, 4, 8), 0.52), ((1, 2, 5), 0.31), ((1, 3, 9), 0.0)],
)
def test_coefficient_of_variation_of_known_schedules(dilations: tuple[int, ...], cv: float) -> None:
    assert uniformity(*stack(dilations)).cv == pytest.approx(cv, abs=0.005)


def test_density_and_holes_of_known_schedules() -> None:
    assert Fraction(density(stack((2, 4))[0])).limit_denominator(100) == Fraction(7, 13)
    assert holes(stack((2, 3))[0] - 5).tolist() == [-4, 4]
    assert len(holes(stack((2, 2, 5, 9))[0])) == 4
    assert len(holes(stack((1, 2, 9))[0])) == 4
    assert len(holes(stack((1, 5, 2))[0])) == 0


def test_variance_is_that_of_the_uniform_layers() -> None:
    # Weights as probabilities: variances (k^2 - 1) / 12 * d^2 add up.
    taps, counts = stack((1, 2, 4, 3), kernel=4)
    weights = counts.astype(float) / counts.sum()
    mean = (taps * weights).sum()
    variance = ((taps - mean) ** 2 * weights).sum()
    assert variance == pytest.approx((4**2 - 1) / 12 * (1 + 4 + 16 + 9))


@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_exact_hole_free_test_agrees_with_brute_force(kernel: int) -> None:
    for dilations in itertools.product(range(1, 9), repeat=3):
        brute = len(holes(stack(dilations, kernel)[0])) == 0
        assert hole_free([(kernel, d) for d in dilations]) == brute


def test_hole_free_test_on_mixed_kernels() -> None:
    for (k, d), (m, e) in itertools.product(itertools.product(range(1, 5), range(1, 7)), repeat=2):
        reach = np.add.outer(np.arange(k) * d, np.arange(m) * e).reshape(-1)
        assert hole_free([(k, d), (m, e)]) == (len(holes(np.unique(reach))) == 0)


def test_empty_taps() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    assert density(nothing) == 0.0
    assert len(holes(nothing)) == 0
    with pytest.raises(ValueError, match="taps must hold at least one position, got none"):
        uniformity(nothing, nothing)

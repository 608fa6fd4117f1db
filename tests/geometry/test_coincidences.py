"""Pairs of routes against path counts, and the flattest counts against all counts."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations_with_replacement, product

import numpy as np
import pytest

from atrous.geometry.coincidences import (
    least_squares,
    least_squares_spread,
    pairs_of,
    squared_variation,
    squares_with_two,
)
from atrous.geometry.measures import evenness
from exhaustive import path_counts

CHAINS = [[(3, 1), (3, 2)], [(2, 3), (4, 1)], [(5, 2)], [(2, 1), (3, 1), (7, 4)], []]


@pytest.mark.parametrize("layers", CHAINS)
def test_pairs_are_the_autocorrelation_of_the_counts(layers: list[tuple[int, int]]) -> None:
    counts = path_counts(layers)
    expected = np.correlate(counts, counts, "full")
    assert pairs_of(layers).tolist() == expected.tolist()
    shares = pairs_of(layers, np.float64)
    assert np.allclose(shares, expected / expected.sum())


def test_two_more_layers_at_once() -> None:
    for layers, kernels in product(CHAINS, [(3, 3), (2, 5), (4, 3)]):
        steps = list(product(range(1, 8), repeat=2))
        one, other = (np.array(column) for column in zip(*steps, strict=True))
        found = squares_with_two(pairs_of(layers), kernels, (one, other))
        shares = squares_with_two(pairs_of(layers, np.float64), kernels, (one, other))
        for (a, b), squares, share in zip(steps, found.tolist(), shares.tolist(), strict=True):
            counts = path_counts([*layers, (kernels[0], a), (kernels[1], b)])
            assert squares == (counts**2).sum()
            assert share == pytest.approx(squares / counts.sum() ** 2)


def test_no_whole_numbers_are_flatter() -> None:
    for ways, span in product(range(1, 9), range(1, 6)):
        every = (
            sum(n * n for n in counts)
            for counts in product(range(ways + 1), repeat=span)
            if sum(counts) == ways
        )
        assert least_squares(ways, span) == min(every)


def test_variation_is_that_of_the_counts() -> None:
    for layers in CHAINS[:-1]:
        counts = path_counts(layers)
        found = squared_variation(int(counts.sum()), len(counts), int((counts**2).sum()))
        assert isinstance(found, Fraction)
        assert float(found) ** 0.5 == pytest.approx(evenness(counts).cv)


def test_counts_of_a_spread_are_no_flatter_than_a_parabola() -> None:
    tight = 0
    for dilations in combinations_with_replacement(range(1, 7), 5):
        counts = path_counts([(3, d) for d in dilations])
        twelfths = sum(8 * d * d for d in dilations)
        at = np.arange(len(counts)) - len(counts) // 2
        # Twelve times the variance, as the sum over layers says.
        assert 12 * (counts * at**2).sum() == twelfths * counts.sum()
        lowest = least_squares_spread(int(counts.sum()), twelfths)
        squares = int((counts**2).sum())
        assert lowest <= squares
        tight += lowest > 0.9 * squares
    assert tight > 10

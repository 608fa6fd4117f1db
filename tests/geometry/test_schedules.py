"""Schedules against set addition, dense polynomials and the counts of the HDC rule's errors."""

from __future__ import annotations

from itertools import product
from math import gcd

import numpy as np
import pytest

from atrous.geometry.measures import evenness, hole_free
from atrous.geometry.schedules import (
    chain_counts,
    chain_holes,
    even_schedule,
    filled_schedule,
    hdc_accepts,
    hdc_bound,
)


def _offsets(dilations: tuple[int, ...]) -> set[int]:
    """What kernels of 3 read, by adding sets."""
    read = {0}
    for d in dilations:
        read = {at + step for at in read for step in (-d, 0, d)}
    return read


def _holes(dilations: tuple[int, ...]) -> int:
    read = _offsets(dilations)
    return max(read) - min(read) + 1 - len(read)


_TRIPLES = {rates: _holes(rates) for rates in product(range(1, 13), repeat=3)}


def test_hdc_counts_over_all_triples() -> None:
    accepted = [rates for rates in _TRIPLES if hdc_accepts(rates)]
    assert len(_TRIPLES) == 1728
    assert len(accepted) == 228
    assert sum(_TRIPLES[rates] > 0 for rates in accepted) == 181


def test_hdc_counts_over_triples_that_start_at_1() -> None:
    ours = [rates for rates in _TRIPLES if rates[0] == 1]
    accepted = [rates for rates in ours if hdc_accepts(rates)]
    whole = [rates for rates in ours if _TRIPLES[rates] == 0]
    assert (len(ours), len(accepted), len(whole)) == (144, 19, 33)
    assert set(accepted) <= set(whole)
    assert len(set(whole) - set(accepted)) == 14


def test_coprime_neighbours_do_not_rule_out_holes() -> None:
    coprime = [r for r in _TRIPLES if gcd(r[0], r[1]) == 1 == gcd(r[1], r[2])]
    assert len(coprime) == 779
    assert sum(_TRIPLES[rates] > 0 for rates in coprime) == 714


@pytest.mark.parametrize(
    ("rates", "accepted", "holes"),
    [
        ((1, 2, 5), True, 0),
        ((1, 2, 9), False, 4),
        ((2, 2, 5, 9), True, 4),
        ((1, 5, 2), False, 0),
        ((2,), True, 2),
    ],
)
def test_hdc_beside_the_truth(rates: tuple[int, ...], accepted: bool, holes: int) -> None:
    assert hdc_accepts(rates) is accepted
    assert _holes(rates) == holes == len(chain_holes([(3, d) for d in rates]))


def test_hole_free_agrees_with_set_addition() -> None:
    for rates, holes in _TRIPLES.items():
        assert hole_free([(3, d) for d in rates]) is (holes == 0), rates


def test_chain_counts_is_a_product_of_polynomials() -> None:
    schedule = [(3, 2), (2, 5), (4, 1)]
    expected = np.ones(1, dtype=np.int64)
    for kernel, dilation in schedule:
        row = np.zeros((kernel - 1) * dilation + 1, dtype=np.int64)
        row[::dilation] = 1
        expected = np.convolve(expected, row)
    assert chain_counts(schedule).tolist() == expected.tolist()


def test_chain_counts_does_not_overflow() -> None:
    assert chain_counts([(3, 1)] * 50).sum() == 3**50


@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 7])
def test_even_schedule_reads_all_of_its_span(kernel: int) -> None:
    for reach in range(200):
        span = 1 + (kernel - 1) * reach
        layers = [(kernel, d) for d in even_schedule(span, kernel)]
        counts = chain_counts(layers)
        assert len(counts) == span
        assert (counts > 0).all()
        # No shorter chain of such kernels has as many ways as there are positions.
        assert not layers or kernel ** (len(layers) - 1) < span


def test_even_schedule_is_perfectly_even_at_powers() -> None:
    assert evenness(chain_counts([(3, d) for d in even_schedule(81)])).cv == 0


def test_variation_of_known_schedules() -> None:
    def cv(*rates: int) -> float:
        return round(evenness(chain_counts([(3, d) for d in rates])).cv, 2)

    assert cv(1, 2, 4, 8, 1, 2, 4, 8) == 0.77
    assert (cv(1, 2, 4, 8), cv(1, 2, 5), cv(1, 3, 9)) == (0.52, 0.31, 0)


def test_filled_schedule_closes_holes_and_keeps_the_span() -> None:
    for rates, holes in _TRIPLES.items():
        layers = [(3, d) for d in rates]
        filled = filled_schedule(layers)
        assert _holes(filled) == 0
        if holes == 0:
            assert filled == rates
        # Three kernels of 3 without holes span 27 positions at most.
        assert 2 * sum(filled) + 1 == min(2 * sum(rates) + 1, 27), (rates, filled)


@pytest.mark.parametrize(
    "layers", [[(5, 4), (3, 6), (2, 9)], [(3, 6), (5, 3), (5, 6)], [(2, 6), (3, 2)]]
)
def test_filled_schedule_of_mixed_kernels(layers: list[tuple[int, int]]) -> None:
    filled = filled_schedule(layers)
    new = [(kernel, d) for (kernel, _), d in zip(layers, filled, strict=True)]
    assert len(chain_holes(layers)) > 0
    assert len(chain_holes(new)) == 0


def test_arguments_out_of_range() -> None:
    with pytest.raises(ValueError, match="dilations must be numbers of at least 1, got \\[\\]"):
        hdc_bound([])
    with pytest.raises(ValueError, match="span must be 1 plus a multiple of 2"):
        even_schedule(8)
    with pytest.raises(ValueError, match="kernel_size must be at least 2, got 1"):
        even_schedule(8, 1)


@pytest.mark.parametrize("base", [1, 2, 3, 4])
def test_even_schedule_with_another_base_reads_all_of_its_span(base: int) -> None:
    for reach in range(1, 80):
        layers = [(4, d) for d in even_schedule(1 + 3 * reach, 4, base=base)]
        counts = chain_counts(layers)
        assert len(counts) == 1 + 3 * reach
        assert (counts > 0).all()
    with pytest.raises(ValueError, match="base must be from 1 to the kernel size 4, got 5"):
        even_schedule(7, 4, base=5)


def test_chain_counts_are_exact_on_both_sides_of_int64() -> None:
    for layers in (39, 40):
        counts = chain_counts([(3, 1)] * layers)
        # The middle trinomial coefficient, by its own recursion.
        middle = [1, 1]
        for n in range(2, layers + 1):
            middle.append(((2 * n - 1) * middle[-1] + 3 * (n - 1) * middle[-2]) // n)
        assert int(counts[layers]) == middle[layers]

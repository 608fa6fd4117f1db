"""The least change of a chain, against every choice of dilations there is."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.geometry.repairs import Tapped, least_repairs, most_span
from atrous.geometry.schedules import chain_holes

LAYERS = st.builds(
    Tapped,
    st.integers(2, 4),
    st.integers(1, 5),
    st.sampled_from([1, 1, 1, 2]),
    st.sampled_from([False] * 9 + [True]),
)


def reach(layers: list[Tapped], dilations: tuple[int, ...]) -> int:
    return sum(
        (layer.kernel_size - 1) * d * layer.step for layer, d in zip(layers, dilations, strict=True)
    )


def read(layers: list[Tapped], dilations: tuple[int, ...]) -> set[int]:
    """All sums of one tap of every layer."""
    found = {0}
    for layer, d in zip(layers, dilations, strict=True):
        found = {p + a * d * layer.step for p in found for a in range(layer.kernel_size)}
    return found


def cost(layers: list[Tapped], dilations: tuple[int, ...]) -> tuple[int, int]:
    changes = [abs(layer.dilation - d) for layer, d in zip(layers, dilations, strict=True)]
    return sum(c > 0 for c in changes), sum(changes)


def every_choice(layers: list[Tapped]) -> list[tuple[int, ...]]:
    """All dilations of the same field without holes, by looking at every one."""
    wanted = reach(layers, tuple(layer.dilation for layer in layers))
    values = [
        [layer.dilation]
        if layer.fixed
        else range(1, wanted // ((layer.kernel_size - 1) * layer.step) + 1)
        for layer in layers
    ]
    return [
        choice
        for choice in product(*values)
        if reach(layers, choice) == wanted
        and not len(
            chain_holes([(x.kernel_size, d * x.step) for x, d in zip(layers, choice, strict=True)])
        )
    ]


@settings(max_examples=150, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_the_first_repair_is_the_least_of_all_choices(layers: list[Tapped]) -> None:
    if reach(layers, tuple(layer.dilation for layer in layers)) > 20:
        return
    found = least_repairs(layers)
    every = every_choice(layers)
    assert found.is_complete
    assert bool(found.found) == bool(every)
    if every:
        assert cost(layers, found.found[0]) == min(cost(layers, choice) for choice in every)
        assert set(found.found) <= set(every)


@settings(max_examples=100, deadline=None)
@given(st.lists(LAYERS, min_size=1, max_size=4))
def test_no_choice_reads_more_than_the_bound(layers: list[Tapped]) -> None:
    # 8 is beyond what any layer of up to three others of kernel 2 can use; larger kernels are
    # bounded by the same argument.
    values = [[x.dilation] if x.fixed else range(1, 9) for x in layers]
    for choice in product(*values):
        if len(read(layers, choice)) == reach(layers, choice) + 1:
            assert reach(layers, choice) + 1 <= most_span(layers)


@pytest.mark.parametrize(
    ("dilations", "changed"),
    [
        # Sorted, 1 and 3 read 9 positions and 8 fits behind; 20 is what is missing of 32.
        ((8, 8, 8, 8), (1, 3, 8, 20)),
        # One layer has to read neighbours, and another has to make up for it.
        ((2,) * 10, (1, *(2,) * 8, 3)),
        ((1, 2, 9), (1, 3, 8)),
    ],
)
def test_schedules_of_the_literature_change_little(
    dilations: tuple[int, ...], changed: tuple[int, ...]
) -> None:
    assert least_repairs([Tapped(3, d) for d in dilations]).found[0] == changed
    assert sum(changed) == sum(dilations)
    assert not len(chain_holes([(3, d) for d in changed]))


def test_a_span_beyond_base_k_has_no_repair() -> None:
    # Three kernels of 3 read 27 positions at most, each in one way.
    found = least_repairs([Tapped(3, d) for d in (5, 9, 17)])
    assert found.found == ()
    assert found.is_complete
    assert most_span([Tapped(3, d) for d in (5, 9, 17)]) == 27


def test_a_long_schedule_is_mended_though_not_every_choice_is_looked_at() -> None:
    layers = [Tapped(3, 2**k) for k in range(1, 10)]
    found = least_repairs(layers, budget=2_000)
    assert not found.is_complete
    dilations = found.found[0]
    assert sum(dilations) == sum(2**k for k in range(1, 10))
    assert not len(chain_holes([(3, d) for d in dilations]))

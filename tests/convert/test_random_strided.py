"""Random networks with strides: dense ones give their values, at two sizes."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Callable

import pytest

from strided import FEATURES, Outcome, assert_strided, draw_strided

PARTS, PER_PART = 6, 25


@pytest.mark.parametrize("part", range(PARTS))
def test_dense_networks_are_equal_on_the_grid(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    kinds: Counter[str] = Counter()
    mix: Counter[str] = Counter()
    reasons: list[str] = []
    number = 10_000 * part
    while kinds["equal"] + kinds["refused"] < PER_PART:
        outcome, features = asked(number)
        kinds[outcome.kind] += 1
        if outcome.kind == "equal":
            mix.update(features)
        elif outcome.kind == "refused":
            reasons.append(f"{number}: {outcome.reason}")
        number += 1
    record_property("summary", f"{dict(kinds)}; {dict(mix)}")
    # Two in a hundred over all parts: in one of so few, one.
    assert kinds["refused"] <= 1, reasons
    # A network holds few of them.
    assert sum(mix[name] > 0 for name in FEATURES) >= 0.8 * len(FEATURES), mix


def asked(number: int) -> tuple[Outcome, list[str]]:
    rng = random.Random(number)
    network = draw_strided(rng)
    return assert_strided(network, rng), [name for name, n in network.features.items() if n]


# Networks on which something was wrong once: a normalisation of groups before everything, two
# positions resized between their ends.
@pytest.mark.parametrize("number", [20016, 50390])
def test_networks_that_failed_once(number: int) -> None:
    assert asked(number)[0].kind == "equal"


@pytest.mark.parametrize("number", range(0, 60, 5))
def test_a_module_left_as_it_was_is_noticed(number: int) -> None:
    rng = random.Random(number)
    network = draw_strided(rng)
    outcome = assert_strided(copy.deepcopy(network), copy.deepcopy(rng))
    if outcome.kind != "equal":
        return
    with pytest.raises((AssertionError, RuntimeError)):
        assert_strided(network, rng, change=lambda made: network)

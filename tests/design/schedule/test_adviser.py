"""Goals in words against all schedules: field, reach, map size, budget, kernels to choose from."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction
from itertools import combinations_with_replacement, count, product
from math import prod
from typing import Any

import numpy as np
import pytest

import atrous
from atrous.design.schedule.relaxation import Relaxation
from exhaustive import path_counts

Found = tuple[Fraction, int, int, int]
"""Variation + 1, field, layers, kernel."""


def fits_map(kernel: int, dilation: int, length: int, causal: bool, stride: int = 1) -> bool:
    """Whether every tap reads the map at some output, one by one."""
    span = (kernel - 1) * dilation
    lefts = (span,) if causal else (span // 2, span - span // 2)
    return all(
        any(0 <= at + tap * dilation - left < length for at in range(0, length, stride))
        for left in lefts
        for tap in range(kernel)
    )


def all_of(
    kernel: int, layers: int, most: int, goal: dict[str, object]
) -> list[tuple[int, Fraction]]:
    """Field, and variation + 1, of every schedule without holes that keeps to a goal."""
    causal, length = bool(goal.get("causal")), goal.get("map_size")
    cap = goal.get("max_dilation")
    allowed = [
        d for d in range(1, most + 1)
        if (cap is None or d <= cap) and (length is None or fits_map(kernel, d, length, causal))
    ]  # fmt: skip
    found = []
    for dilations in combinations_with_replacement(allowed, layers):
        counts = path_counts([(kernel, d) for d in dilations])
        if (counts > 0).all():
            squares = int((counts * counts).sum())
            found.append((len(counts), Fraction(len(counts) * squares, kernel ** (2 * layers))))
    return found


class TooManyLayersError(Exception):
    """Trying all would take too long."""


def oracle(sizes: tuple[int, ...], goal: dict[str, object]) -> Found | None:
    """The best of all, as the documentation says which that is."""
    low, high = goal["field"] if isinstance(goal["field"], tuple) else (goal["field"], None)
    sides = 1 if goal.get("causal") else 2
    low = max(low or 1, sides * int(goal.get("reach") or 0) + 1)
    best: Found | None = None
    for kernel in sizes:
        # Without holes a dilation is at most the field over the kernel.
        most = (high or low + 12) // kernel + 1
        wanted = goal.get("layers")
        for layers in count(1) if wanted is None else [wanted]:
            cost = layers * kernel
            if cost > min(goal.get(name, cost) for name in ("budget", "parameters")):
                break
            if layers > 6:
                raise TooManyLayersError
            rows = [
                row for row in all_of(kernel, layers, most, goal)
                if row[0] >= low and (high is None or row[0] <= high)
            ]  # fmt: skip
            if not rows:
                continue
            if high is None:
                smallest = min(field for field, _ in rows)
                rows = [row for row in rows if row[0] == smallest]
            # The most even, then the cheapest, then the smallest.
            keyed = ((even, cost, field, layers, kernel) for field, even in rows)
            even, _, field, layers, kernel = min(keyed)
            order = (even, layers * kernel, field, layers)
            if best is None or order < (best[0], best[2] * best[3], best[1], best[2]):
                best = (even, field, layers, kernel)
            break
    return best


def asked(sizes: tuple[int, ...], goal: dict[str, object]) -> Found | None:
    try:
        plan = atrous.schedule(kernel=set(sizes), **goal)  # type: ignore[arg-type]
    except atrous.ImpossibleScheduleError:
        return None
    assert plan.is_optimal
    return plan.score.variation + 1, plan.field, len(plan.dilations), plan.kernels[0]


def goals(number: int, seed: int) -> list[tuple[tuple[int, ...], dict[str, object]]]:
    draw = random.Random(seed)
    found = []
    for _ in range(number):
        field = draw.randint(3, 26)
        goal: dict[str, object] = {"field": field, "causal": draw.random() < 0.4}
        if draw.random() < 0.3:
            goal["field"] = (field, field + draw.randint(0, 6))
        elif draw.random() < 0.3:
            goal["reach"] = draw.randint(1, 12)
        if draw.random() < 0.3:
            goal["layers"] = draw.randint(1, 4)
        if draw.random() < 0.3:
            goal["map_size"] = draw.randint(2, 14)
        if draw.random() < 0.3:
            goal["max_dilation"] = draw.randint(1, 6)
        if draw.random() < 0.3:
            # At a stride of 1 multiply-adds are as many as weights.
            goal[draw.choice(("budget", "parameters"))] = draw.randint(4, 16)
        sizes = tuple(sorted(draw.sample((2, 3, 4, 5), draw.choice((1, 1, 2)))))
        found.append((sizes, goal))
    return found


def contradicts(goal: dict[str, object]) -> bool:
    """Whether the reach alone takes more than the largest field."""
    sides = 1 if goal["causal"] else 2
    field = goal["field"]
    return isinstance(field, tuple) and sides * int(goal.get("reach") or 0) + 1 > field[1]  # type: ignore[call-overload]


def assert_met_best(number: int, seed: int) -> None:
    met = 0
    for sizes, goal in goals(number, seed):
        try:
            expected = oracle(sizes, goal)
        except TooManyLayersError:
            continue
        if contradicts(goal):
            with pytest.raises(ValueError, match="room for the reach"):
                asked(sizes, goal)
            continue
        assert asked(sizes, goal) == expected, (sizes, goal)
        met += expected is not None
    assert met > 0.4 * number


def test_goals_are_met_best() -> None:
    assert_met_best(150, seed=7)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
def test_many_goals_are_met_best(seed: int) -> None:
    assert_met_best(500, seed=100 + seed)


def test_a_field_of_n_sees_half_of_it_to_each_side() -> None:
    plan = atrous.schedule(reach=20_000, kernel=3, objective="uniform")
    assert plan.field == 40_001
    assert plan.schedule.reach == (20_000, 20_000)
    past = atrous.schedule(reach=31_999, kernel=2, causal=True)
    assert past.schedule.reach == (31_999, 0)


def test_the_reach_of_even_kernels_is_balanced() -> None:
    for reach in range(1, 40):
        plan = atrous.schedule(reach=reach, kernel=4)
        assert min(plan.schedule.reach) >= reach
        assert abs(plan.schedule.reach[0] - plan.schedule.reach[1]) <= 1


def test_cheap_takes_the_kernel_with_the_fewest_taps() -> None:
    for field in (9, 27, 60, 100):
        plan = atrous.schedule(field, kernel=None, objective="cheap")
        costs = {
            k: k * len(atrous.schedule(field, kernel=k).dilations) for k in (3, 5, 7)
        }  # fmt: skip
        assert plan.macs == min(costs.values())


def relaxed(goal: dict[str, object], change: Relaxation) -> dict[str, object]:
    return {**goal, change.constraint: change.needed}


def possible(goal: dict[str, object]) -> bool:
    """Whether any schedule meets a goal with one kernel size, by trying all."""
    given = dict(goal)
    kernel = int(given.pop("kernel"))  # type: ignore[call-overload]
    if not given.pop("holes", False):
        try:
            return oracle((kernel,), given) is not None
        except TooManyLayersError:
            return False
    low, high = given["field"] if isinstance(given["field"], tuple) else (given["field"], None)
    most = min(int(given.get("max_dilation") or 99), 30)
    for layers in range(1, 5):
        if given.get("layers") not in (None, layers):
            continue
        if given.get("budget") is not None and layers * kernel > given["budget"]:
            continue
        for dilations in combinations_with_replacement(range(1, most + 1), layers):
            field = 1 + (kernel - 1) * sum(dilations)
            length = given.get("map_size")
            on_map = length is None or all(
                fits_map(kernel, d, length, bool(given.get("causal"))) for d in dilations
            )
            if on_map and field >= low and (high is None or field <= high):
                return True
    return False


IMPOSSIBLE = [
    {"field": 20, "kernel": 3, "layers": 2},
    {"field": (8, 8), "kernel": 3},
    {"field": (12, 12), "kernel": 3, "layers": 2},
    {"field": 25, "kernel": 3, "layers": 3, "max_dilation": 3},
    {"field": 20, "kernel": 3, "layers": 3, "map_size": 3},
    {"field": 20, "kernel": 3, "layers": 3, "map_size": 5, "causal": True},
    {"field": 16, "kernel": 2, "budget": 6, "causal": True},
    {"field": (5, 6), "kernel": 3, "layers": 4},
    {"field": 14, "kernel": 4, "layers": 2, "max_dilation": 2},
]


@pytest.mark.parametrize("goal", IMPOSSIBLE, ids=str)
def test_what_to_relax_is_enough_and_the_least(goal: dict[str, object]) -> None:
    with pytest.raises(atrous.ImpossibleScheduleError, match="no schedule meets all of") as told:
        atrous.schedule(**goal)  # type: ignore[arg-type]
    assert not possible(goal)
    found = {}
    for change in told.value.relaxations:
        assert str(change) in str(told.value)
        assert possible(relaxed(goal, change)), change
        assert atrous.schedule(**relaxed(goal, change))  # type: ignore[arg-type]
        found.setdefault(change.constraint, []).append(change)
        given, needed = change.given, change.needed
        if isinstance(given, bool | tuple):
            continue
        # Nothing nearer will do.
        step = 1 if needed > given else -1
        for nearer in range(given + step, needed, step):
            if change.constraint == "field" and not isinstance(goal["field"], tuple):
                assert not possible({**goal, "field": (nearer, goal["field"] - 1)})
            else:
                value = (nearer, nearer) if change.constraint == "field" else nearer
                assert not possible({**goal, change.constraint: value}), (change, nearer)
    # What is not named would not have been enough, either.
    for constraint, values in (
        ("layers", range(1, 5)), ("max_dilation", range(1, 13)), ("kernel", range(2, 8)),
        ("map_size", range(1, 16)), ("budget", range(1, 12)),
    ):  # fmt: skip
        if constraint in goal and constraint not in found:
            assert not any(possible({**goal, constraint: value}) for value in values), constraint
    assert possible({**goal, "holes": True}) == ("holes" in found)


def test_strides_and_reach_are_relaxed_too() -> None:
    with pytest.raises(atrous.ImpossibleScheduleError) as told:
        atrous.schedule(reach=40, kernel=3, layers=3)
    # Three kernels of 3 read 27 positions at most: 13 to each side.
    assert [c.needed for c in told.value.relaxations if c.constraint == "reach"] == [13]
    with pytest.raises(atrous.ImpossibleScheduleError) as told:
        atrous.schedule((9, 9), kernel=3, strides=(2, 1))
    # Steps 1 and 2 d with 2 d at most 3: field 7 alone.
    found = {c.constraint: c.needed for c in told.value.relaxations}
    assert found["field"] == 7
    assert found["strides"] == (1, 1)


def test_requests_are_checked() -> None:
    for given, text in [
        ({}, "field or reach must be given"),
        ({"field": 0}, "field must be a whole number of at least 1, got 0"),
        ({"field": (9, 5)}, "field must be a range upwards"),
        ({"field": (9, 5, 7)}, "field must be a number or a pair"),
        ({"field": 9, "kernel": 1}, "kernel must be a whole number of at least 2"),
        ({"field": 9, "kernel": []}, "kernel must hold one size per layer"),
        ({"field": 9, "kernel": set()}, "kernel must name at least one size"),
        ({"field": 9, "kernel": (3, 3), "layers": 3}, "must agree on how many layers"),
        ({"field": 9, "max_dilation": True}, "max_dilation must be a whole number"),
        ({"field": 9, "objective": "best"}, "objective must be 'uniform' or 'cheap'"),
        ({"field": 9, "objective": {"speed": 1}}, "objective must weigh"),
        ({"field": 9, "objective": {"cv": 0}}, "objective must give a weight above 0"),
        ({"field": 9, "causal": True, "dims": 2}, "dims must be 1 for a causal schedule"),
        ({"field": 9, "dims": 4}, "dims must be 1, 2 or 3"),
        ({"field": 9, "effort": 0}, "effort must be above 0"),
        ({"field": 9, "front": [3]}, "front must hold layers"),
        ({"field": (3, 9), "reach": 9}, "field must have room for the reach"),
        ({"reach": 9, "kernel": 4, "strides": (2, 1)}, "reach must be given with odd kernels"),
        ({"field": 2**25}, "field must be at most 4,194,304 .* got 33,554,432"),
        ({"field": (9, 10**9)}, "field must be at most 4,194,304 .* got 1,000,000,000"),
        ({"reach": 2**22}, "got 8,388,609 for a reach of 4,194,304"),
        ({"field": 9, "kernel": 10**9}, "kernel, front and strides must leave room"),
        ({"field": 9, "front": 7}, "front must hold layers"),
        ({"field": 9, "strides": "12"}, "strides must hold one stride per layer"),
        ({"field": 9, "objective": 5}, "objective must be 'uniform' or 'cheap' or weights"),
        ({"field": 9, "objective": {"cv": "x"}}, "objective must weigh"),
        ({"field": 9, "effort": "x"}, "effort must be above 0 and finite"),
        ({"field": 9, "effort": float("inf")}, "effort must be above 0 and finite"),
        ({"field": 9, "parameters": 0}, "parameters must be a whole number of at least 1"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=text):
            atrous.schedule(**given)  # type: ignore[arg-type]


def test_whole_numbers_of_numpy_are_whole_numbers() -> None:
    given = atrous.schedule(np.int64(60), kernel=np.int32(3), layers=np.uint8(4))
    assert given == atrous.schedule(60, kernel=3, layers=4)


def strided_oracle(
    strides: tuple[int, ...],
    sizes: tuple[int, ...],
    front: tuple[tuple[int, int], ...],
    goal: dict[str, Any],
) -> tuple[Fraction, int, int] | None:
    """Variation + 1, cost and field of the best chain, behind layers of (kernel, stride)."""
    least = max(int(goal["field"]), 2 * int(goal.get("reach") or 0) + 1)
    found = []
    for kernel in sizes:
        runs = [prod(strides[k + 1 :]) for k in range(len(strides))]
        macs = sum((kernel * run) ** goal["dims"] for run in runs) * goal["channels"] ** 2
        weights = len(strides) * kernel ** goal["dims"] * goal["channels"] ** 2
        if macs > goal.get("budget", macs) or weights > goal.get("parameters", weights):
            continue
        allowed, length = [], goal.get("map_size")
        for _, stride in front:
            length = None if length is None else -(-length // stride)
        for stride in strides:
            allowed.append([
                d for d in range(1, min(goal.get("max_dilation", 12), 12) + 1)
                if length is None or fits_map(kernel, d, length, False, stride)
            ])  # fmt: skip
            length = None if length is None else -(-length // stride)
        rows = []
        for dilations in product(*allowed):
            layers = [(k, 1, s) for k, s in front]
            layers += [(kernel, d, s) for d, s in zip(dilations, strides, strict=True)]
            scales = [prod(s for _, _, s in layers[:k]) for k in range(len(layers))]
            counts = path_counts(
                [(k, scale * d) for (k, d, _), scale in zip(layers, scales, strict=True)]
            )
            if len(counts) >= least and (counts > 0).all():
                ways = prod(k for k, _, _ in layers)
                squares = int((counts * counts).sum())
                rows.append((len(counts), Fraction(len(counts) * squares, ways**2)))
        if rows:
            smallest = min(rows)[0]
            found.append((min(even for n, even in rows if n == smallest), macs, smallest))
    cheap = goal["objective"] == "cheap"
    return min(found, key=lambda row: (row[1], row[0]) if cheap else row, default=None)


def assert_met_best_behind_strides(number: int, seed: int) -> None:
    draw = random.Random(seed)
    met = bound = 0
    for _ in range(number):
        strides = tuple(draw.choice((1, 1, 2, 3)) for _ in range(draw.randint(2, 3)))
        sizes = tuple(sorted(draw.sample((3, 5, 7), draw.choice((1, 2)))))
        front = tuple((draw.choice((3, 5)), draw.choice((1, 2))) for _ in range(draw.randint(0, 1)))
        dims = draw.choice((1, 2))
        goal: dict[str, Any] = {
            "field": draw.randint(3, 60), "dims": dims, "channels": draw.randint(1, 3),
            "objective": draw.choice(("uniform", "cheap")), "max_dilation": draw.randint(4, 12),
        }  # fmt: skip
        if draw.random() < 0.3:
            goal["reach"] = draw.randint(1, 25)
        if draw.random() < 0.4:
            goal["map_size"] = draw.randint(3, 14)
        size, pairs = draw.choice(sizes), goal["channels"] ** 2
        if draw.random() < 0.4:
            runs = [prod(strides[k + 1 :]) for k in range(len(strides))]
            enough = sum((size * run) ** dims for run in runs) * pairs
            goal["budget"] = max(1, enough + draw.choice((-1, 0, 9)))
        if draw.random() < 0.4:
            enough = size**dims * pairs * len(strides)
            goal["parameters"] = max(1, enough + draw.choice((-1, 0, 9)))
        expected = strided_oracle(strides, sizes, front, goal)
        try:
            plan = atrous.schedule(
                kernel=set(sizes), strides=strides, front=[(k, 1, s) for k, s in front], **goal
            )
            assert plan.is_optimal
            plan.verify()
            found = plan.score.variation + 1, plan.macs, plan.field
        except atrous.ImpossibleScheduleError as error:
            found = None
            bound += any(c.constraint in ("budget", "parameters") for c in error.relaxations)
        assert found == expected, (strides, sizes, front, goal)
        met += expected is not None
    assert met > 0.2 * number
    assert bound > 0.02 * number


def test_goals_behind_strides_are_met_best() -> None:
    assert_met_best_behind_strides(250, seed=11)


@pytest.mark.full
@pytest.mark.parametrize("seed", range(8))
def test_many_goals_behind_strides_are_met_best(seed: int) -> None:
    assert_met_best_behind_strides(1000, seed=100 + seed)


def test_a_front_leaves_a_map_of_half_the_length_rounded_up() -> None:
    # Behind a stride of 2 are 4 of 7 positions, on which a dilation of 3 still reads; 3 of 6.
    goal = {"field": 19, "kernel": 3, "layers": 2, "front": [(3, 1, 2)]}
    assert atrous.schedule(**goal, map_size=7).dilations == (1, 3)
    with pytest.raises(atrous.ImpossibleScheduleError, match="map_size=7 instead of 6"):
        atrous.schedule(**goal, map_size=6)


def test_weights_are_told_apart_from_multiply_adds_behind_strides() -> None:
    plan = atrous.schedule(17, strides=(1, 2, 1), dims=2, channels=4)
    # The first layer runs at 2 x 2 positions per output; all have 3 x 3 weights per channel pair.
    assert (plan.macs, plan.parameters) == ((4 + 1 + 1) * 9 * 16, 3 * 9 * 16)
    assert f"{plan.macs:,} multiply-adds per output (4 channels, 2 dimensions), 432 weights" in str(
        plan
    )
    with pytest.raises(atrous.ImpossibleScheduleError, match=r"parameters=432 instead of 431"):
        atrous.schedule(17, strides=(1, 2, 1), dims=2, channels=4, parameters=431)
    with pytest.raises(atrous.InvalidPlanError, match=r"parameters: 432 of at most 431 weights"):
        replace(plan, request=plan.request.changed(parameters=431)).verify()


TWICE_IMPOSSIBLE = [
    {"field": 20, "kernel": 3, "layers": 2, "budget": 3},
    {"field": 11, "kernel": 3, "map_size": 1, "layers": 2},
    {"field": (8, 8), "kernel": 3, "budget": 2},
    {"field": 16, "kernel": 2, "layers": 3, "budget": 4, "causal": True},
    {"field": 12, "kernel": 3, "layers": 2, "max_dilation": 2, "budget": 5},
]


@pytest.mark.parametrize("goal", TWICE_IMPOSSIBLE, ids=str)
def test_pairs_to_relax_are_enough_and_neither_can_be_less(goal: dict[str, object]) -> None:
    with pytest.raises(atrous.ImpossibleScheduleError, match="Relax two: ") as told:
        atrous.schedule(**goal)  # type: ignore[arg-type]
    assert not told.value.relaxations
    assert told.value.pairs
    for pair in told.value.pairs:
        both = relaxed(relaxed(goal, pair[0]), pair[1])
        assert possible(both), pair
        assert atrous.schedule(**both)  # type: ignore[arg-type]
        for change in pair:
            given, needed = change.given, change.needed
            assert not possible({**both, change.constraint: goal.get(change.constraint, False)})
            if isinstance(given, bool | tuple) or change.constraint == "field":
                continue
            step = 1 if needed > given else -1  # type: ignore[operator]
            for nearer in range(given + step, needed, step):  # type: ignore[operator, arg-type]
                assert not possible({**both, change.constraint: nearer}), (pair, nearer)


def test_the_budget_counts_channels_and_dimensions() -> None:
    plan = atrous.schedule(27, kernel=3, dims=2, channels=4)
    assert plan.macs == 3 * prod((3, 3, 4, 4))
    with pytest.raises(atrous.ImpossibleScheduleError, match=r"budget=432 instead of 431"):
        atrous.schedule(27, kernel=3, dims=2, channels=4, budget=431)

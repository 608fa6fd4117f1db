"""Goals in words against all schedules: field, reach, map size, budget, kernels to choose from."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations_with_replacement, count
from math import prod

import pytest

import atrous
from atrous.design.schedule.relaxation import Relaxation
from exhaustive import path_counts

Found = tuple[Fraction, int, int, int]
"""Variation + 1, field, layers, kernel."""


def fits_map(kernel: int, dilation: int, length: int, causal: bool) -> bool:
    """Whether every tap reads the map at some output, one by one."""
    span = (kernel - 1) * dilation
    lefts = (span,) if causal else (span // 2, span - span // 2)
    return all(
        any(0 <= at + tap * dilation - left < length for at in range(length))
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
            if layers > 6 or (goal.get("budget") is not None and cost > goal["budget"]):
                break
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


def goals(number: int) -> list[tuple[tuple[int, ...], dict[str, object]]]:
    draw = random.Random(7)
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
            goal["budget"] = draw.randint(4, 16)
        sizes = tuple(sorted(draw.sample((2, 3, 4, 5), draw.choice((1, 1, 2)))))
        found.append((sizes, goal))
    return found


def contradicts(goal: dict[str, object]) -> bool:
    """Whether the reach alone takes more than the largest field."""
    sides = 1 if goal["causal"] else 2
    field = goal["field"]
    return isinstance(field, tuple) and sides * int(goal.get("reach") or 0) + 1 > field[1]  # type: ignore[call-overload]


def test_goals_are_met_best() -> None:
    met = 0
    for sizes, goal in goals(150):
        expected = oracle(sizes, goal)
        if expected is None and "layers" not in goal and "budget" not in goal:
            # The oracle stops at six layers.
            continue
        if contradicts(goal):
            with pytest.raises(ValueError, match="room for the reach"):
                asked(sizes, goal)
            continue
        assert asked(sizes, goal) == expected, (sizes, goal)
        met += expected is not None
    assert met > 60


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
        return oracle((kernel,), given) is not None
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
        ({"field": 2**25}, "field must be at most"),
    ]:  # fmt: skip
        with pytest.raises(ValueError, match=text):
            atrous.schedule(**given)  # type: ignore[arg-type]


def test_the_budget_counts_channels_and_dimensions() -> None:
    plan = atrous.schedule(27, kernel=3, dims=2, channels=4)
    assert plan.macs == 3 * prod((3, 3, 4, 4))
    with pytest.raises(atrous.ImpossibleScheduleError, match=r"budget=432 instead of 431"):
        atrous.schedule(27, kernel=3, dims=2, channels=4, budget=431)

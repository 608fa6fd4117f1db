"""The certificate: what holds passes, and nothing that does not."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import combinations_with_replacement

import numpy as np
import pytest

import atrous
from atrous.design.schedule.measured import measured, whole_counts
from atrous.design.schedule.objective import Objective
from atrous.design.schedule.plan import Plan, Proof
from atrous.schedules import Schedule
from exhaustive import path_counts

PLANS = [
    {"field": 31, "kernel": 3},
    {"field": 40, "kernel": 2, "causal": True},
    {"field": (25, 30), "kernel": 4},
    {"field": 1024, "kernel": 3},
    {"field": 500, "kernel": 3, "max_dilation": 40},
    {"field": 40, "kernel": [3, 3, 5]},
    {"field": 60, "kernel": 3, "strides": [1, 2, 1, 1]},
    {"field": 200, "kernel": 3, "front": [(7, 1, 2), (3, 1, 2)]},
    {"field": 60, "kernel": 3, "map_size": 14},
    {"field": 30, "kernel": 3, "max_dilation": 4, "layers": 4, "holes": True},
    {"reach": 20, "kernel": 4},
    {"field": 60, "kernel": None, "objective": "cheap", "budget": 400, "channels": 4},
    {"field": 61, "kernel": 3, "objective": {"cv": 1.0, "macs": 0.1}},
    {"field": 27, "kernel": 3, "layers": 1, "holes": True},
]


@pytest.mark.parametrize("given", PLANS, ids=str)
def test_every_plan_holds(given: dict[str, object]) -> None:
    plan = atrous.schedule(**given)  # type: ignore[arg-type]
    told = str(plan.verify())
    assert f"by the gradient\nroutes: {plan.schedule.counts.min():,} to" in told
    assert ("best:" in told) == plan.is_optimal


def fails(plan: Plan, text: str) -> None:
    with pytest.raises(atrous.InvalidPlanError, match=text):
        plan.verify()


@pytest.fixture(scope="module")
def plan() -> Plan:
    return atrous.schedule(31, kernel=3, max_dilation=12, map_size=40, budget=20)


def test_a_tampered_schedule_fails(plan: Plan) -> None:
    own = plan.schedule
    assert own.dilations == (1, 1, 3, 10)
    for change, text in [
        ({"dilations": (1, 1, 1, 12)}, "holes: 10 positions of its field of 31 are not read"),
        ({"dilations": (1, 1, 4, 9)}, "best: "),
        ({"dilations": (1, 1, 3, 9)}, "field: 29, wanted at least 31"),
        ({"dilations": (1, 1, 3, 11)}, "field: there are some between 31 and 33"),
        ({"kernels": (3, 3, 3, 5)}, r"kernels: \(3, 3, 3, 5\) are not all one of \(3,\)"),
        ({"kernels": (5, 5, 5, 5)}, "kernels: "),
        ({"strides": (1, 1, 1, 2)}, "strides: "),
        ({"causal": True}, "causal: it is True, not False"),
        ({"name": "mine"}, "name: "),
        ({"about": "mine"}, "name: "),
        ({"kernels": (3,) * 5, "dilations": (1, 1, 1, 2, 10), "strides": (1,) * 5},
         "layers: 5 where 4 would do"),
    ]:  # fmt: skip
        fails(replace(plan, schedule=replace(own, **change)), text)


def test_a_tampered_request_fails(plan: Plan) -> None:
    for change, text in [
        ({"low": 32}, "field: 31, wanted at least 32"),
        ({"low": 29}, "field: there are some between 29 and 31"),
        ({"high": 30}, "field: 31, wanted 31 to 30"),
        ({"low": 33, "high": 40}, "field: 31, wanted 33 to 40"),
        ({"kernels": (3, 3, 3, 5), "sizes": ()}, "kernels: "),
        ({"sizes": (5,)}, "kernels: "),
        ({"layers": 5}, "layers: there are 4, not 5"),
        ({"max_dilation": 9}, "max_dilation: 10, allowed 9"),
        ({"map_size": 9}, "map_size: 2 taps read padding alone on a map of 9"),
        ({"causal": True}, "causal: it is False, not True"),
        ({"reach": 16}, "reach: 15, wanted at least 16"),
        ({"budget": 11}, "budget: 12 of at most 11 multiply-adds"),
        ({"channels": 2}, "budget: 48 of at most 20"),
        ({"dims": 2}, "budget: 36 of at most 20"),
        ({"strides": (1, 1, 2, 1)}, "strides: "),
        ({"front": ((3, 2, 1),)}, "front: "),
        ({"objective": Objective("cheap")}, "best: "),
    ]:  # fmt: skip
        fails(replace(plan, request=replace(plan.request, **change)), text)
    # Without a cap, five layers of kernel 2 read one position twice and all others once.
    free = atrous.schedule(31, kernel=3)
    fails(replace(free, request=replace(free.request, sizes=(2, 3))), "best: proven by 'search'")


def test_a_tampered_proof_fails(plan: Plan) -> None:
    assert plan.proof.by == "search"
    key = plan.proof.bound
    lower = (Fraction(0), Fraction(0), *key[2:])
    higher = (Fraction(0), key[1] + 1, *key[2:])
    for proof, text in [
        (Proof("bound", key), "best: proven by 'bound', but the bound is"),
        (Proof("", key), "best: proven by ''"),
        (Proof("search", lower), "best: proven by 'search', but the bound is"),
        (Proof("search", higher), "best: proven by 'search', but the bound is"),
        (Proof("guess", key), "best: proven by 'guess', which is no way to"),  # type: ignore[arg-type]
    ]:
        fails(replace(plan, proof=proof), text)
    open_ = atrous.schedule(500, kernel=3, max_dilation=40)
    assert open_.proof.by == ""
    found = open_.proof.bound
    for proof, text in [
        (Proof("search", open_.key), "but searching again by ''"),
        (Proof("bound", open_.key), "best: proven by a bound, which is"),
        (Proof("", (found[0], found[1] / 2, *found[2:])), "searching"),
        (Proof("", (found[0], (found[1] + open_.key[1]) / 2, *found[2:])), "searching"),
    ]:
        fails(replace(open_, proof=proof), text)


def test_a_worse_schedule_with_a_proof_to_match_fails(plan: Plan) -> None:
    other, *rest = plan.runners_up
    swapped = replace(plan, schedule=other, runners_up=tuple(rest))
    fails(replace(swapped, proof=Proof("search", swapped.key)), "best: of all 11 schedules")


def test_all_are_tried(plan: Plan) -> None:
    # Without holes, of field 31: four dilations of sum 15 and at most 12.
    counts = [
        path_counts([(3, d) for d in dilations])
        for dilations in combinations_with_replacement(range(1, 13), 4)
        if sum(dilations) == 15
    ]
    whole = sum(bool((own > 0).all()) for own in counts)
    assert plan.verify().checked[-1] == f"best: all {whole} schedules tried"


def test_tampered_runners_up_fail(plan: Plan) -> None:
    others = plan.runners_up
    assert len(others) > 2
    # With a cap of 12, (1, 2, 4, 8) is a schedule of that field, and not among the next best.
    holed = replace(others[0], dilations=(1, 1, 1, 12))
    for changed, text in [
        ((holed, *others[1:]), "runners_up: .* it has holes"),
        ((*others[:1], plan.schedule), "runners_up: one is "),
        ((others[0], others[0]), "runners_up: one is there twice"),
        (others[::-1], "runners_up: one is better than one before it"),
        ((replace(others[0], causal=True),), "runners_up: .* causal"),
        ((replace(others[0], dilations=(1, 1, 1, 1)),), "runners_up: .* field: 9, wanted"),
        ((replace(others[0], dilations=(1, 2, 5, 13)),), "runners_up: "),
    ]:
        fails(replace(plan, runners_up=changed), text)


def test_all_that_is_wrong_is_told(plan: Plan) -> None:
    wrong = replace(
        plan,
        schedule=replace(plan.schedule, dilations=(1, 1, 1, 14)),
        request=replace(plan.request, budget=3),
    )
    with pytest.raises(atrous.InvalidPlanError) as told:
        wrong.verify()
    words = {fault.partition(":")[0] for fault in told.value.faults}
    assert {"holes", "max_dilation", "budget", "field"} <= words


def test_thorough_tries_all_however_many() -> None:
    plan = atrous.schedule((60, 121), kernel=3, layers=4)
    assert "best: no counts are flatter" in plan.verify().checked
    assert plan.verify(thorough=True).checked[-1].startswith("best: all ")


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule((3, 3, 3), (1, 2, 9)),
        Schedule((2, 4, 3), (3, 1, 5)),
        Schedule((4, 2, 4), (1, 3, 5)),
        Schedule((3, 5, 2), (2, 1, 3), (2, 1, 3)),
        Schedule((3, 2), (4, 3), (3, 2), causal=True),
        Schedule((1, 3), (1, 7)),
        Schedule((3,), (1,), (4,)),
    ],
)
def test_a_schedule_claims_what_the_gradient_measures(schedule: Schedule) -> None:
    seen = measured(schedule)
    assert seen.counts.tolist() == path_counts(schedule.layers).tolist()
    assert (seen.field, seen.reach) == (schedule.field, schedule.reach)
    assert seen.holes == len(schedule.holes)
    assert seen.squares == schedule.squares
    assert whole_counts(schedule).tolist() == seen.counts.tolist()
    assert schedule.is_hole_free == (seen.holes == 0)


def test_counts_beyond_floats_are_exact() -> None:
    deep = Schedule((3,) * 60, (1, 3) * 30)
    assert deep.ways == 3**60 > 2**53
    assert int(whole_counts(deep).sum()) == 3**60
    assert measured(deep).squares == deep.squares
    assert np.array_equal(measured(deep).counts, deep.counts)

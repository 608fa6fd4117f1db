"""The planner against all schedules of small cases."""

from __future__ import annotations

import re
from functools import lru_cache
from time import process_time

import pytest

import atrous
from atrous.design.schedule.arguments import request
from atrous.design.schedule.scan import Space
from atrous.design.schedule.search import exhaust
from atrous.design.schedule.shelf import Shelf, Work
from exhaustive import Row, alike, any_layers, best, row_of


@lru_cache(maxsize=64)
def table(kernel: int, layers: int, most: int) -> dict[int, list[Row]]:
    return alike(kernel, layers, most)


def planned(field: int, **given: object) -> tuple[tuple[int, int] | None, bool]:
    """Holes and squares of the plan, and whether it says that it is the best."""
    try:
        plan = atrous.schedule((field, field), **given)  # type: ignore[arg-type]
    except atrous.ImpossibleScheduleError:
        return None, True
    return (plan.score.holes, plan.score.squares), plan.is_optimal


def assert_best_of_all(kernel: int, layers: int, holes: bool, fields: list[int]) -> None:
    known = table(kernel, layers, 24)
    for field in fields:
        given = {"kernel": kernel, "layers": layers, "max_dilation": 24, "holes": holes}
        found, optimal = planned(field, **given)
        assert found == best(known.get(field, []), holes), (field, given)
        assert optimal


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 7])
def test_the_plan_is_the_best_of_all_schedules(kernel: int, layers: int, holes: bool) -> None:
    fields = sorted(table(kernel, layers, 24))
    # Of three and four layers, where trying all takes longest, some of the fields.
    step = 5 if layers == 4 and kernel > 2 else 2 if layers == 3 and kernel > 4 else 1
    assert_best_of_all(kernel, layers, holes, fields[kernel % step :: step])
    assert_best_of_all(kernel, layers, holes, [fields[0] - 1, fields[-1] + 1])


@pytest.mark.full
@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("kernel", [2, 3, 4, 5, 6, 7])
def test_the_plan_of_four_layers_is_the_best_for_every_field(kernel: int, holes: bool) -> None:
    assert_best_of_all(kernel, 4, holes, list(range(2, max(table(kernel, 4, 24)) + 2)))


def test_the_oracle_sees_a_plan_that_is_not_the_best() -> None:
    rows = alike(3, 3, 24)[25]
    holes, squares = best(rows, False) or (0, 0)
    # Of dilations 1, 3, 8 and the like; the even counts of (1, 3, 9) belong to field 27.
    assert (holes, squares) != (0, 27)
    assert best([row for row in rows if row[2] != (1, 3, 8)], False) != (holes, squares)


@pytest.mark.parametrize(
    ("kernels", "strides", "front", "most"),
    [
        ((3, 3, 5), (1, 1, 1), (), 12),
        ((2, 3, 4), (1, 1, 1), (), 12),
        ((5, 2, 2), (1, 1, 1), (), 12),
        ((3, 3, 3), (2, 1, 1), (), 10),
        ((3, 3, 3), (1, 2, 1), (), 10),
        ((3, 4, 2), (2, 2, 1), (), 10),
        ((3, 2, 3), (3, 1, 1), (), 9),
        ((4, 3), (1, 1), ((3, 1), (3, 4)), 16),
        ((3, 3), (1, 1), ((2, 3),), 16),
        ((3, 5), (1, 1), ((3, 7), (3, 1)), 16),
    ],
)  # fmt: skip
@pytest.mark.parametrize("holes", [False, True])
def test_unlike_layers_strides_and_fronts(
    kernels: tuple[int, ...],
    strides: tuple[int, ...],
    front: tuple[tuple[int, int], ...],
    most: int,
    holes: bool,
) -> None:
    known = any_layers(kernels, strides, most, front)
    for field in range(min(known) - 1, max(known) + 2, 2):
        found, optimal = planned(
            field, kernel=kernels, strides=strides, front=front, max_dilation=most, holes=holes
        )
        assert found == best(known.get(field, []), holes), (field, kernels, strides, front)
        assert optimal


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize(("kernel", "layers", "most"), [(2, 5, 9), (3, 4, 12), (5, 3, 12)])
def test_the_exhaustion_alone_finds_the_best(
    kernel: int, layers: int, most: int, holes: bool
) -> None:
    # Without a good guess to begin with, whatever bounds rule out wrongly is missed.
    asked = request(9, kernel, layers=layers, max_dilation=most, holes=holes)
    frame = asked.frame(kernel, layers)
    for field, rows in table(kernel, layers, most).items():
        expected = best(rows, holes)
        if expected is None:
            continue
        shelf = Shelf(asked.objective)
        space = Space(frame, field, holes, asked.macs(frame), 9)
        # From the worst of all on.
        worst = sorted(row for row in rows if holes or row[0] == 0)[-1]
        shelf.put(frame, worst[2], space.exact(worst[2]))
        assert exhaust(space, shelf, Work(1e12))
        assert shelf.best is not None
        assert (shelf.best.score.holes, shelf.best.score.squares) == expected, (field, expected)


def test_a_front_with_strides() -> None:
    # Kernel 7 at stride 2, pool 3 at stride 2: reach 6 + 2 * 2; behind them steps of 4.
    known = any_layers((3, 3), (1, 1), 12)
    rows: dict[int, list[Row]] = {}
    for first in range(1, 13):
        for second in range(1, 13):
            field, row = row_of([(7, 1), (3, 2), (3, 4 * first), (3, 4 * second)], (first, second))
            rows.setdefault(field, []).append(row)
    assert known
    for field, own in rows.items():
        found, _ = planned(field, kernel=3, layers=2, max_dilation=12, front=[(7, 1, 2), (3, 1, 2)])
        assert found == best(own, False)


def test_weights_trade_holes_for_evenness() -> None:
    known = alike(3, 3, 9)
    for field, rows in known.items():
        for weights in ({"cv": 1.0}, {"cv": 1.0, "holes": 2.0}, {"holes": 1.0, "cv": 0.01}):
            ways = 27
            expected = min(
                weights.get("holes", 0) * h / field
                + weights["cv"] * max(field * q / ways**2 - 1, 0) ** 0.5
                for h, q, _ in rows
            )
            plan = atrous.schedule(
                (field, field), 3, layers=3, max_dilation=9, holes=True, objective=weights
            )
            assert plan.key[0] == pytest.approx(expected, abs=1e-9), (field, weights)
            assert plan.is_optimal


def test_a_range_takes_the_most_even_of_all_its_fields() -> None:
    known = alike(3, 4, 30)
    for low, high in ((20, 40), (50, 70), (30, 31), (82, 90)):
        expected = min(
            (field * q / 81**2 for field, rows in known.items() if low <= field <= high
             for h, q, _ in rows if h == 0), default=None,
        )  # fmt: skip
        if expected is None:
            with pytest.raises(atrous.ImpossibleScheduleError, match="no schedule meets all of"):
                atrous.schedule((low, high), 3, layers=4)
            continue
        plan = atrous.schedule((low, high), 3, layers=4)
        assert float(plan.score.variation) + 1 == pytest.approx(expected)
        assert plan.is_optimal


@pytest.mark.parametrize(
    ("field", "kernel", "layers", "even"),
    [(32000, 2, 15, True), (32000, 3, 10, True), (32000, 5, 7, False)],
)
def test_large_fields_in_less_than_a_second(
    field: int, kernel: int, layers: int, even: bool
) -> None:
    before = process_time()
    plan = atrous.schedule(field, kernel=kernel)
    assert process_time() - before < 1.0
    assert len(plan.dilations) == layers
    assert field <= plan.field < field + kernel - 1
    assert plan.schedule.is_hole_free
    if even:
        # So many routes on so many positions: once or twice each, and nothing is flatter.
        twice = kernel**layers - plan.field
        assert plan.score.squares == plan.field - twice + 4 * twice
        assert plan.proof.by == "bound"


def test_a_bound_holds_where_nothing_is_proven() -> None:
    plan = atrous.schedule(1000, kernel=3, max_dilation=16)
    assert not plan.is_optimal
    assert plan.proof.bound < plan.key
    # 34 layers of 3 with dilations up to 16 spread by at most sqrt(8 / 12 * sum of d^2); the
    # flattest density of that spread is a parabola of height 0.268 / spread.
    spread = (8 / 12 * sum(16 * d for d in plan.dilations) + 1 / 12) ** 0.5
    assert float(plan.proof.bound[1]) + 1 <= 1.001 * plan.field * 3 / (5 * 5**0.5 * spread)


def test_the_same_request_has_the_same_plan() -> None:
    assert atrous.schedule(500, kernel=3) == atrous.schedule(500, kernel=3)


def test_what_comes_next_reads_something_else() -> None:
    # Dilations 1 11 and 11 1 of two layers at one scale are the same taps, and so are 2 at scale 2
    # and 1 at scale 4.
    plan = atrous.schedule(200, strides=(2, 1, 2, 1, 1, 1), map_size=224)
    counts = [tuple(own.counts.tolist()) for own in (plan.schedule, *plan.runners_up)]
    assert len(counts) > 3
    assert len(set(counts)) == len(counts)


def test_more_routes_than_floats_hold_are_told() -> None:
    text = str(atrous.schedule(3000, layers=1000))
    # On average 3^1000 / 3001 = 4.4e473; in the middle some times as many.
    assert re.search(r"1 to \d\.\d\de\+474 routes to each position read", text)

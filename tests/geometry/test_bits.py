"""Positions as bits, against rows of relations read one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from atrous.geometry.bits import Offsets, Step, collected

ROWS = st.lists(st.lists(st.integers(-6, 6), max_size=4).map(tuple), min_size=1, max_size=4)


@given(st.sets(st.integers(-40, 40), min_size=1), ROWS, st.integers(-3, 4))
def test_positions_read_what_their_rows_say(
    positions: set[int], rows: list[tuple[int, ...]], step: int
) -> None:
    wanted = {o // len(rows) * step + tap for o in positions for tap in rows[o % len(rows)]}
    own = collected(positions)
    assert own is not None and own.places == sorted(positions)
    found = Step(step, tuple(rows)).back(own)
    assert (set() if found is None else set(found.places)) == wanted


@given(st.sets(st.integers(-40, 40), min_size=1))
def test_holes_span_and_factor_are_those_of_the_set(positions: set[int]) -> None:
    own = collected(positions)
    assert own is not None
    assert own.span == max(positions) - min(positions) + 1
    assert own.holes == own.span - len(positions)
    distances = {p - min(positions) for p in positions} - {0}
    factors = [f for f in range(1, 81) if all(d % f == 0 for d in distances)]
    assert own.factor == (max(factors) if distances else 0)
    assert own == Offsets(min(positions), own.bits)

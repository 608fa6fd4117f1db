"""Relations recovered from the pairs that they stand for."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atrous.geometry.fitting import fitted, indexed
from atrous.geometry.primitives import adaptive, linear, padded, strided
from atrous.geometry.relation import Relation


@given(st.integers(1, 40), st.integers(1, 12), st.data())
def test_any_pairs_come_back(outputs: int, inputs: int, data: st.DataObject) -> None:
    cells = st.tuples(st.integers(0, outputs - 1), st.integers(0, inputs - 1))
    pairs = np.array(data.draw(st.lists(cells, max_size=60)), dtype=np.int64).reshape(-1, 2)
    expected = np.zeros((outputs, inputs), dtype=bool)
    expected[tuple(pairs.T)] = True
    free = np.array(data.draw(st.lists(st.booleans(), min_size=outputs, max_size=outputs)))
    found = fitted(outputs, inputs, pairs[:, 0], pairs[:, 1])
    assert (found.matrix().astype(bool) == expected).all()
    loose = fitted(outputs, inputs, pairs[:, 0], pairs[:, 1], free)
    assert (loose.matrix().astype(bool) == expected)[~free].all()


@pytest.mark.parametrize(
    "relation",
    [
        strided(20, 50, start=3, step=2),
        strided(20, 20, start=19, step=-1),
        padded(20, 3, 2, "reflect"),
        adaptive(20, 30),
        linear(30, 15, scale=adaptive(30, 15).rates[0], align_corners=False),
    ],
)
def test_the_pattern_of_regular_pairs_is_found(relation: Relation) -> None:
    pairs = np.argwhere(relation.matrix())
    found = fitted(relation.outputs, relation.inputs, pairs[:, 0], pairs[:, 1])
    assert found.rates == relation.rates
    assert found.period == relation.period


def test_an_index_without_a_pattern_has_a_range_of_rates() -> None:
    found = indexed(100, np.array([0, 7, 9, 40, 41, 60, 61, 99], dtype=np.int64))
    assert found.rates == (1, 38)
    assert found.row(3) == {40: 1}

"""Adjoints of relations against their dense matrices, transposed."""

from __future__ import annotations

import random

import numpy as np
import pytest

from atrous.geometry.adjoint import pulled_back
from atrous.geometry.primitives import one_sided, transposed
from atrous.geometry.relation import Relation


def drawn(rng: random.Random) -> Relation:
    outputs, inputs, period = rng.randint(1, 12), rng.randint(1, 14), rng.randint(1, 4)
    rows = [
        {rng.randint(-5, 14): rng.randint(1, 3) for _ in range(rng.randint(0, 4))}
        for _ in range(period)
    ]
    odd = {rng.randrange(outputs): [rng.randrange(inputs)] * 2} if rng.random() < 0.3 else None
    return Relation.of(outputs, inputs, rows, step=rng.randint(-3, 3), exceptions=odd)


def assert_adjoint(relation: Relation, rng: random.Random) -> None:
    matrix = relation.matrix()
    low = rng.randrange(relation.outputs)
    high = rng.randint(low + 1, relation.outputs)
    values = np.array([[rng.randint(0, 5) for _ in range(2)] for _ in range(low, high)])
    for kind in (np.int64, np.float64, object):
        mine = values.astype(kind)
        wanted = matrix[low:high].T.astype(kind) @ mine
        for axis, given in ((0, mine), (1, mine.T)):
            found, start = pulled_back(relation, given, axis, low)
            laid_out = np.zeros_like(wanted)
            laid_out[start : start + found.shape[axis]] = found if axis == 0 else found.T
            assert (laid_out == wanted).all(), (relation, low, high, kind)


@pytest.mark.parametrize("seed", range(4))
def test_random_relations(seed: int) -> None:
    rng = random.Random(seed)
    for _ in range(200):
        assert_adjoint(drawn(rng), rng)


def test_long_rows_and_many_phases() -> None:
    rng = random.Random(5)
    for relation in (
        Relation.whole(300, 70),
        Relation.identity(40),
        one_sided(400),
        one_sided(300, ahead=True),
        transposed(301, 100, 5, stride=3, dilation=2, left=1),
        Relation.of(50, 60, [[(7 * k) % 11 - 3 for k in range(3)] for _ in range(13)], step=9),
    ):
        assert_adjoint(relation, rng)


def test_a_relation_that_reads_nothing_gives_an_empty_interval() -> None:
    found, _ = pulled_back(Relation.of(3, 4, [[9]]), np.ones(3, dtype=np.int64))
    assert found.size == 0

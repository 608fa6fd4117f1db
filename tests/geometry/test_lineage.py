"""Lineages: rows, counts, patterns and interiors against composed matrices."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from atrous.geometry.lineage import Edge, Lineage
from atrous.geometry.pattern import Periodic, Rows
from atrous.geometry.primitives import Window, gathered, linear, transposed
from atrous.geometry.relation import Relation


def random_lineage(rng: random.Random) -> tuple[Lineage, np.ndarray]:
    """A graph of layers and branches, with its dense matrix of counts."""
    length = rng.randint(4, 30)
    known = [(Lineage.input(length), np.eye(length, dtype=object))]
    for _ in range(rng.randint(1, 6)):
        source, matrix = rng.choice(known[-2:])
        relation = random_relation(rng, source.length)
        node = Lineage(relation.outputs, [Edge(relation, source)])
        product = relation.matrix().astype(object) @ matrix
        for other, other_matrix in known:
            if other.length == node.length and rng.random() < 0.5:
                identity = Relation.identity(node.length)
                node = Lineage(node.length, [Edge(identity, node), Edge(identity, other)])
                product = product + other_matrix
        known.append((node, product))
    return known[-1]


def random_relation(rng: random.Random, inputs: int) -> Relation:
    kind = rng.choice(["window", "transposed", "linear"])
    if kind == "linear":
        outputs = rng.randint(1, 30)
        return linear(outputs, inputs, Fraction(inputs, outputs), align_corners=False)
    k, s, d = rng.randint(1, 4), rng.randint(1, 3), rng.randint(1, 3)
    left = rng.randint(0, 5)
    if kind == "window":
        outputs = (inputs + 2 * left - (k - 1) * d - 1) // s + 1
        if outputs > 0:
            return Window(k, s, d, left).relation(outputs, inputs)
    outputs = (inputs - 1) * s + (k - 1) * d + 1
    return transposed(outputs, inputs, k, stride=s, dilation=d, left=rng.randint(0, 2))


@pytest.mark.parametrize("seed", range(150))
def test_taps_of_every_row_are_those_of_the_matrix(seed: int) -> None:
    lineage, matrix = random_lineage(random.Random(seed))
    for o in range(lineage.length):
        taps, counts = lineage.taps(o)
        row = np.zeros(lineage.inputs, dtype=object)
        row[taps] = counts
        assert (row == matrix[o]).all()
    live = matrix.astype(bool).any(axis=1)
    assert (live == (True if lineage.live is None else lineage.live)).all()


@pytest.mark.parametrize("seed", range(150))
def test_pattern_is_the_hull_of_the_unclipped_taps(seed: int) -> None:
    lineage, _ = random_lineage(random.Random(seed))
    outputs = np.arange(lineage.length, dtype=np.int64)
    lo, hi = lineage.pattern.hulls(outputs)
    for o in range(lineage.length):
        taps, _ = lineage.taps(o, clipped=False)
        assert (len(taps) == 0) == (lo[o] > hi[o])
        if len(taps):
            assert (taps[0], taps[-1]) == (lo[o], hi[o])


@pytest.mark.parametrize("seed", range(150))
def test_interior_outputs_are_clipped_nowhere(seed: int) -> None:
    lineage, _ = random_lineage(random.Random(seed))
    start, stop = lineage.interior
    for o in range(start, stop):
        clipped, unclipped = lineage.taps(o), lineage.taps(o, clipped=False)
        assert clipped[0].tolist() == unclipped[0].tolist()
        assert clipped[1].tolist() == unclipped[1].tolist()


def test_interior_is_as_long_as_it_can_be() -> None:
    x = Lineage.input(50)
    y = Lineage(50, [Edge(Window(3, dilation=4, left=4).relation(50, 50), x)])
    z = Lineage(25, [Edge(Window(2, stride=2).relation(25, 50), y)])
    assert y.interior == (4, 46)
    assert z.interior == (2, 23)


def test_branches_of_one_rate_stay_periodic_and_of_several_do_not() -> None:
    x = Lineage.input(9)
    down = Lineage(5, [Edge(Window(3, stride=2, left=1).relation(5, 9), x)])
    up = Lineage(9, [Edge(gathered(9, 5, np.arange(9) * 5 // 9, Fraction(5, 9)), down)])
    both = Lineage(9, [Edge(Relation.identity(9), up), Edge(Relation.identity(9), x)])
    deep = Lineage(9, [Edge(Window(3, left=1).relation(9, 9), both)])
    assert isinstance(up.pattern, Periodic)
    assert isinstance(both.pattern, Rows)
    assert both.pattern.rates == (Fraction(1), Fraction(10, 9))
    lo, hi = deep.pattern.hulls(np.arange(9))
    assert lo[0] < 0 < 8 < hi[8]


def test_deep_graphs_of_unequal_rates_do_not_recurse() -> None:
    x = Lineage.input(9)
    node = Lineage(
        9,
        [
            Edge(Relation.identity(9), x),
            Edge(Relation(9, 9, 2, Relation.identity(9).taps), x),
        ],
    )
    for _ in range(3000):
        node = Lineage(9, [Edge(Window(3, left=1).relation(9, 9), node)])
    lo, hi = node.pattern.hulls(np.array([4]))
    assert (lo[0], hi[0]) == (2 * (4 - 3000), 2 * (4 + 3000))


def test_global_reading_swallows_the_rest() -> None:
    x = Lineage.input(40)
    pooled = Lineage(1, [Edge(Relation.whole(1, 40), x, "global", "pool")])
    spread = Lineage(40, [Edge(Relation(40, 1, 0, Relation.identity(1).taps), pooled)])
    both = Lineage(40, [Edge(Relation.identity(40), spread), Edge(Relation.identity(40), x)])
    assert (both.status, both.cause) == ("global", "pool")
    lo, hi = both.pattern.hulls(np.array([7]))
    assert (lo[0], hi[0]) == (0, 39)


def test_the_worst_status_wins_and_names_its_cause() -> None:
    x = Lineage.input(8)
    one = Relation.identity(8)
    bound = Lineage(8, [Edge(one, x, "bound", "here")])
    unknown = Lineage(8, [Edge(one, bound, "unknown", "there")])
    assert (bound.status, bound.cause) == ("bound", "here")
    assert (unknown.status, unknown.cause) == ("unknown", "there")

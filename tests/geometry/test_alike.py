"""Outputs that read in different patterns, against the rows of a dense matrix."""

from __future__ import annotations

import random

import numpy as np
import pytest

from atrous.geometry.alike import repeats, unlike
from atrous.geometry.lineage import Edge, Lineage
from atrous.geometry.primitives import Window, transposed
from atrous.geometry.relation import Relation

LENGTH = 160


def drawn(rng: random.Random) -> tuple[Lineage, np.ndarray]:
    """Layers that stride, upsample and branch, and the dense matrix of their path counts."""
    known = [(Lineage.input(LENGTH), np.eye(LENGTH, dtype=np.int64))]
    for _ in range(rng.randint(1, 4)):
        source, matrix = known[-1]
        relation = step(rng, source.length)
        node = Lineage(relation.outputs, [Edge(relation, source)])
        product = relation.matrix().astype(np.int64) @ matrix
        for other, rows in known:
            if other.length == node.length and rng.random() < 0.5:
                same = Relation.identity(node.length)
                node = Lineage(node.length, [Edge(same, node), Edge(same, other)])
                product = product + rows
        known.append((node, product))
    return known[-1]


def step(rng: random.Random, inputs: int) -> Relation:
    k, d = rng.randint(1, 3), rng.randint(1, 3)
    kind = rng.choice(["window", "strided", "nearest", "transposed"])
    if kind == "window" or inputs < 24:
        return Window(k, 1, d, (k - 1) * d // 2).relation(inputs, inputs)
    if kind == "strided":
        return Window(2, 2, d, 0).relation(inputs // 2, inputs)
    if kind == "nearest":
        times = rng.choice([2, 3])
        return Relation.of(inputs * times, inputs, [[0]] * times, step=1)
    return transposed((inputs - 1) * 2 + k + 1, inputs, k + 1, stride=2, dilation=1, left=0)


def pattern(row: np.ndarray) -> tuple[int, ...]:
    """What a row reads, wherever it lies."""
    read = np.flatnonzero(row)
    return tuple(read - read[0]) if len(read) else ()


@pytest.mark.parametrize("seed", range(60))
def test_every_row_away_from_borders_reads_as_one_of_those_told(seed: int) -> None:
    lineage, matrix = drawn(random.Random(seed))
    middle = lineage.length // 2
    told = unlike(lineage, middle)
    repeat = repeats(lineage)[lineage]
    assert told[0] == middle
    assert len(set(told)) == len(told)
    if repeat is None:
        return
    period, moved = repeat
    reach = max(5 * period, 24)
    if middle - reach < 0 or middle + reach > lineage.length:
        return
    near = range(middle - period, middle + period)
    assert {pattern(matrix[o]) for o in near} == {pattern(matrix[o]) for o in told}
    # What is read repeats after a period, moved on.
    again = np.zeros_like(matrix[middle])
    again[moved:] = matrix[middle - period][: LENGTH - moved] if moved else matrix[middle - period]
    assert np.array_equal(again, matrix[middle])


def test_dilation_behind_an_upsampling_parts_the_phases_by_arithmetic() -> None:
    # Outputs o read values o // 2 and (o + d) // 2: for even d as far apart in both phases.
    x = Lineage.input(16)
    twice = Lineage(32, [Edge(Relation.of(32, 16, [[0], [0]], step=1), x)])
    for d, count in ((2, 1), (3, 2), (4, 1)):
        last = Lineage(32 - d, [Edge(Relation.of(32 - d, 32, [[0, d]]), twice)])
        assert len(unlike(last, 14)) == count
        assert repeats(last)[last] == (2, 1)


def test_a_skip_past_an_upsampling_tells_phases_apart() -> None:
    # 0, 0, 1, 1 beside 0, 1, 2, 3: even outputs read their own place twice.
    x = Lineage.input(16)
    half = Lineage(8, [Edge(Relation.of(8, 16, [[0]], step=2), x)])
    twice = Lineage(16, [Edge(Relation.of(16, 8, [[0], [0]], step=1), half)])
    joined = Lineage(16, [Edge(Relation.identity(16), twice), Edge(Relation.identity(16), x)])
    assert unlike(twice, 8) == (8,)
    assert unlike(joined, 8) == (8, 9)

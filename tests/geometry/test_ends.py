"""First and last input per output, against products of dense matrices."""

from __future__ import annotations

import random

import numpy as np
import pytest

from atrous.geometry.ends import ends
from atrous.geometry.lineage import Edge, Lineage
from atrous.geometry.primitives import (
    Window,
    adaptive,
    one_sided,
    padded,
    rolled,
    strided,
    transposed,
)
from atrous.geometry.relation import Relation
from atrous.geometry.taps import NOTHING_HI, NOTHING_LO


def drawn_relation(draw: random.Random, inputs: int) -> Relation:
    kind = draw.randrange(8)
    if kind == 0:
        return padded(inputs, draw.randint(0, inputs - 1), draw.randint(0, inputs - 1), "reflect")
    if kind == 1:
        return rolled(inputs, draw.randint(1, inputs))
    if kind == 2:
        return strided(inputs, inputs, start=inputs - 1, step=-1)
    if kind == 3:
        return transposed(2 * inputs, inputs, 3, stride=2, dilation=2, left=1)
    if kind == 4:
        return one_sided(inputs, ahead=draw.random() < 0.5)
    if kind == 5:
        return adaptive(draw.randint(1, inputs), inputs)
    if kind == 6:
        return Relation.whole(draw.randint(1, 3), inputs)
    window = Window(draw.randint(1, 4), draw.randint(1, 3), draw.randint(1, 4), draw.randint(0, 6))
    return window.relation(max(1, inputs // window.stride), inputs)


def assert_ends(lineage: Lineage, matrix: np.ndarray) -> None:
    found = ends(lineage)
    for output, row in enumerate(matrix):
        read = np.flatnonzero(row)
        wanted = (read[0], read[-1]) if len(read) else (NOTHING_LO, NOTHING_HI)
        assert (found.first[output], found.last[output]) == wanted


@pytest.mark.parametrize("seed", range(60))
def test_ends_are_those_of_the_dense_product(seed: int) -> None:
    draw = random.Random(seed)
    lineage = Lineage.input(draw.randint(2, 12))
    matrix = np.eye(lineage.length, dtype=bool)
    for _ in range(draw.randint(1, 4)):
        first = drawn_relation(draw, lineage.length)
        edges, reads = [Edge(first, lineage)], first.matrix().astype(bool) @ matrix
        if draw.random() < 0.4 and first.outputs == lineage.length:
            taken = np.array([draw.random() < 0.5 for _ in range(first.outputs)])
            edges.append(Edge(Relation.identity(lineage.length), lineage, positions=taken))
            reads = reads | (matrix & taken[:, None])
        lineage, matrix = Lineage(first.outputs, edges), reads
    assert_ends(lineage, matrix)


def test_long_runs_are_followed_without_their_taps() -> None:
    length = 400
    x = Lineage.input(length)
    shifted = Lineage(length, [Edge(rolled(length, 3), x)])
    summed = Lineage(length, [Edge(one_sided(length), shifted)])
    matrix = one_sided(length).matrix().astype(bool) @ rolled(length, 3).matrix().astype(bool)
    assert_ends(summed, matrix)


def test_a_wrong_end_is_noticed() -> None:
    x = Lineage.input(4)
    right = Lineage(4, [Edge(padded(4, 0, 0), x)])
    # The second output reads the second input alone; the matrix has it read the first as well.
    with pytest.raises(AssertionError, match="At index 0 diff"):
        assert_ends(right, np.tri(4, dtype=bool))

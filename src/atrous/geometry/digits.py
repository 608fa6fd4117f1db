"""Relations that act on one digit of an axis written in mixed radix."""

from __future__ import annotations

import numpy as np

from atrous.geometry.relation import Relation
from atrous.geometry.taps import Ints, Taps, collect


def lift(relation: Relation, slower: int, faster: int) -> Relation:
    """A relation on one digit of an axis as a relation on the whole axis.

    An index of the axis is `(a * digits + x) * faster + b` with `a < slower` and `b < faster`; the
    relation acts on x and leaves a and b alone.

    >>> lift(Relation.of(4, 4, [[0, 1]]), slower=1, faster=2).row(1)
    {1: 1, 3: 1}
    """
    if slower == 1 and faster == 1:
        return relation
    if slower > 1:
        # The neighbours of a block's ends belong to other blocks: rows as they are, clipped.
        taps = _spread(
            *relation.reads(np.arange(relation.outputs, dtype=np.int64)), relation.outputs, faster
        )
        return Relation(
            slower * relation.outputs * faster,
            slower * relation.inputs * faster,
            relation.inputs * faster,
            taps,
        )
    size = len(relation.exceptional)
    phases = np.arange(relation.period, dtype=np.int64)
    exceptional = (relation.exceptional[:, None] * faster + np.arange(faster)).reshape(-1)
    return Relation(
        relation.outputs * faster,
        relation.inputs * faster,
        relation.step * faster,
        _spread(*relation.taps.pick(phases), relation.period, faster),
        exceptional.astype(np.int64),
        _spread(*relation.exceptions.pick(np.arange(size, dtype=np.int64)), size, faster),
    )


def _spread(rows: Ints, offsets: Ints, counts: np.ndarray, size: int, faster: int) -> Taps:
    """Each row once per value of the faster digits, whose value stays."""
    fast = np.arange(faster, dtype=np.int64)
    keys = (rows[:, None] * faster + fast).reshape(-1)
    spread = (offsets[:, None] * faster + fast).reshape(-1)
    return collect(size * faster, keys, spread, np.repeat(counts, faster))

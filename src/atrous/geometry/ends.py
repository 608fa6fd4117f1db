"""First and last input that every output really reads, borders and exceptions included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from atrous.geometry.lineage import Lineage
from atrous.geometry.pattern import runs_through
from atrous.geometry.relation import Relation
from atrous.geometry.taps import NOTHING_HI, NOTHING_LO, Ints

_MANY_TAPS = 1 << 16


@dataclass(frozen=True, eq=False)
class Ends:
    """First and last input per output; `(NOTHING_LO, NOTHING_HI)` where nothing is read.

    Attributes:
        first: one entry per output.
        last: one entry per output.
    """

    first: Ints
    last: Ints

    def hulls(self, outputs: Ints) -> tuple[Ints, Ints]:
        """First and last input of the given outputs."""
        return self.first[outputs], self.last[outputs]


def ends(lineage: Lineage) -> Ends:
    """What every output of a lineage really reads, from the first to the last input.

    A pattern tells the same away from the borders; here every intermediate axis clips, and the
    rows that padding by reflection, flips and rolls make exceptional are followed as they are.

    Example:
        >>> from atrous.geometry.lineage import Edge
        >>> from atrous.geometry.primitives import padded
        >>> x = Lineage.input(6)
        >>> found = ends(Lineage(8, [Edge(padded(6, 2, 0, "reflect"), x)]))
        >>> found.last.tolist()
        [2, 1, 0, 1, 2, 3, 4, 5]
    """
    known: dict[Lineage, Ends] = {}
    for at in lineage.ancestry():
        if at.is_input:
            own = np.arange(at.length, dtype=np.int64)
            known[at] = Ends(own, own)
            continue
        first = np.full(at.length, NOTHING_LO, dtype=np.int64)
        last = np.full(at.length, NOTHING_HI, dtype=np.int64)
        for edge in at.edges:
            lo, hi = _through(edge.relation, known[edge.source])
            if edge.positions is not None:
                lo = np.where(edge.positions, lo, NOTHING_LO)
                hi = np.where(edge.positions, hi, NOTHING_HI)
            first, last = np.minimum(first, lo), np.maximum(last, hi)
        known[at] = Ends(first, last)
    return known[lineage]


def _through(relation: Relation, source: Ends) -> tuple[Ints, Ints]:
    outputs = np.arange(relation.outputs, dtype=np.int64)
    plain = len(relation.exceptional) == 0
    if relation.step == 0 and plain and relation.outputs > relation.period:
        # Every period reads the same.
        lo, hi = _rows(relation, source, outputs[: relation.period])
        return lo[outputs % relation.period], hi[outputs % relation.period]
    return _rows(relation, source, outputs)


def _rows(relation: Relation, source: Ends, outputs: Ints) -> tuple[Ints, Ints]:
    if relation.are_runs and len(outputs) * len(relation.taps.offsets) > _MANY_TAPS:
        return runs_through(*relation.runs(outputs), source)
    lo = np.full(len(outputs), NOTHING_LO, dtype=np.int64)
    hi = np.full(len(outputs), NOTHING_HI, dtype=np.int64)
    position, inputs, _ = relation.reads(outputs)
    if len(inputs):
        starts = np.flatnonzero(np.diff(position, prepend=np.int64(-1)))
        rows = position[starts]
        lo[rows] = np.minimum.reduceat(source.first[inputs], starts)
        hi[rows] = np.maximum.reduceat(source.last[inputs], starts)
    return lo, hi

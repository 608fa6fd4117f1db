"""Relations found from what they read: the pattern behind a list of pairs, such as an index."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from atrous.geometry.relation import Flags, Relation
from atrous.geometry.taps import Ints, Taps, collect

_LONGEST_PERIOD = 32
_FEW = 0.05
"""A pattern with a smaller share of exceptional rows is not improved on."""


def indexed(inputs: int, source: Ints) -> Relation:
    """Output `o` reads input `source[o]`, for any index.

    >>> indexed(6, np.array([2, 1, 0, 1, 2, 3, 4, 5]))
    Relation(8 <- 6: (o // 1) * 1 + [{-2}], 2 exceptions)
    """
    return fitted(len(source), inputs, np.arange(len(source), dtype=np.int64), source)


def fitted(
    outputs: int, inputs: int, reader: Ints, read: Ints, free: Flags | None = None
) -> Relation:
    """Output `reader[k]` reads input `read[k]`, for all k, and nothing else is read.

    The relation is periodic with exceptions where most rows follow a pattern; otherwise it has one
    row of taps per output, and its rates are a range.

    Args:
        outputs: length of the output axis.
        inputs: length of the input axis.
        reader: one end of each pair.
        read: the other end.
        free: outputs that do not matter: they may read anything.
    """
    keys = np.unique(reader * max(inputs, 1) + read)
    reader, read = keys // max(inputs, 1), keys % max(inputs, 1)
    table = collect(outputs, reader, read, np.ones(len(keys), np.int64))
    present = np.flatnonzero(table.lengths > 0)
    if len(present) == 0:
        return Relation(outputs, inputs, 1, Taps.of([[]]))
    middle = int(present[len(present) // 2])
    matter = outputs if free is None else int((~free).sum())
    best: tuple[Relation, Ints] | None = None
    # What a pattern costs: its phases, and the rows that do not follow it.
    lowest = matter // 2
    for period in range(1, min(outputs, _LONGEST_PERIOD) + 1):
        step = _step(table, middle, period)
        if step is None or (best is not None and period >= lowest):
            continue
        first = min(middle, outputs - period)
        rows: list[list[int]] = [[] for _ in range(period)]
        for o in range(first, first + period):
            at = slice(int(table.starts[o]), int(table.starts[o + 1]))
            rows[o % period] = [int(i) - o // period * step for i in table.offsets[at]]
        relation = Relation(outputs, inputs, step, Taps.of(rows))
        odd = _differing(relation, keys, free)
        cost = period - 1 + len(odd)
        if cost == 0 or cost < lowest:
            best, lowest = (relation, odd), cost
        if len(odd) <= _FEW * matter:
            break
    if best is None:
        # Beyond its ends, which padding later reads, the table goes on at its mean rate.
        span = int(present[-1] - present[0])
        rise = int(table.lo[present[-1]] - table.lo[present[0]])
        step = round(Fraction(rise * outputs, max(span, 1)))
        return Relation(outputs, inputs, step, table, rates=_rates(table, present))
    relation, odd = best
    _, offsets, counts = table.pick(odd)
    at_row = np.repeat(np.arange(len(odd), dtype=np.int64), table.lengths[odd])
    exceptions = collect(len(odd), at_row, offsets, counts)
    return Relation(outputs, inputs, relation.step, relation.taps, odd, exceptions)


def _step(table: Taps, middle: int, period: int) -> int | None:
    """How far the middle row moves in one period; None if no row tells."""
    for other in (middle + period, middle - period):
        if 0 <= other < len(table) and table.lengths[other] > 0:
            return int(table.lo[max(middle, other)] - table.lo[min(middle, other)])
    return 1 if period == 1 else None


def _differing(relation: Relation, keys: Ints, free: Flags | None) -> Ints:
    """The rows in which a relation does not read what it should."""
    outputs = np.arange(relation.outputs, dtype=np.int64)
    position, inputs, _ = relation.reads(outputs)
    odd = np.setxor1d(position * max(relation.inputs, 1) + inputs, keys) // max(relation.inputs, 1)
    odd = np.unique(odd)
    return odd if free is None else odd[~free[odd]]


def _rates(table: Taps, present: Ints) -> tuple[Fraction, Fraction]:
    """The smallest and largest move from one row to the next."""
    if len(present) < 2:
        return Fraction(0), Fraction(0)
    moves = np.diff(table.lo[present])
    widths = np.diff(present)
    rates = [Fraction(int(m), int(w)) for m, w in set(zip(moves, widths, strict=True))]
    return min(rates), max(rates)

"""Composition and union of relations, exact at the borders."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

import numpy as np

from atrous.geometry.relation import Relation
from atrous.geometry.taps import Counts, Ints, Taps, collect, multiply


def compose(outer: Relation, inner: Relation) -> Relation:
    """What `outer` (out <- mid) reads through `inner` (mid <- in).

    The middle axis is clipped to its own extent: an output that reads padding there reads nothing
    of what would have been computed at that place. Counts multiply and add up along all ways.

    Raises:
        ValueError: if the middle axes differ in length.

    Example:
        >>> conv = Relation.of(8, 8, [[-1, 0, 1]])
        >>> compose(conv, conv)
        Relation(8 <- 8: (o // 1) * 1 + [{-2, -1x2, 0x3, 1x2, 2}], 2 exceptions)
    """
    if outer.inputs != inner.outputs:
        raise ValueError(
            f"the outer relation must read the {inner.outputs} outputs of the inner one, "
            f"got an input axis of {outer.inputs}."
        )
    factor = inner.period // gcd(inner.period, abs(outer.step))
    period = outer.period * factor
    step = outer.step * factor // inner.period * inner.step
    # A row of the result holds sums of products of one row of each: this bounds them.
    bound = outer._table.largest_total * inner._table.largest_total

    def through(outputs: Ints, exact: bool) -> Taps:
        at, mids, outer_counts = outer.reads(outputs) if exact else outer.pattern(outputs)
        via, inputs, inner_counts = inner.reads(mids) if exact else inner.pattern(mids)
        counts = multiply(outer_counts[via], inner_counts, bound)
        return collect(len(outputs), at[via], inputs, counts)

    # More phases than outputs are rows that no output has.
    taps = through(np.arange(min(period, max(outer.outputs, 1)), dtype=np.int64), exact=False)
    special = _special_rows(outer, inner)
    low, high = _product_range(outer.rates, inner.rates)
    return simplify(
        Relation(
            outer.outputs,
            inner.inputs,
            step,
            taps,
            special,
            through(special, exact=True),
            (low, high),
        )
    )


def _special_rows(outer: Relation, inner: Relation) -> Ints:
    """Outputs whose row is not the composed pattern clipped at the input."""
    outputs = np.arange(outer.outputs, dtype=np.int64)
    at, mids, _ = outer.pattern(outputs)
    odd = (mids < 0) | (mids >= inner.outputs)
    if len(inner.exceptional):
        odd |= np.isin(mids, inner.exceptional)
    return np.union1d(at[odd], outer.exceptional).astype(np.int64)


def union(first: Relation, second: Relation) -> Relation:
    """What either relation reads; counts add up.

    With equal rates the result is periodic. Otherwise it has one row of taps per output and its
    `rates` are a range.

    Raises:
        ValueError: if the axes differ in length.
    """
    if (first.outputs, first.inputs) != (second.outputs, second.inputs):
        raise ValueError(
            "both relations must join the same axes, got "
            f"{first.outputs} <- {first.inputs} and {second.outputs} <- {second.inputs}."
        )
    rates = (min(first.rates[0], second.rates[0]), max(first.rates[1], second.rates[1]))
    period = lcm(first.period, second.period)
    step = first.step * (period // first.period)
    periodic = step == second.step * (period // second.period) and period <= first.outputs
    if not periodic:
        period, step = max(first.outputs, 1), 0

    def both(outputs: Ints, exact: bool) -> Taps:
        a = first.reads(outputs) if exact else first.pattern(outputs)
        b = second.reads(outputs) if exact else second.pattern(outputs)
        counts: Counts = np.concatenate([a[2], b[2]])
        return collect(
            len(outputs), np.concatenate([a[0], b[0]]), np.concatenate([a[1], b[1]]), counts
        )

    special = np.union1d(first.exceptional, second.exceptional).astype(np.int64)
    taps = both(np.arange(period, dtype=np.int64), exact=False)
    return simplify(
        Relation(first.outputs, first.inputs, step, taps, special, both(special, exact=True), rates)
    )


def simplify(relation: Relation) -> Relation:
    """The same relation with the fewest phases and without exceptions that follow the pattern."""
    relation = _drop_needless_exceptions(relation)
    for period in range(1, relation.period // 2 + 1):
        if relation.period % period or relation.step * period % relation.period:
            continue
        if _repeats(relation, period):
            step = relation.step * period // relation.period
            starts = relation.taps.starts[: period + 1]
            taps = Taps(
                starts,
                relation.taps.offsets[: starts[-1]],
                relation.taps.counts[: starts[-1]],
            )
            return Relation(
                relation.outputs,
                relation.inputs,
                step,
                taps,
                relation.exceptional,
                relation.exceptions,
                relation.rates,
            )
    return relation


def _repeats(relation: Relation, period: int) -> bool:
    """Whether the taps of phase f + period are those of phase f, one shorter period further."""
    taps = relation.taps
    if (taps.lengths.reshape(-1, period) != taps.lengths[:period]).any():
        return False
    step = relation.step * period // relation.period
    shift = np.repeat(np.arange(relation.period, dtype=np.int64) // period * step, taps.lengths)
    size = int(taps.starts[period])
    offsets = (taps.offsets - shift).reshape(-1, size) if size else taps.offsets.reshape(1, -1)
    counts = taps.counts.reshape(-1, size) if size else taps.counts.reshape(1, -1)
    return bool((offsets == offsets[0]).all() and (counts == counts[0]).all())


def _drop_needless_exceptions(relation: Relation) -> Relation:
    if len(relation.exceptional) == 0:
        return relation
    plain = Relation(relation.outputs, relation.inputs, relation.step, relation.taps)
    a = collect(len(relation.exceptional), *plain.reads(relation.exceptional))
    b = collect(len(relation.exceptional), *relation.reads(relation.exceptional))
    differs = a.lengths != b.lengths
    same = np.flatnonzero(~differs)
    at, offsets, counts = a.pick(same)
    _, other_offsets, other_counts = b.pick(same)
    odd = (offsets != other_offsets) | (counts != other_counts)
    differs[same[at[odd.astype(bool)]]] = True
    keep = np.flatnonzero(differs)
    return Relation(
        relation.outputs,
        relation.inputs,
        relation.step,
        relation.taps,
        relation.exceptional[keep],
        collect(len(keep), *b.pick(keep)),
        relation.rates,
    )


def _product_range(
    a: tuple[Fraction, Fraction], b: tuple[Fraction, Fraction]
) -> tuple[Fraction, Fraction]:
    products = [x * y for x in a for y in b]
    return min(products), max(products)

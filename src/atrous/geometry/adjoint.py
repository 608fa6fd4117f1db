"""The adjoint of a relation: numbers on outputs become sums on the inputs they read."""

from __future__ import annotations

import numpy as np

from atrous.geometry.relation import Relation
from atrous.geometry.taps import Counts

_FEW_TAPS = 256
"""Slices added one by one up to this many taps of all phases; rows are gathered beyond."""

_MANY_READS = 1 << 21
"""Rows gathered at a time read no more than this."""


def pulled_back(
    relation: Relation, values: Counts, axis: int = 0, start: int = 0
) -> tuple[Counts, int]:
    """What arrives at the inputs of a relation if every read adds its output's number.

    Along `axis`, the transpose of `relation.matrix()` applied to numbers that are zero outside the
    positions `[start, start + values.shape[axis])`.

    Args:
        relation: which inputs each output of the axis reads.
        values: numbers of any kind that adds up; wide enough for the sums.
        axis: the axis of `values` that holds the outputs.
        start: the output at position 0 of `values`.

    Returns:
        The sums on the smallest interval of inputs that is read at all, and where it starts; the
        interval is empty if nothing is read.

    Example:
        >>> pulled_back(Relation.of(3, 8, [[0, 2, 4]]), np.array([1, 1, 1]))
        (array([1, 1, 2, 1, 2, 1, 1]), 0)
    """
    if relation.is_identity:
        return values, start
    values = np.moveaxis(values, axis, 0)
    count = values.shape[0]
    low, high = relation.inputs_of(start, start + count)
    out = np.zeros((high - low, *values.shape[1:]), dtype=values.dtype)
    if low < high:
        if relation.is_constant:
            _spread(relation, np.asarray(values.sum(axis=0)), out, low)
        elif _is_short(relation, count):
            _slide(relation, values, start, out, low)
        elif relation.are_runs and values.dtype.kind != "f":
            # Of floats, differences lose the small beside the large.
            _add_runs(relation, values, start, out, low)
        else:
            rows = max(1, _MANY_READS // max(1, high - low))
            for first in range(0, count, rows):
                _gather(relation, values[first : first + rows], start + first, out, low)
    return np.moveaxis(out, 0, axis), low


def _is_short(relation: Relation, count: int) -> bool:
    taps = len(relation.taps.offsets)
    return len(relation.exceptional) == 0 and taps <= min(_FEW_TAPS, max(3 * count, 9))


def _spread(relation: Relation, total: Counts, out: Counts, low: int) -> None:
    """Every output reads the same: each input gets the sum of all."""
    offsets, times = relation.taps.offsets, relation.taps.counts
    inside = (offsets >= 0) & (offsets < relation.inputs)
    out[offsets[inside] - low] = times[inside].reshape(-1, *[1] * total.ndim) * total


def _slide(relation: Relation, values: Counts, start: int, out: Counts, low: int) -> None:
    """Tap by tap: the outputs of one phase read inputs `step` apart."""
    q, p = relation.period, relation.step
    last = len(values) - 1
    for phase in range(q):
        first = (phase - start) % q
        if first > last:
            continue
        mine = values[first::q]
        base = (start + first) // q * p
        for k in range(relation.taps.starts[phase], relation.taps.starts[phase + 1]):
            position, times = base + int(relation.taps.offsets[k]), relation.taps.counts[k]
            # Output number n of the phase reads position + n * p, if that is an input.
            if p == 0:
                if 0 <= position < relation.inputs:
                    out[position - low] += mine.sum(axis=0) * times
                continue
            a, b = _inside(position, p, relation.inputs, len(mine))
            if a >= b:
                continue
            part = mine[a:b] if times == 1 else mine[a:b] * times
            ends = position + a * p - low, position + (b - 1) * p - low
            if p > 0:
                out[ends[0] : ends[1] + 1 : p] += part
            else:
                out[ends[1] : ends[0] + 1 : -p] += part[::-1]


def _inside(position: int, step: int, length: int, count: int) -> tuple[int, int]:
    """The n in `[0, count)` for which `position + n * step` lies in `[0, length)`: `[a, b)`."""
    if step < 0:
        position, step = length - 1 - position, -step
    a = max(0, -(position // step))
    return a, min(count, -((position - length) // step))


def _add_runs(relation: Relation, values: Counts, start: int, out: Counts, low: int) -> None:
    """Rows without gaps, by differences at their ends."""
    outputs = np.arange(start, start + len(values), dtype=np.int64)
    first, last = relation.runs(outputs)
    read = first <= last
    steps = np.zeros((len(out) + 1, *out.shape[1:]), dtype=out.dtype)
    np.add.at(steps, first[read] - low, values[read])
    np.subtract.at(steps, last[read] + 1 - low, values[read])
    out += np.cumsum(steps, axis=0)[:-1]


def _gather(relation: Relation, values: Counts, start: int, out: Counts, low: int) -> None:
    """Any rows: all reads sorted by what they read, then added in runs."""
    outputs = np.arange(start, start + len(values), dtype=np.int64)
    position, inputs, times = relation.reads(outputs)
    if len(inputs) == 0:
        return
    order = np.argsort(inputs, kind="stable")
    position, inputs, times = position[order], inputs[order], times[order]
    edges = np.flatnonzero(np.concatenate([[True], inputs[1:] != inputs[:-1]]))
    terms = values[position]
    if not (times == 1).all():
        terms = terms * times.reshape(-1, *[1] * (terms.ndim - 1))
    out[inputs[edges] - low] += np.add.reduceat(terms, edges, axis=0)

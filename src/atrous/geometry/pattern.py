"""First and last input of every output when no border clips anything.

A pattern is what a receptive field means away from the borders. It extends to outputs outside the
axis, so its sizes hold even where the field is larger than the map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import count
from math import gcd, lcm
from typing import Protocol

import numpy as np

from atrous.geometry.relation import Flags, Relation
from atrous.geometry.taps import NOTHING_HI, NOTHING_LO, Ints

_order = count()

_MANY_TAPS = 1 << 16


class Hulls(Protocol):
    """Anything that tells the first and last input of positions."""

    def hulls(self, outputs: Ints) -> tuple[Ints, Ints]:
        """First and last input of the given outputs."""
        ...


@dataclass(frozen=True, eq=False)
class Periodic:
    """Output o reads from `lo[o mod q] + (o // q) * step` to `hi[o mod q] + (o // q) * step`."""

    step: int
    lo: Ints
    hi: Ints

    @property
    def period(self) -> int:
        """q: the number of phases."""
        return len(self.lo)

    @property
    def rates(self) -> tuple[Fraction, Fraction]:
        """Input steps per output step, twice (see `Rows.rates`)."""
        rate = Fraction(self.step, self.period)
        return rate, rate

    def hulls(self, outputs: Ints) -> tuple[Ints, Ints]:
        """First and last input of the given outputs."""
        if self.period == 1:
            phase, base = np.zeros_like(outputs), outputs * self.step
        else:
            phase, base = outputs % self.period, outputs // self.period * self.step
        lo, hi = self.lo[phase], self.hi[phase]
        nothing = lo > hi
        return np.where(nothing, lo, lo + base), np.where(nothing, hi, hi + base)


@dataclass(frozen=True, eq=False)
class Way:
    """One way back from an axis.

    Attributes:
        relation: which positions of the source are read.
        source: the pattern of what is read.
        positions: the outputs that read along this way at all; None if all do. Outside the axis
            its first and last entry go on.
    """

    relation: Relation
    source: Pattern
    positions: Flags | None = None


def at(positions: Flags, outputs: Ints) -> Flags:
    """The flags of outputs that may lie outside the axis."""
    found: Flags = positions[np.clip(outputs, 0, len(positions) - 1)]
    return found


class Rows:
    """A union of ways that advance at different rates: one interval per output, computed on demand.

    Attributes:
        rates: smallest and largest input steps per output step.
    """

    def __init__(self, ways: Sequence[Way], rates: tuple[Fraction, Fraction]) -> None:
        self.rates = rates
        self._ways = tuple(ways)
        self._order = next(_order)
        self._first = 0
        self._lo: Ints = np.zeros(0, dtype=np.int64)
        self._hi: Ints = np.zeros(0, dtype=np.int64)

    def hulls(self, outputs: Ints) -> tuple[Ints, Ints]:
        """First and last input of the given outputs."""
        filled = outputs[(outputs < NOTHING_LO) & (outputs > NOTHING_HI)]
        if len(filled) == 0:
            return np.full_like(outputs, NOTHING_LO), np.full_like(outputs, NOTHING_HI)
        self._prepare(int(filled.min()), int(filled.max()) + 1)
        at = outputs - self._first
        return self._lo[at], self._hi[at]

    def _covers(self, start: int, stop: int) -> bool:
        return self._first <= start and stop <= self._first + len(self._lo)

    def _prepare(self, start: int, stop: int) -> None:
        """Make outputs `[start, stop)` known, and first what they need upstream."""
        if self._covers(start, stop):
            return
        wanted: dict[Rows, tuple[int, int]] = {self: (start, stop)}
        pending: list[Rows] = [self]
        plan: list[tuple[Rows, list[Ints]]] = []
        while pending:
            rows = max(pending, key=lambda r: r._order)
            pending.remove(rows)
            missing = rows._missing(*wanted[rows])
            plan.append((rows, missing))
            for way in rows._ways:
                source = way.source
                if not isinstance(source, Rows):
                    continue
                for outputs in missing:
                    first, last = way.relation.hulls(outputs)
                    filled = first <= last
                    if not filled.any():
                        continue
                    a, b = int(first[filled].min()), int(last[filled].max()) + 1
                    if source in wanted:
                        old = wanted[source]
                        wanted[source] = min(old[0], a), max(old[1], b)
                    elif not source._covers(a, b):
                        wanted[source] = a, b
                        pending.append(source)
        for rows, missing in reversed(plan):
            for outputs in missing:
                rows._extend(outputs)

    def _missing(self, start: int, stop: int) -> list[Ints]:
        """The outputs of an interval that are not known yet, before and after those that are."""
        if len(self._lo) == 0:
            return [np.arange(start, stop, dtype=np.int64)]
        last = self._first + len(self._lo)
        parts = [np.arange(start, self._first), np.arange(last, stop)]
        return [outputs for outputs in parts if len(outputs)]

    def _extend(self, outputs: Ints) -> None:
        parts = [_along(way, outputs) for way in self._ways]
        lo = np.minimum.reduce([lo for lo, _ in parts])
        hi = np.maximum.reduce([hi for _, hi in parts])
        before = len(self._lo) == 0 or outputs[0] < self._first
        self._first = int(outputs[0]) if before else self._first
        self._lo = np.concatenate([lo, self._lo] if before else [self._lo, lo])
        self._hi = np.concatenate([hi, self._hi] if before else [self._hi, hi])


Pattern = Periodic | Rows

SOURCE = Periodic(1, np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64))
"""The pattern of an input axis itself."""


def constant(lo: int, hi: int) -> Periodic:
    """The pattern of outputs that all read inputs `lo` to `hi`."""
    return Periodic(0, np.array([lo], dtype=np.int64), np.array([hi], dtype=np.int64))


def combine(outputs: int, ways: Sequence[Way]) -> Pattern:
    """The pattern of an axis of `outputs` positions that reads along each of `ways`."""
    parts = [
        _compose(outputs, way.relation, way.source) if way.positions is None else None
        for way in ways
    ]
    if all(isinstance(part, Periodic) for part in parts):
        merged = _merge(outputs, [part for part in parts if isinstance(part, Periodic)])
        if merged is not None:
            return merged
    rates = [a * b for way in ways for a in way.relation.rates for b in way.source.rates]
    return Rows(ways, (min(rates), max(rates)))


def _along(way: Way, outputs: Ints) -> tuple[Ints, Ints]:
    lo, hi = through(way.relation, way.source, outputs)
    if way.positions is None:
        return lo, hi
    taken = at(way.positions, outputs)
    return np.where(taken, lo, NOTHING_LO), np.where(taken, hi, NOTHING_HI)


def through(relation: Relation, source: Pattern, outputs: Ints) -> tuple[Ints, Ints]:
    """First and last input of `outputs` along one way."""
    if relation.step == 0 and len(outputs) > relation.period:
        lo, hi = through(relation, source, np.arange(relation.period, dtype=np.int64))
        return lo[outputs % relation.period], hi[outputs % relation.period]
    if relation.are_runs and len(outputs) * len(relation.taps.offsets) > _MANY_TAPS:
        return runs_through(*relation.hulls(outputs), source)
    position, mids, _ = relation.pattern(outputs)
    lo = np.full(len(outputs), NOTHING_LO, dtype=np.int64)
    hi = np.full(len(outputs), NOTHING_HI, dtype=np.int64)
    if len(mids):
        first, last = source.hulls(mids)
        starts = np.flatnonzero(np.diff(position, prepend=np.int64(-1)))
        rows = position[starts]
        lo[rows] = np.minimum.reduceat(first, starts)
        hi[rows] = np.maximum.reduceat(last, starts)
    return lo, hi


def runs_through(first: Ints, last: Ints, source: Hulls) -> tuple[Ints, Ints]:
    """First and last input of runs of positions of the source, each found from tables of the
    smallest and largest ends over 1, 2, 4, ... neighbours."""
    lo, hi = np.full_like(first, NOTHING_LO), np.full_like(last, NOTHING_HI)
    read = first <= last
    if not read.any():
        return lo, hi
    start = int(first[read].min())
    low, high = source.hulls(np.arange(start, int(last[read].max()) + 1, dtype=np.int64))
    sizes = np.where(read, last - first + 1, 0)
    width = 1
    while width <= sizes.max():
        # Two overlapping stretches of `width` cover a run of width to 2 * width - 1.
        mine = read & (sizes >= width) & (sizes < 2 * width)
        a, b = first[mine] - start, last[mine] + 1 - width - start
        lo[mine], hi[mine] = np.minimum(low[a], low[b]), np.maximum(high[a], high[b])
        low = np.minimum(low[:-width], low[width:]) if len(low) > width else low
        high = np.maximum(high[:-width], high[width:]) if len(high) > width else high
        width *= 2
    return lo, hi


def _compose(outputs: int, relation: Relation, source: Pattern) -> Periodic | None:
    if isinstance(source, Rows):
        return None
    if source.period == 1:
        # One phase: the ends of a row of taps are the ends of what it reads.
        lo, hi = source.lo[0], source.hi[0]
        nothing = relation.taps.lo > relation.taps.hi
        ends = relation.taps.lo * source.step, relation.taps.hi * source.step
        low, high = ends if source.step >= 0 else ends[::-1]
        if not nothing.any():
            return Periodic(relation.step * source.step, low + lo, high + hi)
        return Periodic(
            relation.step * source.step,
            np.where(nothing, NOTHING_LO, low + lo),
            np.where(nothing, NOTHING_HI, high + hi),
        )
    factor = source.period // gcd(source.period, abs(relation.step))
    period = relation.period * factor
    if period > max(outputs, relation.period):
        return None
    step = relation.step * factor // source.period * source.step
    return Periodic(step, *through(relation, source, np.arange(period, dtype=np.int64)))


def _merge(outputs: int, parts: Sequence[Periodic]) -> Periodic | None:
    if len(parts) == 1:
        return parts[0]
    if any(part.rates != parts[0].rates for part in parts):
        return None
    period = lcm(*(part.period for part in parts))
    if period > max(outputs, *(part.period for part in parts)):
        return None
    phases = np.arange(period, dtype=np.int64)
    hulls = [part.hulls(phases) for part in parts]
    return Periodic(
        parts[0].step * (period // parts[0].period),
        np.minimum.reduce([lo for lo, _ in hulls]),
        np.maximum.reduce([hi for _, hi in hulls]),
    )

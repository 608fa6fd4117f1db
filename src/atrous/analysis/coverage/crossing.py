"""Routes on their way through one read: from positions of a result to positions of an operand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import inf, prod

import numpy as np

from atrous.geometry.adjoint import pulled_back
from atrous.geometry.relation import Flags, Relation
from atrous.geometry.taps import Counts
from atrous.graph.factors import Factors
from atrous.graph.rule import Link, Read

Axes = tuple[bool, ...]
"""Of every axis of a value, whether it holds positions."""

_INT64_SAFE = 2.0**62
_FLOAT_SAFE = 2.0**1000


@dataclass(frozen=True, eq=False)
class Way:
    """Routes that touch the same channels of a value.

    Attributes:
        channels: which are touched; of length 1 along axes that hold positions.
        counts: the number of routes at each position; of length 1 along axes that do not hold any.
        start: the position at index 0 of `counts`, per axis.
        part_of: tells ways that are parts of one which was only moved since, by the same positions;
            empty where something was computed.
    """

    channels: Flags
    counts: Counts
    start: tuple[int, ...]
    part_of: tuple[int | str, ...] = ()

    @property
    def mass(self) -> float:
        """All counts together, about."""
        try:
            return float(self.counts.sum())
        except OverflowError:
            return inf


def width(dtype: np.dtype[np.generic]) -> int:
    """The place of a type among those that counts have, the narrowest first."""
    return "ifO".index(dtype.kind)


def wide_enough(way: Way, mass: float, exact: bool) -> Way:
    """The same counts in a type that holds sums up to `mass`."""
    kind = way.counts.dtype.kind
    wanted = "i" if mass < _INT64_SAFE else "O" if exact or not mass < _FLOAT_SAFE else "f"
    if "ifO".index(wanted) <= "ifO".index(kind):
        return way
    if wanted == "O" and kind == "f":
        whole: Counts = np.vectorize(int, otypes=[object])(way.counts)
        return Way(way.channels, whole, way.start)
    return Way(way.channels, way.counts.astype(float if wanted == "f" else object), way.start)


def spread_axes(axes: Axes, factors: Factors | None) -> Axes:
    """Of every factor, whether its axis holds positions."""
    if factors is None:
        return axes
    return tuple(flag for flag, own in zip(axes, factors, strict=True) for _ in own)


def through(read: Read, way: Way, mine: Axes, theirs: Axes, *, exact: bool) -> list[Way]:
    """The ways into the operand that one read makes of a way.

    Args:
        read: what is read.
        way: routes that have arrived at the result.
        mine: which axes of the result hold positions.
        theirs: which axes of the operand do.
        exact: whether counts stay exact (see `routes_back`).
    """
    inner = spread_axes(theirs, read.split)
    links = [link for link in (*read.links, *read.unlinked) if link is not None]
    growth = prod(_largest_row(link.relation) for link in links if inner[link.axis])
    way = wide_enough(way, way.mass * growth, exact)
    holds = spread_axes(mine, read.merge)
    if read.merge is not None:
        way = _split(way, read.merge, mine)
    if read.segment is not None:
        way = _restricted(way, read.segment.axis, read.segment.reads, holds[read.segment.axis])
    ways = [way]
    for axis, link in enumerate(read.links):
        moved = []
        for one in ways:
            moved += _across(one, axis, link, holds[axis], link is not None and inner[link.axis])
        ways = [one for one in moved if one.counts.size and one.channels.any()]
    placed = [_placed(one, read, inner) for one in ways]
    if read.split is None:
        return placed
    return [_merged(one, read.split, theirs) for one in placed]


def _largest_row(relation: Relation) -> float:
    if relation.is_identity:
        return 1.0
    return max(relation.taps.largest_total, relation.exceptions.largest_total, 1.0)


def _split(way: Way, factors: Factors, holds: Axes) -> Way:
    """Axes cut into their factors; positions of an axis of several are laid out whole."""
    counts, start = way.counts, []
    counted: list[int] = []
    flagged: list[int] = []
    for axis, own in enumerate(factors):
        alone = len(own) == 1
        if holds[axis] and not alone:
            counts = _laid_out(counts, axis, way.start[axis], prod(own))
        counted += ([counts.shape[axis]] if alone else own) if holds[axis] else [1] * len(own)
        flagged += [1] * len(own) if holds[axis] else own
        start += [way.start[axis]] if alone else [0] * len(own)
    return Way(way.channels.reshape(flagged), counts.reshape(counted), tuple(start))


def _merged(way: Way, factors: Factors, holds: Axes) -> Way:
    """Factors put together to axes."""
    counts, start = way.counts, []
    counted: list[int] = []
    flagged: list[int] = []
    first = 0
    for axis, own in enumerate(factors):
        here = range(first, first + len(own))
        alone = len(own) == 1
        if holds[axis] and not alone:
            for k in here:
                counts = _laid_out(counts, k, way.start[k], own[k - first])
        counted.append(prod(counts.shape[k] for k in here))
        flagged.append(prod(way.channels.shape[k] for k in here))
        start.append(way.start[first] if alone else 0)
        first += len(own)
    return Way(way.channels.reshape(flagged), counts.reshape(counted), tuple(start))


def _laid_out(counts: Counts, axis: int, start: int, length: int) -> Counts:
    """Counts along the whole of an axis."""
    if counts.shape[axis] == length:
        return counts
    shape = [*counts.shape]
    shape[axis] = length
    out = np.zeros(shape, dtype=counts.dtype)
    index = [slice(None)] * counts.ndim
    index[axis] = slice(start, start + counts.shape[axis])
    out[tuple(index)] = counts
    return out


def _along(values: Flags, axis: int, ndim: int) -> Flags:
    return values.reshape([-1 if a == axis else 1 for a in range(ndim)])


def _restricted(way: Way, axis: int, kept: Flags, holds: bool) -> Way:
    """Only some places along an axis."""
    if not holds:
        kept_here = _along(kept, axis, way.channels.ndim)
        channels: Flags = np.where(kept_here, way.channels, False)
        return replace(way, channels=channels)
    first = way.start[axis]
    mine = kept[first : first + way.counts.shape[axis]]
    return replace(way, counts=way.counts * _along(mine, axis, way.counts.ndim))


def _moved(way: Way, axis: int, counts: Counts, start: int) -> Way:
    return Way(way.channels, counts, (*way.start[:axis], start, *way.start[axis + 1 :]))


def _across(way: Way, axis: int, link: Link | None, holds: bool, inner: bool) -> list[Way]:
    """One axis of the result becomes the axis of the operand that it is linked to.

    Args:
        way: routes.
        axis: the axis.
        link: what it reads.
        holds: whether it holds positions.
        inner: whether the operand's axis does.
    """
    if link is None:
        if holds:
            return [_moved(way, axis, way.counts.sum(axis=axis, keepdims=True), 0)]
        touched: Flags = np.asarray(way.channels.any(axis=axis, keepdims=True))
        return [replace(way, channels=touched)]
    relation = link.relation
    if holds and inner:
        counts, start = pulled_back(relation, way.counts, axis, way.start[axis])
        return [_moved(way, axis, counts, start)]
    if not holds and not inner:
        return [replace(way, channels=_touched(relation, way.channels, axis))]
    if holds:
        return list(_into_channels(way, axis, relation))
    return list(_into_positions(way, axis, relation))


def _touched(relation: Relation, channels: Flags, axis: int) -> Flags:
    """The places of the operand that any of the touched ones reads."""
    if relation.is_identity:
        return channels
    numbers, start = pulled_back(relation, channels.astype(np.int64), axis)
    return np.asarray(_laid_out(numbers, axis, start, relation.inputs) > 0)


def _into_channels(way: Way, axis: int, relation: Relation) -> Iterator[Way]:
    """Positions of the result that read channels of the operand: one way per set they read."""
    first, count = way.start[axis], way.counts.shape[axis]
    groups: dict[bytes, tuple[Flags, list[int]]] = {}
    wanted = range(1) if relation.is_constant else range(count)
    for k in wanted:
        row = np.zeros(relation.inputs, dtype=bool)
        row[list(relation.row(first + k))] = True
        if row.any():
            groups.setdefault(row.tobytes(), (row, []))[1].append(k)
    for row, members in groups.values():
        mine = way.counts if relation.is_constant else way.counts.take(members, axis)
        moved = _moved(way, axis, mine.sum(axis=axis, keepdims=True), 0)
        yield replace(moved, channels=way.channels & _along(row, axis, way.channels.ndim))


def _into_positions(way: Way, axis: int, relation: Relation) -> Iterator[Way]:
    """Channels of the result that read positions of the operand: each position once, whatever
    number of channels read it."""
    touched = _touched(relation, way.channels, axis)
    sets: dict[bytes, tuple[Flags, Flags]] = {}
    for position in range(relation.inputs):
        mine = touched.take([position], axis)
        if mine.any():
            _, where = sets.setdefault(
                mine.tobytes(), (mine, np.zeros(relation.inputs, dtype=bool))
            )
            where[position] = True
    for mine, where in sets.values():
        counts = way.counts * _along(where, axis, way.counts.ndim)
        yield replace(_moved(way, axis, counts, 0), channels=mine)


def _placed(way: Way, read: Read, inner: Axes) -> Way:
    """Axes in the operand's order; those that nothing is linked to are read as they are read."""
    linked = {link.axis: axis for axis, link in enumerate(read.links) if link is not None}
    rest = {link.axis: link.relation for link in read.unlinked}
    order = [linked[k] for k in range(len(inner)) if k in linked]
    dropped = [axis for axis, link in enumerate(read.links) if link is None]
    channels = way.channels.transpose([*order, *dropped])
    counts = way.counts.transpose([*order, *dropped])
    channels = channels.reshape(channels.shape[: len(order)])
    counts = counts.reshape(counts.shape[: len(order)])
    start = [way.start[axis] for axis in order]
    for k in sorted(rest):
        ones = np.ones(1, dtype=counts.dtype)
        row, first = pulled_back(rest[k], ones)
        channels, counts = np.expand_dims(channels, k), np.expand_dims(counts, k)
        if inner[k]:
            counts = counts * row.reshape([-1 if a == k else 1 for a in range(counts.ndim)])
            start.insert(k, first)
        else:
            read_at = np.asarray(_laid_out(row, 0, first, rest[k].inputs) > 0)
            channels = channels & _along(read_at, k, channels.ndim)
            start.insert(k, 0)
    return Way(channels, counts, tuple(start))

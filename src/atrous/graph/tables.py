"""Reads of constant tables: which positions an index, a mask or a grid picks, axis by axis.

A table lists pairs of a position of the result and a position of the operand, on the axes that it
concerns. Reads speak of one axis at a time: a table is taken apart into products of relations.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from atrous.geometry.fitting import fitted
from atrous.geometry.lineage import Status
from atrous.geometry.relation import Flags, Relation
from atrous.geometry.taps import Ints, Taps
from atrous.graph.rule import Link, Operand, Read, Segment, identity_links, whole

_MOST_PARTS = 64
"""More reads of one operand than this are not worth being exact."""


_ONE: Ints = np.zeros((1, 0), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Table:
    """Pairs of positions, each listed once.

    Attributes:
        readers: `(pairs, outputs)`: where in the result, on the axes `outputs`.
        reads: `(pairs, inputs)`: what of the operand, on the axes `inputs`.
        outputs: the result's axes, as numbers and lengths.
        inputs: the operand's axes, likewise.
    """

    readers: Ints
    reads: Ints
    outputs: Mapping[int, int]
    inputs: Mapping[int, int]

    def __len__(self) -> int:
        return len(self.readers)


def positions(shape: Sequence[int]) -> Ints:
    """Every position of a box of that shape, the last axis running fastest: `(positions, axes)`."""
    return np.stack(np.unravel_index(np.arange(prod(shape)), shape), axis=1) if shape else _ONE


@dataclass(frozen=True, eq=False)
class _Product:
    """A table as a product: every combination of what its axes read.

    Attributes:
        ends: for each operand axis of the table, the result axis (by place in the table), or None.
        size: number of pairs in the product; that of the table if the product is exact.
    """

    ends: tuple[int | None, ...]
    size: int


def table_reads(
    operand: Operand,
    shape: Sequence[int],
    table: Table,
    others: Mapping[int, Link],
    *,
    apart: bool = False,
    loose: bool = False,
) -> tuple[Read, ...]:
    """The reads that say what a table lists.

    Exact if the table is a product of relations of single axes, if it becomes one when the
    operand's axis is split into factors, or position by position along one axis; otherwise a bound.

    Args:
        operand: what is read.
        shape: the result's shape.
        table: which positions.
        others: links of the result's axes that the table does not concern.
        apart: whether positions that read nothing belong to another operand.
        loose: whether more is listed than is read.

    Raises:
        NotImplementedError: if there is no axis along which to tell that a read is a bound.
    """
    if len(table) == 0:
        return ()
    build = _Builder(operand, tuple(shape), dict(others), apart, "bound" if loose else None)
    product = _best_product(table)
    if product.size == len(table):
        return (build.read(table, product),)
    for split, factors in _splits(operand, table):
        product = _best_product(split)
        if product.size == len(table):
            return (build.split(factors).read(split, product),)
    for parts in _parts(table):
        products = [_best_product(part, cut=True) for part, _ in parts]
        if all(p.size == len(part) for p, (part, _) in zip(products, parts, strict=True)):
            return tuple(
                build.read(part, p, segment)
                for p, (part, segment) in zip(products, parts, strict=True)
            )
    if not table.inputs:
        # Whatever else is linked must tell that this is a bound.
        if not others:
            raise NotImplementedError("one value for positions that are no box")
        loosened = {out: replace(link, status="bound") for out, link in others.items()}
        build = replace(build, others=loosened)
    return (replace(build, status="bound").read(table, _best_product(table)),)


@dataclass(frozen=True, eq=False)
class _Builder:
    operand: Operand
    shape: tuple[int, ...]
    others: dict[int, Link]
    apart: bool
    status: Status | None
    factors: tuple[tuple[int, ...], ...] | None = None

    def split(self, factors: tuple[tuple[int, ...], ...]) -> _Builder:
        """The same with one of the operand's axes in two factors, which moves those behind it."""
        cut = next(axis for axis, parts in enumerate(factors) if len(parts) > 1)
        others = {
            out: replace(link, axis=link.axis + (link.axis > cut))
            for out, link in self.others.items()
        }
        return replace(self, others=others, factors=factors)

    def read(self, table: Table, product: _Product, segment: Segment | None = None) -> Read:
        links: list[Link | None] = [None] * len(self.shape)
        for out, link in self.others.items():
            links[out] = link
        outputs, inputs = list(table.outputs.items()), list(table.inputs.items())
        linked = {end for end in product.ends if end is not None}
        for place in sorted(range(len(outputs)), key=lambda place: place in linked):
            axis, length = outputs[place]
            reading = np.zeros(length, dtype=bool)
            reading[table.readers[:, place]] = True
            if reading.all() or segment is not None:
                continue
            if place not in linked or self.apart:
                segment = Segment(axis, reading)
        rest = []
        for place, (axis, length) in enumerate(inputs):
            end = product.ends[place]
            if end is None:
                rest.append(self._rest(axis, length, table.reads[:, place]))
                continue
            out, outs = outputs[end]
            free = ~segment.reads if segment is not None and segment.axis == out else None
            relation = fitted(outs, length, table.readers[:, end], table.reads[:, place], free)
            links[out] = Link(axis, relation, self.status or "exact")
        return Read(self.operand, tuple(links), tuple(rest), segment, self.factors)

    def _rest(self, axis: int, length: int, read: Ints) -> Link:
        positions = np.unique(read)
        if len(positions) == length:
            link = whole(axis, 1, length)
            return replace(link, status=self.status) if self.status and length > 1 else link
        return Link(axis, Relation(1, length, 0, Taps.single(positions)), self.status or "exact")


def _best_product(table: Table, *, cut: bool = False) -> _Product:
    """The smallest product that holds a table, with as many axes linked as possible.

    Args:
        table: what it must hold.
        cut: whether the read that it becomes has a segment already.
    """
    outs, ins = list(table.outputs.values()), list(table.inputs.values())

    def pairs(out: int, place: int) -> int:
        return len(np.unique(table.readers[:, out] * ins[place] + table.reads[:, place]))

    both = {(o, i): pairs(o, i) for o in range(len(outs)) for i in range(len(ins))}
    own_out = [len(np.unique(table.readers[:, o])) for o in range(len(outs))]
    own_in = [len(np.unique(table.reads[:, i])) for i in range(len(ins))]
    best: _Product | None = None
    for ends in _assignments(len(outs), len(ins)):
        size = 1
        for place, end in enumerate(ends):
            size *= own_in[place] if end is None else both[end, place]
        free = [o for o in range(len(outs)) if o not in ends]
        for out in free:
            size *= own_out[out]
        # Only a segment tells where an axis without a link reads nothing, and a read has but one.
        partial = [o for o in free if own_out[o] < outs[o]]
        if len(partial) > (0 if cut else 1):
            for out in partial:
                size = size // own_out[out] * outs[out]
        if best is None or size < best.size:
            best = _Product(ends, size)
    assert best is not None
    return best


def _assignments(outs: int, ins: int) -> Iterator[tuple[int | None, ...]]:
    """For every operand axis a result axis of its own or None, those with most links first."""
    choices = itertools.product([*range(outs), None], repeat=ins)
    legal = [c for c in choices if len({*c} - {None}) == sum(end is not None for end in c)]
    yield from sorted(legal, key=lambda c: sum(end is None for end in c))


def _splits(operand: Operand, table: Table) -> Iterator[tuple[Table, tuple[tuple[int, ...], ...]]]:
    """The table of a single operand axis with that axis in two factors."""
    if len(table.inputs) != 1 or len(table.outputs) < 2:
        return
    ((axis, length),) = table.inputs.items()
    flat = table.reads[:, 0]
    for fast in range(2, length // 2 + 1):
        if length % fast == 0:
            reads = np.stack([flat // fast, flat % fast], axis=1)
            inputs = {axis: length // fast, axis + 1: fast}
            factors = tuple(
                (n,) if k != axis else (length // fast, fast) for k, n in enumerate(operand.shape)
            )
            yield replace(table, reads=reads, inputs=inputs), factors


def _parts(table: Table) -> Iterator[list[tuple[Table, Segment]]]:
    """The table cut along one axis of the result, positions that read alike together."""
    for place, (axis, length) in enumerate(table.outputs.items()):
        order = np.lexsort((*table.reads.T, *table.readers.T, table.readers[:, place]))
        readers, reads = table.readers[order], table.reads[order]
        bounds = np.searchsorted(readers[:, place], np.arange(length + 1))
        remaining = np.delete(readers, place, axis=1)
        outputs = {a: n for a, n in table.outputs.items() if a != axis}
        groups: dict[bytes, list[int]] = {}
        for position in range(length):
            at = slice(bounds[position], bounds[position + 1])
            if at.start < at.stop:
                key = remaining[at].tobytes() + reads[at].tobytes()
                groups.setdefault(key, []).append(position)
            if len(groups) > _MOST_PARTS:
                break
        if len(groups) > _MOST_PARTS:
            continue
        parts = []
        for positions in groups.values():
            flags = np.zeros(length, dtype=bool)
            flags[positions] = True
            at = slice(bounds[positions[0]], bounds[positions[0] + 1])
            part = Table(remaining[at], reads[at], outputs, table.inputs)
            parts.append((part, Segment(axis, flags)))
        yield parts


def kept_reads(
    operand: Operand, shape: Sequence[int], axes: Sequence[int], written: Flags
) -> tuple[Read, ...]:
    """The reads of what is written over: each position its own, but for those written.

    Args:
        operand: what is written over, of the result's shape.
        shape: the result's shape.
        axes: the axes along which it matters what is written.
        written: flags over these axes.
    """
    links = identity_links(operand, tuple(shape))
    if written.all():
        return ()
    if not written.any():
        return (Read(operand, links),)
    if len(axes) == 1:
        return (Read(operand, links, segment=Segment(axes[0], ~written)),)
    if len(axes) == 2:
        for table, (along, across) in ((written, axes), (written.T, axes[::-1])):
            rows, which = np.unique(table, axis=0, return_inverse=True)
            if len(rows) <= _MOST_PARTS:
                return tuple(
                    _kept(operand, links, across, row, Segment(along, which.reshape(-1) == k))
                    for k, row in enumerate(rows)
                    if not row.all()
                )
    loose = [
        replace(link, status="bound") if link is not None and axis in axes else link
        for axis, link in enumerate(links)
    ]
    return (Read(operand, tuple(loose)),)


def _kept(
    operand: Operand, links: tuple[Link | None, ...], axis: int, row: Flags, segment: Segment
) -> Read:
    """The positions of one segment, but for those that `row` marks along another axis."""
    own = list(links)
    if row.any():
        left = np.flatnonzero(~row).astype(np.int64)
        own[axis] = Link(axis, fitted(len(row), len(row), left, left))
    return Read(operand, tuple(own), segment=segment)

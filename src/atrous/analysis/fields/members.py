"""Which segments of an operand each position of a value reads: sets of segments by position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from atrous.geometry.relation import Flags, Relation
from atrous.geometry.taps import Ints


@dataclass(frozen=True, eq=False)
class Members:
    """Per position a set of segments.

    Attributes:
        codes: which of the sets each position has; of length 1 along axes that do not matter.
        sets: sets of segments as bit masks; the first one is empty.
    """

    codes: Ints
    sets: tuple[int, ...]

    @classmethod
    def of(cls, labels: Ints, segments: int) -> Members:
        """Every position has the segment it is labelled with, or none if that is -1."""
        return cls(labels + 1, (0, *(1 << k for k in range(segments))))

    def through(self, axis: int, relation: Relation) -> Members:
        """What the outputs of a relation along an axis read."""
        if relation.is_identity:
            return self
        lines = np.moveaxis(self.codes, axis, 0)
        rest = lines.shape[1:]
        lines, which = distinct(lines.reshape(len(lines), prod(rest)).T)
        lines = lines.T
        if len(lines) == 1 and relation.inputs > 1:
            lines = np.broadcast_to(lines, (relation.inputs, lines.shape[1]))
        same = relation.is_constant
        outputs = 1 if same else relation.outputs
        present = np.zeros((len(self.sets), outputs, lines.shape[1]), dtype=bool)
        codes = range(1, len(self.sets))
        if same:
            # Every output reads the same: the result does not vary along this axis.
            read = relation.taps.offsets
            read = read[(read >= 0) & (read < relation.inputs)]
            for code in codes:
                present[code] = (lines[read] == code).any(axis=0)
        elif relation.are_runs:
            first, last = relation.runs(np.arange(outputs, dtype=np.int64))
            reads = (first <= last)[:, None]
            first, stop = np.maximum(first, 0), np.maximum(last + 1, 0)
            for code in codes:
                before = np.zeros((len(lines) + 1, lines.shape[1]), dtype=np.int64)
                np.cumsum(lines == code, axis=0, out=before[1:])
                present[code] = reads & (before[stop] > before[np.minimum(first, len(lines))])
        else:
            position, inputs, _ = relation.reads(np.arange(outputs, dtype=np.int64))
            for code in codes:
                at, line = np.nonzero(lines[inputs] == code)
                present[code, position[at], line] = True
        found = self._united(present.reshape(len(self.sets), outputs * lines.shape[1]))
        united = found.codes.reshape(outputs, lines.shape[1])[:, which]
        return replace(found, codes=np.moveaxis(united.reshape(outputs, *rest), 0, axis))

    def _united(self, present: Flags) -> Members:
        """Sets put together from those that are present at each position."""
        packed = np.packbits(present[1:], axis=0)
        kinds, codes = np.unique(packed, axis=1, return_inverse=True)
        bits = np.unpackbits(kinds, axis=0, count=len(self.sets) - 1)
        sets = []
        for column in bits.T:
            mask = 0
            for code in np.flatnonzero(column):
                mask |= self.sets[code + 1]
            sets.append(mask)
        return Members(codes.reshape(-1) + 1, (0, *sets))

    def at(self, order: Sequence[int | None]) -> Members:
        """The axes in another order: where None a new one, and those left out are of length 1."""
        kept = [axis for axis in order if axis is not None]
        lost = [axis for axis in range(self.codes.ndim) if axis not in kept]
        codes = self.codes.transpose(kept + lost)
        codes = codes.reshape(codes.shape[: len(kept)])
        new = tuple(k for k, axis in enumerate(order) if axis is None)
        return replace(self, codes=np.expand_dims(codes, new))

    def where(self, axis: int, flags: Flags) -> Members:
        """The same sets at marked positions of an axis, none at others."""
        shape = [-1 if a == axis else 1 for a in range(self.codes.ndim)]
        return replace(self, codes=np.where(flags.reshape(shape), self.codes, 0))


def combined(parts: Sequence[Members]) -> tuple[Ints, list[tuple[int, ...]]]:
    """Labels that tell positions with different sets apart, -1 where all are empty; and per label
    the set of every part."""
    labels = np.zeros((1,) * parts[0].codes.ndim, dtype=np.int64)
    keys: list[tuple[int, ...]] = [()]
    for part in parts:
        labels = labels * len(part.sets) + part.codes
        count = len(keys) * len(part.sets)
        flags = np.zeros(count, dtype=bool)
        flags[labels.reshape(-1)] = True
        found = np.flatnonzero(flags)
        number = np.zeros(count, dtype=np.int64)
        number[found] = np.arange(len(found))
        labels = number[labels]
        keys = [(*keys[k // len(part.sets)], part.sets[k % len(part.sets)]) for k in found]
    # Equal sets under different codes are one label.
    numbers: dict[tuple[int, ...], int] = {key: -1 for key in keys if not any(key)}
    unread = len(numbers)
    final = [numbers.setdefault(key, len(numbers) - unread) for key in keys]
    return np.array(final, dtype=np.int64)[labels], [key for key in numbers if any(key)]


def distinct(lines: Ints) -> tuple[Ints, Ints]:
    """The different rows of a table of numbers, and for every row which of them it is.

    As `numpy.unique`, in time that grows with the table alone: no sorting.
    """
    if len(lines) < 2:
        return lines, np.zeros(len(lines), dtype=np.int64)
    largest = int(lines.max(initial=0))
    small = np.ascontiguousarray(lines, dtype=np.min_scalar_type(-largest - 1))
    numbers: dict[bytes, int] = {}
    which = np.array([numbers.setdefault(row.tobytes(), len(numbers)) for row in small])
    firsts = np.zeros(len(numbers), dtype=np.int64)
    firsts[which[::-1]] = np.arange(len(lines) - 1, -1, -1)
    return lines[firsts], which


def bits(mask: int) -> list[int]:
    """The segments of a set."""
    return [k for k in range(mask.bit_length()) if mask >> k & 1]

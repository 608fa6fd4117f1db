"""Rows of integer taps with multiplicities, stored as one flat table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Counts = npt.NDArray[Any]
"""Path counts: int64 while they fit, Python integers (dtype object) beyond."""

NOTHING_LO = np.int64(2**62)
NOTHING_HI = np.int64(-(2**62))
"""First and last tap of a row that reads nothing: neutral under min and max."""

_INT64_SAFE = 2.0**62


@dataclass(frozen=True, eq=False)
class Taps:
    """`len(self)` rows; row r is a finite multiset of integers.

    Attributes:
        starts: row r occupies `starts[r]:starts[r + 1]` of the two arrays below.
        offsets: the distinct integers of each row, ascending.
        counts: how often each occurs (exact; at least 1).
    """

    starts: Ints
    offsets: Ints
    counts: Counts

    @classmethod
    def of(cls, rows: Sequence[Iterable[int] | Mapping[int, int]]) -> Taps:
        """The table of explicit rows: iterables (repeats add up) or offset -> count mappings.

        >>> Taps.of([[0, 1, 1], {-2: 3}]).rows()
        ({0: 1, 1: 2}, {-2: 3})
        """
        keys: list[int] = []
        offsets: list[int] = []
        counts: list[int] = []
        for key, row in enumerate(rows):
            items = row.items() if isinstance(row, Mapping) else [(offset, 1) for offset in row]
            for offset, count in items:
                keys.append(key)
                offsets.append(offset)
                counts.append(count)
        return collect(
            len(rows),
            np.asarray(keys, dtype=np.int64),
            np.asarray(offsets, dtype=np.int64),
            exact_counts(counts),
        )

    @classmethod
    def single(cls, offsets: Iterable[int] | Ints) -> Taps:
        """One row holding distinct ascending `offsets`, once each."""
        array = np.asarray(
            offsets if isinstance(offsets, np.ndarray) else list(offsets), dtype=np.int64
        )
        return cls(np.array([0, len(array)], dtype=np.int64), array, np.ones(len(array), np.int64))

    @classmethod
    def each(cls, offsets: Ints) -> Taps:
        """One row per entry, holding just that entry."""
        size = len(offsets)
        return cls(
            np.arange(size + 1, dtype=np.int64), offsets.astype(np.int64), np.ones(size, np.int64)
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    def rows(self) -> tuple[dict[int, int], ...]:
        """Every row as an offset -> count dictionary, in Python integers."""
        return tuple(
            {
                int(self.offsets[i]): int(self.counts[i])
                for i in range(self.starts[r], self.starts[r + 1])
            }
            for r in range(len(self))
        )

    @cached_property
    def lengths(self) -> Ints:
        """Distinct taps per row."""
        return np.diff(self.starts)

    @cached_property
    def lo(self) -> Ints:
        """First tap per row; `NOTHING_LO` where a row is empty."""
        out = np.full(len(self), NOTHING_LO, dtype=np.int64)
        filled = self.lengths > 0
        out[filled] = self.offsets[self.starts[:-1][filled]]
        return out

    @cached_property
    def hi(self) -> Ints:
        """Last tap per row; `NOTHING_HI` where a row is empty."""
        out = np.full(len(self), NOTHING_HI, dtype=np.int64)
        filled = self.lengths > 0
        out[filled] = self.offsets[self.starts[1:][filled] - 1]
        return out

    @cached_property
    def are_runs(self) -> bool:
        """Whether every row holds neighbours without gaps, each once."""
        spans = np.where(self.lengths > 0, self.hi - self.lo + 1, 0)
        return bool((spans == self.lengths).all()) and bool((self.counts == 1).all())

    @cached_property
    def largest_total(self) -> float:
        """An upper bound of the counts of any row added up (a float: only to choose a dtype)."""
        if len(self.offsets) == 0:
            return 0.0
        return float(self.lengths.max()) * float(self.counts.max())

    def pick(self, rows: Ints) -> tuple[Ints, Ints, Counts]:
        """The taps of the given rows: (position in `rows`, offset, count), flat."""
        lengths = self.lengths[rows]
        position = np.repeat(np.arange(len(rows), dtype=np.int64), lengths)
        ends = np.cumsum(lengths)
        within = np.arange(ends[-1] if len(ends) else 0, dtype=np.int64) - np.repeat(
            ends - lengths, lengths
        )
        at = np.repeat(self.starts[:-1][rows], lengths) + within
        return position, self.offsets[at], self.counts[at]

    def then(self, other: Taps) -> Taps:
        """These rows followed by the rows of `other`."""
        return Taps(
            np.concatenate([self.starts, other.starts[1:] + self.starts[-1]]),
            np.concatenate([self.offsets, other.offsets]),
            np.concatenate([self.counts, other.counts]),
        )


def exact_counts(values: Sequence[int]) -> Counts:
    """Integers as int64, or as Python integers when one does not fit."""
    if any(abs(v) >= _INT64_SAFE for v in values):
        out = np.empty(len(values), dtype=object)
        out[:] = values
        return out
    return np.asarray(values, dtype=np.int64)


def multiply(a: Counts, b: Counts, bound: float) -> Counts:
    """`a * b` exactly; `bound` is at least every sum that will be taken of the products."""
    if a.dtype == object or b.dtype == object or bound >= _INT64_SAFE:
        product: Counts = a.astype(object) * b.astype(object)
        return product
    return a * b


def collect(rows: int, keys: Ints, offsets: Ints, counts: Counts) -> Taps:
    """The table of `rows` rows made of loose (row, offset, count) triples; repeats add up."""
    order = np.lexsort((offsets, keys))
    keys, offsets, counts = keys[order], offsets[order], counts[order]
    if len(keys):
        first = np.empty(len(keys), dtype=bool)
        first[0] = True
        first[1:] = (keys[1:] != keys[:-1]) | (offsets[1:] != offsets[:-1])
        if not first.all():
            if counts.dtype != object and float(counts.max()) * len(counts) >= _INT64_SAFE:
                counts = counts.astype(object)
            counts = np.add.reduceat(counts, np.flatnonzero(first))
            keys, offsets = keys[first], offsets[first]
    starts = np.searchsorted(keys, np.arange(rows + 1, dtype=np.int64)).astype(np.int64)
    return Taps(starts, offsets, counts)

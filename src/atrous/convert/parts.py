"""Axes as parts that lie along the input, as views cut them and lay them together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction


@dataclass(frozen=True)
class Along:
    """How the positions of an axis lie on the input.

    Attributes:
        axis: the input's axis, counted from the end of those that hold positions.
        stride: its positions per position.
    """

    axis: int
    stride: Fraction

    def too_far(self, wanted: Mapping[int, int]) -> bool:
        """Whether they lie further apart than wanted.

        Args:
            wanted: the largest stride, by axis.
        """
        return self.stride > wanted.get(self.axis, self.stride)


@dataclass(frozen=True)
class Part:
    """A factor of an axis.

    Attributes:
        size: its length.
        along: how its positions lie; None if it holds none.
        is_whole: whether they go from end to end of the input, not through a window of it.
    """

    size: int
    along: Along | None = None
    is_whole: bool = False


Parts = tuple[Part, ...]
"""The factors of an axis, the slowest first."""


def along(parts: Parts) -> Along | None:
    """How the positions of an axis lie, if it is one part that goes from end to end."""
    return parts[0].along if len(parts) == 1 and parts[0].is_whole else None


def cut(parts: Parts, sizes: Sequence[int]) -> list[Parts]:
    """The parts of each of the factors that an axis is cut into; without positions if none fit.

    >>> columns = Part(8, Along(-1, Fraction(4)), True)
    >>> [part.along.stride for (part,) in cut((columns,), (4, 2))]
    [Fraction(8, 1), Fraction(4, 1)]
    """
    if len(sizes) == 1:
        return [parts]
    left, found = list(parts), list[Parts]()
    for size in reversed(sizes):
        mine: list[Part] = []
        missing = size
        while missing > 1:
            part = left.pop() if left else Part(0)
            if part.size and missing % part.size == 0:
                mine.append(part)
                missing //= part.size
            elif part.size and part.size % missing == 0:
                slow, fast = _halves(part, missing)
                left.append(slow)
                mine.append(fast)
                missing = 1
            else:
                return [(Part(size),) for size in sizes]
        found.append(tuple(reversed(mine)) or (Part(1),))
    return found[::-1]


def joined(parts: Iterable[Part]) -> Parts:
    """The parts of an axis that is laid together of some: cuts of one become that one again.

    >>> rows = Along(-2, Fraction(8)), Along(-2, Fraction(4))
    >>> joined([Part(4, rows[0], True), Part(2, rows[1])])[0].along.stride
    Fraction(4, 1)
    """
    given = list(parts)
    found: list[Part] = []
    for part in [part for part in given if part.size != 1] or given[:1]:
        one = _one(found[-1], part) if found else None
        if one is None:
            found.append(part)
        else:
            found[-1] = one
    return tuple(found)


def _halves(part: Part, size: int) -> tuple[Part, Part]:
    """A part cut into a slow one and a fast one of some size."""
    if part.along is None:
        return Part(part.size // size), Part(size)
    slow = Along(part.along.axis, part.along.stride * size)
    return Part(part.size // size, slow, part.is_whole), Part(size, part.along)


def _one(slow: Part, fast: Part) -> Part | None:
    """Two parts as one; None if they lie in no order."""
    size = slow.size * fast.size
    if fast.along is None:
        if slow.along is None:
            return Part(size)
        nearer = Along(slow.along.axis, slow.along.stride / fast.size)
        return Part(size, nearer, slow.is_whole)
    if slow.along == Along(fast.along.axis, fast.along.stride * fast.size):
        return Part(size, fast.along, slow.is_whole)
    return None

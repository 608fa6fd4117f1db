"""Sets of positions of an axis as bits of a whole number: fast enough to follow thousands."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import gcd
from typing import NamedTuple

from atrous.geometry.relation import Relation


class Offsets(NamedTuple):
    """Positions of an axis: those at `start` plus the places of the bits of `bits`."""

    start: int
    bits: int

    @property
    def places(self) -> list[int]:
        """The positions, ascending."""
        return [self.start + place for place in bits_of(self.bits)]

    @property
    def span(self) -> int:
        """From the first to the last."""
        return self.bits.bit_length()

    @property
    def holes(self) -> int:
        """How many between them are none."""
        return self.span - self.bits.bit_count()

    @property
    def factor(self) -> int:
        """What divides all distances between them; 0 for a single one."""
        found = 0
        for place in bits_of(self.bits):
            found = gcd(found, place)
        return found


def bits_of(bits: int) -> list[int]:
    """The places of the bits that are set, the lowest first."""
    return [place for place, bit in enumerate(bin(bits)[:1:-1]) if bit == "1"]


def united(one: Offsets, other: Offsets) -> Offsets:
    """Positions of either."""
    if one.start > other.start:
        one, other = other, one
    return Offsets(one.start, one.bits | other.bits << (other.start - one.start))


@dataclass(frozen=True)
class Step:
    """How positions of an axis become positions of one that it reads, borders aside.

    Position `o` becomes `o // period * step` plus each of `rows[o % period]`.

    >>> Step(1, ((-2, 0, 2),)).back(Offsets(8, 0b11)).places
    [6, 7, 8, 9, 10, 11]
    """

    step: int
    rows: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, relation: Relation) -> Step:
        """That of a relation."""
        rows = tuple(tuple(int(tap) for tap in row) for row in relation.taps.rows())
        return cls(relation.step, rows)

    def back(self, own: Offsets) -> Offsets | None:
        """What positions read; None if they read nothing."""
        period = len(self.rows)
        if period == 1:
            return spread(own, self.step, self.rows[0])
        lowest_first = bin(own.bits)[:1:-1]
        found: Offsets | None = None
        for phase, taps in enumerate(self.rows):
            first = (phase - own.start) % period
            mine = lowest_first[first::period]
            if not taps or "1" not in mine:
                continue
            whole = (own.start + first) // period
            back = spread(Offsets(whole, int(mine[::-1], 2)), self.step, taps)
            if back is not None:
                found = back if found is None else united(found, back)
        return found


def spread(own: Offsets, step: int, taps: tuple[int, ...]) -> Offsets | None:
    """Every position times a step, plus each tap; None without taps."""
    if not taps:
        return None
    bits = own.bits
    if step > 1:
        bits = int(("0" * (step - 1)).join(bin(bits)[2:]), 2)
    elif step == 0:
        # All read the same.
        own, bits = Offsets(0, 1), 1
    elif step < 0:
        last = own.start + own.span - 1
        return spread(Offsets(-last, int(bin(bits)[:1:-1], 2)), -step, taps)
    first = min(taps)
    found = 0
    for tap in taps:
        found |= bits << (tap - first)
    return Offsets(own.start * step + first, found)


def collected(positions: Iterable[int]) -> Offsets | None:
    """Positions as bits; None for none.

    >>> collected([7, 3]).places
    [3, 7]
    """
    some = list(positions)
    if not some:
        return None
    start = min(some)
    bits = 0
    for position in some:
        bits |= 1 << (position - start)
    return Offsets(start, bits)

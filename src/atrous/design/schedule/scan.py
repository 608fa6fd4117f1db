"""All choices of two dilations at once, the others given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atrous.design.schedule.bounds import best_score
from atrous.design.schedule.feasible import ordered
from atrous.design.schedule.objective import Score
from atrous.design.schedule.request import Frame, Slot
from atrous.design.schedule.shelf import Shelf, Work
from atrous.geometry.coincidences import Pairs, squares_with_two
from atrous.geometry.relation import Flags
from atrous.geometry.taps import Ints

_OVERHEAD = 8_000
"""What one scan costs besides its look-ups, in look-ups."""
_TAKEN = 3
"""How many of a scan are put on the shelf."""


@dataclass(frozen=True)
class Space:
    """All schedules of one frame and one field.

    Attributes:
        frame: the layers.
        field: the field.
        holes: whether holes are allowed.
        macs: multiply-adds per position of the output.
        least: the smallest field that was asked for.
    """

    frame: Frame
    field: int
    holes: bool
    macs: int
    least: int

    @property
    def kind(self) -> npt.DTypeLike:
        """Numbers that sums of squares fit in; shares of all pairs where none of int64 do."""
        return np.int64 if self.frame.ways < 2**31 else np.float64

    @property
    def lowest(self) -> Score:
        """A score that none of them can beat."""
        return best_score(self.frame, self.field, self.holes, self.macs, self.least)

    def score(self, holes: int, squares: int) -> Score:
        """The score of one of them."""
        return Score(holes, squares, self.frame.ways, self.field, self.macs, self.least)

    def exact(self, dilations: Sequence[int]) -> Score:
        """The score of one of them, from its path counts."""
        made = self.frame.schedule(dilations)
        return self.score(len(made.holes), made.squares)


def two_dilations(one: Slot, other: Slot, reach: int, least: int = 1) -> tuple[Ints, Ints]:
    """All dilations of two layers that reach so far together.

    Of layers alike, the first gets the smaller one.

    Args:
        one: a layer.
        other: another.
        reach: of both.
        least: the smallest step, in positions of the input.

    >>> [d.tolist() for d in two_dilations(Slot(3, 1, None), Slot(3, 1, None), 10)]
    [[1, 2], [4, 3]]
    """
    low, other_low = -(-least // one.scale), -(-least // other.scale)
    most = (reach - other.weight * other_low) // one.weight
    if one.most is not None:
        most = min(most, one.most)
    first = np.arange(low, most + 1, dtype=np.int64)
    rest = reach - one.weight * first
    second = rest // other.weight
    fits = (rest % other.weight == 0) & (second >= other_low)
    if other.most is not None:
        fits &= second <= other.most
    if one == other:
        fits &= first <= second
    return first[fits], second[fits]


def without_holes(
    others: Sequence[tuple[int, int]], kernels: tuple[int, int], steps: tuple[Ints, Ints]
) -> Flags:
    """For which steps of two layers the chain with them has no holes.

    Args:
        others: (kernel size, step) of the other layers.
        kernels: of the two.
        steps: of the two, one entry per choice.

    >>> without_holes([(3, 1)], (3, 3), (np.array([3, 2]), np.array([9, 9]))).tolist()
    [True, False]
    """
    rest = sorted((step, kernel) for kernel, step in others if kernel > 1)
    own = np.array([step for step, _ in rest], dtype=np.int64)
    reach = np.cumsum([0, *((kernel - 1) * step for step, kernel in rest)])
    (one, other), (first, second) = steps, ((kernels[0] - 1), (kernels[1] - 1))
    good = one <= 1 + reach[np.searchsorted(own, one)] + np.where(other < one, second * other, 0)
    good &= other <= 1 + reach[np.searchsorted(own, other)] + np.where(one < other, first * one, 0)
    for k, step in enumerate(own.tolist()):
        lacks = step - 1 - int(reach[k])
        if lacks > 0:
            more = np.where(one < step, first * one, 0) + np.where(other < step, second * other, 0)
            good &= more >= lacks
    return good


@dataclass(frozen=True, eq=False)
class Others:
    """What a scan needs of the layers it does not choose.

    Attributes:
        layers: their (kernel size, step).
        pairs: pairs of their routes by distance.
        read: the positions they read, as bits; only where holes are allowed.
    """

    layers: tuple[tuple[int, int], ...]
    pairs: Pairs
    read: int


def read_by(layers: Sequence[tuple[int, int]], read: int = 1) -> int:
    """The positions that a chain reads, as bits.

    >>> bin(read_by([(3, 2), (2, 1)]))
    '0b111111'
    """
    for kernel, step in layers:
        wider = read
        for tap in range(1, kernel):
            wider |= read << (tap * step)
        read = wider
    return read


def scan(
    space: Space,
    others: Others,
    slots: tuple[int, int],
    dilations: tuple[Ints, Ints],
    rest: Sequence[int],
    shelf: Shelf,
    work: Work,
) -> None:
    """Put the best choices of two dilations on the shelf.

    Args:
        space: what is chosen from.
        others: the other layers.
        slots: which two slots are chosen.
        dilations: of the two, one entry per choice.
        rest: dilations of all slots, those of the two ignored.
        shelf: where the best go.
        work: what may be spent.
    """
    one, other = (space.frame.slots[k] for k in slots)
    steps = dilations[0] * one.scale, dilations[1] * other.scale
    kernels = one.kernel, other.kernel
    if not space.holes:
        good = without_holes(others.layers, kernels, steps)
        dilations = dilations[0][good], dilations[1][good]
        steps = steps[0][good], steps[1][good]
    count = len(steps[0])
    work.spend(_OVERHEAD + count * (2 * one.kernel * other.kernel + (50 if space.holes else 0)))
    if count == 0:
        return
    squares = squares_with_two(others.pairs, kernels, steps)
    unread = np.zeros(count, dtype=np.int64)
    if space.holes:
        for k, (a, b) in enumerate(zip(*(s.tolist() for s in steps), strict=True)):
            read = read_by([(kernels[0], a), (kernels[1], b)], others.read)
            unread[k] = space.field - read.bit_count()
    for k in _first(space, shelf, unread, squares):
        chosen = list(rest)
        chosen[slots[0]], chosen[slots[1]] = int(dilations[0][k]), int(dilations[1][k])
        made = ordered(space.frame, chosen)
        if squares.dtype.kind == "f":
            score = space.exact(made)
        else:
            score = space.score(int(unread[k]), int(squares[k]))
        shelf.put(space.frame, made, score)


def _first(space: Space, shelf: Shelf, unread: Ints, squares: npt.NDArray[Any]) -> list[int]:
    """The best few choices, best first."""
    taken = 1 if squares.dtype.kind == "f" else _TAKEN
    if not space.holes:
        return list(np.argsort(squares, kind="stable")[:taken].tolist())
    if shelf.objective.name != "weighted" or squares.dtype.kind == "f":
        return list(np.lexsort((squares, unread))[:taken].tolist())
    # A sum may trade holes for evenness: every pair of both that is not beaten in both.
    order = np.lexsort((squares, unread))
    keys = [
        (shelf.objective.key(space.score(int(unread[k]), int(squares[k]))), int(k))
        for k in _front(unread[order], squares[order], order)
    ]
    return [k for _, k in sorted(keys)[:taken]]


def _front(unread: Ints, squares: npt.NDArray[Any], order: Ints) -> list[int]:
    """Of choices in order of holes, those more even than all with fewer."""
    lowest = np.minimum.accumulate(squares)
    better = np.concatenate([[True], squares[1:] < lowest[:-1]])
    return list(order[better].tolist())

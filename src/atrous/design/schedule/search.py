"""The best schedule of one frame and one field: a descent by pairs, then all that may be better."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from math import prod

import numpy as np

from atrous.design.schedule.feasible import witness
from atrous.design.schedule.request import Slot
from atrous.design.schedule.scan import Others, Space, read_by, scan, two_dilations
from atrous.design.schedule.shelf import OutOfWork, Shelf, Work
from atrous.geometry.coincidences import Pairs, pairs_of, with_layer

_SEEDS = (1.0, 0.0, 0.5, 0.8, 0.2)
"""How far the last layers of the first guesses reach."""


def guess(space: Space, shelf: Shelf, work: Work) -> None:
    """Put good schedules of a space on the shelf: from several guesses downhill.

    At least one is found, whatever work is left.
    """
    frame = space.frame
    if len(frame.slots) == 1:
        only = witness(frame, space.field, space.holes)
        shelf.put(frame, only, space.exact(only))
        return
    bound = shelf.objective.key(space.lowest)
    try:
        for seed in _SEEDS:
            start = witness(frame, space.field, space.holes, seed)
            _descend(space, start, shelf, work)
            if not shelf.beats(bound):
                break
    except OutOfWork:
        pass


def exhaust(space: Space, shelf: Shelf, work: Work) -> bool:
    """Look at all schedules of a space that may be better than the best on the shelf.

    Returns:
        Whether all have been looked at, but those that a bound rules out.
    """
    if len(space.frame.slots) == 1 or not shelf.beats(shelf.objective.key(space.lowest)):
        return True
    if space.kind == np.float64:
        return False
    try:
        _Exhaustion(space, shelf, work).run()
    except OutOfWork:
        return False
    return True


def _descend(space: Space, start: tuple[int, ...], shelf: Shelf, work: Work) -> None:
    """Choose two dilations again and again, the best for all others, until no two can do better."""
    own = Shelf(shelf.objective)
    own.put(space.frame, start, space.exact(start))
    slots = space.frame.slots
    try:
        # Counting routes exactly takes its time where layers are many.
        work.spend(space.field * len(slots) / 4)
        better = True
        while better:
            assert own.best is not None
            before = own.best.key
            for i, j in combinations(range(len(slots)), 2):
                now = own.best.dilations
                _again(space, now, (i, j), own, work)
            better = own.best.key < before
    finally:
        for found in own.kept:
            shelf.put(found.frame, found.dilations, found.score)


def _again(
    space: Space, now: tuple[int, ...], pair: tuple[int, int], shelf: Shelf, work: Work
) -> None:
    """The best of two dilations with all others as they are."""
    slots = space.frame.slots
    i, j = pair
    layers = (
        *space.frame.fixed,
        *((s.kernel, s.scale * d) for k, (s, d) in enumerate(zip(slots, now, strict=True))
          if k not in pair),
    )  # fmt: skip
    reach = slots[i].weight * now[i] + slots[j].weight * now[j]
    work.spend(2 * sum((2 * k - 1) for k, _ in layers) * (space.field - reach) / 4)
    others = Others(layers, pairs_of(layers, space.kind), read_by(layers) if space.holes else 0)
    choices = two_dilations(slots[i], slots[j], reach)
    if len(choices[0]) > 1:
        scan(space, others, pair, choices, now, shelf, work)


class _Exhaustion:
    """All schedules of a space, layers in the order of their steps, in two halves: all but the last
    two layers one by one, those two together."""

    def __init__(self, space: Space, shelf: Shelf, work: Work) -> None:
        self.space, self.shelf, self.work = space, shelf, work
        frame = space.frame
        self.fixed = sorted((step, kernel) for kernel, step in frame.fixed)
        self.fixed_reach = sum((kernel - 1) * step for step, kernel in self.fixed)
        self.reach = space.field - 1 - self.fixed_reach
        self.lowest = space.lowest.squares

    def run(self) -> None:
        """Look at all.

        Raises:
            OutOfWork: before all have been looked at.
        """
        start = [(kernel, step) for step, kernel in self.fixed]
        pairs = pairs_of(start, self.space.kind)
        self._next(Counter(self.space.frame.slots), [], 0, 1, pairs, read_by(start))

    def _next(
        self, left: Counter[Slot], taken: list[tuple[Slot, int]], reach: int, last: int,
        pairs: Pairs, read: int,
    ) -> None:  # fmt: skip
        """Choose the layer with the next larger step, as long as that may be better.

        Args:
            left: slots that have no dilation yet.
            taken: slots with their dilations.
            reach: of the slots taken.
            last: the largest step taken.
            pairs: of all layers so far, the front's among them.
            read: what they read, as bits.
        """
        count = sum(left.values())
        if count == 2:
            self._last_two(left, taken, reach, last, pairs, read)
            return
        for slot in sorted(left, key=lambda s: (s.scale, s.kernel, s.most or 0)):
            rest = left.copy()
            rest[slot] -= 1
            rest += Counter()
            # Layers that follow have steps at least as large.
            taps = sum((s.kernel - 1) * n for s, n in left.items())
            most = (self.reach - reach) // (taps * slot.scale)
            if slot.most is not None:
                most = min(most, slot.most)
            for dilation in range(-(-last // slot.scale), most + 1):
                step = slot.scale * dilation
                if not self.space.holes and step > 1 + reach + self._fixed_below(step):
                    break
                self.work.spend(2_000 + len(pairs) * slot.kernel)
                wider = with_layer(pairs, slot.kernel, step)
                seen = read_by([(slot.kernel, step)], read)
                then = reach + slot.weight * dilation
                if self._may_be_better(rest, then, wider, seen):
                    self._next(rest, [*taken, (slot, dilation)], then, step, wider, seen)

    def _fixed_below(self, step: int) -> int:
        return sum((kernel - 1) * own for own, kernel in self.fixed if own < step)

    def _may_be_better(self, rest: Counter[Slot], reach: int, pairs: Pairs, read: int) -> bool:
        """Whether any completion can be better than the best so far."""
        ways = prod(slot.kernel**n for slot, n in rest.items())
        # Without holes every layer at most multiplies what is read, and is cut by its cap.
        largest = (reach + self.fixed_reach + 1) * ways - 1 - self.fixed_reach
        if all(slot.most is not None for slot in rest):
            capped = sum(slot.weight * (slot.most or 0) * n for slot, n in rest.items())
            largest = min(largest, reach + capped) if not self.space.holes else reach + capped
        elif self.space.holes:
            largest = self.reach
        if largest < self.reach:
            return False
        holes = 0
        if self.space.holes:
            holes = max(0, self.space.field - read.bit_count() * ways)
        # Every pair that ends together goes on to do so in as many ways as there are routes.
        squares = max(self.lowest, int(pairs[len(pairs) // 2]) * ways)
        return self.shelf.beats(self.shelf.objective.key(self.space.score(holes, squares)))

    def _last_two(
        self, left: Counter[Slot], taken: list[tuple[Slot, int]], reach: int, last: int,
        pairs: Pairs, read: int,
    ) -> None:  # fmt: skip
        one, other = left.elements()
        dilations = two_dilations(one, other, self.reach - reach, last)
        if not len(dilations[0]):
            return
        slots = self.space.frame.slots
        given: dict[Slot, list[int]] = {}
        for slot, dilation in taken:
            given.setdefault(slot, []).append(dilation)
        rest, open_slots = [], []
        for k, slot in enumerate(slots):
            if given.get(slot):
                rest.append(given[slot].pop())
            else:
                rest.append(0)
                open_slots.append(k)
        first, second = open_slots
        if slots[first] != one:
            first, second = second, first
        layers = tuple((kernel, step) for step, kernel in self.fixed)
        layers += tuple((slot.kernel, slot.scale * d) for slot, d in taken)
        scan(
            self.space, Others(layers, pairs, read), (first, second), dilations, rest, self.shelf,
            self.work,
        )  # fmt: skip

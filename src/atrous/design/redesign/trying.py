"""Dilations along one axis found by trying choices, a few layers at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations, product
from typing import NamedTuple

from atrous.design.redesign.problem import Choice, Problem

Group = tuple[int, ...]
"""Layers that change together."""

MOST = 6
"""Solutions that are given."""

_TRIES = 12_000
_GUESSES = 200_000
_WIDE = 512
"""Choices looked at, and changes guessed to keep the field; of wider fields fewer are looked at."""
_BEAM = 6
"""Choices carried on together."""


def _values(now: Choice) -> list[int]:
    """Dilations to try: all up to twice the largest, of large ones those near what there is."""
    highest = max(now)
    if highest <= 24:
        return list(range(1, max(2 * highest, highest + 8) + 1))
    near = {old + more for old in {*now, 1} for more in range(-3, 4)}
    return sorted(value for value in near | set(range(1, 10)) if value > 0)


Sizes = tuple[int, ...]


class _Move(NamedTuple):
    """One layer, or several that change together, with another dilation: what it costs, and what it
    does to the sizes of the fields."""

    group: Group
    value: int
    cost: int
    sizes: Sizes


def _added(parts: Iterable[Sizes]) -> Sizes:
    return tuple(sum(own) for own in zip(*parts, strict=True))


class Tried:
    """A search that tries choices, a few layers at a time."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.count = 0
        # Long fields take longer to follow: fewer choices are looked at.
        widest = max(problem.reached(problem.now).sizes, default=1)
        self.tries = max(_TRIES * _WIDE // max(widest, _WIDE), _TRIES // 16)
        self.values = _values(problem.now)
        self.free = problem.groups

    def few(self, *, larger: bool = False) -> list[Choice]:
        """Solutions that change up to three layers.

        What single changes do to the sizes of the fields is added up to guess which together keep
        them; only these are looked at.

        Args:
            larger: whether fields may become larger.
        """
        moves: dict[Group, list[_Move]] = {}
        now = self.problem.now
        before = self.problem.reached(now).sizes
        for group in self.free:
            for value in self.values:
                choice = self._with(now, {group: value})
                if choice == now or not self.problem.allows(choice):
                    continue
                self.count += 1
                after = self.problem.reached(choice).sizes
                difference = tuple(a - b for a, b in zip(after, before, strict=True))
                cost = sum(abs(value - now[k]) for k in group)
                moves.setdefault(group, []).append(_Move(group, value, cost, difference))
        for changed in (1, 2, 3):
            found = self._first(self._together(moves, changed, larger))
            if found:
                return found
        return []

    def _together(
        self, moves: Mapping[Group, Sequence[_Move]], changed: int, larger: bool
    ) -> list[Choice]:
        guessed: list[tuple[int, int, dict[Group, int]]] = []
        by_difference: dict[Group, dict[Sizes, list[_Move]]] = {}
        for group, own in moves.items():
            for move in own:
                by_difference.setdefault(group, {}).setdefault(move.sizes, []).append(move)
        looked = 0
        for *some, last in combinations(moves, changed):
            for steps in product(*(moves[group] for group in some)):
                total = _added(step.sizes for step in steps)
                looked += 1
                if looked > _GUESSES:
                    break
                if larger:
                    ends: Sequence[_Move] = moves[last]
                else:
                    missing = tuple(-n for n in total)
                    wanted = missing or next(
                        (key for key in by_difference[last] if not any(key)), ()
                    )
                    ends = by_difference[last].get(wanted, ())
                for end in ends:
                    size = _added((total, end.sizes)) if total else end.sizes
                    if min(size, default=0) < 0 or len(guessed) > _GUESSES:
                        continue
                    all_steps = (*steps, end)
                    cost = sum(step.cost for step in all_steps)
                    guessed.append((sum(size), cost, {s.group: s.value for s in all_steps}))
        guessed.sort(key=lambda guess: guess[:2])
        now = self.problem.now
        return [self._with(now, values) for *_, values in guessed]

    def _first(self, choices: Iterable[Choice]) -> list[Choice]:
        found: list[Choice] = []
        for looked, choice in enumerate(choices):
            if looked > self.tries or len(found) == MOST:
                break
            self.count += 1
            if self.problem.serves(choice):
                found.append(choice)
        return found

    def smaller(self, most: int) -> list[Choice]:
        """Solutions whose fields are smaller, the largest first: of all choices of small dilations,
        where there are not too many.

        Args:
            most: positions that any field can have at most.
        """
        now = self.problem.now
        highest = min(most, int(self.tries ** (1 / max(len(self.free), 1))))
        if highest < 2:
            return []
        found = []
        for values in product(range(1, highest + 1), repeat=len(self.free)):
            choice = self._with(now, dict(zip(self.free, values, strict=True)))
            self.count += 1
            if self.problem.allows(choice) and not self.problem.reached(choice).unmet:
                found.append(choice)
        found.sort(key=lambda own: (self.problem.excess(own) or 0, *self.problem.cost(own)))
        return self._first(found)

    def beam(self) -> list[Choice]:
        """A solution that changes one layer after the other, the best few choices carried on."""
        now = self.problem.now
        carried: list[Choice] = [now]
        best = self._rank(now)
        for _ in self.free:
            around = dict.fromkeys(
                choice for own in carried for choice in self._around(own) if choice not in carried
            )
            ranked = sorted((self._rank(choice), choice) for choice in around)
            if not ranked:
                break
            done = [choice for rank, choice in ranked if not any(rank[:2])]
            if any(map(self.problem.serves, done[:_BEAM])):
                return [choice for choice in done[:_BEAM] if self.problem.serves(choice)]
            carried = [choice for _, choice in ranked[:_BEAM]]
            if self.count > self.tries or ranked[0][0] >= best:
                break
            best = ranked[0][0]
        return []

    def _around(self, own: Choice) -> Iterator[Choice]:
        for group, value in product(self.free, self.values):
            choice = self._with(own, {group: value})
            if choice != own and self.problem.allows(choice):
                self.count += 1
                yield choice

    def _rank(self, choice: Choice) -> tuple[int, int, int, int]:
        now = self.problem.reached(self.problem.now).sizes
        reached = self.problem.reached(choice)
        away = sum(abs(a - b) for a, b in zip(reached.sizes, now, strict=True))
        return reached.unmet + away, away, *self.problem.cost(choice)

    def restored(self, choice: Choice) -> Choice:
        """The same with as many layers as can be as they were."""
        excess = self.problem.excess(choice) or 0
        now = self.problem.now
        moved = [group for group in self.free if any(choice[k] != now[k] for k in group)]
        for group in sorted(moved, key=lambda own: -abs(choice[own[0]] - now[own[0]])):
            back = self._with(choice, {group: now[group[0]]})
            if self.problem.serves(back) and (self.problem.excess(back) or 0) <= excess:
                choice = back
        return choice

    def _with(self, choice: Choice, values: dict[Group, int]) -> Choice:
        new = {k: value for group, value in values.items() for k in group}
        return tuple(new.get(k, old) for k, old in enumerate(choice))

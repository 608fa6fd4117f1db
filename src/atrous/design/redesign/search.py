"""The least change of dilations along one axis that does what is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, product

from atrous.design.redesign.chain import longest_chain
from atrous.design.redesign.problem import Choice, Problem
from atrous.geometry.primitives import Window
from atrous.geometry.repairs import Tapped, least_repairs, most_span

Group = tuple[int, ...]
"""Layers that change together."""

_TRIES = 12_000
_MOST = 6
_LARGER = 16
_BEAM = 6
"""Choices looked at, solutions given, positions a field may grow by, choices carried on."""


@dataclass(frozen=True)
class Solutions:
    """What a search along one axis found.

    Attributes:
        choices: the smallest change first.
        is_least: whether nothing smaller can exist.
        how: what was searched, in words.
        bound: the most positions that the layers can read without holes, if that rules it out.
    """

    choices: tuple[Choice, ...]
    is_least: bool
    how: str
    bound: int | None = None


def solved(problem: Problem) -> Solutions:
    """Choices of dilations for one axis, the least change first."""
    if not problem.lines or problem.reached(problem.now).unmet == 0:
        return Solutions((problem.now,), True, "nothing to change")
    chained = _along_chain(problem)
    if chained is not None and (chained.is_least or chained.bound is not None):
        return chained
    tried = _Tried(problem)
    found = tried.few() or tried.beam()
    if chained is not None:
        found += [choice for choice in chained.choices if choice not in found]
    if not found:
        found = tried.few(larger=True)
    found = sorted(
        dict.fromkeys(tried.restored(choice) for choice in found),
        key=lambda c: (problem.excess(c) or 0, *problem.cost(c)),
    )
    how = f"the least of {tried.count:,} choices looked at"
    return Solutions(tuple(found[:_MOST]), False, how)


def _along_chain(problem: Problem) -> Solutions | None:
    """By the exact test for chains, where the longest way is one."""
    by_node = {name: k for k, layer in enumerate(problem.layers) for name in layer.names}
    layers = {name: problem.layers[k] for name, k in by_node.items()}
    holes = [(goal, line) for goal, line in problem.lines if goal.kind == "holes"]
    if not holes:
        return None
    chains = [longest_chain(line, layers) for _, line in holes]
    chain = max(chains, key=lambda one: len(one.jumps))
    line = holes[chains.index(chain)][1]
    if any(jump.denominator != 1 for jump in chain.jumps.values()):
        return None
    of_layer = {k: group for group in problem.groups for k in group}
    # Layers of one dilation in a row read what one with all their taps reads.
    taps: dict[tuple[object, int], int] = {}
    members: dict[tuple[object, int], tuple[int, ...]] = {}
    apart: dict[tuple[object, int], int] = {}
    for name, jump in chain.jumps.items():
        window: Window = line.windows[name]
        own = of_layer.get(by_node.get(name, -1), ())
        key = (own or name, int(jump))
        taps[key] = taps.get(key, 1) + window.kernel_size - 1
        members[key], apart[key] = own, window.dilation
    scales = Counter(own for own in members.values() if own)
    whole = all(count == 1 for count in scales.values())
    tapped = [
        Tapped(taps[key], apart[key], key[1], not own or scales[own] > 1)
        for key, own in members.items()
    ]
    places = list(members.values())
    size = problem.reached(problem.now).sizes[[own for _, own in holes].index(line)]
    spanned = 1 + sum((one.kernel_size - 1) * one.apart for one in tapped)
    alone = len(holes) == len(problem.lines) and len({own.target for _, own in holes}) == 1
    is_all = chain.is_all and size == spanned and alone and whole
    for larger in range(_LARGER + 1):
        bound = most_span(tapped)
        if spanned + larger > bound:
            if is_all:
                return Solutions((), True, f"a chain of {len(tapped)} layers", bound)
            return None
        repairs = least_repairs(tapped, span=spanned + larger, most=_MOST)
        choices = [_choice(problem, places, found) for found in repairs.found]
        choices = [c for c in choices if _serves(problem, c)]
        if choices:
            least = (
                is_all
                and repairs.is_complete
                and choices[0] == _choice(problem, places, repairs.found[0])
            )
            how = "all choices, by the exact test for chains" if least else "a chain"
            return Solutions(tuple(choices), least, how)
        if repairs.found:
            # What is right for the chain is not for the model: it is no chain.
            return None
    return None


def _choice(problem: Problem, places: Iterable[tuple[int, ...]], found: Choice) -> Choice:
    choice = list(problem.now)
    for group, dilation in zip(places, found, strict=True):
        for k in group:
            choice[k] = dilation
    return tuple(choice)


def _serves(problem: Problem, choice: Choice) -> bool:
    return (
        problem.allows(choice)
        and problem.excess(choice) is not None
        and problem.reached(choice).unmet == 0
    )


class _Tried:
    """A search that tries choices, a few layers at a time."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        self.count = 0
        highest = max(problem.now)
        self.values = range(1, max(2 * highest, highest + 8) + 1)
        self.free = problem.groups

    def few(self, *, larger: bool = False) -> list[Choice]:
        """Solutions that change up to three layers.

        What single changes do to the sizes of the fields is added up to guess which together keep
        them; only these are looked at.
        """
        moves: dict[Group, list[tuple[int, tuple[int, ...]]]] = {}
        before = self.problem.reached(self.problem.now).sizes
        for group in self.free:
            for value in self.values:
                choice = self._with(self.problem.now, {group: value})
                if choice == self.problem.now or not self.problem.allows(choice):
                    continue
                self.count += 1
                after = self.problem.reached(choice).sizes
                difference = tuple(a - b for a, b in zip(after, before, strict=True))
                moves.setdefault(group, []).append((value, difference))
        for changed in (1, 2, 3):
            found = self._first(self._together(moves, changed, larger))
            if found:
                return found
        return []

    def _together(
        self, moves: dict[Group, list[tuple[int, tuple[int, ...]]]], changed: int, larger: bool
    ) -> list[Choice]:
        guessed: list[tuple[int, int, Choice]] = []
        looked = 0
        for some in combinations(moves, changed):
            for steps in product(*(moves[group] for group in some)):
                looked += 1
                if looked > 20 * _TRIES:
                    break
                total = [sum(parts) for parts in zip(*(d for _, d in steps), strict=True)]
                if min(total, default=0) < 0 or (not larger and any(total)):
                    continue
                values = dict(zip(some, (v for v, _ in steps), strict=True))
                choice = self._with(self.problem.now, values)
                guessed.append((sum(total), self.problem.cost(choice)[1], choice))
        guessed.sort()
        return [choice for *_, choice in guessed]

    def _first(self, choices: Iterable[Choice]) -> list[Choice]:
        found: list[Choice] = []
        for choice in choices:
            if self.count > _TRIES or len(found) == _MOST:
                break
            self.count += 1
            if _serves(self.problem, choice):
                found.append(choice)
        return found

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
            if ranked[0][0][:2] == (0, 0):
                return [ranked[0][1]]
            carried = [choice for _, choice in ranked[:_BEAM]]
            if self.count > _TRIES or ranked[0][0] >= best:
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
            if _serves(self.problem, back) and (self.problem.excess(back) or 0) <= excess:
                choice = back
        return choice

    def _with(self, choice: Choice, values: dict[Group, int]) -> Choice:
        new = {k: value for group, value in values.items() for k in group}
        return tuple(new.get(k, old) for k, old in enumerate(choice))

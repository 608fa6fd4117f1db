"""The least change of dilations along one axis that does what is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from typing import NamedTuple

from atrous.design.redesign.chain import longest_chain
from atrous.design.redesign.offsets import Line
from atrous.design.redesign.problem import Choice, Problem
from atrous.geometry.primitives import Window
from atrous.geometry.repairs import Tapped, least_repairs, most_span

Group = tuple[int, ...]
"""Layers that change together."""

_TRIES = 12_000
_GUESSES = 200_000
_WIDE = 512
"""Choices looked at, and changes guessed to keep the field; of wider fields fewer are looked at."""
_MOST = 6
_LARGER = 16
_BEAM = 6
"""Solutions given, positions that a field may grow by, choices carried on together."""


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
    if not problem.lines or problem.serves(problem.now):
        return Solutions((problem.now,), True, "nothing to change")
    found: list[Choice] = []
    for goal, line in problem.lines:
        if not problem.is_met(goal, line):
            chained = _along_chain(problem, line, whole=problem.is_whole(goal))
            if chained.is_least or chained.bound is not None:
                return chained
            found += chained.choices
    tried = _Tried(problem)
    found += tried.few() or ([] if found else tried.beam())
    found = found or tried.few(larger=True)
    found = sorted(
        dict.fromkeys(tried.restored(choice) for choice in found),
        key=lambda c: (problem.excess(c) or 0, *problem.cost(c)),
    )
    how = f"the least of {tried.count:,} choices looked at"
    return Solutions(tuple(found[:_MOST]), False, how)


def _along_chain(problem: Problem, line: Line, *, whole: bool) -> Solutions:
    """By the exact test for chains, along the longest way of a line.

    Args:
        problem: the axis.
        line: the program along it that has holes.
        whole: whether it must have none.
    """
    nothing = Solutions((), False, "")
    by_node = {name: k for k, layer in enumerate(problem.layers) for name in layer.names}
    chain = longest_chain(line, {name: problem.layers[k] for name, k in by_node.items()})
    if any(jump.denominator != 1 for jump in chain.jumps.values()):
        return nothing
    of_layer = {k: group for group in problem.groups for k in group}
    # Layers of one dilation in a row read what one with all their taps reads.
    taps: dict[tuple[object, int], int] = {}
    members: dict[tuple[object, int], Group] = {}
    apart: dict[tuple[object, int], int] = {}
    for name, jump in chain.jumps.items():
        window: Window = line.windows[name]
        own = of_layer.get(by_node.get(name, -1), ())
        key = (own or name, int(jump))
        taps[key] = taps.get(key, 1) + window.kernel_size - 1
        members[key], apart[key] = own, window.dilation
    scales = Counter(own for own in members.values() if own)
    tapped = [
        Tapped(taps[key], apart[key], key[1], not own or scales[own] > 1)
        for key, own in members.items()
    ]
    places = list(members.values())
    read = line.offsets()
    spanned = 1 + sum((one.kernel_size - 1) * one.apart for one in tapped)
    is_all = (
        whole
        and chain.is_all
        and read is not None
        and read.span == spanned
        and max(scales.values(), default=1) == 1
    )
    bound = most_span(tapped)
    rows = counted(len(chain.jumps))
    if spanned > bound and not (is_all and problem.smaller):
        return Solutions((), True, rows, bound) if is_all else nothing
    if spanned > bound:
        spans = range(bound, max(bound - _LARGER, 0), -1)
    else:
        spans = range(spanned, min(spanned + _LARGER, bound) + 1)
    for span in spans:
        repairs = least_repairs([_within(one, span) for one in tapped], span=span, most=_MOST)
        choices = [_choice(problem, places, found) for found in repairs.found]
        serving = [choice for choice in choices if problem.serves(choice)]
        if serving:
            least = is_all and repairs.is_complete and serving[0] == choices[0]
            how = "all choices, by the exact test for chains" if least else "a chain"
            if span < spanned:
                how = f"no larger field can be read by {rows} without holes"
            return Solutions(tuple(serving), least, how)
        if repairs.found or not repairs.is_complete:
            # What is right for the chain is not for the model, or there is too much to search.
            return nothing
    return nothing


def _within(layer: Tapped, span: int) -> Tapped:
    """A layer whose taps lie no further apart than all that is to be read: it has to change, from
    wherever it is."""
    if layer.fixed or layer.apart <= span:
        return layer
    return replace(layer, dilation=max(span // layer.step, 1))


def counted(layers: int) -> str:
    """Layers in words."""
    return f"{layers} layers in a row" if layers > 1 else "a single layer"


def _choice(problem: Problem, places: Iterable[Group], found: Choice) -> Choice:
    choice = list(problem.now)
    for group, dilation in zip(places, found, strict=True):
        for k in group:
            choice[k] = dilation
    return tuple(choice)


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


class _Tried:
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
            if looked > self.tries or len(found) == _MOST:
                break
            self.count += 1
            if self.problem.serves(choice):
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

"""The least change of dilations along one axis that does what is asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

from atrous.design.redesign.bounds import most_read
from atrous.design.redesign.chain import longest_chain
from atrous.design.redesign.problem import Choice, Problem
from atrous.design.redesign.trying import MOST, Group, Tried
from atrous.geometry.primitives import Window
from atrous.geometry.repairs import Tapped, least_repairs, most_span

_ALL_WAYS = "all ways through layers"
_LARGER = 16
_JOINED = 64
"""Positions that a field may grow by, and ways to put parts together that are looked at."""


@dataclass(frozen=True)
class Solutions:
    """What a search along one axis found.

    Attributes:
        choices: the smallest change first.
        is_least: whether nothing smaller can exist.
        how: what was searched, in words.
        bound: the most positions that the layers can read without holes, if that rules it out.
        layers: those that were looked at together, by number.
    """

    choices: tuple[Choice, ...]
    is_least: bool
    how: str
    bound: int | None = None
    layers: frozenset[int] = frozenset()


def solved(problem: Problem) -> Solutions:
    """Choices of dilations for one axis, the least change first."""
    if not problem.lines or problem.serves(problem.now):
        return Solutions((problem.now,), True, "nothing to change")
    found: list[Choice] = []
    parts = []
    for number, (goal, line) in enumerate(problem.lines):
        if not problem.is_met(goal, line):
            chained = _along_chain(problem, number)
            if chained.is_least or chained.bound is not None:
                return chained
            found += chained.choices
            parts.append(number)
    beyond = _out_of_reach(problem)
    if beyond is not None:
        return beyond
    joined = _part_by_part(problem, parts) if len(parts) > 1 else None
    if joined is not None:
        return joined
    tried = Tried(problem)
    found += tried.few() or ([] if found else tried.beam())
    found = found or tried.few(larger=True)
    if problem.smaller and not found:
        found = tried.smaller(max(_bounds(problem), default=1))
    found = sorted(
        dict.fromkeys(tried.restored(choice) for choice in found),
        key=lambda c: (problem.excess(c) or 0, *problem.cost(c)),
    )
    how = f"the least of {tried.count:,} choices looked at"
    return Solutions(tuple(found[:MOST]), False, how)


def _bounds(problem: Problem) -> list[int]:
    """By line whose size must stay, the positions that it can read at most."""
    layers = {name: layer for layer in problem.layers for name in layer.names}
    kept = (line for goal, line in problem.lines if problem.is_whole(goal))
    return [most_read(line, layers) for line in kept]


def _out_of_reach(problem: Problem) -> Solutions | None:
    """That fields are larger than what layers can read, if one is; None where none is, or where
    they may shrink."""
    if problem.smaller:
        return None
    sizes = problem.reached(problem.now).sizes
    for most, size in zip(_bounds(problem), sizes, strict=True):
        if size > most:
            return Solutions((), True, _ALL_WAYS, most)
    return None


def _part_by_part(problem: Problem, parts: Sequence[int]) -> Solutions | None:
    """By mending each line that needs it alone; None where that is not enough.

    Args:
        problem: the axis.
        parts: the numbers of the lines that are not as they must be.
    """
    now = problem.now
    solutions = []
    for number in parts:
        own = _along_chain(problem, number, alone=True)
        if not own.choices:
            return None
        solutions.append(own)
    found: list[Choice] = []
    for choices in islice(product(*(own.choices for own in solutions)), _JOINED):
        values = [{choice[k] for choice in choices} - {now[k]} for k in range(len(now))]
        if any(len(own) > 1 for own in values):
            continue
        choice = tuple(next(iter(own), old) for own, old in zip(values, now, strict=True))
        if problem.serves(choice):
            found.append(choice)
    if not found:
        return None
    # Parts without layers in common: none can do with less, whatever the others do.
    apart = sum(len(own.layers) for own in solutions) == len(
        frozenset().union(*(own.layers for own in solutions))
    )
    first = tuple(
        next((own.choices[0][k] for own in solutions if own.choices[0][k] != now[k]), now[k])
        for k in range(len(now))
    )
    least = apart and all(own.is_least for own in solutions) and found[0] == first
    how = "all choices, by the exact test for chains" if least else "chains, each by itself"
    ordered = sorted(found, key=lambda c: (problem.excess(c) or 0, *problem.cost(c)))
    return Solutions(tuple(ordered[:MOST]), least, how)


def _along_chain(problem: Problem, number: int, *, alone: bool = False) -> Solutions:
    """By the exact test for chains, along the longest way of a line.

    Args:
        problem: the axis.
        number: of the line that is not as it must be.
        alone: whether it is enough that this line is, and no other is worse.
    """
    nothing = Solutions((), False, "")
    goal, line = problem.lines[number]
    whole = problem.is_whole(goal)
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
    layers = frozenset(k for own in places for k in own)
    if spanned > bound and not (is_all and problem.smaller):
        return Solutions((), True, rows, bound) if is_all else nothing
    if spanned > bound:
        spans = range(bound, max(bound - _LARGER, 0), -1)
    else:
        spans = range(spanned, min(spanned + _LARGER, bound) + 1)
    for span in spans:
        repairs = least_repairs([_within(one, span) for one in tapped], span=span, most=MOST)
        choices = [_choice(problem, places, found) for found in repairs.found]
        serving = [
            choice
            for choice in choices
            if (problem.helps(choice, number) if alone else problem.serves(choice))
        ]
        if serving:
            least = is_all and repairs.is_complete and serving[0] == choices[0]
            how = "all choices, by the exact test for chains" if least else "a chain"
            if span < spanned:
                how = f"no larger field can be read by {rows} without holes"
            return Solutions(tuple(serving), least, how, layers=layers)
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

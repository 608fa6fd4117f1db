"""Which frames and fields meet a request, and one schedule for each that shows it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import gcd

import numpy as np

from atrous.design.schedule.existence import (
    Kind,
    Reaches,
    State,
    by_layers,
    kinds_of,
    reaches,
    states,
    tops,
)
from atrous.design.schedule.request import Frame, Request


@dataclass(frozen=True)
class Option:
    """Layers that meet a request, with the fields they can have.

    Attributes:
        frame: the layers without their dilations.
        fields: the fields, ascending: all in a range that was asked for, else the smallest.
    """

    frame: Frame
    fields: tuple[int, ...]


def options(request: Request) -> list[Option]:
    """All that meets a request: one per kernel size to choose from; none if it is impossible."""
    found = []
    for size in request.sizes or (None,):
        option = _fewest(request, size) if request.count is None else None
        if request.count is not None:
            frame = request.frame(size, request.count)
            if not request.within_budget(frame):
                continue
            if not request.holes and frame.ways < request.least:
                # Without holes there is a route to each position at least.
                continue
            fields = fields_of(frame, request.least, request.high, request.holes)
            option = Option(frame, fields) if fields else None
        if option is not None:
            found.append(option)
    return found


def fields_of(frame: Frame, least: int, high: int | None, holes: bool) -> tuple[int, ...]:
    """The fields of a frame in a range; without an end of it, the smallest from `least` on.

    >>> from atrous.design.schedule.request import Slot
    >>> two = Frame((), (Slot(3, 1, None), Slot(3, 1, None)), (1, 1), False)
    >>> fields_of(two, 1, 20, False), fields_of(two, 6, None, False), fields_of(two, 10, 20, False)
    ((5, 7, 9), (7,), ())
    """
    if any(slot.most is not None and slot.most < 1 for slot in frame.slots):
        return ()
    fixed = sum((kernel - 1) * step for kernel, step in frame.fixed)
    common = gcd(*(slot.weight for slot in frame.slots))
    if high is not None:
        if not _congruent(least - 1, high - 1, fixed, common):
            return ()
        return _within(reaches(frame, high - 1, holes), least)
    for top in tops(least):
        found = reaches(frame, top, holes)
        fields = _within(found, least)
        if fields or not found.truncated:
            return fields[:1]
    return ()


def _fewest(request: Request, size: int | None) -> Option | None:
    """The fewest layers of one kernel size that do."""
    one = request.frame(size, 1)
    slot, least = one.slots[0], request.least
    if slot.most is not None and slot.most < 1:
        return None
    fixed = sum((kernel - 1) * step for kernel, step in one.fixed)
    high = request.high
    if high is not None and not _congruent(least - 1, high - 1, fixed, slot.weight):
        return None
    for top in tops(least) if high is None else (high - 1,):
        larger = False
        for count, found in enumerate(by_layers(one.fixed, slot, top, request.holes), 1):
            frame = request.frame(size, count)
            if not request.within_budget(frame):
                return None
            fields = _within(found, least)
            if fields:
                return Option(frame, fields if high is not None else fields[:1])
            if found.truncated and high is None:
                # There may be one with so few layers beyond the top.
                larger = True
                break
        if not larger:
            return None
    return None


def all_fields(request: Request, top: int) -> set[int]:
    """Every field up to a top that so many layers as are allowed can have, whatever was asked."""
    found: set[int] = set()
    for size in request.sizes or (None,):
        if request.count is not None:
            frame = request.frame(size, request.count)
            if request.within_budget(frame):
                found.update(fields_of(frame, 1, top, request.holes))
            continue
        one = request.frame(size, 1)
        slot = one.slots[0]
        if slot.most is not None and slot.most < 1:
            continue
        for count, own in enumerate(by_layers(one.fixed, slot, top - 1, request.holes), 1):
            if not request.within_budget(request.frame(size, count)):
                break
            found.update(_within(own, 1))
    return found


def _within(found: Reaches, least: int) -> tuple[int, ...]:
    return tuple((np.flatnonzero(found.have[least - 1 :]) + least).tolist())


def _congruent(low: int, high: int, fixed: int, common: int) -> bool:
    """Whether a reach between two is the front's plus a multiple of what dilations add."""
    first = low + (fixed - low) % common
    return first <= high


@lru_cache(maxsize=2)
def _all_states(frame: Frame, field: int, holes: bool) -> dict[State, Reaches]:
    return states(list(kinds_of(frame).items()), field - 1, holes)


def witness(frame: Frame, field: int, holes: bool, share: float = 1.0) -> tuple[int, ...]:
    """Dilations of the slots that give a frame a field; alike slots ascending.

    Args:
        frame: the layers.
        field: one that they can have.
        holes: whether holes are allowed.
        share: how far layers reach: with 1 each, from the last on, has the largest step that it
            can have, with 0 the smallest.

    Raises:
        ValueError: if they cannot have that field.

    >>> from atrous.design.schedule.request import Slot
    >>> two = Frame((), (Slot(3, 1, None), Slot(3, 1, None)), (1, 1), False)
    >>> witness(two, 9, False)
    (1, 3)
    """
    kinds = list(kinds_of(frame).items())
    known = _all_states(frame, field, holes)
    state, reach = tuple(count for _, count in kinds), field - 1
    if not known[state].have[reach]:
        raise ValueError(f"field must be one that these layers can have, got {field}.")
    taken: dict[Kind, list[int]] = {kind: [] for kind, _ in kinds}
    while any(state):
        choices: list[tuple[int, int, int]] = []
        for k, (kind, _) in enumerate(kinds):
            if not state[k]:
                continue
            have = known[(*state[:k], state[k] - 1, *state[k + 1 :])].have
            most = (
                reach // kind.weight if kind.high is None else min(kind.high, reach // kind.weight)
            )
            dilations = np.arange(kind.low, most + 1)
            rest = reach - dilations * kind.weight
            fits = have[rest]
            if not holes:
                fits = fits & (dilations * kind.scale <= rest + 1)
            good = dilations[fits]
            if len(good):
                chosen = int(good[round((len(good) - 1) * share)])
                choices.append((chosen * kind.scale, k, chosen))
        _, k, chosen = max(choices)
        kind = kinds[k][0]
        taken[kind].append(chosen)
        reach -= chosen * kind.weight
        state = (*state[:k], state[k] - 1, *state[k + 1 :])
    return in_slots(frame, taken)


def in_slots(frame: Frame, taken: dict[Kind, list[int]]) -> tuple[int, ...]:
    """Dilations of kinds in the order of the slots, ascending where slots are alike."""
    left = {kind: sorted(found) for kind, found in taken.items()}
    return tuple(left[Kind.of(slot)].pop(0) for slot in frame.slots)


def ordered(frame: Frame, dilations: Sequence[int]) -> tuple[int, ...]:
    """The same schedule with the dilations of alike slots ascending."""
    taken: dict[Kind, list[int]] = {}
    for slot, dilation in zip(frame.slots, dilations, strict=True):
        taken.setdefault(Kind.of(slot), []).append(dilation)
    return in_slots(frame, taken)

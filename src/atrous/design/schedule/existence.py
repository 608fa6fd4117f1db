"""Which fields a frame of layers can have at all: decided exactly.

Without holes a chain reads its first position up to its reach; one more layer keeps it so exactly
if its step is at most the reach plus one. The order in which layers are added does not matter: if
any order keeps all of them within that, the order of their steps does. So what counts is which
layers have been added and how far they reach together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np

from atrous.design.schedule.request import MOST_FIELD, Frame, Slot
from atrous.geometry.relation import Flags

_MOST_STATES = 4096


@dataclass(frozen=True)
class Kind:
    """Layers alike.

    Attributes:
        weight: what the reach grows by per unit of dilation.
        scale: positions of the input per unit of dilation.
        low: the smallest dilation.
        high: the largest; None for any.
    """

    weight: int
    scale: int
    low: int
    high: int | None

    @classmethod
    def of(cls, slot: Slot) -> Kind:
        """That of a layer whose dilation is to be chosen."""
        return cls(slot.weight, slot.scale, 1, slot.most)

    @classmethod
    def fixed(cls, kernel: int, step: int) -> Kind:
        """That of a layer whose step is given."""
        return cls((kernel - 1) * step, step, 1, 1)


@dataclass(frozen=True, eq=False)
class Reaches:
    """Reaches up to some top.

    Attributes:
        have: which of them can be had.
        truncated: whether there are others beyond.
    """

    have: Flags
    truncated: bool


def kinds_of(frame: Frame) -> Counter[Kind]:
    """The layers of a frame, alike ones counted."""
    found = Counter(Kind.fixed(kernel, step) for kernel, step in frame.fixed)
    found.update(Kind.of(slot) for slot in frame.slots)
    return found


def grown(have: Flags, kind: Kind, holes: bool) -> Reaches:
    """All reaches after one more layer of a kind.

    >>> one = np.zeros(10, dtype=bool)
    >>> one[2] = True  # a kernel of 3
    >>> np.flatnonzero(grown(one, Kind(2, 1, 1, None), False).have).tolist()
    [4, 6, 8]
    """
    top, weight = len(have) - 1, kind.weight
    start = np.flatnonzero(have)
    most = np.full(len(start), top // weight + 1, dtype=np.int64)
    if kind.high is not None:
        most = np.minimum(most, kind.high)
    if not holes:
        most = np.minimum(most, (start + 1) // kind.scale)
    fits = most >= kind.low
    start, most = start[fits], most[fits]
    truncated = bool((start + weight * most > top).any())
    first, end = start + weight * kind.low, start + weight * (most + 1)
    # Runs with the step of the weight: marks at their ends, added up along each residue.
    rows = top // weight + 1
    marks = np.bincount(first[first <= top], minlength=rows * weight)
    marks = marks - np.bincount(end[end <= top], minlength=rows * weight)
    found = np.cumsum(marks.reshape(rows, weight), axis=0).reshape(-1)[: top + 1] > 0
    return Reaches(found, truncated)


def _either(one: Reaches | None, other: Reaches) -> Reaches:
    if one is None:
        return other
    return Reaches(one.have | other.have, one.truncated or other.truncated)


State = tuple[int, ...]
"""How many layers of each kind have been added."""


def states(kinds: Sequence[tuple[Kind, int]], top: int, holes: bool) -> dict[State, Reaches]:
    """The reaches of all sets of layers that can be added one by one.

    Args:
        kinds: the kinds, and how many layers there are of each.
        top: the largest reach that matters.
        holes: whether holes are allowed.

    Raises:
        ValueError: if there are too many sets.
    """
    counts = [count for _, count in kinds]
    if prod(n + 1 for n in counts) > _MOST_STATES:
        raise ValueError(
            "layers must be few, or few that differ, to be decided exactly, got "
            f"{sum(counts):,} of {len(kinds)} kinds (kernel, stride before, largest dilation). "
            "Plan fewer at once and give the others as front, or leave out max_dilation and "
            "map_size."
        )
    start = np.zeros(top + 1, dtype=bool)
    start[0] = True
    found: dict[State, Reaches] = {(0,) * len(counts): Reaches(start, False)}
    for state in product(*(range(n + 1) for n in counts)):
        if state in found:
            continue
        own: Reaches | None = None
        for k, (kind, _) in enumerate(kinds):
            if state[k]:
                before = found[(*state[:k], state[k] - 1, *state[k + 1 :])]
                after = grown(before.have, kind, holes)
                own = _either(own, Reaches(after.have, after.truncated or before.truncated))
            if holes and own is not None:
                # Where anything goes, one order reaches what all do.
                break
        assert own is not None
        found[state] = own
    return found


def reaches(frame: Frame, top: int, holes: bool) -> Reaches:
    """The reaches that a frame can have, up to a top.

    >>> slots = (Slot(3, 1, None), Slot(3, 1, None))
    >>> np.flatnonzero(reaches(Frame((), slots, (1, 1), False), 20, False).have).tolist()
    [4, 6, 8]
    """
    kinds = list(kinds_of(frame).items())
    return states(kinds, top, holes)[tuple(count for _, count in kinds)]


def by_layers(
    front: Sequence[tuple[int, int]], slot: Slot, top: int, holes: bool
) -> Iterator[Reaches]:
    """The reaches behind a front with 1, 2, 3, ... layers alike.

    Ends when no more layers can be added within the top.
    """
    kinds = list(Counter(Kind.fixed(kernel, step) for kernel, step in front).items())
    whole = tuple(count for _, count in kinds)
    now = states(kinds, top, holes)
    while True:
        then: dict[State, Reaches] = {}
        for state in product(*(range(count + 1) for count in whole)):
            # The layer comes last, or one of the front does.
            before = now[state]
            after = grown(before.have, Kind.of(slot), holes)
            own = Reaches(after.have, after.truncated or before.truncated)
            for k, (kind, _) in enumerate(kinds):
                if state[k]:
                    last = then[(*state[:k], state[k] - 1, *state[k + 1 :])]
                    more = grown(last.have, kind, holes)
                    own = _either(own, Reaches(more.have, more.truncated or last.truncated))
            then[state] = own
        if not any(own.have.any() for own in then.values()):
            if then[whole].truncated:
                yield then[whole]
            return
        yield then[whole]
        now = then


def tops(least: int) -> Iterator[int]:
    """Larger and larger reaches to look up to for a field of at least `least`.

    Raises:
        ValueError: if a reach is beyond what can be looked through.
    """
    top = 2 * least + 64
    while top <= 2 * MOST_FIELD + 64:
        yield top
        top *= 4
    raise ValueError(
        f"field must be at most {MOST_FIELD:,} to be decided exactly, got {least:,}. Use a "
        "family: atrous.schedules.base_k."
    )

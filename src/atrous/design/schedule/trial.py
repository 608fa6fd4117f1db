"""All schedules of a request, one by one: slow, plain, and the reference for the search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from math import prod

import numpy as np

from atrous.design.schedule.feasible import Option
from atrous.design.schedule.objective import Key, Score
from atrous.design.schedule.request import Frame, Request


def trials(request: Request, found: Sequence[Option]) -> int:
    """How many choices of dilations `best_of_all` goes through."""
    return sum(
        len(option.fields) * prod(map(len, _ranges(option.frame, max(option.fields))[:-1]))
        for option in found
    )


def best_of_all(request: Request, found: Sequence[Option]) -> tuple[Key | None, int]:
    """The smallest key of all schedules that meet a request, and how many meet it.

    Args:
        request: what was asked.
        found: layers to try, and the fields that they are to have.
    """
    best: Key | None = None
    count = 0
    for option in found:
        macs = request.macs(option.frame)
        for field in option.fields:
            seen = set()
            for dilations in _all(option.frame, field):
                same = tuple(sorted(zip(option.frame.slots, dilations, strict=True), key=str))
                if same in seen:
                    continue
                seen.add(same)
                counts = _counts(option.frame, dilations)
                holes = int((counts == 0).sum())
                if holes and not request.holes:
                    continue
                count += 1
                squares = int((counts * counts).sum())
                key = request.objective.key(
                    Score(holes, squares, option.frame.ways, field, macs, request.least)
                )
                if best is None or key < best:
                    best = key
    return best, count


def _ranges(frame: Frame, field: int) -> list[range]:
    found = []
    for slot in frame.slots:
        most = (field - 1) // slot.weight
        found.append(range(1, (most if slot.most is None else min(most, slot.most)) + 1))
    return found


def _all(frame: Frame, field: int) -> Iterator[tuple[int, ...]]:
    """All dilations that give a field: the last one follows from the others."""
    *ranges, last = _ranges(frame, field)
    fixed = sum((kernel - 1) * step for kernel, step in frame.fixed)
    weights = [slot.weight for slot in frame.slots]
    for dilations in product(*ranges):
        left = field - 1 - fixed - sum(w * d for w, d in zip(weights, dilations, strict=False))
        if left > 0 and left % weights[-1] == 0 and left // weights[-1] in last:
            yield (*dilations, left // weights[-1])


def _counts(frame: Frame, dilations: Sequence[int]) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    layers = [*frame.fixed]
    layers += [(s.kernel, s.scale * d) for s, d in zip(frame.slots, dilations, strict=True)]
    found = np.ones(1, dtype=np.int64)
    for kernel, step in layers:
        comb = np.zeros((kernel - 1) * step + 1, dtype=np.int64)
        comb[::step] = 1
        found = np.convolve(found, comb)
    return found

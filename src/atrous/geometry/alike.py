"""Outputs that read in different patterns: where a net upsamples, neighbours do."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd, lcm

import numpy as np

from atrous.geometry.lineage import Lineage, back, merged
from atrous.geometry.taps import Counts, Ints

Repeat = tuple[int, int]
"""(outputs, input positions): reads are the same so many outputs on, moved by so many inputs."""

_MOST_OUTPUTS = 512
_UNKNOWN_PERIOD = 16
"""Outputs that are compared at most, and where nothing repeats."""


def repeats(lineage: Lineage) -> dict[Lineage, Repeat | None]:
    """After how many outputs what is read repeats, borders aside, of an axis and all it descends
    from; None where branches that advance at different rates meet.

    >>> from atrous.geometry.lineage import Edge
    >>> from atrous.geometry.primitives import strided
    >>> from atrous.geometry.relation import Relation
    >>> x = Lineage.input(12)
    >>> half = Lineage(6, [Edge(strided(6, 12, step=2), x)])
    >>> again = Lineage(12, [Edge(Relation.of(12, 6, [[0], [0]], step=1), half)])
    >>> repeats(again)[half], repeats(again)[again]
    ((1, 2), (2, 2))
    """
    known: dict[Lineage, Repeat | None] = {}
    for own in lineage.ancestry():
        if own.is_input:
            known[own] = (1, 1)
            continue
        ways = [known[edge.source] for edge in own.edges]
        if any(way is None for way in ways) or any(e.positions is not None for e in own.edges):
            known[own] = None
            continue
        through = [
            _through((edge.relation.period, edge.relation.step), way)
            for edge, way in zip(own.edges, ways, strict=True)
            if way is not None
        ]
        known[own] = _met(through)
    return known


def _through(one: Repeat, other: Repeat) -> Repeat:
    """Of a relation and what it reads (see `Relation`)."""
    times = other[0] // gcd(other[0], abs(one[1]))
    return one[0] * times, one[1] * times // other[0] * other[1]


def _met(ways: list[Repeat]) -> Repeat | None:
    if not ways:
        return (1, 0)
    period = lcm(*(outputs for outputs, _ in ways))
    steps = {period // outputs * inputs for outputs, inputs in ways}
    return (period, steps.pop()) if len(steps) == 1 else None


def unlike(lineage: Lineage, first: int) -> tuple[int, ...]:
    """Outputs that read in patterns of their own, borders aside: `first`, and one for each other.

    Two outputs read alike if what they read, of values further up that move on evenly, is the same
    but for its place: then so is all that those read. Of outputs among which nothing repeats only
    a few after the first are looked at.

    Args:
        lineage: the axis.
        first: an output.

    Example:
        >>> from atrous.geometry.lineage import Edge
        >>> from atrous.geometry.relation import Relation
        >>> x = Lineage.input(8)
        >>> pairs = Lineage(16, [Edge(Relation.of(16, 8, [[0], [0]], step=1), x)])
        >>> unlike(pairs, 8), unlike(Lineage(14, [Edge(Relation.of(14, 16, [[0, 3]]), pairs)]), 8)
        ((8,), (8, 9))
    """
    known = repeats(lineage)
    repeat = known[lineage]
    if repeat is not None and repeat[0] == 1:
        return (first,)
    period = _UNKNOWN_PERIOD if repeat is None else repeat[0]
    period = min(period, lineage.length, _MOST_OUTPUTS)
    found: dict[object, int] = {}
    for output in range(first, first + period):
        # Near the end the same phase lies a period earlier.
        at = output if output < lineage.length else output - period
        found.setdefault(_pattern(lineage, known, at), at)
    return tuple(found.values())


def _pattern(lineage: Lineage, known: Mapping[Lineage, Repeat | None], output: int) -> object:
    """What an output reads of the values that move on evenly, wherever it lies."""
    pending: dict[Lineage, list[tuple[Ints, Counts]]] = {
        lineage: [(np.array([output], dtype=np.int64), np.ones(1, dtype=np.int64))]
    }
    found = []
    moving = set()
    for own in reversed(lineage.ancestry()):
        if own not in pending:
            continue
        positions, counts = merged(pending.pop(own))
        repeat = known[own]
        if repeat is not None and repeat[0] == 1:
            if len(positions):
                found.append((own.order, positions * repeat[1], counts))
                if repeat[1]:
                    moving.add(own.order)
            continue
        for edge in own.edges:
            pending.setdefault(edge.source, []).append(back(edge, positions, counts, False))
    start = next((at[0] for order, at, _ in found if order in moving), 0)
    return tuple((order, tuple(at - start), tuple(counts)) for order, at, counts in found)

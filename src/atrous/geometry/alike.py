"""Outputs that read in different patterns: where a net upsamples, neighbours do."""

from __future__ import annotations

from collections.abc import Mapping
from math import gcd, lcm

import numpy as np

from atrous.geometry.bits import Offsets, Step, collected, united
from atrous.geometry.lineage import Edge, Lineage
from atrous.geometry.pattern import at

Repeat = tuple[int, int]
"""(outputs, input positions): reads are the same so many outputs on, moved by so many inputs."""

_MOST_OUTPUTS = 256
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
    """Outputs that read in patterns of their own, borders aside: `first`, and one for each other,
    those that read the fewest positions first.

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
    uneven = _uneven(lineage, known)
    found: dict[object, tuple[int, int]] = {}
    for output in range(first, first + period):
        # Near the end the same phase lies a period earlier.
        own = output if output < lineage.length else output - period
        told = _pattern(uneven, known, own)
        found.setdefault(told, (sum(bits.bit_count() for *_, bits in told), own))
    others = sorted(pair for pair in found.values() if pair[1] != first)
    return (first, *(own for _, own in others))


Uneven = list[tuple[Lineage, list[tuple[Edge, Step]]]]


def _uneven(lineage: Lineage, known: Mapping[Lineage, Repeat | None]) -> Uneven:
    """The values from an axis back to those that move on evenly, with what they read; the last
    ones without."""
    wanted, found = {lineage}, []
    for own in reversed(lineage.ancestry()):
        if own in wanted:
            repeat = known[own]
            is_even = repeat is not None and repeat[0] == 1
            edges = [] if is_even else [(edge, Step.of(edge.relation)) for edge in own.edges]
            wanted.update(edge.source for edge, _ in edges)
            found.append((own, edges))
    return found


def _pattern(
    uneven: Uneven, known: Mapping[Lineage, Repeat | None], output: int
) -> tuple[tuple[int, int, int], ...]:
    """What an output reads of the values that move on evenly, wherever it lies: which value, where
    in input positions, and which of its positions from there on."""
    pending = {uneven[0][0]: Offsets(output, 1)}
    found: list[tuple[int, int, int]] = []
    start: int | None = None
    for own, edges in uneven:
        here = pending.pop(own, None)
        if here is None:
            continue
        if not edges:
            repeat = known[own]
            step = repeat[1] if repeat is not None else 0
            zeros = (here.bits & -here.bits).bit_length() - 1
            place = (here.start + zeros) * step
            start = place if start is None and step else start
            found.append((own.order, place, here.bits >> zeros if step else 1))
        for edge, taken in edges:
            mine: Offsets | None = here
            if edge.positions is not None:
                mine = collected(
                    p for p in here.places if at(edge.positions, np.array([p], dtype=np.int64))[0]
                )
            back = taken.back(mine) if mine is not None else None
            if back is not None:
                other = pending.get(edge.source)
                pending[edge.source] = back if other is None else united(back, other)
    return tuple((order, place - (start or 0), bits) for order, place, bits in found)

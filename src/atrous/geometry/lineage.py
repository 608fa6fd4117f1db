"""How one axis of a value descends from an input axis, through any graph of relations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from typing import Literal

import numpy as np

from atrous.geometry import pattern as patterns
from atrous.geometry.relation import Flags, Relation, longest_run
from atrous.geometry.taps import NOTHING_HI, NOTHING_LO, Counts, Ints, collect, multiply

Status = Literal["exact", "bound", "global", "unknown"]
SEVERITY: tuple[Status, ...] = ("exact", "bound", "global", "unknown")
"""Statuses from the best to the worst."""

_order = count()

_MANY_TAPS = 1 << 16
_INT64_SAFE = 2.0**62


@dataclass(frozen=True, eq=False)
class Edge:
    """One way an axis reads another.

    Attributes:
        relation: which positions.
        source: the axis that is read.
        status: "exact", or why the relation says more than is read (see `Lineage.status`).
        cause: what made it so; empty when exact.
        positions: the outputs that read along this way at all; None if all may.
    """

    relation: Relation
    source: Lineage
    status: Status = "exact"
    cause: str = ""
    positions: Flags | None = None


class Lineage:
    """An axis as a node in a graph of relations that ends at one input axis.

    Nothing is composed until asked for: the pattern is a few integers per node, rows are followed
    back for the outputs of interest. Every node clips to its own extent.

    Attributes:
        length: positions on this axis.
        edges: what it reads; empty for an input axis and for an axis that reads nothing.
        inputs: length of the input axis.
        status: "exact", "bound" (a superset), "global" (everything is read) or "unknown".
        cause: what made the status so, the first on the way from the input; empty when exact.

    Example:
        >>> x = Lineage.input(16)
        >>> conv = Relation.of(16, 16, [[-2, 0, 2]])
        >>> y = Lineage(16, [Edge(conv, x)])
        >>> z = Lineage(16, [Edge(conv, y), Edge(Relation.identity(16), y)])
        >>> z.taps(8)[0].tolist()
        [4, 6, 8, 10, 12]
    """

    def __init__(self, length: int, edges: Iterable[Edge], *, inputs: int | None = None) -> None:
        self.length = length
        self.edges = tuple(edges)
        self.order = next(_order)
        if inputs is None:
            if not self.edges:
                raise ValueError("inputs must be given for a lineage without edges.")
            inputs = self.edges[0].source.inputs
        self.inputs: int = inputs
        self.is_input = False
        self.status: Status = "exact"
        self.cause = ""
        self._since = self.order
        for edge in self.edges:
            # Of equally bad causes the first one on the way from the input is told.
            for status, cause, since in (
                (edge.source.status, edge.source.cause, edge.source._since),
                (edge.status, edge.cause, self.order),
            ):
                worse = SEVERITY.index(status) - SEVERITY.index(self.status)
                if worse > 0 or (worse == 0 and status != "exact" and since < self._since):
                    self.status, self.cause, self._since = status, cause, since
        self._interior: tuple[int, int] | None = None

    @classmethod
    def input(cls, length: int) -> Lineage:
        """An input axis."""
        source = cls(length, (), inputs=length)
        source.is_input = True
        return source

    @cached_property
    def pattern(self) -> patterns.Pattern:
        """First and last input per output, unclipped."""
        if self.is_input:
            return patterns.SOURCE
        if not self.edges:
            return patterns.constant(int(NOTHING_LO), int(NOTHING_HI))
        for lineage in self._upstream(lambda lineage: "pattern" not in lineage.__dict__):
            if lineage is not self:
                _ = lineage.pattern
        ways = [
            patterns.Way(edge.relation, edge.source.pattern, edge.positions) for edge in self.edges
        ]
        if self.status in ("global", "unknown"):
            # Reading the whole axis swallows whatever else is read.
            for way in ways:
                source = way.source
                if (
                    way.positions is None
                    and isinstance(source, patterns.Periodic)
                    and way.relation.step * source.step == 0
                ):
                    lo, hi = patterns.through(way.relation, source, np.zeros(1, dtype=np.int64))
                    if lo[0] <= 0 and hi[0] >= self.inputs - 1:
                        return patterns.constant(0, self.inputs - 1)
        return patterns.combine(self.length, ways)

    @cached_property
    def live(self) -> Flags | None:
        """The outputs that read any input at all; None if all of them do."""
        if self.is_input:
            return None
        live: Flags | None = np.zeros(self.length, dtype=bool)
        for edge in self.edges:
            flags = edge.relation.readers(edge.source.live)
            if edge.positions is not None:
                flags = edge.positions if flags is None else flags & edge.positions
            live = None if live is None or flags is None else live | flags
        return None if live is None or live.all() else live

    @property
    def interior(self) -> tuple[int, int]:
        """The outputs `[start, stop)` for which nothing is clipped on any way; `(0, 0)` if none."""
        for lineage in self._upstream(lambda lineage: lineage._interior is None):
            lineage._interior = lineage._interior_from_sources()
        assert self._interior is not None
        return self._interior

    def _interior_from_sources(self) -> tuple[int, int]:
        start, stop = 0, self.length
        partial: Flags | None = None
        for edge in self.edges:
            inner = edge.source._interior
            assert inner is not None
            a, b = edge.relation.interior(*inner) if inner[0] < inner[1] else (0, 0)
            if edge.positions is None:
                start, stop = max(start, a), min(stop, b)
                continue
            # Where this way is not taken it clips nothing.
            clear = ~edge.positions
            clear[a:b] = True
            partial = clear if partial is None else partial & clear
        if partial is not None and start < stop:
            a, b = longest_run(partial[start:stop])
            start, stop = start + a, start + b
        return (start, stop) if start < stop else (0, 0)

    def taps(self, output: int, *, clipped: bool = True) -> tuple[Ints, Counts]:
        """The inputs that one output reads, ascending, and the number of ways to each.

        With `clipped=False` the axis and every node before it are taken as endless: the taps of
        the pattern, as at an interior output even where the map has none.
        """
        return self.taps_of(np.array([output], dtype=np.int64), clipped=clipped)

    def taps_of(self, outputs: Ints, *, clipped: bool = True) -> tuple[Ints, Counts]:
        """The inputs that any of `outputs` reads, ascending, and the number of ways to each."""
        found: dict[Lineage, list[tuple[Ints, Counts]]] = {
            self: [(outputs, np.ones(len(outputs), dtype=np.int64))]
        }
        result: tuple[Ints, Counts] = (np.zeros(0, np.int64), np.zeros(0, np.int64))
        for lineage in reversed(self.ancestry()):
            if lineage not in found:
                continue
            positions, counts = _merged(found.pop(lineage))
            if lineage.is_input:
                result = positions, counts
            for edge in lineage.edges:
                found.setdefault(edge.source, []).append(_back(edge, positions, counts, clipped))
        return result

    def ancestry(self) -> list[Lineage]:
        """This lineage and all it descends from, sources first."""
        return self._upstream(lambda _: True)

    def _upstream(self, wanted: Callable[[Lineage], bool]) -> list[Lineage]:
        """This lineage and its ancestors, sources first, not going past unwanted ones."""
        seen: set[Lineage] = set()
        pending = [self]
        while pending:
            lineage = pending.pop()
            if lineage in seen or not wanted(lineage):
                continue
            seen.add(lineage)
            pending.extend(edge.source for edge in lineage.edges)
        return sorted(seen, key=lambda lineage: lineage.order)


def _back(edge: Edge, positions: Ints, counts: Counts, clipped: bool) -> tuple[Ints, Counts]:
    """What `positions` read along one way: inputs with repeats, and counts."""
    relation = edge.relation
    if edge.positions is not None:
        taken = patterns.at(edge.positions, positions)
        positions, counts = positions[taken], counts[taken]
    if relation.step == 0 and len(relation.exceptional) == 0 and len(positions) > relation.period:
        positions, counts = _merged([(positions % relation.period, counts)])
    bound = relation.taps.largest_total * float(sum(map(float, counts)))
    if relation.are_runs and len(positions) * len(relation.taps.offsets) > _MANY_TAPS:
        return _added_runs(
            *(relation.runs if clipped else relation.hulls)(positions), counts, bound
        )
    at, inputs, times = (relation.reads if clipped else relation.pattern)(positions)
    return inputs, multiply(counts[at], times, bound)


def _added_runs(first: Ints, last: Ints, counts: Counts, bound: float) -> tuple[Ints, Counts]:
    """The positions of runs that overlap, and how often each occurs, by differences."""
    read = first <= last
    if not read.any():
        return first[:0], counts[:0]
    first, last, counts = first[read], last[read], counts[read]
    start = int(first.min())
    dtype = object if counts.dtype == object or bound >= _INT64_SAFE else np.int64
    steps = np.zeros(int(last.max()) - start + 2, dtype=dtype)
    np.add.at(steps, first - start, counts)
    np.subtract.at(steps, last + 1 - start, counts)
    totals = np.cumsum(steps)
    found = np.flatnonzero(totals != 0).astype(np.int64)
    return found + start, totals[found]


def _merged(parts: Sequence[tuple[Ints, Counts]]) -> tuple[Ints, Counts]:
    positions = np.concatenate([p for p, _ in parts])
    counts = np.concatenate([c for _, c in parts])
    table = collect(1, np.zeros(len(positions), dtype=np.int64), positions, counts)
    return table.offsets, table.counts

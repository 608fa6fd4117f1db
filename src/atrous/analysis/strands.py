"""What a value descends from: routes, strands and segments, and how they are put together.

A value is cut into segments: sets of positions (channels, mostly) that descend from the inputs in
the same way. A segment holds strands: ways of one status that are alive at the same positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from atrous.geometry.lineage import Edge, Lineage, Status
from atrous.geometry.primitives import strided
from atrous.geometry.relation import Flags, Relation

Source = tuple[str, int]
"""An input axis: name of the input and axis number."""

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Digit:
    """A part of an axis in mixed radix: `(index // divisor) % length` along `axis`."""

    axis: int
    divisor: int
    length: int


@dataclass(frozen=True, eq=False)
class Route:
    """How one input axis lies in a value.

    Attributes:
        digits: the value's axes (or digits of them) that make up the lineage's positions, the
            slowest first; none if every position of the value reads the same.
        lineage: what those positions read; its length is the product of the digits' lengths.
    """

    digits: tuple[Digit, ...]
    lineage: Lineage

    def __post_init__(self) -> None:
        assert prod(digit.length for digit in self.digits) == self.lineage.length

    @property
    def kind(self) -> tuple[object, ...]:
        """What must be equal for two routes to be one: layout, status, and which positions live.

        Ways that read everything stay beside those that do not, whose own field remains known.
        """
        live = self.lineage.live
        return self.digits, self.lineage.status, None if live is None else live.tobytes()


@dataclass(frozen=True, eq=False)
class Strand:
    """All ways from one input to a value that are alive at the same positions.

    A way that reads only padding along one axis reads nothing along the others. Ways that are alive
    at the same positions of every axis stay so together, which makes the projections on single axes
    exact.

    Attributes:
        input: name of the input.
        routes: per input axis, how it lies in the value.
        rows: per axis of the value on which no input axis lies, the positions that read anything;
            axes on which all do are left out.
    """

    input: str
    routes: Mapping[int, Route]
    rows: Mapping[int, Flags] = field(default_factory=dict)

    @cached_property
    def kind(self) -> tuple[object, ...]:
        """What must be equal for two strands to be one."""
        routes = ((axis, *route.kind) for axis, route in self.routes.items())
        rows = ((axis, flags.tobytes()) for axis, flags in sorted(self.rows.items()))
        return (self.input, *routes, *rows)

    @cached_property
    def is_dead(self) -> bool:
        """Whether along some axis no position reads anything."""
        lives = [route.lineage.live for route in self.routes.values()]
        return any(flags is not None and not flags.any() for flags in (*lives, *self.rows.values()))

    def route(self, axis: int, along: int | None = None) -> Route:
        """The route of an input axis; where no axis of the value lies on it, laid out `along` one
        on which some positions read nothing."""
        route = self.routes[axis]
        flags = self.rows.get(-1 if along is None else along)
        if route.digits or flags is None or along is None:
            return route
        nothing: dict[int, list[int]] = {int(o): [] for o in np.flatnonzero(~flags)}
        relation = Relation.of(len(flags), 1, [[0]], step=0, exceptions=nothing)
        digit = Digit(along, 1, len(flags))
        return Route((digit,), Lineage(len(flags), [Edge(relation, route.lineage)]))


Segment = tuple[Strand, ...]


@dataclass(frozen=True, eq=False)
class Trace:
    """What a value descends from.

    Attributes:
        labels: which segment each position belongs to; of length 1 along axes that do not matter.
            -1 where nothing is read.
        segments: the strands of each segment.
    """

    labels: Labels
    segments: tuple[Segment, ...]

    def united(self, source: Source, where: str, *, local: bool = False) -> Route | None:
        """The route of one input axis over all segments; None if no segment reads it.

        With `local` only the ways on which nothing is read whole.
        """
        name, axis = source
        strands = [
            strand
            for segment in self.segments
            for strand in segment
            if strand.input == name
            and not (local and strand.routes[axis].lineage.status in ("global", "unknown"))
        ]
        return unite_strands(strands, source, where)


def gather(strands: Iterable[Strand], where: str) -> Segment:
    """Living strands, those of one kind made one."""
    kinds: dict[tuple[object, ...], list[Strand]] = {}
    for strand in strands:
        if not strand.is_dead:
            kinds.setdefault(strand.kind, []).append(strand)
    gathered = []
    for group in kinds.values():
        if len(group) == 1:
            gathered.append(group[0])
            continue
        routes = {
            axis: unite([strand.routes[axis] for strand in group], where)
            for axis in group[0].routes
        }
        gathered.append(
            Strand(
                group[0].input, {a: r for a, r in routes.items() if r is not None}, group[0].rows
            )
        )
    return tuple(gathered)


def tidy(labels: Labels, segments: list[Segment]) -> Trace:
    """Segments that descend alike become one; axes along which labels do not vary shrink."""
    numbers: dict[tuple[object, ...], int] = {}
    kept: list[Segment] = []
    renumber = np.full(len(segments) + 1, -1, dtype=np.int64)
    for old, segment in enumerate(segments):
        if not segment:
            continue
        key = tuple(
            (strand.kind, axis, id(route.lineage))
            for strand in segment
            for axis, route in strand.routes.items()
        )
        if key not in numbers:
            numbers[key] = len(kept)
            kept.append(segment)
        renumber[old] = numbers[key]
    labels = renumber[labels]
    for axis in range(labels.ndim):
        first = labels.take([0], axis=axis)
        if labels.shape[axis] > 1 and (labels == first).all():
            labels = first
    return Trace(labels, tuple(kept))


def collapsed(route: Route, status: Status, where: str) -> Route:
    """Every position of the value reads all that the route reads."""
    relation = Relation.whole(1, route.lineage.length)
    return Route((), Lineage(1, [Edge(relation, route.lineage, status, where)]))


def loosened(route: Route, where: str) -> Route:
    """The same route, told to be no more than a bound."""
    length = route.lineage.length
    edge = Edge(Relation.identity(length), route.lineage, "bound", where)
    return Route(route.digits, Lineage(length, [edge]))


def unite_strands(strands: Iterable[Strand], source: Source, where: str) -> Route | None:
    """Everything any of the strands reads of one input axis; None if none reads it."""
    name, axis = source
    chosen = [s for s in dict.fromkeys(strands) if s.input == name and axis in s.routes]
    digits = max((strand.routes[axis].digits for strand in chosen), key=len, default=())
    if digits:
        along = digits[-1].axis
    else:
        rows = sorted({at for strand in chosen for at in strand.rows})
        along = axis if axis in rows or not rows else rows[0]
    routes = [strand.route(axis, along) for strand in chosen]
    return unite(list(dict.fromkeys(routes)), where)


def unite(routes: list[Route], where: str) -> Route | None:
    """Everything any of the routes reads."""
    if len(routes) < 2:
        return routes[0] if routes else None
    digits = max((route.digits for route in routes), key=len)
    if any(route.digits not in ((), digits) for route in routes):
        # The branches lay the axis out differently: a position along one of them meets all of it.
        edges = [
            Edge(Relation.whole(1, r.lineage.length), r.lineage, "bound", where) for r in routes
        ]
        return Route((), Lineage(1, edges))
    length = prod(digit.length for digit in digits)
    edges = []
    for route in routes:
        if route.digits != digits:
            edges.append(Edge(strided(length, 1, step=0), route.lineage))
        elif len(route.lineage.edges) == 1:
            # A fresh single step need not be a node of its own.
            edges.append(route.lineage.edges[0])
        else:
            edges.append(Edge(Relation.identity(length), route.lineage))
    return Route(digits, Lineage(length, edges))

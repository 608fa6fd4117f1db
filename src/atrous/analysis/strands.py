"""What a value descends from: routes, strands and segments, and how they are put together.

A value is cut into segments: sets of positions (channels, mostly) that descend from the inputs in
the same way. A segment holds strands: ways of one status that are alive at the same positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
import numpy.typing as npt

from atrous.geometry.algebra import simplify
from atrous.geometry.digits import lift
from atrous.geometry.lineage import Edge, Lineage, Status
from atrous.geometry.primitives import strided
from atrous.geometry.relation import Flags, Relation
from atrous.geometry.taps import Taps

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
        found: dict[Strand, Mapping[int, Flags]] = {}
        for number, segment in enumerate(self.segments):
            for strand in segment:
                route = strand.routes.get(axis) if strand.input == name else None
                if route and not (local and route.lineage.status in ("global", "unknown")):
                    flags = self.positions(number)
                    known = found.get(strand)
                    found[strand] = flags if known is None else _either(known, flags)
        return _unite_strands(found, axis, where)

    def positions(self, number: int) -> dict[int, Flags]:
        """Per axis along which segments change, where one of them lies."""
        found = {}
        for axis, length in enumerate(self.labels.shape):
            if length > 1:
                others = tuple(a for a in range(self.labels.ndim) if a != axis)
                found[axis] = np.asarray((self.labels == number).any(axis=others))
        return found


def _either(first: Mapping[int, Flags], second: Mapping[int, Flags]) -> dict[int, Flags]:
    return {axis: first[axis] | second[axis] for axis in first}


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
        if labels.shape[axis] < 2:
            continue
        first = labels.take([0], axis=axis)
        if (labels == first).all():
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


def restricted(route: Route, flags: Mapping[int, Flags]) -> Route:
    """The same route, read only at the positions marked along the axes it lies on as a whole."""
    taken: Flags = np.ones(1, dtype=bool)
    for digit in route.digits:
        mine = flags.get(digit.axis)
        if mine is None or (digit.divisor, digit.length) != (1, len(mine)):
            mine = np.ones(digit.length, dtype=bool)
        taken = (taken[:, None] & mine).reshape(-1)
    if taken.all():
        return route
    edge = Edge(Relation.identity(route.lineage.length), route.lineage, positions=taken)
    return Route(route.digits, Lineage(route.lineage.length, [edge]))


def _unite_strands(
    strands: Mapping[Strand, Mapping[int, Flags]], axis: int, where: str
) -> Route | None:
    """Everything any of the strands reads of one input axis, each where its flags allow."""
    routes = {strand: strand.routes[axis] for strand in strands}
    lying = {digit.axis for route in routes.values() for digit in route.digits}
    if len(lying) > 1:
        cut = any(not flags[a].all() for flags in strands.values() for a in lying if a in flags)
        # Parts that alternate along one of several axes are not told apart.
        mine = [loosened(route, where) if cut else route for route in routes.values()]
        return unite(list(dict.fromkeys(mine)), where)
    along = lying.pop() if lying else _telling_axis(strands, axis)
    taken: dict[Strand, Flags] = {}
    for strand, flags in strands.items():
        rows = None if routes[strand].digits else strand.rows.get(along)
        known = [f for f in (flags.get(along), rows) if f is not None]
        if known:
            taken[strand] = np.logical_and.reduce(known)
    if all(flags.all() for flags in taken.values()):
        return unite(list(dict.fromkeys(routes.values())), where)
    length = len(next(iter(taken.values())))
    edges = []
    for strand, route in routes.items():
        lineage = route.lineage
        if route.digits:
            lineage = along_axis(route, {along: length})[1]
        same = route.digits or length == 1
        relation = Relation.identity(length) if same else strided(length, 1, step=0)
        edges.append(Edge(relation, lineage, positions=taken.get(strand)))
    return Route((Digit(along, 1, length),), Lineage(length, edges))


def along_axis(
    route: Route, shape: Sequence[int] | Mapping[int, int]
) -> tuple[int | None, Lineage]:
    """The axis of a value that a route lies on, with what its positions read.

    Where the axis holds the input axis as one of its digits, or as several in another order, as
    after a pixel shuffle or in a row of tokens, the lineage is told for the positions of the axis.
    None and the route's own lineage if it lies on no axis or on several.
    """
    axes = {digit.axis for digit in route.digits}
    if len(axes) != 1:
        return None, route.lineage
    axis = axes.pop()
    whole = on_whole_axis(route, axis, shape[axis])
    assert whole is not None
    return axis, whole.lineage


def on_whole_axis(route: Route, axis: int, length: int) -> Route | None:
    """The route told by positions of an axis of which it holds some digits; None if digits of other
    axes lie between them."""
    at = [k for k, digit in enumerate(route.digits) if digit.axis == axis]
    if not at:
        return route
    first = route.digits[at[0]]
    if len(at) == 1 and (first.divisor, first.length) == (1, length):
        return route
    if at != list(range(at[0], at[-1] + 1)):
        return None
    before, own, after = (
        route.digits[: at[0]],
        route.digits[at[0] : at[-1] + 1],
        route.digits[at[-1] + 1 :],
    )
    if len(own) == 1 and first.divisor * first.length == length:
        relation = Relation.of(length, first.length, [[0]] * first.divisor)
    else:
        index = np.arange(length, dtype=np.int64)
        position = np.zeros(length, dtype=np.int64)
        for digit in own:
            position = position * digit.length + index // digit.divisor % digit.length
        inputs = prod(digit.length for digit in own)
        relation = simplify(Relation(length, inputs, 0, Taps.each(position)))
    lifted = lift(relation, prod(d.length for d in before), prod(d.length for d in after))
    lineage = Lineage(lifted.outputs, [Edge(lifted, route.lineage)])
    return Route((*before, Digit(axis, 1, length), *after), lineage)


def _telling_axis(strands: Mapping[Strand, Mapping[int, Flags]], axis: int) -> int:
    """The axis along which positions differ although no input axis lies on any; -1 if none."""
    rows = sorted({at for strand in strands for at in strand.rows})
    if rows:
        return axis if axis in rows else rows[0]
    return axis if any(axis in flags for flags in strands.values()) else -1


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

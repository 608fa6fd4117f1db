"""What a value descends from: routes, strands and segments, and how they are put together.

A value is cut into segments: sets of positions (channels, mostly) that descend from the inputs in
the same way. A segment holds strands: ways of one status that are alive at the same positions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from math import prod

import numpy as np

from atrous.geometry.algebra import simplify
from atrous.geometry.digits import lift
from atrous.geometry.lineage import Edge, Lineage, Status
from atrous.geometry.primitives import strided
from atrous.geometry.relation import Flags, Relation
from atrous.geometry.taps import Ints, Taps

Source = tuple[str, int]
"""An input axis: name of the input and axis number."""

Labels = Ints


@dataclass(frozen=True)
class Digit:
    """A part of an axis in mixed radix: `(index // divisor) % length` along `axis`."""

    axis: int
    divisor: int
    length: int


@lru_cache(maxsize=256)
def _between(digits: tuple[Digit, ...], own: tuple[Digit, ...]) -> Relation:
    """Which value of some digits each value of finer ones belongs to."""
    lengths = [digit.length for digit in digits]
    if not own:
        return strided(prod(lengths), 1, step=0)
    values = dict(zip(digits, np.indices(lengths).reshape(len(lengths), -1), strict=True))
    wholes = {digit.axis: index for digit, index in values.items() if digit.divisor == 1}
    position = np.zeros(prod(lengths), dtype=np.int64)
    for digit in own:
        index = values.get(digit)
        if index is None:
            index = wholes[digit.axis] // digit.divisor % digit.length
        position = position * digit.length + index
    inputs = prod(digit.length for digit in own)
    return simplify(Relation(len(position), inputs, 0, Taps.each(position)))


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

    def shares(self, other: Route) -> bool:
        """Whether both lie on one axis."""
        mine = {digit.axis for digit in self.digits}
        return any(digit.axis in mine for digit in other.digits)

    def alive(self, shape: Sequence[int]) -> Flags:
        """Where a value reads anything; `shape` has length 1 along axes left out."""
        live = self.lineage.live
        if live is None:
            return np.ones((1,) * len(shape), dtype=bool)
        lengths = [digit.length for digit in self.digits]
        told = [k for k, digit in enumerate(self.digits) if shape[digit.axis] > 1]
        lost = tuple(k for k in range(len(lengths)) if k not in told)
        table = np.asarray(live.reshape(lengths).any(axis=lost))
        index = []
        for digit in (self.digits[k] for k in told):
            values = np.arange(shape[digit.axis]) // digit.divisor % digit.length
            index.append(values.reshape([-1 if a == digit.axis else 1 for a in range(len(shape))]))
        return np.asarray(table[tuple(index)]).reshape(
            np.broadcast_shapes((1,) * len(shape), *(values.shape for values in index))
        )

    def laid_out(self, digits: tuple[Digit, ...]) -> Route:
        """The same route, told by digits that make up its own."""
        if self.digits == digits:
            return self
        relation = _between(digits, self.digits)
        return Route(digits, Lineage(relation.outputs, [Edge(relation, self.lineage)]))

    def restricted(self, mask: Flags) -> Route:
        """The same route, read only where the mask over the value says so.

        The mask has length 1 along axes that do not matter. A value of the digits is read if any
        marked position has it.
        """
        axes = sorted({digit.axis for digit in self.digits if mask.shape[digit.axis] > 1})
        if not axes or mask.all():
            return self
        others = tuple(axis for axis in range(mask.ndim) if axis not in axes)
        marked = np.nonzero(mask.any(axis=others))
        told = [k for k, digit in enumerate(self.digits) if digit.axis in axes]
        taken = np.zeros(
            [d.length if k in told else 1 for k, d in enumerate(self.digits)], dtype=bool
        )
        index = [np.zeros(1, dtype=np.int64)] * len(self.digits)
        for k in told:
            digit = self.digits[k]
            index[k] = marked[axes.index(digit.axis)] // digit.divisor % digit.length
        taken[tuple(index)] = True
        lineage, live = self.lineage, self.lineage.live
        taken = np.broadcast_to(taken, [digit.length for digit in self.digits]).reshape(-1)
        if taken.all() or (live is not None and not (live & ~taken).any()):
            return self
        edge = Edge(Relation.identity(lineage.length), lineage, positions=taken)
        return Route(self.digits, Lineage(lineage.length, [edge]))


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
        return (self.input, *routes, *self._marked)

    @cached_property
    def _marked(self) -> tuple[tuple[int, bytes], ...]:
        """The rows, to be compared."""
        return tuple((axis, flags.tobytes()) for axis, flags in sorted(self.rows.items()))

    def besides(self, axis: int) -> tuple[object, ...]:
        """What is equal for strands that differ in the lineage of one route only."""
        own = self.routes.get(axis)
        others = ((a, r.digits, r.lineage) for a, r in self.routes.items() if a != axis)
        mine = None if own is None else (own.digits, own.lineage.status)
        return (self.input, mine, *others, *self._marked)

    @cached_property
    def is_dead(self) -> bool:
        """Whether along some axis no position reads anything."""
        lives = [route.lineage.live for route in self.routes.values()]
        return any(flags is not None and not flags.any() for flags in (*lives, *self.rows.values()))

    def alive(self, shape: Sequence[int]) -> Flags:
        """Where a value reads anything this way; `shape` has length 1 along axes left out."""
        table: Flags = np.ones((1,) * len(shape), dtype=bool)
        for axis, flags in self.rows.items():
            if shape[axis] > 1:
                table = table & flags.reshape([-1 if a == axis else 1 for a in range(len(shape))])
        for route in self.routes.values():
            table = table & route.alive(shape)
        return table

    @cached_property
    def agreed(self) -> Strand:
        """The same ways, with every route told what the others say of axes on which both lie."""
        routes = {axis: self.told(axis, whole=False) for axis in self.routes}
        if all(routes[axis] is route for axis, route in self.routes.items()):
            return self
        return Strand(self.input, routes, self.rows)

    def told(self, axis: int, *, whole: bool = True) -> Route:
        """A route, read only where the others on its axes are alive.

        Others may hold other digits of an axis, as rows and columns of a window do that is laid
        along the channels: then it is told by positions of the `whole` axis.
        """
        route = self.routes[axis]
        for other, theirs in self.routes.items():
            if other == axis or theirs.lineage.live is None or not route.shares(theirs):
                continue
            extents = _extents(route, theirs)
            for at in {digit.axis for digit in route.digits} if whole else ():
                mine = {digit for digit in route.digits if digit.axis == at}
                held = {digit for digit in theirs.digits if digit.axis == at}
                if held and held != mine:
                    route = on_whole_axis(route, at, extents[at])
            route = route.restricted(theirs.alive(extents))
        return route


def _extents(route: Route, other: Route) -> list[int]:
    """How many positions of each axis of the first route the digits of both make up, else 1."""
    digits = (*route.digits, *other.digits)
    extents = [1] * (1 + max(digit.axis for digit in digits))
    mine = {digit.axis for digit in route.digits}
    for digit in digits:
        if digit.axis in mine:
            extents[digit.axis] = max(extents[digit.axis], digit.divisor * digit.length)
    return extents


Segment = tuple[Strand, ...]

_MANY_POSITIONS = 1 << 16


@dataclass(frozen=True, eq=False)
class Trace:
    """What a value descends from.

    Attributes:
        shape: the value's.
        labels: which segment each position belongs to; of length 1 along axes that do not matter.
            -1 where nothing is read.
        segments: the strands of each segment.
    """

    shape: tuple[int, ...]
    labels: Labels
    segments: tuple[Segment, ...]

    def united(self, source: Source, where: str, *, local: bool = False) -> Route | None:
        """The route of one input axis over all segments; None if no segment reads it.

        With `local` only the ways on which nothing is read whole.
        """
        name, axis = source
        found: dict[Strand, list[int]] = {}
        for number, segment in enumerate(self.segments):
            for strand in segment:
                route = strand.routes.get(axis) if strand.input == name else None
                if route and not (local and route.lineage.status in ("global", "unknown")):
                    found.setdefault(strand, []).append(number)
        if not found:
            return None
        routes = {strand: strand.told(axis) for strand in found}
        axes = {digit.axis for route in routes.values() for digit in route.digits}
        axes = axes or self._telling_axes(found, axis)
        digits = self._layout(routes.values(), axes)
        apart = any(route.digits not in ((), digits) for route in routes.values())
        if apart and prod(digit.length for digit in digits) > _MANY_POSITIONS:
            where = f"{where}, too large to tell all its rows"
            return unite([collapsed(route, "bound", where) for route in routes.values()])
        laid = []
        for strand, route in routes.items():
            known = route.digits == digits
            mask = self.mask(found[strand], strand, () if known else axes)
            if mask.any():
                laid.append(route.laid_out(digits).restricted(mask))
        return unite(list(dict.fromkeys(laid))) if laid else None

    def _telling_axes(self, found: Mapping[Strand, Collection[int]], axis: int) -> set[int]:
        """The axis along which positions differ although the input axis lies on none."""
        rows = sorted({at for strand in found for at in strand.rows})
        if rows:
            return {axis if axis in rows else rows[0]}
        varies = axis < self.labels.ndim and self.labels.shape[axis] > 1
        all_over = (self.mask(numbers, strand).all() for strand, numbers in found.items())
        return {axis} if varies and not all(all_over) else set()

    def _layout(self, routes: Iterable[Route], axes: Iterable[int]) -> tuple[Digit, ...]:
        """Digits that tell where every route and, along the same axes, every segment lies."""
        layouts = list(dict.fromkeys(route.digits for route in routes if route.digits))
        if len(layouts) == 1 and all(self.labels.shape[axis] == 1 for axis in axes):
            return layouts[0]
        common: list[Digit] = []
        for axis in sorted(axes):
            mine = {digit for digits in layouts for digit in digits if digit.axis == axis}
            digits = sorted(mine, key=lambda digit: (-digit.divisor, digit.length))
            tops = [digit.divisor * digit.length for digit in digits]
            overlap = any(d.divisor < top for d, top in zip(digits, tops[1:], strict=False))
            if overlap or not mine or self.labels.shape[axis] > 1:
                digits = [Digit(axis, 1, self.shape[axis])]
            common += digits
        return tuple(common)

    @cached_property
    def key(self) -> tuple[object, ...]:
        """Equal for values whose positions read the same in the same way."""
        small = self.labels.size <= _MANY_POSITIONS
        labels = self.labels.tobytes() if small else id(self.labels)
        return self.shape, self.labels.shape, labels, self.segments

    def mask(self, numbers: Collection[int], strand: Strand, axes: Collection[int] = ()) -> Flags:
        """Where a strand of some segments lies and is alive, of length 1 along axes that neither
        matter to the segments nor are asked for."""
        if len(numbers) == 1:
            there = np.asarray(self.labels == next(iter(numbers)))
        else:
            there = np.isin(self.labels, list(numbers), kind="table")
        shape = [n if a in axes else there.shape[a] for a, n in enumerate(self.shape)]
        return np.asarray(there & strand.alive(shape))


def gather(strands: Iterable[Strand]) -> Segment:
    """Living strands, those of one kind made one."""
    living = [strand for strand in (s.agreed for s in strands) if not strand.is_dead]
    kinds: dict[tuple[object, ...], list[Strand]] = {}
    for strand in _factored(living):
        kinds.setdefault(strand.kind, []).append(strand)
    return tuple(_as_one(group) for group in kinds.values())


def _as_one(strands: Sequence[Strand]) -> Strand:
    first = strands[0]
    if len(strands) == 1:
        return first
    united = {a: unite([strand.routes[a] for strand in strands]) for a in first.routes}
    return Strand(first.input, united, first.rows)


def _factored(strands: Sequence[Strand]) -> Sequence[Strand]:
    """Strands that differ in one route only, made one: ways that are a product stay one.

    The taps of a window, say, are those of its rows times those of its columns.
    """
    axes = {axis for strand in strands for axis in strand.routes}
    if len(strands) < 2 or len(axes) < 2:
        return strands
    united: dict[tuple[object, ...], Route] = {}
    for axis in sorted(axes):
        groups: dict[tuple[object, ...], list[Strand]] = {}
        for strand in strands:
            groups.setdefault(strand.besides(axis), []).append(strand)
        merged = []
        for group in groups.values():
            routes = [strand.routes[axis] for strand in group if axis in strand.routes]
            lineages = frozenset(route.lineage for route in routes)
            if len(group) == 1 or len(lineages) < len(group):
                merged += group
                continue
            key = (routes[0].digits, lineages)
            if key not in united:
                united[key] = unite(routes)
            routes_now = {**group[0].routes, axis: united[key]}
            merged.append(Strand(group[0].input, routes_now, group[0].rows))
        strands = merged
    return strands


def tidy(shape: tuple[int, ...], labels: Labels, segments: list[Segment]) -> Trace:
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
    return Trace(shape, labels, tuple(kept))


def collapsed(route: Route, status: Status, where: str) -> Route:
    """Every position of the value reads all that the route reads."""
    relation = Relation.whole(1, route.lineage.length)
    return Route((), Lineage(1, [Edge(relation, route.lineage, status, where)]))


def on_whole_axis(route: Route, axis: int, length: int) -> Route:
    """The route told by positions of an axis of which it holds some digits."""
    at = [k for k, digit in enumerate(route.digits) if digit.axis == axis]
    if not at:
        return route
    first = route.digits[at[0]]
    if len(at) == 1 and (first.divisor, first.length) == (1, length):
        return route
    if at != list(range(at[0], at[-1] + 1)):
        others = tuple(digit for digit in route.digits if digit.axis != axis)
        return route.laid_out((Digit(axis, 1, length), *others))
    before, own, after = (
        route.digits[: at[0]],
        route.digits[at[0] : at[-1] + 1],
        route.digits[at[-1] + 1 :],
    )
    if len(own) == 1 and first.divisor * first.length == length:
        relation = Relation.of(length, first.length, [[0]] * first.divisor)
    else:
        relation = _between((Digit(axis, 1, length),), own)
    lifted = lift(relation, prod(d.length for d in before), prod(d.length for d in after))
    lineage = Lineage(lifted.outputs, [Edge(lifted, route.lineage)])
    return Route((*before, Digit(axis, 1, length), *after), lineage)


def unite(routes: Sequence[Route]) -> Route:
    """Everything any of the routes reads; they lie on the same digits, or on none."""
    digits = max((route.digits for route in routes), key=len)
    if len(routes) == 1:
        return routes[0]
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

"""Asking for coverages: once, and again of other outputs or with layers that read otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, product
from math import prod

import numpy as np

from atrous.analysis.coverage.adjoint import layout_for, routes_back
from atrous.analysis.coverage.blame import Strides
from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.crossing import Axes, Way, width
from atrous.analysis.coverage.positions import Position, checked_positions
from atrous.analysis.fields.field import AxisField, default_axes, traced
from atrous.geometry.alike import unlike
from atrous.geometry.taps import Counts, Ints
from atrous.graph.program import Node, Program
from atrous.graph.rule import Read

_MOST_UNLIKE = 16
_MOST_NODES = 8_000
"""Outputs of patterns of their own that are looked at, all axes together, and values of the program
that are gone through for them."""


def coverage(
    program: Program,
    node: Node,
    *,
    input: str | None = None,
    axes: tuple[int, ...] | None = None,
    at: Position | Sequence[Position] | None = None,
    exact: bool = False,
    local: bool = False,
) -> Coverage:
    """The path counts on an input for one output position, or for several together.

    Args:
        program: the captured model.
        node: the value.
        input: the input; the first by default.
        axes: which of its axes; those that fields are told for by default.
        at: where along each axis of the node that holds positions; the centre by default.
        exact: keep counts exact beyond 64 bits.
        local: leave out the ways on which an operator reads an axis whole by nature.

    Raises:
        ValueError: if `at` does not fit the node, or an operator has no rule.
    """
    question = _question(program, node, input, axes, exact=exact, local=local)
    return question.answer(checked_positions(at, question.lengths, node))


def clearest(
    program: Program, node: Node, *, input: str | None = None, axes: tuple[int, ...] | None = None
) -> Coverage:
    """The coverage of the output that says most of the field (see `AxisField.clearest`), along the
    ways that read nothing whole: what holes are judged by.

    Args:
        program: the captured model.
        node: the value.
        input: the input; the first by default.
        axes: which of its axes; those that fields are told for by default.
    """
    question = _question(program, node, input, axes, exact=False, local=True)
    at = [
        field.clearest if field is not None else length // 2
        for field, length in zip(question.fields(), question.lengths, strict=True)
    ]
    return question.answer(checked_positions(at, question.lengths, node))


def _question(
    program: Program, node: Node, input: str | None, axes: tuple[int, ...] | None, *,
    exact: bool, local: bool,
) -> Question:  # fmt: skip
    source = program.input(input)
    wanted = axes if axes is not None else default_axes(program, source)
    layout = layout_for(program, source, wanted)
    return Question(program, node, source, wanted, layout, exact, local)


@dataclass(frozen=True, eq=False)
class Question:
    """What was asked, to ask it again of other outputs or a changed program."""

    program: Program
    node: Node
    source: Node
    axes: tuple[int, ...]
    layout: dict[str, Axes]
    exact: bool
    local: bool

    def hint(self) -> str:
        """What reads an axis whole on every way, and what comes before it; "" if nothing does."""
        followed = traced(self.program, input=self.source.name, axes=self.axes)
        for node in self.program.behind(self.node):
            field = followed.field(node)
            if field is None or not any(
                axis.status == "global" and axis.local is None for axis in field.axes
            ):
                continue
            text = f"{node.label} ({node.kind}) reads all of it, which local=True leaves out."
            read = [self.program.nodes[operand.name] for operand in node.operands]
            before = next((n for n in read if followed.field(n) is not None), self.source)
            if before is self.source:
                return f"{text} Ask without local=True."
            return f"{text} Ask what comes before: node={before.label!r}, and there at=."
        return ""

    def answer(
        self, at: Sequence[Ints], replaced: dict[str, tuple[Read, ...]] | None = None
    ) -> Coverage:
        """The coverage of some outputs, with the reads of some nodes replaced."""
        seed = _seed(self.node, self.layout[self.node.name], at)
        routes = routes_back(
            self.program,
            self.node,
            self.source,
            seed,
            self.layout,
            exact=self.exact,
            local=self.local,
            replaced=replaced,
        )
        counts, start = _sum_of(routes.ways, self.axes)
        return Coverage(
            node=self.node.label,
            input=self.source.name,
            at=tuple(tuple(int(i) for i in own) for own in at),
            axes=self.axes,
            shape=tuple(self.source.shape[a] for a in self.axes),
            start=start,
            counts=counts,
            status=routes.status,
            cause=routes.cause,
            local=self.local,
            _asked=self,
        )

    def phases(self, first: Coverage) -> list[Coverage]:
        """The coverage of every output phase (see `Coverage.phases`)."""
        periods = self.periods()
        found = []
        for shift in product(*(range(period) for period in periods)):
            moved: list[Ints] = []
            for own, by, length in zip(first.at, shift, self.lengths, strict=True):
                there = np.array(own, dtype=np.int64) + by
                # Near the end the same phase lies a period earlier.
                moved.append(np.where(there < length, there, there - periods[len(moved)]))
            found.append(first if not any(shift) else self.answer(moved))
        return found

    def unlike(self, first: Coverage) -> Iterator[Coverage]:
        """The coverage of outputs that read in other patterns than the first (see
        `Coverage.unlike`)."""
        if any(len(own) > 1 for own in first.at):
            return
        choices = [
            unlike(field.lineage, at) if field is not None else (at,)
            for field, (at,) in zip(self.fields(), first.at, strict=True)
        ]
        # What reads least comes first along each axis: it is most likely to leave something out.
        ranked = product(*(list(enumerate(own)) for own in choices))
        some = sorted(ranked, key=lambda one: sum(rank for rank, _ in one))
        count = max(1, min(_MOST_UNLIKE, _MOST_NODES // max(len(self.program.nodes), 1)))
        for one in islice(some, 1, count + 1):
            yield self.answer([np.array([at], dtype=np.int64) for _, at in one])

    def fields(self) -> list[AxisField | None]:
        """By axis that holds positions, its field; None where no single one tells it whole."""
        told = traced(self.program, input=self.source.name, axes=self.axes).field(self.node)
        known = [own.local or own for own in (told.axes if told is not None else ())]
        found: list[AxisField | None] = []
        for axis, holds in enumerate(self.layout[self.node.name]):
            if holds:
                mine = [own for own in known if own.output_axis == axis]
                whole = len(mine) == 1 and mine[0].lineage.length == self.node.shape[axis]
                found.append(mine[0] if whole else None)
        return found

    def strides(self) -> Callable[[str], Strides]:
        """Per input axis, along which of its axes a node's value holds it and at what stride."""
        followed = traced(self.program, input=self.source.name, axes=self.axes)

        def of(name: str) -> Strides:
            told = followed.field(self.program.nodes[name])
            own = {axis.axis: axis for axis in (told.axes if told is not None else ())}
            return tuple(
                (found.output_axis, found.stride)
                if (found := own.get(axis)) is not None and found.output_axis is not None
                else None
                for axis in self.axes
            )

        return of

    def places(self, at: Sequence[Sequence[int]]) -> tuple[tuple[float, ...], ...]:
        """Where on the input outputs lie (see `Coverage.place`)."""
        told = traced(self.program, input=self.source.name, axes=self.axes).field(self.node)
        holding = [axis for axis, holds in enumerate(self.layout[self.node.name]) if holds]
        found: list[tuple[float, ...]] = []
        for axis in self.axes:
            own = next((a for a in told.axes if a.axis == axis), None) if told else None
            moves = own is not None and own.output_axis in holding and own.stride > 0
            if own is None or not moves:
                found.append(())
                continue
            mine = at[holding.index(own.output_axis or 0)]
            found.append(tuple(float(i * own.stride) for i in mine))
        return tuple(found)

    @property
    def lengths(self) -> list[int]:
        """Of the node, along the axes that hold positions."""
        flags = self.layout[self.node.name]
        return [n for n, holds in zip(self.node.shape, flags, strict=True) if holds]

    def periods(self) -> list[int]:
        """Outputs per whole number of input positions, along the axes that hold positions."""
        followed = traced(self.program, input=self.source.name, axes=self.axes)
        told = followed.field(self.node)
        found = []
        for axis, holds in enumerate(self.layout[self.node.name]):
            if holds:
                rates = [a.stride for a in told.axes if a.output_axis == axis] if told else []
                found.append(min(self.node.shape[axis], max([r.denominator for r in rates] or [1])))
        return found


def _seed(node: Node, holds: Axes, at: Sequence[Ints]) -> Way:
    """One route at each of the chosen positions, through all channels."""
    rows = iter(at)
    start, shape = [], []
    chosen = []
    for flag in holds:
        mine = next(rows) if flag else np.zeros(1, dtype=np.int64)
        low, high = int(mine.min()), int(mine.max())
        start.append(low)
        shape.append(high - low + 1)
        chosen.append(mine - low)
    counts = np.zeros(shape, dtype=np.int64)
    counts[np.ix_(*chosen)] = 1
    lengths = [1 if flag else n for flag, n in zip(holds, node.shape, strict=True)]
    return Way(np.ones(lengths, dtype=bool), counts, tuple(start))


def _sum_of(ways: Sequence[Way], axes: tuple[int, ...]) -> tuple[Counts, tuple[int, ...]]:
    """All counts on the smallest box that holds those that are not 0."""
    empty = np.zeros((0,) * len(axes), dtype=np.int64), (0,) * len(axes)
    ways = [way for way in ways if way.counts.any()]
    if not ways:
        return empty
    ndim = ways[0].counts.ndim
    low = [min(way.start[a] for way in ways) for a in range(ndim)]
    high = [max(way.start[a] + way.counts.shape[a] for way in ways) for a in range(ndim)]
    kind = max((way.counts.dtype for way in ways), key=width)
    if kind.kind == "i" and sum(way.mass for way in ways) >= 2.0**62:
        kind = np.dtype(object)
    total = np.zeros([b - a for a, b in zip(low, high, strict=True)], dtype=kind)
    for way in ways:
        here = zip(way.start, low, way.counts.shape, strict=True)
        total[tuple(slice(a - b, a - b + n) for a, b, n in here)] += way.counts
    others = tuple(a for a in range(ndim) if a not in axes)
    start, index = [], []
    for axis in range(ndim):
        taken = np.flatnonzero((total != 0).any(axis=tuple(a for a in range(ndim) if a != axis)))
        index.append(slice(int(taken[0]), int(taken[-1]) + 1))
        start.append(low[axis] + int(taken[0]))
    total = total[tuple(index)]
    assert prod(total.shape[a] for a in others) == 1
    order = np.argsort(np.argsort(axes)).tolist()
    counts = total.reshape([total.shape[a] for a in sorted(axes)]).transpose(order)
    return counts, tuple(start[a] for a in axes)

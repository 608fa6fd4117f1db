"""How often one output reads each input: path counts in all dimensions, holes, evenness."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import product
from math import prod
from operator import index
from typing import Any

import numpy as np

from atrous.analysis.coverage.adjoint import layout_for, routes_back
from atrous.analysis.coverage.blame import Blame, Strides, blamed
from atrous.analysis.coverage.crossing import Axes, Way, width
from atrous.analysis.fields.field import default_axes, traced
from atrous.geometry import measures
from atrous.geometry.lineage import Status
from atrous.geometry.relation import Flags
from atrous.geometry.taps import Counts, Ints
from atrous.graph.program import Node, Program
from atrous.graph.rule import Read
from atrous.shown import Shown

Position = int | slice | Sequence[int]
"""Where along an axis: one output, or several together."""


@dataclass(frozen=True, eq=False)
class Coverage(Shown):
    """How many routes lead from an output to each input position.

    A route is a way through the network from position to position; every tap counts 1 and channels
    are not counted. This is the gradient of the same network with one channel and all weights 1.
    Where channels part, every part that is computed by itself is a route; parts that are only put
    together again are one, so `torch.cat(x.chunk(4, 1), 1)` has a single route.

    Attributes:
        node: the value whose output it is.
        input: the input that is read.
        at: the output, or several, along each of the node's axes that hold positions.
        axes: the input's axes, in the order of the counts' axes.
        shape: their lengths.
        start: the first position that is read, per axis; all 0 if nothing is read.
        counts: the number of routes to each position of the span, holes 0; empty if nothing is
            read. Whole numbers (int64, or Python integers where they do not fit), or floats of 53
            bits, whose zeros are still exactly the holes.
        status: "exact"; "global" (an operator reads an axis whole by nature, and is counted so);
            or "bound", whatever else is read: a superset is counted.
        cause: what made the status so; empty when exact.
        local: whether the ways that read an axis whole are left out.
    """

    node: str
    input: str
    at: tuple[tuple[int, ...], ...]
    axes: tuple[int, ...]
    shape: tuple[int, ...]
    start: tuple[int, ...]
    counts: Counts = field(repr=False)
    status: Status
    cause: str
    local: bool
    _asked: _Question = field(repr=False)

    @property
    def layout(self) -> Axes:
        """Of every axis of the node, whether it holds positions: those that `at` is about."""
        return self._asked.layout[self._asked.node.name]

    @property
    def is_exact(self) -> bool:
        """Whether every count is right to the last digit: no float, and no bound."""
        return self.counts.dtype.kind != "f" and self.status != "bound"

    @property
    def span(self) -> tuple[int, ...]:
        """Positions from the first to the last one read, per axis."""
        return self.counts.shape

    @cached_property
    def read(self) -> Flags:
        """Which positions of the span are read."""
        return np.asarray(self.counts != 0)

    @cached_property
    def holes(self) -> Ints:
        """Positions inside the span that no route reads: one row per hole, input coordinates."""
        return np.argwhere(~self.read) + np.array(self.start, dtype=np.int64)

    @cached_property
    def density(self) -> float:
        """Share of the span that is read; 0 if nothing is."""
        return float(self.read.mean()) if self.counts.size else 0.0

    @cached_property
    def uniformity(self) -> measures.Uniformity:
        """How evenly the routes are spread over the span, holes counted as 0."""
        return measures.evenness(self.counts.ravel())

    @property
    def total(self) -> int | float:
        """All routes."""
        total = self.counts.sum()
        return float(total) if self.counts.dtype.kind == "f" else int(total)

    @cached_property
    def factor(self) -> tuple[int, ...]:
        """Per axis, the largest number that divides all distances between positions read.

        Where it is 2, every second position at most is read; 0 where a single one is.
        """
        found = []
        for axis in range(self.counts.ndim):
            others = tuple(a for a in range(self.counts.ndim) if a != axis)
            taken = np.flatnonzero(self.read.any(axis=others))
            found.append(int(np.gcd.reduce(np.diff(taken), initial=0)))
        return tuple(found)

    @cached_property
    def hint(self) -> str:
        """Why `local` left no way at all, and what to ask instead; "" where it left some."""
        return "" if self.counts.size or not self.local else self._asked.hint()

    def on_input(self) -> Counts:
        """The counts over the whole input, zeros outside the span."""
        out = np.zeros(self.shape, dtype=self.counts.dtype)
        out[self.window] = self.counts
        return out

    @property
    def window(self) -> tuple[slice, ...]:
        """The span as slices of the input's axes."""
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.span, strict=True))

    @cached_property
    def place(self) -> tuple[tuple[float, ...], ...]:
        """Per axis, where on the input the outputs lie: `output * stride`, as in `AxisField`.

        Empty along an axis on which no single axis of the output moves.
        """
        return self._asked.places(self.at)

    @cached_property
    def phases(self) -> tuple[Coverage, ...]:
        """The coverage of every output phase, this one's first.

        Where the network upsamples, neighbouring outputs read in different patterns, which repeat
        when the input has moved a whole position: a stride of 2/3 has three phases.
        """
        return tuple(self._asked.phases(self))

    @cached_property
    def blame(self) -> tuple[Blame, ...]:
        """The layers that leave the holes, those that would close the most first.

        A layer is blamed for the holes that would be read if it read its whole window and nothing
        else changed: where dilations share a factor, filling any one of them closes holes.
        """
        if not self.counts.size or self.read.all():
            return ()
        asked = _Filling(self)
        found = blamed(asked, ~self.read, self._asked.strides())
        return tuple(sorted(found, key=lambda blame: -blame.closes))

    def miss_chance(self, size: int | Sequence[int]) -> float:
        """The chance that an object of some size lies between all positions that are read.

        The object is a box of `size` positions, at each place inside the span equally likely. Of
        several outputs together (a readout on a grid) it must be missed by all.

        Args:
            size: its length along each axis, or along all.

        Raises:
            ValueError: if the object is larger than the span, or smaller than a position.

        Example:
            >>> import atrous
            >>> from torch import nn
            >>> sparse = nn.Conv1d(1, 1, 3, dilation=4, padding=4)
            >>> [atrous.coverage(sparse, (1, 1, 64)).miss_chance(n) for n in (2, 4)]
            [0.5, 0.0]
        """
        ndim = self.counts.ndim
        several = size if isinstance(size, Sequence) else (size,) * ndim
        try:
            lengths = [index(n) for n in several]
        except TypeError:
            lengths = []
        if len(lengths) != ndim or any(
            not 1 <= n <= span for n, span in zip(lengths, self.span, strict=True)
        ):
            raise ValueError(
                f"size must be a whole number from 1 to the span along each of {ndim} axes "
                f"(span {self.span}), got {size!r}. Larger objects are never missed."
            )
        inside = self.read.astype(np.int64)
        for axis, length in enumerate(lengths):
            # Sums over windows, as differences of running sums.
            running = np.cumsum(inside, axis=axis)
            later = running.take(range(length - 1, running.shape[axis]), axis)
            earlier = running.take(range(running.shape[axis] - length), axis)
            inside = later.copy()
            later_half = [slice(None)] * ndim
            later_half[axis] = slice(1, None)
            inside[tuple(later_half)] -= earlier
        return float((inside == 0).mean())

    def __str__(self) -> str:
        size = " x ".join(map(str, self.span)) if self.counts.size else "nothing"
        text = f"{self.node} reads {size} of {self.input}"
        if not self.counts.size:
            return f"{text}. {self.hint}" if self.hint else text
        text += f", {self.density:.1%} of it"
        if not self.read.all():
            text += f" ({len(self.holes):,} holes)"
        even = f"{self.uniformity.cv:.2f}"
        text += f"; counts vary by {even} of their mean"
        if self.status != "exact":
            text += f"; {self.status}, because of {self.cause}"
        return text


@dataclass(frozen=True, eq=False)
class _Question:
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
            for own, by, length in zip(first.at, shift, self._lengths, strict=True):
                there = np.array(own, dtype=np.int64) + by
                # Near the end the same phase lies a period earlier.
                moved.append(np.where(there < length, there, there - periods[len(moved)]))
            found.append(first if not any(shift) else self.answer(moved))
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
    def _lengths(self) -> list[int]:
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


class _Filling:
    """The question of a coverage, with some nodes reading otherwise."""

    def __init__(self, cover: Coverage) -> None:
        self._cover = cover
        self._at = [np.array(own, dtype=np.int64) for own in cover.at]
        self.program = cover._asked.program
        self.layout = cover._asked.layout

    def read_with(self, replaced: dict[str, tuple[Read, ...]]) -> Flags:
        """Which positions of the span are read then."""
        other = self._cover._asked.answer(self._at, replaced)
        return np.asarray(other.on_input()[self._cover.window] != 0)

    def has_holes_with(self, replaced: dict[str, tuple[Read, ...]]) -> bool:
        """Whether what is read then has holes."""
        return not self._cover._asked.answer(self._at, replaced).read.all()


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
    source = program.input(input)
    wanted = axes if axes is not None else default_axes(program, source)
    layout = layout_for(program, source, wanted)
    lengths = [n for n, holds in zip(node.shape, layout[node.name], strict=True) if holds]
    question = _Question(program, node, source, wanted, layout, exact, local)
    return question.answer(_checked_positions(at, lengths, node))


def _checked_positions(
    at: Position | Sequence[Position] | None, lengths: Sequence[int], node: Node
) -> list[Ints]:
    if at is None:
        return [np.array([length // 2], dtype=np.int64) for length in lengths]
    at = _plain(at)
    at = tuple(at) if isinstance(at, Sequence) else (at,)
    if len(at) != len(lengths):
        raise ValueError(
            f"at must have one entry for each of the {len(lengths)} axes of {node.label!r} that "
            f"hold positions (lengths {tuple(lengths)}), got {at!r}."
        )
    found = []
    for entry, length in zip(at, lengths, strict=True):
        every = range(length)
        try:
            if isinstance(entry, slice):
                mine = list(every[entry])
            else:
                several = _plain(entry)
                mine = [
                    every[index(k)]
                    for k in (several if isinstance(several, Sequence) else [several])
                ]
        except (IndexError, TypeError):
            mine = []
        if not mine:
            raise ValueError(
                f"at must lie inside {node.label!r} (lengths {tuple(lengths)}), in whole numbers, "
                f"slices or lists of whole numbers, got {at!r}. Leave it out for the centre."
            )
        found.append(np.unique(np.array(mine, dtype=np.int64)))
    return found


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists."""
    return value.tolist() if hasattr(value, "tolist") else value


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

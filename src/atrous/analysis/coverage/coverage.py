"""How often one output reads each input: path counts in all dimensions, holes, evenness."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from operator import index
from typing import Protocol

import numpy as np

from atrous.analysis.coverage.blame import Blame, Reads, Strides, blamed
from atrous.analysis.coverage.crossing import Axes
from atrous.geometry import measures
from atrous.geometry.lineage import Status
from atrous.geometry.relation import Flags
from atrous.geometry.taps import Counts, Ints
from atrous.graph.program import Node, Program
from atrous.graph.rule import Read
from atrous.shown import Shown


class Asked(Protocol):
    """What a coverage answers, to ask it again (see `question.Question`)."""

    @property
    def program(self) -> Program:
        """The captured model."""

    @property
    def node(self) -> Node:
        """The value."""

    @property
    def layout(self) -> dict[str, Axes]:
        """Of every node, the axes that hold positions."""

    def hint(self) -> str:
        """What reads an axis whole on every way, and what comes before it; "" if nothing does."""

    def answer(
        self, at: Sequence[Ints], replaced: dict[str, tuple[Read, ...]] | None = None
    ) -> Coverage:
        """The coverage of some outputs, with the reads of some nodes replaced."""

    def phases(self, first: Coverage) -> list[Coverage]:
        """The coverage of every output phase."""

    def unlike(self, first: Coverage) -> Iterator[Coverage]:
        """The coverage of outputs that read in other patterns."""

    def strides(self) -> Callable[[str], Strides]:
        """Per input axis, along which of its axes a node's value holds it and at what stride."""

    def places(self, at: Sequence[Sequence[int]]) -> tuple[tuple[float, ...], ...]:
        """Where on the input outputs lie."""


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
    _asked: Asked = field(repr=False)

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

    def with_reads(self, replaced: Reads) -> Coverage:
        """The coverage of the same outputs if some nodes read otherwise.

        Args:
            replaced: by node name, what it reads then (see `blame.windowed_reads`).
        """
        return self._asked.answer([np.array(own, dtype=np.int64) for own in self.at], replaced)

    @cached_property
    def phases(self) -> tuple[Coverage, ...]:
        """The coverage of every output phase, this one's first.

        Where the network upsamples, neighbouring outputs read in different patterns, which repeat
        when the input has moved a whole position: a stride of 2/3 has three phases.
        """
        return tuple(self._asked.phases(self))

    @cached_property
    def unlike(self) -> tuple[Coverage, ...]:
        """The coverage of one output for each other pattern that outputs read in, borders aside.

        Behind an upsampling neighbouring outputs can read in different patterns; those that read
        alike, but for their place, are looked at once. Of more than 16 patterns, fewer in programs
        of more than 500 operations, those that read the fewest positions are given. Empty where all
        read as this one, and for several outputs together.
        """
        return tuple(self._asked.unlike(self))

    @cached_property
    def sparsest(self) -> Coverage:
        """The coverage of the pattern that reads the smallest share of its span: of this output,
        unless one of another pattern leaves out more.

        Example:
            >>> import atrous
            >>> from torch import nn
            >>> doubled = nn.Sequential(
            ...     nn.Conv1d(1, 1, 3, dilation=2, padding=2), nn.Upsample(scale_factor=2),
            ...     nn.Conv1d(1, 1, 2, dilation=3),
            ... )
            >>> cover = atrous.coverage(doubled, (1, 1, 32))
            >>> len(cover.holes), cover.sparsest.at, len(cover.sparsest.holes)
            (0, ((31,),), 3)
        """
        full = [cover for cover in self.unlike if cover.counts.size]
        return min((self, *full), key=lambda cover: cover.density) if self.counts.size else self

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

    def spans_with(self, replaced: dict[str, tuple[Read, ...]], positions: Flags) -> bool:
        """Whether some positions of the span lie in the span of what is read then."""
        other = self._cover._asked.answer(self._at, replaced)
        if not other.counts.size:
            return False
        inside = np.zeros(self._cover.shape, dtype=bool)
        inside[other.window] = True
        return bool((inside[self._cover.window] & positions).any())

    def has_holes_with(self, replaced: dict[str, tuple[Read, ...]]) -> bool:
        """Whether what is read then has holes, by this output or one of another pattern."""
        if not self._cover._asked.answer(self._at, replaced).read.all():
            return True
        return any(not other.with_reads(replaced).read.all() for other in self._cover.unlike)

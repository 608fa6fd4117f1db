"""Which inputs each output of one axis reads: `inputs(o) = (o // q) * p + T[o mod q]`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property, lru_cache

import numpy as np
import numpy.typing as npt

from atrous.geometry.taps import NOTHING_HI, NOTHING_LO, Counts, Ints, Taps

Flags = npt.NDArray[np.bool_]

_FEW_PHASES = 64
"""Phases that are looked at one by one."""

_NO_ROWS = np.zeros(0, dtype=np.int64)
_NO_TAPS = Taps.of([])
_FROM_STEP = (Fraction(0), Fraction(0))


@dataclass(frozen=True, eq=False)
class Relation:
    """A periodic relation between two finite axes, with a finite list of exceptional rows.

    Output `o` reads the inputs `(o // period) * step + taps[o mod period]`, those of them that lie
    in `[0, inputs)`; the others are padding. A row listed in `exceptional` reads the inputs in the
    same row of `exceptions` instead (absolute indices).

    Attributes:
        outputs: length of the output axis.
        inputs: length of the input axis.
        step: p, input steps per period; negative for a flip, 0 where every output reads the same.
        taps: T, one row per phase; q = `period` = `len(taps)`.
        exceptional: ascending output indices that do not follow the pattern.
        exceptions: what those outputs read.
        rates: smallest and largest input steps per output step; a range only after a union of
            relations that advance at different rates.

    Example:
        >>> Relation(4, 8, step=2, taps=Taps.of([[-1, 0, 1]])).row(0)
        {0: 1, 1: 1}
    """

    outputs: int
    inputs: int
    step: int
    taps: Taps
    exceptional: Ints = field(default_factory=lambda: _NO_ROWS)
    exceptions: Taps = field(default_factory=lambda: _NO_TAPS)
    rates: tuple[Fraction, Fraction] = _FROM_STEP

    def __post_init__(self) -> None:
        if self.outputs < 0 or self.inputs < 0:
            raise ValueError(
                f"axis lengths must not be negative, got {self.outputs} outputs "
                f"and {self.inputs} inputs."
            )
        if len(self.taps) < 1:
            raise ValueError("taps must have at least one row, got none.")
        if len(self.exceptional) != len(self.exceptions):
            raise ValueError(
                f"exceptions must have one row per exceptional output, got {len(self.exceptions)} "
                f"rows for {len(self.exceptional)} outputs."
            )
        if self.rates is _FROM_STEP:
            rate = Fraction(self.step, self.period)
            object.__setattr__(self, "rates", (rate, rate))

    @classmethod
    def of(
        cls,
        outputs: int,
        inputs: int,
        taps: Sequence[Iterable[int] | Mapping[int, int]],
        *,
        step: int = 1,
        exceptions: Mapping[int, Iterable[int] | Mapping[int, int]] | None = None,
    ) -> Relation:
        """A relation from plain Python rows.

        >>> Relation.of(3, 3, [[0]], exceptions={0: [2]}).row(0)
        {2: 1}
        """
        rows = sorted((exceptions or {}).items(), key=lambda item: item[0])
        return cls(
            outputs,
            inputs,
            step,
            Taps.of(taps),
            np.array([o for o, _ in rows], dtype=np.int64),
            Taps.of([row for _, row in rows]),
        )

    @classmethod
    @lru_cache(maxsize=1024)
    def identity(cls, length: int) -> Relation:
        """Every output reads the input of its own index."""
        return cls(length, length, 1, Taps.single([0]))

    @classmethod
    @lru_cache(maxsize=256)
    def whole(cls, outputs: int, inputs: int) -> Relation:
        """Every output reads every input."""
        return cls(outputs, inputs, 0, Taps.single(np.arange(inputs, dtype=np.int64)))

    @property
    def period(self) -> int:
        """q: the number of phases."""
        return len(self.taps)

    @cached_property
    def is_identity(self) -> bool:
        """Whether output o reads input o, once, and nothing else."""
        return (
            self.outputs == self.inputs
            and self.step == 1
            and self.period == 1
            and len(self.taps.offsets) == 1
            and int(self.taps.offsets[0]) == 0
            and int(self.taps.counts[0]) == 1
            and len(self.exceptional) == 0
        )

    @property
    def is_constant(self) -> bool:
        """Whether every output reads the same."""
        return self.step == 0 and self.period == 1 and len(self.exceptional) == 0

    def pattern(self, outputs: Ints) -> tuple[Ints, Ints, Counts]:
        """What the periodic part reads, unclipped: (position in `outputs`, input, count), flat.

        `outputs` may lie outside the axis: the pattern has no borders and no exceptions.
        """
        position, offsets, counts = self.taps.pick(outputs % self.period)
        return position, offsets + (outputs // self.period * self.step)[position], counts

    def reads(self, outputs: Ints) -> tuple[Ints, Ints, Counts]:
        """What the given outputs really read: (position in `outputs`, input, count), flat.

        Exceptions hold and reads of padding are left out. Positions ascend.
        """
        if len(self.exceptional) == 0:
            position, inputs, counts = self.pattern(outputs)
        else:
            at = np.searchsorted(self.exceptional, outputs)
            at = np.minimum(at, len(self.exceptional) - 1)
            special = self.exceptional[at] == outputs
            rows = np.where(special, self.period + at, outputs % self.period)
            base = np.where(special, 0, outputs // self.period * self.step)
            position, offsets, counts = self._table.pick(rows)
            inputs = offsets + base[position]
        inside = (inputs >= 0) & (inputs < self.inputs)
        if inside.all():
            return position, inputs, counts
        return position[inside], inputs[inside], counts[inside]

    @cached_property
    def _table(self) -> Taps:
        return self.taps.then(self.exceptions)

    def row(self, output: int) -> dict[int, int]:
        """What one output reads, as input -> count."""
        if not 0 <= output < self.outputs:
            raise IndexError(f"output must be in [0, {self.outputs}), got {output}.")
        _, inputs, counts = self.reads(np.array([output], dtype=np.int64))
        return {int(i): int(c) for i, c in zip(inputs, counts, strict=True)}

    def matrix(self) -> Counts:
        """The dense `(outputs, inputs)` matrix of counts: for small axes and for tests."""
        position, inputs, counts = self.reads(np.arange(self.outputs, dtype=np.int64))
        out = np.zeros((self.outputs, self.inputs), dtype=counts.dtype)
        out[position, inputs] = counts
        return out

    def hulls(self, outputs: Ints) -> tuple[Ints, Ints]:
        """First and last input of each output's pattern, unclipped.

        `(NOTHING_LO, NOTHING_HI)` for a phase that reads nothing.
        """
        if self.period == 1:
            base = outputs * self.step
            lo, hi = self.taps.lo[0], self.taps.hi[0]
            if lo > hi:
                return np.full_like(outputs, NOTHING_LO), np.full_like(outputs, NOTHING_HI)
            return base + lo, base + hi
        phase = outputs % self.period
        base = outputs // self.period * self.step
        lo, hi = self.taps.lo[phase], self.taps.hi[phase]
        nothing = lo > hi
        return np.where(nothing, lo, lo + base), np.where(nothing, hi, hi + base)

    @cached_property
    def are_runs(self) -> bool:
        """Whether every output reads neighbours without gaps: then its ends tell everything, which
        keeps rows as long as the axis cheap."""
        return len(self.exceptional) == 0 and self.taps.are_runs

    def runs(self, outputs: Ints) -> tuple[Ints, Ints]:
        """First and last input that outputs really read, if they read runs; first > last if none.

        Clipped to the input axis.
        """
        lo, hi = self.hulls(outputs)
        return np.maximum(lo, 0), np.minimum(hi, self.inputs - 1)

    def inputs_of(self, lo: int, hi: int) -> tuple[int, int]:
        """The smallest interval `[lo, hi)` of inputs that outputs `[lo, hi)` read.

        Clipped to the input axis; `(0, 0)` when they read nothing but padding.

        >>> Relation.of(4, 8, [[-1, 0, 1]], step=2).inputs_of(0, 2)
        (0, 4)
        """
        lo, hi = max(lo, 0), min(hi, self.outputs)
        if lo >= hi:
            return 0, 0
        outputs = np.arange(lo, hi, dtype=np.int64)
        if len(self.exceptional) == 0:
            first, last = self.hulls(outputs)
            start, stop = int(first.min()), int(last.max()) + 1
            if 0 <= start < stop <= self.inputs:
                return start, stop
        if self.are_runs:
            first, last = self.runs(outputs)
            read = first <= last
            return (int(first[read].min()), int(last[read].max()) + 1) if read.any() else (0, 0)
        if len(self.exceptional) == 0 and self.step and self.period <= _FEW_PHASES:
            return self._inputs_by_tap(lo, hi)
        _, inputs, _ = self.reads(outputs)
        return (int(inputs.min()), int(inputs.max()) + 1) if len(inputs) else (0, 0)

    def _inputs_by_tap(self, lo: int, hi: int) -> tuple[int, int]:
        """`inputs_of` tap by tap: the outputs of a phase read a tap at even distances, of which the
        first and the last that are inputs count."""
        step = abs(self.step)
        found = []
        for phase in range(self.period):
            first = lo + (phase - lo) % self.period
            if first >= hi:
                continue
            count = (hi - 1 - first) // self.period + 1
            taps = self.taps.offsets[self.taps.starts[phase] : self.taps.starts[phase + 1]]
            ends = first // self.period * self.step + taps
            if self.step < 0:
                # From the other end on, steps are forward.
                ends = self.inputs - 1 - ends
            a = np.maximum(0, -(ends // step))
            b = np.minimum(count, -((ends - self.inputs) // step))
            some = a < b
            if some.any():
                low, high = (ends + a * step)[some].min(), (ends + (b - 1) * step)[some].max()
                found.append((int(low), int(high) + 1))
        if not found:
            return 0, 0
        low, high = min(a for a, _ in found), max(b for _, b in found)
        return (low, high) if self.step > 0 else (self.inputs - high, self.inputs - low)

    def outputs_of(self, lo: int, hi: int) -> tuple[int, int]:
        """The smallest interval of outputs that holds every reader of inputs `[lo, hi)`.

        `(0, 0)` when nothing reads them.
        """
        outputs = np.arange(self.outputs, dtype=np.int64)
        if self.are_runs:
            first, last = self.runs(outputs)
            readers = np.flatnonzero(np.maximum(first, lo) <= np.minimum(last, hi - 1))
        else:
            position, inputs, _ = self.reads(outputs)
            readers = position[(inputs >= lo) & (inputs < hi)]
        return (int(readers.min()), int(readers.max()) + 1) if len(readers) else (0, 0)

    @cached_property
    def reading(self) -> Flags | None:
        """Which outputs read any input at all; None if all of them do."""
        if self.step == 0 and len(self.exceptional) == 0 and self.outputs > self.period:
            phases = self._reading(np.arange(self.period, dtype=np.int64))
            flags = phases[np.arange(self.outputs) % self.period]
        else:
            flags = self._reading(np.arange(self.outputs, dtype=np.int64))
        return None if flags.all() else flags

    def _reading(self, outputs: Ints) -> Flags:
        if self.are_runs:
            first, last = self.runs(outputs)
            return first <= last
        flags = np.zeros(len(outputs), dtype=bool)
        flags[self.reads(outputs)[0]] = True
        return flags

    def readers(self, inputs: Flags | None) -> Flags | None:
        """Which outputs read any of the marked inputs; None for all, in and out.

        >>> Relation.of(4, 4, [[-1, 1]]).readers(np.array([True, False, False, False])).tolist()
        [False, True, False, False]
        """
        if inputs is None:
            return self.reading
        outputs = np.arange(self.outputs, dtype=np.int64)
        if self.are_runs:
            first, last = self.runs(outputs)
            marked = np.concatenate([[0], np.cumsum(inputs)])
            ends = np.clip(last + 1, 0, self.inputs), np.clip(first, 0, self.inputs)
            flags = (first <= last) & (marked[ends[0]] > marked[ends[1]])
            return None if flags.all() else flags
        position, read, _ = self.reads(outputs)
        flags = np.zeros(self.outputs, dtype=bool)
        flags[position[inputs[read]]] = True
        return None if flags.all() else flags

    def interior(self, lo: int = 0, hi: int | None = None) -> tuple[int, int]:
        """The longest interval of outputs that follow the pattern and stay inside `[lo, hi)`.

        By default inside the whole input axis: the outputs that read no padding. `(0, 0)` when
        there is none.
        """
        outputs = np.arange(self.outputs, dtype=np.int64)
        first, last = self.hulls(outputs)
        whole = (first >= lo) & (last < (self.inputs if hi is None else hi))
        whole[self.exceptional] = False
        return longest_run(whole)

    def __repr__(self) -> str:
        rows = [sorted(row.items()) for row in self.taps.rows()[:4]]
        text = ", ".join(
            "{" + ", ".join(f"{t}" if c == 1 else f"{t}x{c}" for t, c in row[:9]) + "}"
            for row in rows
        )
        more = ", ..." if self.period > 4 else ""
        odd = f", {len(self.exceptional)} exceptions" if len(self.exceptional) else ""
        return (
            f"Relation({self.outputs} <- {self.inputs}: (o // {self.period}) * {self.step} "
            f"+ [{text}{more}]{odd})"
        )


def longest_run(flags: Flags) -> tuple[int, int]:
    """The longest run `[start, stop)` of true values, the first of equals; `(0, 0)` if none."""
    padded = np.concatenate([[False], flags, [False]]).astype(np.int8)
    edges = np.diff(padded)
    starts, stops = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if len(starts) == 0:
        return 0, 0
    best = int(np.argmax(stops - starts))
    return int(starts[best]), int(stops[best])

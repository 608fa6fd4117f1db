"""The relations of the elementary operations, each from its definition."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import floor, gcd
from typing import Literal

import numpy as np

from atrous.geometry.algebra import simplify
from atrous.geometry.relation import Flags, Relation
from atrous.geometry.sizes import check_window, effective_kernel
from atrous.geometry.taps import Ints, Taps, collect

_LONGEST_PERIOD = 1024
"""Phases kept of a factor that is no simple fraction where the axis is shorter than a period."""

PadMode = Literal["constant", "reflect", "replicate", "circular"]


@dataclass(frozen=True)
class Window:
    """The sliding window of a convolution or pool on one axis.

    Tap `a` of output `o` reads input `o * stride + a * dilation - left`.
    """

    kernel_size: int
    stride: int = 1
    dilation: int = 1
    left: int = 0

    def __post_init__(self) -> None:
        check_window(self.kernel_size, self.stride, self.dilation)

    @property
    def span(self) -> int:
        """Inputs from the first to the last tap."""
        return effective_kernel(self.kernel_size, self.dilation)

    @lru_cache(maxsize=1024)  # noqa: B019 - windows are small values, and shared by many layers
    def relation(self, outputs: int, inputs: int) -> Relation:
        """What the outputs read on an axis of `inputs` positions."""
        taps = np.arange(self.kernel_size, dtype=np.int64) * self.dilation - self.left
        return Relation(outputs, inputs, self.stride, Taps.single(taps))

    def extent(self, lo: int, hi: int) -> tuple[int, int]:
        """The inputs, padding included, from the first tap of `lo` to the last of `hi - 1`."""
        return lo * self.stride - self.left, (hi - 1) * self.stride - self.left + self.span

    def dilated(self, factor: int, stride: int = 1) -> Window:
        """The same window on an input `factor` times denser, with a new stride."""
        return Window(self.kernel_size, stride, self.dilation * factor, self.left * factor)


@lru_cache(maxsize=1024)
def transposed(
    outputs: int, inputs: int, kernel_size: int, *, stride: int, dilation: int, left: int
) -> Relation:
    """A transposed convolution: output `o` reads `(o + left - a * dilation) / stride`, where whole.

    `left` is PyTorch's `padding`: positions taken off the front.
    """
    check_window(kernel_size, stride, dilation)
    shifted = left - np.arange(kernel_size, dtype=np.int64) * dilation
    rows = [
        [int(v) // stride for v in phase + shifted if v % stride == 0] for phase in range(stride)
    ]
    return Relation(outputs, inputs, 1, Taps.of(rows))


def filled(relation: Relation) -> Relation:
    """The relation if every output read its whole window, and a stride skipped nothing.

    The relation itself where there is nothing to fill.

    >>> filled(Window(3, dilation=4).relation(8, 16)).row(0).keys()
    dict_keys([0, 1, 2, 3, 4, 5, 6, 7, 8])
    """
    taps = relation.taps
    last = taps.hi
    if relation.period == 1:
        last = np.maximum(last, taps.lo + abs(relation.step) - 1)
    spans = np.where(taps.lengths > 0, last - taps.lo + 1, 0)
    if (spans == taps.lengths).all():
        return relation
    rows = [range(int(a), int(a + n)) for a, n in zip(taps.lo, spans, strict=True)]
    return Relation(
        relation.outputs,
        relation.inputs,
        relation.step,
        Taps.of(rows),
        relation.exceptional,
        relation.exceptions,
    )


def block(outputs: int, inputs: int, groups: int) -> Relation:
    """Each of `groups` equal runs of outputs reads the whole of its own run of inputs.

    The channel axis of a grouped convolution.
    """
    size_out, size_in = outputs // groups, inputs // groups
    if groups == 1:
        return Relation.whole(outputs, inputs)
    row = list(range(size_in))
    return Relation(outputs, inputs, size_in, Taps.of([row] * size_out))


def one_sided(length: int, *, ahead: bool = False) -> Relation:
    """Output `o` reads the inputs 0 to o, or with `ahead` o to the last.

    >>> one_sided(3).row(1)
    {0: 1, 1: 1}
    """
    taps = np.arange(length, dtype=np.int64) - (0 if ahead else length - 1)
    return Relation(length, length, 1, Taps.single(taps))


def masked(mask: Flags) -> Relation:
    """Output `o` reads the inputs that row `o` of an `(outputs, inputs)` mask marks.

    Periodic where every row is the same set of offsets, clipped, as in a band.
    """
    outputs, inputs = mask.shape
    o, i = np.nonzero(mask)
    offsets = np.unique(i - o).astype(np.int64)
    band = Relation(outputs, inputs, 1, Taps.single(offsets))
    if (band.matrix().astype(bool) == mask).all():
        return band
    rows = collect(outputs, o.astype(np.int64), i.astype(np.int64), np.ones(len(o), np.int64))
    return simplify(Relation(outputs, inputs, 0, rows)) if outputs else Relation.whole(0, inputs)


@lru_cache(maxsize=1024)
def strided(outputs: int, inputs: int, *, start: int = 0, step: int = 1) -> Relation:
    """Output `o` reads input `start + o * step`: slices, crops, pads, flips, selections.

    What falls outside the axis is padding; `step` 0 reads one input everywhere (broadcasting).
    """
    return Relation(outputs, inputs, step, Taps.single([start]))


def padded(inputs: int, left: int, right: int, mode: PadMode = "constant") -> Relation:
    """Padding of an axis; a negative amount crops.

    ```
    input            a b c d        left 2, right 1
    constant     . . a b c d .
    reflect      c b a b c d c
    replicate    a a a b c d d
    circular     c d a b c d a
    ```
    """
    outputs = inputs + left + right
    base = strided(outputs, inputs, start=-left)
    if mode == "constant" or inputs == 0:
        return base
    position = np.arange(outputs, dtype=np.int64) - left
    kept = (position >= max(-left, 0)) & (position < inputs - max(-right, 0))
    outside = np.flatnonzero(~kept).astype(np.int64)
    at = position[outside]
    if mode == "replicate":
        source = np.clip(at, 0, inputs - 1)
    elif mode == "circular":
        # What a negative amount crops is gone before the rest is wrapped.
        first = max(-left, 0)
        source = (at - first) % (inputs - first - max(-right, 0)) + first
    else:
        source = np.where(at < 0, -at, 2 * (inputs - 1) - at)
    return Relation(
        outputs, inputs, 1, base.taps, outside, Taps.each(source) if len(source) else Taps.of([])
    )


def rolled(length: int, shift: int) -> Relation:
    """Positions moved on by `shift`, those behind the end coming back at the front.

    >>> [*map(list, map(rolled(4, 1).row, range(4)))]
    [[3], [0], [1], [2]]
    """
    shift %= max(length, 1)
    source = (np.arange(length, dtype=np.int64) - shift) % max(length, 1)
    # The longer part is the pattern, the shorter one the exceptions.
    start = -shift if shift <= length - shift else length - shift
    odd = {int(o): [int(source[o])] for o in np.flatnonzero(source != np.arange(length) + start)}
    return Relation.of(length, length, [[start]], exceptions=odd)


def adaptive(outputs: int, inputs: int) -> Relation:
    """Adaptive pooling: output `o` reads `floor(o * n / m)` up to `ceil((o + 1) * n / m)`."""
    common = gcd(outputs, inputs)
    period, step = outputs // common, inputs // common
    rows = [range(o * step // period, -(-(o + 1) * step // period)) for o in range(period)]
    return Relation(outputs, inputs, step, Taps.of(rows))


def gathered(
    outputs: int, inputs: int, source: Ints, rate: Fraction, *, shift: Fraction = Fraction(0)
) -> Relation:
    """Output `o` reads input `source[o]`: nearest resizing and any constant index.

    Periodic where `source` advances by `rate` (inputs per output); other rows are exceptions. Where
    the axis is shorter than a period, `floor((o + shift) * rate)` goes on behind it.
    """
    period, step = rate.denominator, rate.numerator
    pattern = source[:period]
    if period > outputs:
        if period > _LONGEST_PERIOD:
            period, step = max(outputs, 1), round(rate * outputs)
        more = [floor((o + shift) * rate) for o in range(outputs, period)]
        pattern = np.concatenate([pattern, np.array(more, dtype=np.int64)])
    o = np.arange(outputs, dtype=np.int64)
    follows = source == pattern[o % period] + o // period * step
    odd = np.flatnonzero(~follows).astype(np.int64)
    return Relation(
        outputs, inputs, step, Taps.each(pattern), odd, Taps.each(source[odd]), (rate, rate)
    )


def sample_position(scale: Fraction, align_corners: bool, output: int) -> Fraction:
    """Where resizing samples for `output`, in input positions, before clamping."""
    if align_corners:
        return scale * output
    return scale * (output + Fraction(1, 2)) - Fraction(1, 2)


def linear_taps(position: Fraction) -> list[int]:
    """The inputs that linear interpolation mixes; one where the position is an input."""
    base = floor(position)
    return [base] if position == base else [base, base + 1]


def cubic_taps(position: Fraction) -> list[int]:
    """The inputs that cubic interpolation mixes; one where the position is an input."""
    base = floor(position)
    return [base] if position == base else [base - 1, base, base + 1, base + 2]


def linear(outputs: int, inputs: int, scale: Fraction, *, align_corners: bool) -> Relation:
    """Linear resizing; `scale` is input steps per output step.

    A sample that lands on an input has one tap there, another has two; positions before the first
    or behind the last input are clamped.
    """

    def taps(o: int) -> list[int]:
        return linear_taps(sample_position(scale, align_corners, o))

    def clamped(o: int) -> list[int] | None:
        position = sample_position(scale, align_corners, o)
        inside = min(max(position, Fraction(0)), Fraction(inputs - 1))
        return None if inside == position else linear_taps(inside)

    return _resampled(outputs, inputs, scale, taps, clamped)


def cubic(outputs: int, inputs: int, scale: Fraction, *, align_corners: bool) -> Relation:
    """Cubic resizing: four taps, those outside the input taken at its ends."""

    def taps(o: int) -> list[int]:
        return cubic_taps(sample_position(scale, align_corners, o))

    def clamped(o: int) -> list[int] | None:
        mine = taps(o)
        inside = sorted({min(max(i, 0), inputs - 1) for i in mine})
        return None if inside == mine else inside

    return _resampled(outputs, inputs, scale, taps, clamped)


def antialiased_taps(scale: Fraction, radius: int, output: int) -> list[int]:
    """The inputs under the triangle (radius 1) or cubic (2) that antialiased resizing lays around
    `output`, widened where the scale exceeds 1; a zero of the curve is no tap."""
    centre, widening = scale * (output + Fraction(1, 2)), max(scale, Fraction(1))
    first, last = floor(centre - radius * widening) - 1, floor(centre + radius * widening) + 1
    at = {i: abs(i + Fraction(1, 2) - centre) / widening for i in range(first, last + 1)}
    return [i for i, x in at.items() if x < radius and x != 1]


def antialiased(outputs: int, inputs: int, scale: Fraction, *, radius: int) -> Relation:
    """Antialiased resizing: what lies outside the input is left out."""
    return _resampled(
        outputs, inputs, scale, lambda o: antialiased_taps(scale, radius, o), lambda o: None
    )


def _resampled(
    outputs: int,
    inputs: int,
    scale: Fraction,
    taps: Callable[[int], list[int]],
    clamped: Callable[[int], list[int] | None],
) -> Relation:
    """Rows with the period of the scale, but for outputs near the ends that are `clamped`."""
    period, step = scale.denominator, scale.numerator
    if period > max(outputs, _LONGEST_PERIOD):
        # A factor that is no simple fraction: one row per output.
        period, step = max(outputs, 1), round(scale * outputs)
    odd: dict[int, list[int]] = {}
    for ends in (range(outputs), range(outputs - 1, -1, -1)):
        for o in ends:
            row = clamped(o)
            if row is None:
                break
            odd[o] = row
    exceptional = np.array(sorted(odd), dtype=np.int64)
    return Relation(
        outputs,
        inputs,
        step,
        Taps.of([taps(o) for o in range(period)]),
        exceptional,
        Taps.of([odd[int(o)] for o in exceptional]),
        (scale, scale),
    )

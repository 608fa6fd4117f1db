"""Resizing by nearest position, linear, cubic and antialiased, to a size or by a factor."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

import torch
from torch import Tensor

from atrous.geometry.primitives import (
    antialiased,
    antialiased_taps,
    cubic,
    cubic_taps,
    gathered,
    linear,
    linear_taps,
    sample_position,
)
from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.movement import mover
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Link,
    Local,
    Movement,
    Read,
    identity_links,
    rule,
)

_NEAREST = {
    f"aten.{name}{axes}d": axes
    for name in ("upsample_nearest", "_upsample_nearest_exact")
    for axes in (1, 2, 3)
}
_LINEAR = {
    "aten.upsample_linear1d": 1,
    "aten.upsample_bilinear2d": 2,
    "aten.upsample_trilinear3d": 3,
}
_CUBIC = {"aten.upsample_bicubic2d": 2}
_ANTIALIASED = {"aten._upsample_bilinear2d_aa": 2, "aten._upsample_bicubic2d_aa": 2}
_SMOOTH = {**_LINEAR, **_CUBIC, **_ANTIALIASED}


def _examples(draw: Draw, op: str) -> Example:
    axes = {**_NEAREST, **_SMOOTH}[op]
    # PyTorch 2.13 repeats the first row of antialiased maps of width 1.
    low = 2 if op in _ANTIALIASED else 1
    x = draw.tensor(1, 2, *draw.lengths(axes, low, 8 if axes < 3 else 4))
    high = 13 if axes < 3 else 5
    flags = (draw.some([False, True]),) if op in _SMOOTH else ()
    if draw.random() < 0.4:
        factors = tuple(draw.some([2.0, 0.5, 1.5, 1.7, 3.0]) for _ in range(axes))
        if all(int(n * f) >= low for n, f in zip(x.shape[2:], factors, strict=True)):
            return Example("vec", (x, None, *flags, factors))
    return Example("vec", (x, draw.lengths(axes, low, high), *flags, None))


def _sized(call: Call, axes: int) -> tuple[int, ...]:
    """The axes whose length is told and not made by a factor."""
    first = len(call.shape) - axes
    return tuple(first + k for k in range(axes) if _factor(call, axes, k) is None)


def _factor(call: Call, axes: int, axis: int) -> float | None:
    """The scale factor the user gave for an axis; None where the sizes decide."""
    factors = call.args.get("scale_factors")
    if factors is not None:
        return float(factors[axis])
    name = "scales" if axes == 1 else ("scales_d", "scales_h", "scales_w")[3 - axes + axis]
    value = call.args.get(name)
    return None if value is None or value <= 0 else float(value)


def _scale(outputs: int, inputs: int, factor: float | None) -> Fraction:
    """Input positions per output position, when corners are not aligned."""
    if factor is None:
        return Fraction(inputs, outputs)
    exact = Fraction(factor)
    simple = exact.limit_denominator(1000)
    return 1 / (simple if float(simple) == factor else exact)


@rule(*_NEAREST, examples=_examples)
def nearest(call: Call) -> Description:
    """Output o is input `floor(o * scale)`, as PyTorch rounds it (`exact`: `o + 1/2`)."""
    name = _input_name(call)
    x = call.operand(name)
    axes = _NEAREST[call.op]
    first = len(call.shape) - axes
    links = list(identity_links(x, call.shape)[:first])
    for k in range(axes):
        outputs, inputs = call.shape[first + k], x.shape[first + k]
        factor = _factor(call, axes, k)
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        links.append(Link(first + k, _nearest_relation(call.op, k, outputs, inputs, factor, dtype)))
    read = Read(x, tuple(links))
    return Movement((read,), mover(read, name), sized=_sized(call, axes))


@lru_cache(maxsize=256)
def _nearest_relation(
    op: str, axis: int, outputs: int, inputs: int, factor: float | None, dtype: torch.dtype
) -> Relation:
    """What PyTorch really picks: its float rounding differs from the exact quotient at places."""
    axes = _NEAREST[op]
    shape = [1] * axes
    shape[axis] = inputs
    size = [1] * axes
    size[axis] = outputs
    # Without the user's factor on the other axes their length of 1 stays 1.
    scales = [None if k != axis else factor for k in range(axes)]
    operator = getattr(torch.ops.aten, op.removeprefix("aten.")).default
    positions = torch.arange(inputs, dtype=dtype).reshape(1, 1, *shape)
    source = operator(positions, size, *scales).reshape(-1).round().long().numpy()
    shift = Fraction(1, 2) if "exact" in op else Fraction(0)
    return gathered(outputs, inputs, source, _scale(outputs, inputs, factor), shift=shift)


@rule(*_LINEAR, *_CUBIC, *_ANTIALIASED, examples=_examples)
def smooth(call: Call) -> Description:
    """Output o mixes the inputs around its position; a position on an input is that input."""
    name = _input_name(call)
    x = call.operand(name)
    axes = _SMOOTH[call.op]
    align_corners: bool = call.args["align_corners"]
    first = len(call.shape) - axes
    links = list(identity_links(x, call.shape)[:first])
    resizes = []
    for k in range(axes):
        outputs, inputs = call.shape[first + k], x.shape[first + k]
        if align_corners:
            scale = Fraction(inputs - 1, outputs - 1) if outputs > 1 else Fraction(0)
        else:
            # Resizing to the same size is a plain copy, whatever the factor.
            factor = None if outputs == inputs else _factor(call, axes, k)
            scale = _scale(outputs, inputs, factor)
        resize = _Resize(_kind(call.op), outputs, inputs, scale, align_corners)
        resizes.append(resize)
        links.append(Link(first + k, resize.relation()))

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args[name]
        out = region.tensor
        for axis, resize in enumerate(resizes, start=first):
            lo, hi = region.box[axis]
            matrix = torch.zeros(box[axis][1] - box[axis][0], hi - lo, dtype=out.dtype)
            for row, o in enumerate(range(*box[axis])):
                for i, weight in resize.weights(o):
                    matrix[row, i - lo] += weight
            out = torch.tensordot(out, matrix, ([axis], [1])).movedim(-1, axis)
        return out

    return Local((Read(x, tuple(links)),), run, sized=_sized(call, axes))


@dataclass(frozen=True)
class _Resize:
    """Smooth resizing of one axis."""

    kind: Literal["linear", "cubic", "triangle", "smooth triangle"]
    outputs: int
    inputs: int
    scale: Fraction
    align_corners: bool

    @lru_cache(maxsize=256)  # noqa: B019 - a small value, shared by many layers
    def relation(self) -> Relation:
        """Which inputs are mixed."""
        sizes = self.outputs, self.inputs, self.scale
        if self.kind == "linear":
            return linear(*sizes, align_corners=self.align_corners)
        if self.kind == "cubic":
            return cubic(*sizes, align_corners=self.align_corners)
        return antialiased(*sizes, radius=self._radius)

    @property
    def _radius(self) -> int:
        return 1 if self.kind == "triangle" else 2

    def weights(self, output: int) -> list[tuple[int, float]]:
        """Input and weight of every tap of an output, by global position."""
        last = self.inputs - 1
        if self.kind in ("linear", "cubic"):
            position = sample_position(self.scale, self.align_corners, output)
            if self.kind == "linear":
                position = min(max(position, Fraction(0)), Fraction(last))
                return [(i, 1 - float(abs(position - i))) for i in linear_taps(position)]
            near = [(i, _cubic(float(abs(position - i)), -0.75)) for i in cubic_taps(position)]
            return [(min(max(i, 0), last), weight) for i, weight in near]
        centre, widening = self.scale * (output + Fraction(1, 2)), max(self.scale, Fraction(1))
        found = []
        for i in antialiased_taps(self.scale, self._radius, output):
            x = float(abs(i + Fraction(1, 2) - centre) / widening)
            if 0 <= i <= last:
                found.append((i, 1 - x if self.kind == "triangle" else _cubic(x, -0.5)))
        total = sum(weight for _, weight in found)
        return [(i, weight / total) for i, weight in found]


def _cubic(x: float, a: float) -> float:
    """Keys' cubic convolution kernel (1981)."""
    if x < 1:
        return ((a + 2) * x - (a + 3)) * x * x + 1
    return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a


def _kind(op: str) -> Literal["linear", "cubic", "triangle", "smooth triangle"]:
    if op in _ANTIALIASED:
        return "triangle" if "linear" in op else "smooth triangle"
    return "linear" if op in _LINEAR else "cubic"


def _input_name(call: Call) -> str:
    return "input" if "input" in call.args else "self"

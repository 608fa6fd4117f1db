"""Resizing by nearest position and by linear interpolation, to a size or by a factor."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from math import floor
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import gathered, linear, linear_source
from atrous.geometry.relation import Relation
from atrous.geometry.taps import Ints
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


def _examples(draw: Draw, op: str) -> Example:
    axes = int(op[-2])
    x = draw.tensor(1, 2, *draw.lengths(axes, 1, 8 if axes < 3 else 4))
    high = 13 if axes < 3 else 5
    flags = (draw.some([False, True]),) if op in _LINEAR else ()
    if draw.random() < 0.4:
        factors = tuple(draw.some([2.0, 0.5, 1.5, 1.7, 3.0]) for _ in range(axes))
        if all(int(n * f) >= 1 for n, f in zip(x.shape[2:], factors, strict=True)):
            return Example("vec", (x, None, *flags, factors))
    return Example("vec", (x, draw.lengths(axes, 1, high), *flags, None))


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
    x = call.operand("input" if "input" in call.args else "self")
    axes = _NEAREST[call.op]
    first = len(call.shape) - axes
    links = list(identity_links(x, call.shape)[:first])
    for k in range(axes):
        outputs, inputs = call.shape[first + k], x.shape[first + k]
        factor = _factor(call, axes, k)
        dtype = torch.float64 if x.dtype == torch.float64 else torch.float32
        links.append(Link(first + k, _nearest_relation(call.op, k, outputs, inputs, factor, dtype)))
    read = Read(x, tuple(links))
    name = "input" if "input" in call.args else "self"
    return Movement((read,), mover(read, name))


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


@rule(*_LINEAR, examples=_examples)
def linear_resize(call: Call) -> Description:
    """Output o mixes the two inputs around its position; a position on an input is that input."""
    x = call.operand("input" if "input" in call.args else "self")
    axes = _LINEAR[call.op]
    align_corners: bool = call.args["align_corners"]
    first = len(call.shape) - axes
    links = list(identity_links(x, call.shape)[:first])
    scales = []
    for k in range(axes):
        outputs, inputs = call.shape[first + k], x.shape[first + k]
        if align_corners:
            scale = Fraction(inputs - 1, outputs - 1) if outputs > 1 else Fraction(0)
        else:
            # Linear resizing to the same size is a plain copy, whatever the factor.
            factor = None if outputs == inputs else _factor(call, axes, k)
            scale = _scale(outputs, inputs, factor)
        scales.append(scale)
        links.append(Link(first + k, _linear_relation(outputs, inputs, scale, align_corners)))
    name = "input" if "input" in call.args else "self"

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args[name]
        out = region.tensor
        for axis, scale in enumerate(scales, start=first):
            base, weight = _weights(call.shape[axis], x.shape[axis], scale, align_corners)
            lo, hi = box[axis]
            out = _interpolate(out, axis, base[lo:hi] - region.box[axis][0], weight[lo:hi])
        return out

    return Local((Read(x, tuple(links)),), run)


@lru_cache(maxsize=256)
def _linear_relation(outputs: int, inputs: int, scale: Fraction, align_corners: bool) -> Relation:
    return linear(outputs, inputs, scale, align_corners=align_corners)


@lru_cache(maxsize=64)
def _weights(
    outputs: int, inputs: int, scale: Fraction, align_corners: bool
) -> tuple[Ints, np.ndarray[Any, np.dtype[np.float64]]]:
    """Per output the first input mixed and the weight of the next one, by global position."""
    base = np.zeros(outputs, dtype=np.int64)
    weight = np.zeros(outputs)
    for o in range(outputs):
        source = linear_source(scale, align_corners, o)
        source = min(max(source, Fraction(0)), Fraction(inputs - 1))
        base[o] = floor(source)
        weight[o] = float(source - floor(source))
    return base, weight


def _interpolate(
    x: Tensor, axis: int, base: Ints, weight: np.ndarray[Any, np.dtype[np.float64]]
) -> Tensor:
    after = torch.from_numpy(base + (weight > 0))
    shape = [1] * x.dim()
    shape[axis] = -1
    share = torch.from_numpy(weight).to(x.dtype).reshape(shape)
    a = x.index_select(axis, torch.from_numpy(base))
    b = x.index_select(axis, after)
    return a * (1 - share) + b * share

"""Fractional max pooling: windows at starts that random numbers choose."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor

import torch
from torch import Tensor

from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Link,
    Local,
    Read,
    identity_links,
    rule,
)


def _examples(draw: Draw, op: str) -> Example:
    axes = int(op[-2])
    kernel = draw.lengths(axes, 1, 3)
    size = tuple(draw.randint(1, 3) for _ in range(axes))
    spatial = [k + o + draw.randint(0, 3) for k, o in zip(kernel, size, strict=True)]
    x = draw.tensor(1, 2, *spatial)
    samples = draw.tensor(1, 2, axes) - 0.5
    return Example("default", (x, kernel, size, samples))


@rule("aten.fractional_max_pool2d", "aten.fractional_max_pool3d", examples=_examples)
def fractional_max_pool(call: Call) -> Description:
    """Output o starts at `floor((o + u) * a) - floor(u * a)` with `a = (n - k) / (outputs - 1)`.

    The start differs between channels: whichever it is, it is one of two, so this is a bound.
    """
    if call.output > 0:
        raise NotImplementedError("the indices of fractional pooling")
    axes = int(call.op[-2])
    x = call.operand("self")
    kernel = call.per_axis("kernel_size", axes)
    first = len(call.shape) - axes
    links: list[Link | None] = list(identity_links(x, x.shape)[:first])
    for axis, k in enumerate(kernel, start=first):
        outputs, inputs = call.shape[axis], x.shape[axis]
        rows = []
        for o in range(outputs):
            lo, hi = _starts(o, outputs, inputs, k)
            rows.append(range(lo, hi + k))
        exact = all(_starts(o, outputs, inputs, k)[0] == _starts(o, outputs, inputs, k)[1]
                    for o in range(outputs))  # fmt: skip
        relation = Relation.of(outputs, inputs, rows, step=0)
        links.append(Link(axis, relation, "exact" if exact else "bound"))

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["self"]
        samples = args["_random_samples"].tensor if "_random_samples" in args else None
        samples = args["random_samples"].tensor if samples is None else samples
        lead = box[:first] if first > 1 else ((0, 1), *box[:first])
        source = region.tensor if first > 1 else region.tensor[None]
        planes = []
        for n in range(*lead[0]):
            for c in range(*lead[1]):
                plane = source[n - lead[0][0], c - lead[1][0]]
                planes.append(
                    _plane(plane, region, box, samples[n, c], call.shape, x.shape, kernel)
                )
        return torch.stack(planes).reshape([hi - lo for lo, hi in box])

    return Local((Read(x, tuple(links)),), run)


def _starts(output: int, outputs: int, inputs: int, kernel: int) -> tuple[int, int]:
    """The smallest and the largest first input of an output's window."""
    if output == outputs - 1:
        return inputs - kernel, inputs - kernel
    at = output * Fraction(inputs - kernel, outputs - 1)
    return floor(at), ceil(at)


def _plane(
    plane: Tensor,
    region: Region,
    box: Box,
    samples: Tensor,
    outputs: tuple[int, ...],
    inputs: tuple[int, ...],
    kernel: tuple[int, ...],
) -> Tensor:
    """One channel's box."""
    axes = len(kernel)
    # In two axes the first number is the column's, in three the first axis's.
    numbers = samples.tolist() if axes == 3 else samples.tolist()[::-1]
    for k in range(axes):
        axis = len(box) - axes + k
        lo = region.box[axis][0]
        pieces = []
        for o in range(*box[axis]):
            start = inputs[axis] - kernel[k]
            if o < outputs[axis] - 1:
                a = (inputs[axis] - kernel[k]) / (outputs[axis] - 1)
                start = int((o + numbers[k]) * a) - int(numbers[k] * a)
            pieces.append(plane.narrow(k, start - lo, kernel[k]).amax(k, keepdim=True))
        plane = torch.cat(pieces, k)
    return plane

"""Concatenation."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import strided
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Link,
    Movement,
    Operand,
    Read,
    Segment,
    identity_links,
    rule,
)


def _examples(draw: Draw, op: str) -> Example:
    dim = draw.some([1, 2, -1])
    shape = [1, *draw.lengths(2, 2, 5)]
    parts = []
    for _ in range(draw.randint(1, 3)):
        shape[dim] = draw.randint(1, 4)
        parts.append(draw.tensor(*shape))
    return Example("default", (parts, dim))


@rule("aten.cat", "aten.concat", examples=_examples)
def cat(call: Call) -> Description:
    """Operands one behind the other along `dim`."""
    operands: list[Operand] = [o for o in call.args["tensors"] if o.shape != (0,)]
    dim = call.args["dim"] % len(call.shape)
    reads, starts, start = [], [], 0
    for operand in operands:
        length = operand.shape[dim]
        links = list(identity_links(operand, operand.shape))
        links[dim] = Link(dim, strided(call.shape[dim], length, start=-start))
        reads.append(
            Read(operand, tuple(links), segment=_part(dim, call.shape[dim], start, length))
        )
        starts.append(start)
        start += length

    def run(args: Arguments, box: Box) -> Tensor:
        # Constants arrive whole, data cropped to what the box reads: both crop to the same part.
        regions: list[Region] = [r for r in args["tensors"] if r.shape != (0,)]
        parts = []
        for region, begin in zip(regions, starts, strict=True):
            lo = min(max(box[dim][0] - begin, 0), region.shape[dim])
            hi = min(max(box[dim][1] - begin, 0), region.shape[dim])
            if lo < hi:
                parts.append(region.crop((*box[:dim], (lo, hi), *box[dim + 1 :])).tensor)
        return torch.cat(parts, dim=dim)

    return Movement(tuple(reads), run)


def _part(axis: int, total: int, start: int, length: int) -> Segment:
    reads = np.zeros(total, dtype=bool)
    reads[start : start + length] = True
    return Segment(axis, reads)

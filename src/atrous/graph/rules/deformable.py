"""Deformable convolution: a convolution whose taps are moved by offsets that are data."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.fitting import fitted
from atrous.geometry.primitives import block
from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Operand,
    Read,
    identity_links,
    rule,
    unlinked_read,
    whole,
)
from atrous.graph.rules.scattering import embedded
from atrous.graph.sampling import BILINEAR, ZEROS, Sampler, mixed

_SAMPLER = Sampler(BILINEAR, ZEROS, align_corners=True)


def _examples(draw: Draw, op: str) -> Example:
    groups, parts = draw.some([(1, 1), (2, 1), (1, 2), (2, 2)])
    channels = 2 * max(groups, parts) // draw.randint(1, 2)
    kernel, pad = draw.some([(1, 1), (1, 2), (2, 1)]), draw.some([(0, 0), (0, 1), (1, 0)])
    stride, dilation = draw.some([(1, 2), (2, 1), (2, 2)]), draw.lengths(2, 1, 2)
    spatial = tuple(
        max(2, (k - 1) * d + 1 - 2 * p) for k, d, p in zip(kernel, dilation, pad, strict=True)
    )
    places = tuple(
        (n + 2 * p - (k - 1) * d - 1) // s + 1
        for n, p, k, d, s in zip(spatial, pad, kernel, dilation, stride, strict=True)
    )
    x = draw.tensor(1, channels, *spatial)
    weight = draw.tensor(2 * groups, channels // groups, *kernel)
    offset = draw.tensor(1, 2 * parts * prod(kernel), *places) - 1
    modulated = draw.some([False, True])
    mask = draw.tensor(1, parts * prod(kernel), *places) if modulated else draw.tensor(1, 1)
    settings = (*stride, *pad, *dilation, groups, parts, modulated)
    return Example(
        "default",
        (x, weight, offset, mask, draw.tensor(2 * groups), *settings),
        (0, 2, 3),
        {"offset": (-1.7, 0.3, 1.6)},
    )


@rule("torchvision.deform_conv2d", examples=_examples)
def deformable_convolution(call: Call) -> Description:
    """Any output may read any place of the input: the offsets at the same output say which."""
    x, weight, offset = call.operand("input"), call.operand("weight"), call.operand("offset")
    groups: int = call.args["groups"]
    parts: int = call.args["offset_groups"]
    taps = prod(weight.shape[2:])
    outs, channels = call.shape[1], x.shape[1]
    along = [Link(a, Relation.identity(call.shape[a])) for a in (2, 3)]
    own = whole(1, outs, channels) if groups == 1 else Link(1, block(outs, channels, groups))
    identity = identity_links(x, x.shape)
    reads = [Read(x, (identity[0], own, None, None))]

    def moved(operand: Operand, each: int) -> Read:
        """A read at the same place, by the channels of the parts that an output is made of."""
        channel = np.arange(channels, dtype=np.int64)
        pairs = np.array([
            (o, (i // (channels // parts)) * taps * each + t)
            for o in range(outs)
            for i in channel[channel // (channels // groups) == o // (outs // groups)]
            for t in range(taps * each)
        ])  # fmt: skip
        relation = fitted(outs, operand.shape[1], pairs[:, 0], pairs[:, 1])
        everything = bool(relation.matrix().all())
        link = whole(1, outs, operand.shape[1]) if everything else Link(1, relation)
        return Read(operand, (identity_links(operand, operand.shape)[0], link, *along))

    if not offset.is_constant:
        reads.append(moved(offset, 2))
    if call.args["use_mask"] and not call.operand("mask").is_constant:
        reads.append(moved(call.operand("mask"), 1))
    learned = [call.operand(n) for n in ("weight", "bias")]
    reads += [unlinked_read(o, 4, "global") for o in learned if not o.is_constant]

    def run(args: Arguments, box: Box) -> Tensor:
        columns = _columns(call, args, box)
        start, stop = box[1]
        out = []
        for group in range(groups):
            size, inner = outs // groups, channels // groups
            lo, hi = max(start, group * size), min(stop, (group + 1) * size)
            if lo < hi:
                part = columns[:, group * inner : (group + 1) * inner]
                kernel = args["weight"].tensor[lo:hi].flatten(2)
                out.append(torch.einsum("nckhw,ock->nohw", part, kernel))
        bias: Tensor = args["bias"].tensor[start:stop].reshape(-1, 1, 1)
        return torch.cat(out, dim=1) + bias

    return Global(tuple(reads), run, prod(call.shape) * prod(weight.shape[1:]))


def _columns(call: Call, args: Arguments, box: Box) -> Tensor:
    """What lies under each tap at each output of the box: `(batch, channels, taps, h, w)`."""
    x, weight = call.operand("input"), call.operand("weight")
    parts = call.args["offset_groups"]
    size, taps = x.shape[1] // parts, prod(weight.shape[2:])

    def spread(name: str) -> Tensor:
        region: Region = args[name]
        side = (0, region.shape[1])
        return embedded(region, (box[0], side, *box[2:]))

    held = args["input"]
    sides = (box[0], (0, x.shape[1]), *held.box[2:])
    region = Region(embedded(held, sides), sides, held.shape)
    offset = spread("offset")
    mask = spread("mask") if call.args["use_mask"] else None
    # Without offsets, tap a of output o lies at `o * stride + a * dilation - pad`.
    starts = [
        torch.arange(*box[2 + k]) * call.args[f"stride_{n}"] - call.args[f"pad_{n}"]
        for k, n in enumerate("hw")
    ]
    out = []
    for part in range(parts):
        inner = region.crop((sides[0], (part * size, (part + 1) * size), *sides[2:]))
        for tap in range(taps):
            a, b = divmod(tap, weight.shape[3])
            at = part * taps + tap
            down = starts[0][:, None] + a * call.args["dilation_h"] + offset[:, 2 * at]
            across = starts[1] + b * call.args["dilation_w"] + offset[:, 2 * at + 1]
            under = mixed(
                inner,
                [_SAMPLER.taps(p, n) for p, n in zip((down, across), x.shape[2:], strict=True)],
            )
            out.append(under if mask is None else under * mask[:, at : at + 1])
    columns = torch.stack(out, dim=2)
    return torch.cat(
        [columns[:, :, part * taps : (part + 1) * taps] for part in range(parts)], dim=1
    )

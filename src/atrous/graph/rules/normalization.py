"""Normalisation by statistics of features, groups, positions or the batch, or by running ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.primitives import block
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Operand,
    Pointwise,
    Read,
    identity_links,
    replay,
    rule,
    whole,
)

_CHANNELS = (1,)
"""The axis that weight and bias lie along."""


def _batch_examples(draw: Draw, op: str) -> Example:
    channels = draw.randint(1, 4)
    training = not op.endswith("no_training") and draw.random() < 0.3
    x = draw.tensor(2, channels, *draw.lengths(draw.randint(1, 3), 1, 4))
    affine: tuple[Any, ...] = draw.some(
        [(None, None), (draw.tensor(channels), draw.tensor(channels))]
    )
    statistics = (draw.tensor(channels), draw.tensor(channels))
    if training:
        return Example("default", (x, *affine, None, None, True, 0.1, 1e-5, False))
    if op.endswith("batch_norm"):
        return Example("default", (x, *affine, *statistics, False, 0.1, 1e-5, False))
    return Example("default", (x, *affine, *statistics, 0.1, 1e-5))


def _layer_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 1, 3), draw.randint(2, 4))
    shape = list(x.shape[-draw.randint(1, 2) :])
    weight = draw.some([None, draw.tensor(*shape)])
    if op.endswith("rms_norm"):
        return Example("default", (x, shape, weight, 1e-5))
    bias = None if weight is None else draw.tensor(*shape)
    return Example("default", (x, shape, weight, bias, 1e-5))


def _group_examples(draw: Draw, op: str) -> Example:
    groups, size = draw.randint(1, 3), draw.randint(1, 2)
    channels = groups * size
    spatial = (*draw.lengths(draw.randint(0, 1), 1, 3), draw.randint(2, 4))
    x = draw.tensor(2, channels, *spatial)
    weight = draw.some([None, draw.tensor(channels)])
    bias = None if weight is None else draw.tensor(channels)
    if op.endswith("instance_norm"):
        use = draw.some([True, False])
        mean, var = (None, None) if use else (draw.tensor(channels), draw.tensor(channels))
        return Example("default", (x, weight, bias, mean, var, use, 0.1, 1e-5, False))
    if op.endswith("native_group_norm"):
        positions = x[0, 0].numel()
        return Example("default", (x, weight, bias, 2, channels, positions, groups, 1e-5))
    return Example("default", (x, groups, weight, bias, 1e-5))


@rule(
    "aten.batch_norm",
    "aten._native_batch_norm_legit_no_training",
    "aten.instance_norm",
    examples=lambda draw, op: (_group_examples if "instance" in op else _batch_examples)(draw, op),
)
def batch_norm(call: Call) -> Description:
    """With running statistics every position is scaled by itself; else with its channel's own."""
    x = call.operand("input")
    over_batch = call.args.get("training") or call.args["running_mean"] is None
    if call.op == "aten.instance_norm":
        if call.args["use_input_stats"]:
            return _over(call, x, range(2, len(x.shape)), _CHANNELS)
    elif over_batch:
        if call.output > 0:
            raise NotImplementedError("the statistics of the batch as a result")
        return _over(call, x, (0, *range(2, len(x.shape))), _CHANNELS)

    def run(args: Arguments, box: Box) -> Tensor:
        channels = box[1]

        def part(name: str) -> Tensor | None:
            region: Region | None = args[name]
            return None if region is None else region.crop((channels,)).tensor

        out: Tensor = F.batch_norm(
            args["input"].tensor,
            part("running_mean"),
            part("running_var"),
            part("weight"),
            part("bias"),
            False,
            0.0,
            call.args["eps"],
        )
        return out

    reads = Read(x, identity_links(x, call.shape)), *_scales(call, _CHANNELS)
    return Pointwise(reads, run)


@rule("aten.layer_norm", "aten.native_layer_norm", "aten.rms_norm", examples=_layer_examples)
def layer_norm(call: Call) -> Description:
    """Statistics over the trailing axes, for every other position by itself."""
    if call.output > 0:
        raise NotImplementedError("the statistics as a result")
    x = call.operand("input")
    count = len(call.args["normalized_shape"])
    axes = tuple(range(len(x.shape) - count, len(x.shape)))
    return _over(call, x, axes, axes, centred=call.op != "aten.rms_norm")


@rule("aten.group_norm", "aten.native_group_norm", examples=_group_examples)
def group_norm(call: Call) -> Description:
    """Statistics over the channels of a group and all positions."""
    if call.output > 0:
        raise NotImplementedError("the statistics as a result")
    x = call.operand("input")
    groups = call.args["num_groups" if "num_groups" in call.args else "group"]
    return _over(call, x, range(2, len(x.shape)), _CHANNELS, groups=groups)


def _over(
    call: Call,
    x: Operand,
    axes: Sequence[int],
    affine: tuple[int, ...],
    *,
    groups: int | None = None,
    centred: bool = True,
) -> Description:
    """Statistics over `axes`, and over the channels of each of `groups` if given; scaled along the
    axes `affine`."""
    links: list[Link | None] = list(identity_links(x, x.shape))
    count = 1
    for axis in axes:
        links[axis] = whole(axis, x.shape[axis], x.shape[axis])
        count *= x.shape[axis]
    if groups is not None:
        links[1] = Link(1, block(x.shape[1], x.shape[1], groups))
        count *= x.shape[1] // groups
    scales = _scales(call, affine)
    if count == 1 and centred:
        # A value less its own mean is nothing.
        return Pointwise(scales, replay(call))

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["input"]
        own = _normalised(region.tensor, axes, groups, region, centred, call.args["eps"])
        out = Region(own, region.box, region.shape).crop(box).tensor
        sides = tuple(box[axis] for axis in affine)
        shape = [hi - lo if axis in affine else 1 for axis, (lo, hi) in enumerate(box)]
        if args["weight"] is not None:
            out = out * args["weight"].crop(sides).tensor.reshape(shape)
        if args.get("bias") is not None:
            out = out + args["bias"].crop(sides).tensor.reshape(shape)
        return out

    return Global((Read(x, tuple(links)), *scales), run, gathers=True)


def _normalised(
    x: Tensor,
    axes: Sequence[int],
    groups: int | None,
    region: Region,
    centred: bool,
    eps: float | None,
) -> Tensor:
    shape = x.shape
    dims = list(axes)
    if groups is not None:
        size = region.shape[1] // groups
        x = x.reshape(shape[0], -1, size, *shape[2:])
        dims = [2, *(axis + 1 for axis in axes)]
    if centred:
        x = x - x.mean(dims, keepdim=True)
    power = (x * x).mean(dims, keepdim=True)
    return (x * torch.rsqrt(power + (torch.finfo(x.dtype).eps if eps is None else eps))).reshape(
        shape
    )


def _scales(call: Call, axes: tuple[int, ...]) -> tuple[Read, ...]:
    """How computed weights, biases and statistics are read: along `axes`."""
    found = []
    for name in ("weight", "bias", "running_mean", "running_var"):
        operand = call.args.get(name)
        if isinstance(operand, Operand) and not operand.is_constant:
            places = {axis: Link(k, r.relation) for k, axis in enumerate(axes)
                      if (r := identity_links(operand, operand.shape)[k]) is not None}  # fmt: skip
            found.append(Read(operand, tuple(places.get(a) for a in range(len(call.shape)))))
    return tuple(found)

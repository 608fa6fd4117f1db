"""Convolutions of any number of axes, with groups and string padding."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from torch import Tensor

from atrous.geometry.primitives import Window, block
from atrous.geometry.relation import Relation
from atrous.geometry.sizes import same_padding
from atrous.graph.example import Draw, Example
from atrous.graph.kernel import CONVOLUTIONS, Kernel
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Link,
    Local,
    Operand,
    Read,
    identity_links,
    rule,
    unlinked_read,
    whole,
)


def convolution_example(draw: Draw, axes: int) -> Example:
    """A call of a convolution of so many axes."""
    groups, size = draw.some([(1, 2), (2, 2), (2, 1), (3, 1)])
    kernel = draw.lengths(axes, 1, 4 if axes < 3 else 3)
    stride = draw.lengths(axes, 1, 3)
    dilation = draw.lengths(axes, 1, 3)
    spatial = tuple(
        max(draw.randint(3, 9 if axes < 3 else 5), (k - 1) * d + 1)
        for k, d in zip(kernel, dilation, strict=True)
    )
    x = draw.tensor(1, groups * size, *spatial)
    weight = draw.tensor(groups * draw.randint(1, 2), size, *kernel)
    bias = draw.some([None, draw.tensor(weight.shape[0])])
    if draw.random() < 0.4:
        mode = draw.some(["same", "valid"])
        stride = (1,) * axes if mode == "same" else stride
        return Example("padding", (x, weight, bias, stride, mode, dilation, groups))
    padding = draw.lengths(axes, 0, 5)
    return Example("default", (x, weight, bias, stride, padding, dilation, groups))


@rule(
    "aten.conv1d",
    "aten.conv2d",
    "aten.conv3d",
    examples=lambda draw, op: convolution_example(draw, int(op[-2])),
)
def convolution(call: Call) -> Description:
    """`sum over a of weight[a] * input[o * stride + a * dilation - padding]`, zero outside."""
    x, weight = call.operand("input"), call.operand("weight")
    axes = len(weight.shape) - 2
    first = len(call.shape) - axes
    dilation = call.per_axis("dilation", axes)
    padding, kernel = call.args["padding"], weight.shape[2:]
    if padding == "valid":
        left: tuple[int, ...] = (0,) * axes
    elif padding == "same":
        left = tuple(same_padding(k, d)[0] for k, d in zip(kernel, dilation, strict=True))
    else:
        left = call.per_axis("padding", axes)
    windows = tuple(map(Window, kernel, call.per_axis("stride", axes), dilation, left))
    groups: int = call.args["groups"]
    links = [
        window.relation(call.shape[axis], x.shape[axis])
        for axis, window in enumerate(windows, start=first)
    ]

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["input"]
        extent = tuple(w.extent(*side) for w, side in zip(windows, box[first:], strict=True))
        padded = region.padded_to((*region.box[:first], *extent), 0.0)
        channels = channel_slices(box[first - 1], call.shape[first - 1], groups)
        out = CONVOLUTIONS[axes](
            padded,
            args["weight"].tensor[channels.computed],
            None if args["bias"] is None else args["bias"].tensor[channels.computed],
            [w.stride for w in windows],
            0,
            [w.dilation for w in windows],
            channels.groups,
        )
        return out.narrow(first - 1, *channels.kept)

    return Local(
        convolution_reads(call, groups, links),
        run,
        prod(call.shape) * prod(weight.shape[1:]),
        border=0.0,
        windows=dict(enumerate(windows, start=first)),
        kernel=Kernel(
            weight.known,
            groups,
            first,
            stride=tuple(w.stride for w in windows),
            dilation=dilation,
            left=left,
            upsampling=(1,) * axes,
        )
        if is_fixed(call, weight)
        else None,
    )


def is_fixed(call: Call, weight: Operand) -> bool:
    """Whether the weights are real constants and nothing but the input depends on data."""
    constants = all(operand.is_constant for operand in call.operands[1:])
    return constants and weight.dtype.is_floating_point


@dataclass(frozen=True)
class ChannelSlices:
    """How to compute a range of output channels: whole groups, then the part that is wanted."""

    computed: slice
    kept: tuple[int, int]
    groups: int
    first_group: int


def channel_slices(channels: tuple[int, int], total: int, groups: int) -> ChannelSlices:
    """The channels to compute for outputs `channels` of `total`, and what of them to keep."""
    start, stop = channels
    if groups == 1:
        return ChannelSlices(slice(start, stop), (0, stop - start), 1, 0)
    size = total // groups
    low, high = start // size, -(-stop // size)
    kept = (start - low * size, stop - start)
    return ChannelSlices(slice(low * size, high * size), kept, high - low, low)


def convolution_reads(call: Call, groups: int, spatial: list[Relation]) -> tuple[Read, ...]:
    """The reads of a convolution whose trailing axes have these relations."""
    x = call.operand("input")
    first = len(call.shape) - len(spatial)
    outputs, inputs = call.shape[first - 1], x.shape[first - 1]
    if groups == 1:
        channel = whole(first - 1, outputs, inputs)
    else:
        channel = Link(first - 1, block(outputs, inputs, groups))
    links = [
        *identity_links(x, call.shape)[: first - 1],
        channel,
        *(Link(axis, relation) for axis, relation in enumerate(spatial, start=first)),
    ]
    # Weights are constants; where a network computes them, every output depends on all of them.
    weights = [o for o in call.operands[1:] if not o.is_constant]
    return (Read(x, tuple(links)), *(unlinked_read(o, len(call.shape), "global") for o in weights))

"""Transposed convolutions of any number of axes."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from atrous.geometry.primitives import transposed
from atrous.graph.example import Draw, Example
from atrous.graph.kernel import Kernel, turned
from atrous.graph.region import Box, Region, box_shape
from atrous.graph.rule import Arguments, Call, Description, Local, rule
from atrous.graph.rules.convolution import (
    channel_slices,
    convolution,
    convolution_example,
    convolution_reads,
    is_fixed,
)

_TRANSPOSED = {1: torch.conv_transpose1d, 2: torch.conv_transpose2d, 3: torch.conv_transpose3d}


def _example(draw: Draw, axes: int) -> Example:
    groups = draw.randint(1, 2)
    channels = groups * draw.randint(1, 2)
    while True:
        kernel = draw.lengths(axes, 1, 4 if axes < 3 else 2)
        stride = draw.lengths(axes, 1, 3)
        dilation = draw.lengths(axes, 1, 2)
        spatial = draw.lengths(axes, 2, 6 if axes < 3 else 3)
        padding = draw.lengths(axes, 0, 3)
        extra = tuple(draw.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True))
        sizes = [
            (n - 1) * s - 2 * p + (k - 1) * d + 1 + e
            for n, s, p, k, d, e in zip(
                spatial, stride, padding, kernel, dilation, extra, strict=True
            )
        ]
        if min(sizes) > 0:
            break
    x = draw.tensor(1, channels, *spatial)
    weight = draw.tensor(channels, draw.randint(1, 2), *kernel)
    bias = draw.some([None, draw.tensor(weight.shape[1] * groups)])
    overload = "default" if axes == 1 else "input"
    return Example(overload, (x, weight, bias, stride, padding, extra, groups, dilation))


@rule(
    "aten.conv_transpose1d",
    "aten.conv_transpose2d",
    "aten.conv_transpose3d",
    examples=lambda draw, op: _example(draw, int(op[-2])),
)
def transposed_convolution(call: Call) -> Description:
    """The adjoint of a convolution: `input[i]` is spread to `i * stride + a * dilation - padding`.

    An output that no input reaches is the bias.
    """
    x, weight = call.operand("input"), call.operand("weight")
    axes = len(weight.shape) - 2
    first = len(call.shape) - axes
    stride = call.per_axis("stride", axes)
    padding = call.per_axis("padding", axes)
    dilation = call.per_axis("dilation", axes)
    groups: int = call.args["groups"]
    relations = [
        transposed(
            call.shape[first + k],
            x.shape[first + k],
            weight.shape[2 + k],
            stride=stride[k],
            dilation=dilation[k],
            left=padding[k],
        )
        for k in range(axes)
    ]

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["input"]
        channels = channel_slices(box[first - 1], call.shape[first - 1], groups)
        bias = None if args["bias"] is None else args["bias"].tensor[channels.computed]
        computed = channels.computed.stop - channels.computed.start
        shape = (*box_shape(box)[: first - 1], computed, *box_shape(box)[first:])
        out = region.tensor.new_zeros(shape)
        if region.tensor.numel():
            weights = args["weight"].tensor
            if groups == 1:
                weights = weights[:, channels.computed]
            else:
                size = x.shape[first - 1] // groups
                start = channels.first_group * size
                weights = weights[start : start + channels.groups * size]
            spread = _TRANSPOSED[axes](
                region.tensor, weights, None, stride, 0, 0, channels.groups, dilation
            )
            _place(out, spread, [
                region.box[first + k][0] * stride[k] - padding[k] - box[first + k][0]
                for k in range(axes)
            ])  # fmt: skip
        if bias is not None:
            out += bias.reshape(-1, *[1] * axes)
        return out.narrow(first - 1, *channels.kept)

    return Local(
        convolution_reads(call, groups, relations),
        run,
        prod(x.shape) * prod(weight.shape[1:]),
        border=0.0,
        kernel=Kernel(
            lambda: turned(weight.known(), groups),
            groups,
            first,
            stride=(1,) * axes,
            dilation=dilation,
            left=tuple(
                (k - 1) * d - p for k, d, p in zip(weight.shape[2:], dilation, padding, strict=True)
            ),
            upsampling=stride,
        )
        if is_fixed(call, weight)
        else None,
    )


def _place(out: Tensor, values: Tensor, starts: list[int]) -> None:
    """Copy `values` into `out` at these starts of the trailing axes, as far as they overlap."""
    for axis, start in enumerate(starts, start=out.dim() - len(starts)):
        lo, hi = max(start, 0), min(start + values.shape[axis], out.shape[axis])
        if lo >= hi:
            return
        values = values.narrow(axis, lo - start, hi - lo)
        out = out.narrow(axis, lo, hi - lo)
    out.copy_(values)


def _general_examples(draw: Draw, op: str) -> Example:
    axes = draw.randint(1, 3)
    transposed = draw.random() < 0.4
    while True:
        drawn = _example(draw, axes) if transposed else convolution_example(draw, axes)
        if drawn.overload != "padding":
            break
    if transposed:
        x, weight, bias, stride, padding, extra, groups, dilation = drawn.args
    else:
        x, weight, bias, stride, padding, dilation, groups = drawn.args
        extra = (0,) * axes
    args = (x, weight, bias, stride, padding, dilation, transposed, extra, groups)
    return Example("default", args)


@rule("aten.convolution", examples=_general_examples)
def general_convolution(call: Call) -> Description:
    """What convolutions of both kinds become when a program is decomposed."""
    return (transposed_convolution if call.args["transposed"] else convolution)(call)

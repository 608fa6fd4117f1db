"""Maximum, average and adaptive pooling of any number of axes."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.primitives import Window, adaptive
from atrous.graph.example import Draw, Example
from atrous.graph.kernel import Kernel
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Local,
    Operand,
    Read,
    identity_links,
    rule,
    whole,
)

_MAX = {
    1: torch.ops.aten.max_pool1d_with_indices.default,
    2: torch.ops.aten.max_pool2d_with_indices.default,
    3: torch.ops.aten.max_pool3d_with_indices.default,
}


def _window_examples(draw: Draw, op: str) -> Example:
    axes = int(op[op.index("pool") + 4])
    kernel = draw.lengths(axes, 1, 4 if axes < 3 else 3)
    stride = draw.lengths(axes, 1, 5 if axes < 3 else 3)
    padding = tuple(draw.randint(0, k // 2) for k in kernel)
    ceil_mode = draw.some([False, True])
    if "max" in op:
        dilation = draw.lengths(axes, 1, 3 if axes < 3 else 2)
        spatial = [
            (k - 1) * d + 1 + draw.randint(0, 5) for k, d in zip(kernel, dilation, strict=True)
        ]
        args: tuple[Any, ...] = (kernel, stride, padding, dilation, ceil_mode)
    else:
        spatial = [k + draw.randint(0, 6) for k in kernel]
        args = (kernel, stride, padding, ceil_mode, draw.some([False, True]))
        if axes > 1:
            args = (*args, draw.some([None, 5]))
    return Example("default", (draw.tensor(1, 2, *spatial), *args))


def _adaptive_examples(draw: Draw, op: str) -> Example:
    axes = int(op[op.index("pool") + 4])
    return Example(
        "default",
        (draw.tensor(1, 2, *draw.lengths(axes, 1, 9 if axes < 3 else 4)), draw.lengths(axes, 1, 5)),
    )


def _window_reads(call: Call, x: Operand, windows: tuple[Window, ...]) -> tuple[Read, ...]:
    first = len(call.shape) - len(windows)
    links = (
        *identity_links(x, call.shape)[:first],
        *(
            Link(axis, window.relation(call.shape[axis], x.shape[axis]))
            for axis, window in enumerate(windows, start=first)
        ),
    )
    return (Read(x, links),)


def _windows(call: Call, axes: int, dilation: tuple[int, ...]) -> tuple[Window, ...]:
    kernel = call.per_axis("kernel_size", axes)
    stride = call.per_axis("stride", axes, default=kernel)
    return tuple(map(Window, kernel, stride, dilation, call.per_axis("padding", axes)))


def _extended(region: Region, box: Box, windows: tuple[Window, ...], border: float) -> Tensor:
    first = len(box) - len(windows)
    extent = tuple(w.extent(*side) for w, side in zip(windows, box[first:], strict=True))
    return region.padded_to((*region.box[:first], *extent), border)


@rule(
    *(f"aten.max_pool{axes}d{suffix}" for axes in (1, 2, 3) for suffix in ("", "_with_indices")),
    examples=_window_examples,
)
def max_pool(call: Call) -> Description:
    """The largest value under a window; padding is minus infinity."""
    axes = int(call.op[call.op.index("pool") + 4])
    x = call.operand("self")
    windows = _windows(call, axes, call.per_axis("dilation", axes))
    first = len(call.shape) - axes

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["self"]
        lowest = -torch.inf if x.dtype.is_floating_point else torch.iinfo(x.dtype).min
        padded = _extended(region, box, windows, lowest)
        values, indices = _max_with_indices(padded, windows)
        if call.output == 0:
            return values
        sizes = padded.shape[first:]
        flat = torch.zeros_like(indices)
        weight = 1
        for axis in reversed(range(axes)):
            start = box[first + axis][0] * windows[axis].stride - windows[axis].left
            flat += (indices % sizes[axis] + start) * weight
            indices = indices // sizes[axis]
            weight *= x.shape[first + axis]
        return flat

    return Local(
        _window_reads(call, x, windows),
        run,
        border=-torch.inf,
        windows=dict(enumerate(windows, start=first)),
    )


def _max_with_indices(padded: Tensor, windows: tuple[Window, ...]) -> tuple[Tensor, Tensor]:
    values, indices = _MAX[len(windows)](
        padded,
        [w.kernel_size for w in windows],
        [w.stride for w in windows],
        [0] * len(windows),
        [w.dilation for w in windows],
    )
    return values, indices


@rule(*(f"aten.avg_pool{axes}d" for axes in (1, 2, 3)), examples=_window_examples)
def avg_pool(call: Call) -> Description:
    """The mean under a window; what the divisor counts follows the borders of the whole input."""
    axes = int(call.op[call.op.index("pool") + 4])
    x = call.operand("self")
    windows = _windows(call, axes, (1,) * axes)
    first = len(call.shape) - axes
    override: int | None = call.args.get("divisor_override")

    def run(args: Arguments, box: Box) -> Tensor:
        padded = _extended(args["self"], box, windows, 0.0)
        total = _window_sums(padded, windows)
        if override is not None:
            return total / override
        for axis, window in enumerate(windows, start=first):
            counts = _divisors(window, *box[axis], x.shape[axis], call.args["count_include_pad"])
            shape = [1] * len(box)
            shape[axis] = -1
            total = total / counts.to(total.dtype).reshape(shape)
        return total

    return Local(
        _window_reads(call, x, windows),
        run,
        border=0.0,
        windows=dict(enumerate(windows, start=first)),
        kernel=_mean(call, windows, override),
    )


def _mean(call: Call, windows: tuple[Window, ...], override: int | None) -> Kernel | None:
    """The same weight for every tap, channel by channel; none without channels."""
    sizes = tuple(w.kernel_size for w in windows)
    first = len(call.shape) - len(windows)
    if first < 1 or not call.dtype.is_floating_point:
        return None
    channels, weight = call.shape[first - 1], 1.0 / (override or prod(sizes))
    return Kernel(
        lambda: torch.full((channels, 1, *sizes), weight, dtype=torch.float64),
        channels,
        first,
        stride=tuple(w.stride for w in windows),
        dilation=(1,) * len(windows),
        left=tuple(w.left for w in windows),
        upsampling=(1,) * len(windows),
    )


def _window_sums(padded: Tensor, windows: tuple[Window, ...]) -> Tensor:
    kernel = [w.kernel_size for w in windows]
    stride = [w.stride for w in windows]
    if len(windows) == 1:
        flat = F.avg_pool2d(padded.unsqueeze(-2), (1, *kernel), (1, *stride), divisor_override=1)
        return flat.squeeze(-2)
    pool = F.avg_pool2d if len(windows) == 2 else F.avg_pool3d
    out: Tensor = pool(padded, kernel, stride, divisor_override=1)
    return out


def _divisors(window: Window, lo: int, hi: int, length: int, include_pad: bool) -> Tensor:
    """Positions under the window of outputs `[lo, hi)` that an average counts."""
    start = torch.arange(lo, hi) * window.stride - window.left
    if include_pad:
        # A window that overhangs the right padding (ceil_mode) counts only up to its end.
        return (start + window.kernel_size).clamp(max=length + window.left) - start
    return (start + window.kernel_size).clamp(max=length) - start.clamp(min=0)


@rule(
    *(f"aten.adaptive_{kind}_pool{axes}d" for kind in ("avg", "max") for axes in (1, 2, 3)),
    *(f"aten._adaptive_avg_pool{axes}d" for axes in (2, 3)),
    examples=_adaptive_examples,
)
def adaptive_pool(call: Call) -> Description:
    """Pooling to a given size: window o is `floor(o * n / m)` up to `ceil((o + 1) * n / m)`."""
    axes = int(call.op[call.op.index("pool") + 4])
    x = call.operand("self")
    first = len(call.shape) - axes
    links: list[Link | None] = list(identity_links(x, call.shape)[:first])
    everything = True
    for axis in range(first, len(call.shape)):
        outputs, inputs = call.shape[axis], x.shape[axis]
        everything &= outputs == 1
        links.append(
            whole(axis, 1, inputs) if outputs == 1 else Link(axis, adaptive(outputs, inputs))
        )
    if "max" in call.op and call.output == 1:
        raise NotImplementedError("indices of adaptive maximum pooling")
    reduce = torch.amax if "max" in call.op else torch.mean

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["self"]
        out = region.tensor
        for axis in range(first, len(box)):
            relation = links[axis].relation  # type: ignore[union-attr]
            pieces = []
            for o in range(*box[axis]):
                lo, hi = relation.inputs_of(o, o + 1)
                part = out.narrow(axis, lo - region.box[axis][0], hi - lo)
                pieces.append(reduce(part, dim=axis, keepdim=True))
            out = torch.cat(pieces, dim=axis)
        return out

    sized = tuple(range(first, len(call.shape)))
    reads = (Read(x, tuple(links)),)
    if everything:
        return Global(reads, run, sized=sized, gathers=True)
    return Local(reads, run, sized=sized)

"""Running sums and extremes, and differences of neighbours."""

from __future__ import annotations

from itertools import accumulate

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import Window, one_sided
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Local,
    Operand,
    Pointwise,
    Read,
    Segment,
    identity_links,
    replay,
    rule,
)
from atrous.graph.rules.reduction import constant


def _examples(draw: Draw, op: str) -> Example:
    axes = draw.randint(0, 3)
    x = draw.tensor(*draw.lengths(axes, 1, 4))
    return Example("default", (x, draw.randrange(-max(axes, 1), max(axes, 1))))


@rule(
    *(f"aten.{name}" for name in "cumsum cumprod cummax cummin logcumsumexp".split()),
    examples=_examples,
)
def cumulative(call: Call) -> Description:
    """Every output reads all that came before along `dim`, and its own position.

    The first position of a running extreme is 0 whatever the values are: it reads nothing.
    """
    x = call.operand("self")
    if isinstance(call.args["dim"], str):
        raise NotImplementedError("named axes")
    dim = call.args["dim"] % max(len(x.shape), 1)
    length = x.shape[dim] if x.shape else 1
    positions = call.output == 1
    if positions and length == 1:
        return constant(call)
    if not x.shape:
        return Pointwise((Read(x, ()),), replay(call))
    links = list(identity_links(x, x.shape))
    links[dim] = Link(dim, one_sided(length), "global" if length > 1 else "exact")
    segment = Segment(dim, np.arange(length) > 0) if positions else None
    return Global((Read(x, tuple(links), segment=segment),), replay(call, cut=[dim]))


def _diff_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(draw.randint(1, 3), 2, 5))
    dim = draw.randrange(-x.dim(), x.dim())

    def more() -> Tensor | None:
        shape = list(x.shape)
        shape[dim] = draw.randint(1, 2)
        return draw.tensor(*shape) if draw.random() < 0.5 else None

    args = (x, draw.randint(0, x.shape[dim] - 1), dim, more(), more())
    return Example("default", args, (0, 3, 4))


@rule("aten.diff", examples=_diff_examples)
def diff(call: Call) -> Description:
    """Neighbours subtracted `n` times: `n + 1` positions, of what is put before and behind too."""
    n: int = call.args["n"]
    dim: int = call.args["dim"] % len(call.shape)
    # Without a subtraction nothing is put together.
    names = ("prepend", "self", "append") if n else ("self",)
    parts = {name: o for name in names if isinstance(o := call.args[name], Operand)}
    ends = accumulate((operand.shape[dim] for operand in parts.values()), initial=0)
    starts = dict(zip(parts, ends, strict=False))
    windows = {name: Window(n + 1, left=start) for name, start in starts.items()}
    reads = []
    for name in sorted(parts, key=list(call.args).index):
        links = list(identity_links(parts[name], parts[name].shape))
        length = parts[name].shape[dim]
        links[dim] = Link(dim, windows[name].relation(call.shape[dim], length))
        reads.append(Read(parts[name], tuple(links)))

    def run(args: Arguments, box: Box) -> Tensor:
        pieces = []
        for name, start in starts.items():
            region: Region = args[name]
            ends = (box[dim][0] - start, box[dim][1] + n - start)
            lo, hi = (min(max(end, 0), region.shape[dim]) for end in ends)
            pieces.append(region.crop((*box[:dim], (lo, hi), *box[dim + 1 :])).tensor)
        return torch.diff(torch.cat(pieces, dim), n, dim)

    return Local(tuple(reads), run, windows={dim: windows["self"]})

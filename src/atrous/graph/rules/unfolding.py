"""Sliding windows laid out beside each other, and added up again."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import Window, strided, transposed
from atrous.geometry.relation import Relation
from atrous.geometry.sizes import conv_length
from atrous.graph.example import Draw, Example
from atrous.graph.factors import Factors, factors_of
from atrous.graph.movement import picked
from atrous.graph.region import Box
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Link,
    Local,
    Movement,
    Read,
    Segment,
    identity_links,
    rule,
)


def _unfold_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(2, *draw.lengths(2, 3, 7))
    return Example("default", (x, draw.some([1, 2, -1]), draw.randint(1, 3), draw.randint(1, 3)))


def _columns_examples(draw: Draw, op: str) -> Example:
    kernel, dilation, padding = draw.lengths(2, 1, 2), draw.lengths(2, 1, 2), draw.lengths(2, 0, 1)
    stride = draw.lengths(2, 1, 2)
    size = [(k - 1) * d + 1 + draw.randint(0, 3) for k, d in zip(kernel, dilation, strict=True)]
    lead = draw.some([(), (2,)])
    channels = draw.randint(1, 2)
    if op.endswith("im2col"):
        x = draw.tensor(*lead, channels, *size)
        return Example("default", (x, kernel, dilation, padding, stride))
    blocks = [
        conv_length(n, k, stride=s, dilation=d, padding=2 * p)
        for n, k, d, p, s in zip(size, kernel, dilation, padding, stride, strict=True)
    ]
    x = draw.tensor(*lead, channels * prod(kernel), prod(blocks))
    return Example("default", (x, size, kernel, dilation, padding, stride))


@rule("aten.unfold", examples=_unfold_examples)
def unfold(call: Call) -> Description:
    """Windows of an axis, each laid out along a new last axis."""
    x = call.operand("self")
    dim = call.args["dimension"] % len(x.shape)
    size, step = call.args["size"], call.args["step"]
    frames, length = call.shape[dim], x.shape[dim]
    identity = identity_links(x, x.shape)
    last = len(x.shape)
    if frames * size == length and step == size:
        split = tuple((frames, size) if a == dim else (n,) for a, n in enumerate(x.shape))
        order = [*range(dim + 1), *range(dim + 2, last + 1), dim + 1]
        lengths = [n for parts in split for n in parts]
        links = tuple(Link(k, Relation.identity(lengths[k])) for k in order)
        reads = [Read(x, links, split=split)]
    else:
        reads = []
        for a in range(size):
            row = Link(dim, strided(frames, length, start=a, step=step))
            flags = np.arange(size) == a
            kept = (*identity[:dim], row, *identity[dim + 1 :], None)
            reads.append(Read(x, kept, segment=Segment(last, flags)))

    def run(args: Arguments, box: Box) -> Tensor:
        flat = torch.zeros((), dtype=torch.int64)
        for axis in range(last):
            position = _along(torch.arange(*box[axis]), axis, last + 1)
            if axis == dim:
                position = position * step + torch.arange(*box[last])
            flat = flat + position * prod(x.shape[axis + 1 :])
        return picked(args["self"], flat)

    return Movement(tuple(reads), run)


def _along(values: Tensor, axis: int, axes: int) -> Tensor:
    return values.reshape([-1 if a == axis else 1 for a in range(axes)])


def _windows(call: Call) -> tuple[Window, Window]:
    names = ("kernel_size", "stride", "dilation", "padding")
    rows, columns = zip(*(call.per_axis(name, 2) for name in names), strict=True)
    return Window(*rows), Window(*columns)


def _blocks(size: tuple[int, ...], windows: tuple[Window, Window]) -> tuple[int, ...]:
    return tuple(
        conv_length(n, w.kernel_size, stride=w.stride, dilation=w.dilation, padding=2 * w.left)
        for n, w in zip(size, windows, strict=True)
    )


def _taps(windows: tuple[Window, Window]) -> Iterator[tuple[int, int, int]]:
    """Number, row and column of every tap."""
    columns = windows[1].kernel_size
    for tap in range(windows[0].kernel_size * columns):
        yield tap, tap // columns, tap % columns


@rule("aten.im2col", examples=_columns_examples)
def im2col(call: Call) -> Description:
    """Every window as a column: taps along the channels, windows along the positions."""
    x = call.operand("self")
    windows = _windows(call)
    size = x.shape[-2:]
    blocks = _blocks(size, windows)
    *lead, channels = x.shape[:-2]
    taps = prod(w.kernel_size for w in windows)
    k = len(lead)
    merge: Factors = (*factors_of(lead), (channels, taps), blocks)
    reads = []
    for tap, *at in _taps(windows):
        places = [
            Link(k + 1 + i, strided(blocks[i], size[i], start=at[i] * w.dilation - w.left,
                                    step=w.stride))
            for i, w in enumerate(windows)
        ]  # fmt: skip
        links = (*identity_links(x, x.shape)[: k + 1], None, *places)
        flags = np.arange(taps) == tap
        reads.append(Read(x, links, segment=Segment(k + 1, flags), merge=merge))

    def run(args: Arguments, box: Box) -> Tensor:
        rows, columns = torch.arange(*box[-2])[:, None], torch.arange(*box[-1])
        flat, inside = rows // taps, torch.tensor(True)
        tap = (rows % taps // windows[1].kernel_size, rows % windows[1].kernel_size)
        block = (columns // blocks[1], columns % blocks[1])
        for i, window in enumerate(windows):
            position = block[i] * window.stride + tap[i] * window.dilation - window.left
            inside = inside & (position >= 0) & (position < size[i])
            flat = flat * size[i] + position
        if lead:
            flat = flat + torch.arange(*box[0])[:, None, None] * prod(x.shape[1:])
        return picked(args["self"], torch.where(inside, flat, -1))

    return Movement(tuple(reads), run)


@rule("aten.col2im", examples=_columns_examples)
def col2im(call: Call) -> Description:
    """Columns added up where their windows lie: a transposed convolution with ones."""
    x = call.operand("self")
    windows = _windows(call)
    size = call.shape[-2:]
    blocks = _blocks(size, windows)
    *lead, channels = call.shape[:-2]
    taps = prod(w.kernel_size for w in windows)
    k = len(lead)
    split: Factors = (*factors_of(lead), (channels, taps), blocks)
    reads = []
    for tap, *at in _taps(windows):
        places = [
            Link(k + 2 + i, transposed(size[i], blocks[i], 1, stride=w.stride, dilation=1,
                                       left=w.left - at[i] * w.dilation))
            for i, w in enumerate(windows)
        ]  # fmt: skip
        same = [Link(a, Relation.identity(n)) for a, n in enumerate(call.shape[: k + 1])]
        own = Link(k + 1, strided(1, taps, start=tap, step=0))
        reads.append(Read(x, (*same, *places), rest=(own,), split=split))

    def run(args: Arguments, box: Box) -> Tensor:
        sides = [_along(torch.arange(*side), a, len(box)) for a, side in enumerate(box)]
        total = torch.zeros((), dtype=x.dtype)
        for tap, *at in _taps(windows):
            flat, inside = sides[k] * taps + tap, torch.tensor(True)
            for i, window in enumerate(windows):
                reach = sides[k + 1 + i] + window.left - at[i] * window.dilation
                block = reach // window.stride
                inside = inside & (reach % window.stride == 0) & (block >= 0) & (block < blocks[i])
                flat = flat * blocks[i] + block
            if lead:
                flat = flat + sides[0] * prod(x.shape[1:])
            total = total + picked(args["self"], torch.where(inside, flat, -1))
        return total

    return Local(tuple(reads), run)

"""Parts of a value: slices, single positions, splits, and reversal."""

from __future__ import annotations

from math import ceil

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import strided
from atrous.graph.example import Draw, Example
from atrous.graph.movement import mover
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


def _slice_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(1, *draw.lengths(2, 4, 8))
    dim = draw.some([1, 2, -1])
    start = draw.some([None, 0, 1, -3, 2])
    end = draw.some([None, -1, 2**63 - 1, x.shape[dim]])
    return Example("Tensor", (x, dim, start, end, draw.randint(1, 3)))


def _select_examples(draw: Draw, op: str) -> Example:
    return Example(
        "int",
        (draw.tensor(2, *draw.lengths(2, 2, 5)), draw.some([1, 2, -1]), draw.some([0, 1, -1])),
    )


def _narrow_examples(draw: Draw, op: str) -> Example:
    return Example("default", (draw.tensor(1, *draw.lengths(2, 4, 8)), 2, draw.some([0, 1, -3]), 2))


def _flip_examples(draw: Draw, op: str) -> Example:
    return Example(
        "default", (draw.tensor(1, *draw.lengths(2, 2, 6)), draw.some([[1], [-1], [1, 2]]))
    )


def _diagonal_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 2, 4))
    return Example("default", (x, draw.randint(-1, 1), *draw.some([(0, 1), (-1, 0), (2, 1)])))


def _split_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(1, *draw.lengths(2, 4, 7))
    dim = draw.some([1, 2, -1])
    if op.endswith("unbind"):
        return Example("int", (x, dim))
    if op.endswith("split_with_sizes"):
        return Example("default", (x, [1, x.shape[dim] - 2, 1], dim))
    if op.endswith("chunk"):
        return Example("default", (x, draw.randint(1, 3), dim))
    if op.endswith("tensor_split"):
        if draw.random() < 0.5:
            return Example("indices", (x, [1, 3], dim))
        return Example("sections", (x, draw.randint(1, 3), dim))
    return Example("Tensor", (x, draw.randint(1, 4), dim))


def _cut(call: Call, dim: int, start: int, step: int = 1) -> Description:
    """Position o along `dim` is position `start + o * step` of the operand."""
    x = call.operand("self")
    links = list(identity_links(x, x.shape))
    links[dim] = Link(dim, strided(call.shape[dim], x.shape[dim], start=start, step=step))
    read = Read(x, tuple(links))
    return Movement((read,), mover(read, "self"))


def _dim(call: Call, name: str = "dim") -> int:
    dim: int = call.args[name]
    return dim % len(call.operand("self").shape)


def _start(call: Call, start: int | None, length: int) -> int:
    begin = start or 0
    return min(max(begin + length if begin < 0 else begin, 0), length)


@rule("aten.slice", examples=_slice_examples)
def slice_(call: Call) -> Description:
    """Every `step`-th position from `start`."""
    dim = _dim(call)
    start = _start(call, call.args["start"], call.operand("self").shape[dim])
    return _cut(call, dim, start, call.args["step"])


@rule("aten.narrow", examples=_narrow_examples)
def narrow(call: Call) -> Description:
    """`length` positions from `start`."""
    dim, start = _dim(call), call.args["start"]
    if isinstance(start, Operand):
        if not start.is_constant:
            raise NotImplementedError("a start that depends on the input")
        start = int(start.known())
    return _cut(call, dim, _start(call, start, call.operand("self").shape[dim]))


@rule(
    "aten.split",
    "aten.split_with_sizes",
    "aten.chunk",
    "aten.unsafe_split",
    "aten.unsafe_chunk",
    "aten.unsafe_split_with_sizes",
    "aten.tensor_split",
    examples=_split_examples,
)
def split(call: Call) -> Description:
    """Consecutive parts; this is part number `call.output`."""
    dim = _dim(call)
    length = call.operand("self").shape[dim]
    if call.op == "aten.tensor_split":
        starts = _tensor_split_start(call, length)
    elif "chunk" in call.op:
        starts = call.output * ceil(length / call.args["chunks"])
    elif isinstance(sizes := call.args.get("split_sizes", call.args.get("split_size")), int):
        starts = call.output * sizes
    else:
        starts = sum(sizes[: call.output])
    return _cut(call, dim, starts)


def _tensor_split_start(call: Call, length: int) -> int:
    if call.output == 0:
        return 0
    if "tensor_indices_or_sections" in call.args:
        raise NotImplementedError("sections given as a tensor")
    indices: list[int] | None = call.args.get("indices")
    if indices is not None:
        return _start(call, indices[call.output - 1], length)
    # The first parts are one longer where the length does not divide.
    sections: int = call.args["sections"]
    size, longer = divmod(length, sections)
    return call.output * size + min(call.output, longer)


@rule("aten.select", examples=_select_examples)
def select(call: Call) -> Description:
    """One position of an axis, which disappears."""
    return _pick(call, _dim(call), call.args["index"])


@rule("aten.unbind", examples=_split_examples)
def unbind(call: Call) -> Description:
    """Every position of an axis as a value of its own; this is number `call.output`."""
    return _pick(call, _dim(call), call.output)


def _pick(call: Call, dim: int, index: int) -> Description:
    x = call.operand("self")
    length = x.shape[dim]
    kept = [axis for axis in range(len(x.shape)) if axis != dim]
    identity = identity_links(x, x.shape)
    at = Link(dim, strided(1, length, start=index % length, step=0))
    read = Read(x, tuple(identity[axis] for axis in kept), rest=(at,))
    return Movement((read,), mover(read, "self"))


@rule("aten.diagonal", examples=_diagonal_examples)
def diagonal(call: Call) -> Description:
    """Where two axes have one index, up to an offset; a new last axis."""
    x = call.operand("self")
    axes = len(x.shape)
    offset, count = call.args["offset"], call.shape[-1]
    pair = [call.args["dim1"] % axes, call.args["dim2"] % axes]
    kept = [axis for axis in range(axes) if axis not in pair]
    starts = max(-offset, 0), max(offset, 0)
    # One axis leads; the other is read at one position for each of its segments.
    reads = []
    identity = identity_links(x, x.shape)
    for k in range(count):
        rest = tuple(
            Link(axis, strided(1, x.shape[axis], start=start + k, step=0))
            for axis, start in zip(pair, starts, strict=True)
        )
        links = (*(identity[axis] for axis in kept), None)
        flags = np.arange(count) == k
        reads.append(Read(x, links, rest, Segment(len(kept), flags)))

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["self"]
        lo, hi = box[-1]
        parts = []
        for k in range(lo, hi):
            part = region.tensor
            for axis, start in sorted(zip(pair, starts, strict=True), reverse=True):
                part = part.select(axis, start + k - region.box[axis][0])
            parts.append(part)
        return torch.stack(parts, -1)

    return Movement(tuple(reads), run)


@rule("aten.flip", examples=_flip_examples)
def flip(call: Call) -> Description:
    """The order of the named axes reversed."""
    x = call.operand("self")
    links = list(identity_links(x, x.shape))
    for dim in call.args["dims"]:
        axis = dim % len(x.shape)
        length = x.shape[axis]
        links[axis] = Link(axis, strided(length, length, start=length - 1, step=-1))
    read = Read(x, tuple(links))
    return Movement((read,), mover(read, "self"))

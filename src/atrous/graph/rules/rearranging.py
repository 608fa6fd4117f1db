"""Elements in another order or several times: shuffles, rolls, repeats, stacks."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import rolled
from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.factors import Factors, factors_of
from atrous.graph.movement import mover, picked
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Link,
    Movement,
    Operand,
    Pointwise,
    Read,
    Segment,
    identity_links,
    rule,
)


def _shuffle_examples(draw: Draw, op: str) -> Example:
    c, h, w = draw.lengths(3, 1, 3)
    r = draw.randint(1, 3)
    lead = draw.some([(), (2,)])
    if op.endswith("channel_shuffle"):
        return Example("default", (draw.tensor(2, c * r, h, w), r))
    if op.endswith("pixel_unshuffle"):
        return Example("default", (draw.tensor(*lead, c, h * r, w * r), r))
    return Example("default", (draw.tensor(*lead, c * r * r, h, w), r))


def _roll_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 1, 4))
    shifts, dims = draw.some([([1], [1]), ([-2, 5], [1, -1]), ([1, 1], [2, 2])])
    return Example("default", (x, shifts, dims))


def _repeat_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(2, 1, 3))
    if op.endswith("repeat_interleave"):
        return Example("self_int", (x, draw.randint(1, 3), draw.some([0, 1, -1])))
    return Example("default", (x, [*draw.some([[], [2]]), *draw.lengths(2, 1, 3)]))


def _stack_examples(draw: Draw, op: str) -> Example:
    shape = draw.lengths(2, 1, 3)
    parts = [draw.tensor(*shape) for _ in range(draw.randint(1, 3))]
    return Example("default", (parts, draw.some([0, 1, 2, -1, -2])))


def _triangle_examples(draw: Draw, op: str) -> Example:
    return Example("default", (draw.tensor(2, *draw.lengths(2, 1, 4)), draw.randint(-2, 2)))


@rule("aten.pixel_shuffle", "aten.pixel_unshuffle", examples=_shuffle_examples)
def pixel_shuffle(call: Call) -> Description:
    """Channels become positions between the positions, or the other way round."""
    x = call.operand("self")
    up = call.op == "aten.pixel_shuffle"
    r = call.args["upscale_factor" if up else "downscale_factor"]
    *lead, c, h, w = call.shape if not up else x.shape
    whole = factors_of(lead)
    k = len(lead)
    dense: Factors = (*whole, (c // (r * r),), (h, r), (w, r))
    deep: Factors = (*whole, (c // (r * r), r, r), (h,), (w,))
    # Deep: channel, row and column within, row, column. Dense: each within behind its own.
    order = [0, 3, 1, 4, 2] if up else [0, 2, 4, 1, 3]
    return _reordered(call, x, deep if up else dense, dense if up else deep, k, order)


@rule("aten.channel_shuffle", "aten.native_channel_shuffle", examples=_shuffle_examples)
def channel_shuffle(call: Call) -> Description:
    """Channels of the groups taken in turn."""
    x = call.operand("self")
    groups = call.args["groups"]
    n, c, *rest = x.shape
    split: Factors = ((n,), (groups, c // groups), *factors_of(rest))
    merge: Factors = ((n,), (c // groups, groups), *factors_of(rest))
    return _reordered(call, x, split, merge, 1, [1, 0, *range(2, 2 + len(rest))])


def _reordered(
    call: Call, x: Operand, split: Factors, merge: Factors, first: int, order: list[int]
) -> Description:
    """Factors from number `first` on in another order."""
    lengths = [n for parts in split for n in parts]
    places = [*range(first), *(first + k for k in order)]
    links = tuple(Link(k, Relation.identity(lengths[k])) for k in places)
    read = Read(x, links, split=split, merge=merge)

    def run(args: Arguments, box: Box) -> Tensor:
        index = torch.arange(prod(x.shape)).reshape(lengths).permute(places).reshape(call.shape)
        return picked(args["self"], index[tuple(slice(*side) for side in box)])

    return Movement((read,), run)


@rule("aten.roll", examples=_roll_examples)
def roll(call: Call) -> Description:
    """Positions moved on, those behind the end coming back at the front."""
    x = call.operand("self")
    dims = call.args.get("dims") or ()
    if not dims:
        raise NotImplementedError("rolling the flattened tensor; name the axes")
    total: dict[int, int] = {}
    for shift, dim in zip(call.args["shifts"], dims, strict=True):
        axis = dim % len(x.shape)
        total[axis] = total.get(axis, 0) + shift
    links = list(identity_links(x, x.shape))
    for axis, shift in total.items():
        n = x.shape[axis]
        links[axis] = Link(axis, rolled(n, shift))
    read = Read(x, tuple(links))
    return Movement((read,), mover(read, "self"))


@rule("aten.repeat", "aten.tile", "aten.repeat_interleave", examples=_repeat_examples)
def repeat(call: Call) -> Description:
    """The whole several times in a row, or every position several times."""
    x = call.operand("self")
    missing = len(call.shape) - len(x.shape)
    links: list[Link | None] = [None] * missing
    if call.op == "aten.repeat_interleave":
        count, dim = call.args.get("repeats"), call.args.get("dim")
        if not isinstance(count, int) or dim is None:
            raise NotImplementedError("repeats that differ between positions, or no axis")
        links = list(identity_links(x, x.shape))
        axis = dim % len(x.shape)
        links[axis] = Link(axis, Relation.of(call.shape[axis], x.shape[axis], [[0]] * count))
    else:
        for axis, n in enumerate(x.shape):
            outputs = call.shape[missing + axis]
            relation = Relation.identity(n)
            if outputs != n:
                relation = Relation.of(outputs, n, [[k] for k in range(n)] or [[]], step=0)
            links.append(Link(axis, relation))
    read = Read(x, tuple(links))
    return Movement((read,), mover(read, "self"))


@rule("aten.stack", examples=_stack_examples)
def stack(call: Call) -> Description:
    """Operands side by side along a new axis."""
    operands: list[Operand] = list(call.args["tensors"])
    dim = call.args["dim"] % len(call.shape)
    reads = []
    for number, operand in enumerate(operands):
        links = list(identity_links(operand, operand.shape))
        links.insert(dim, None)
        flags = np.arange(len(operands)) == number
        reads.append(Read(operand, tuple(links), segment=Segment(dim, flags)))

    def run(args: Arguments, box: Box) -> Tensor:
        sides = (*box[:dim], *box[dim + 1 :])
        parts: list[Region] = args["tensors"]
        chosen = [parts[k].crop(sides).tensor for k in range(*box[dim])]
        return torch.stack(chosen, dim) if chosen else torch.zeros(0)

    return Movement(tuple(reads), run)


@rule("aten.tril", "aten.triu", examples=_triangle_examples)
def triangle(call: Call) -> Description:
    """What lies on one side of a diagonal, 0 elsewhere."""
    x = call.operand("self")
    rows, columns = call.shape[-2:]
    lower = call.op == "aten.tril"
    kept = np.tri(rows, columns, call.args["diagonal"] - (not lower), dtype=bool)
    kept = kept if lower else ~kept
    reads = [
        Read(x, (*identity_links(x, x.shape)[:-2], *links), segment=Segment(at, flags))
        for links, at, flags in _by_row(kept, len(call.shape))
    ]

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["self"]
        part = region.padded_to(box, 0.0) if region.box != box else region.tensor
        keep = torch.from_numpy(kept[slice(*box[-2]), slice(*box[-1])])
        return torch.where(keep, part, torch.zeros((), dtype=part.dtype))

    return Pointwise(tuple(reads), run)


def _by_row(kept: Any, axes: int) -> list[tuple[tuple[Link, Link], int, Any]]:
    """Rows of a mask that keep the same columns, each with its links."""
    rows, columns = kept.shape
    kinds: dict[bytes, list[int]] = {}
    for row in range(rows):
        kinds.setdefault(kept[row].tobytes(), []).append(row)
    found = []
    for members in kinds.values():
        columns_kept = kept[members[0]]
        odd: dict[int, list[int]] = {int(c): [] for c in np.flatnonzero(~columns_kept)}
        links = (
            Link(axes - 2, Relation.identity(rows)),
            Link(axes - 1, Relation.of(columns, columns, [[0]], exceptions=odd)),
        )
        if columns_kept.any():
            found.append((links, axes - 2, np.isin(np.arange(rows), members)))
    return found

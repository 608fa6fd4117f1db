"""Positions chosen by an index: a constant one says which, one that is data may ask for any."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import strided
from atrous.graph.example import Draw, Example
from atrous.graph.indexing import Indexing
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Movement,
    Operand,
    Pointwise,
    Read,
    broadcast,
    identity_links,
    replay,
    rule,
)
from atrous.graph.tables import Table, positions, table_reads


def _index_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 2, 5))
    a, b, c = x.shape
    if op.endswith("embedding"):
        index = draw.indices(a, *draw.lengths(draw.randint(1, 2), 1, 3))
        return Example("default", (x[:, :, 0], index), (1,), {"indices": range(a)})
    if op.endswith("index_select"):
        dim = draw.some([1, 2, -1])
        index = draw.some([draw.indices(x.shape[dim], 4), torch.tensor([1, 0, 1])])
        if draw.random() < 0.5:
            return Example("default", (x, dim, index))
        return Example("default", (x, dim, index), (0, 2), {"index": range(x.shape[dim])})
    i, j = draw.lengths(2, 1, 3)
    constant: list[list[Tensor | None]] = [
        [None, draw.indices(b, i)],
        [None, None, torch.arange(c - 1, -1, -1)],
        [None, torch.arange(-1, 1)],
        [None, draw.indices(b, i, 1), draw.indices(c, j)],
        [draw.indices(a, 1, j), draw.indices(b, i, 1)],
        [draw.indices(a, i), None, draw.indices(c, i)],
        [draw.indices(a, i, 1), None, draw.indices(c, j)],
        [None, draw.indices(b, i, j)],
        [None, draw.indices(b, i), draw.indices(c, i)],
        [None, None, torch.arange(c - 1)[:, None] + torch.arange(2)],
        [torch.arange(a - a % 2).reshape(2, -1)],
        [draw.indices(a, i), draw.indices(b, i), draw.indices(c)],
        [torch.arange(a) % 3 < 2],
        [None, draw.indices(b, 2, j)[torch.tensor([0, 1, 0])]],
    ]
    number = draw.randrange(len(constant) + 3)
    if number < len(constant):
        indices = constant[number]
        if op.endswith("unsafe_index") and indices[0] is not None:
            indices[0] = indices[0].long()
        if draw.random() < 0.2:
            # Indices that are no neighbours stand in front.
            apart = [None, draw.indices(2, i), None, draw.indices(2, i)]
            return Example("Tensor", (draw.tensor(2, 2, 3, 2), apart))
        return Example("Tensor", (x, indices))
    small = x[:, :, :3]
    given = draw.some([[None, draw.indices(b, i)], [None, draw.indices(b, i, 2)]])
    if number == len(constant):
        pair = [draw.indices(a, i, 1), None, draw.indices(small.shape[2], 2)]
        values = {"indices0": range(a), "indices2": range(small.shape[2])}
        return Example("Tensor", (small, pair), (0, 1), values)
    return Example("Tensor", (small, given), (0, 1), {"indices1": range(-1, b)})


@rule("aten.index", "aten._unsafe_index", examples=_index_examples)
def index(call: Call) -> Description:
    """`x[:, i, j]`: the indices' common axes take the place of the first, or stand in front."""
    return _looked_up(call, "self", list(call.args["indices"]), lambda args: args["indices"])


@rule("aten.index_select", examples=_index_examples)
def index_select(call: Call) -> Description:
    """The positions of one axis that an index lists."""
    x, chosen = call.operand("self"), call.operand("index")
    if len(chosen.shape) != 1:
        raise NotImplementedError("an index without axes")
    before = [None] * (call.args["dim"] % len(x.shape))
    return _looked_up(call, "self", [*before, chosen], lambda args: [*before, args["index"]])


@rule("aten.embedding", examples=_index_examples)
def embedding(call: Call) -> Description:
    """The rows of a table that an index lists."""
    return _looked_up(call, "weight", [call.operand("indices")], lambda args: [args["indices"]])


def _looked_up(
    call: Call,
    name: str,
    given: Sequence[Operand | None],
    fetch: Callable[[Arguments], Sequence[Any]],
) -> Description:
    """Operand `name` under indices, which `fetch` finds among the arguments."""
    x = call.operand(name)
    how = Indexing.of(x, given)
    identity = identity_links(x, x.shape)
    kept: dict[int, Link] = {}
    for axis, out in how.kept.items():
        link = identity[axis]
        assert link is not None
        kept[out] = link
    if how.constant:
        reads = table_reads(x, call.shape, how.table(), kept)
    else:
        reads = (Read(x, tuple(kept.get(out) for out in range(len(call.shape)))),)

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args[name]
        part = box[how.start : how.start + len(how.shape)]
        out: Tensor = region.tensor[how.local(fetch(args), part, region.box, region.tensor.device)]
        return out

    kind = Movement if not how.data else Pointwise if x.is_constant else Global
    return kind((*reads, *how.reads_of_data(len(call.shape))), run)


def _gather_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 2, 4))
    dim = draw.some([1, 2, -1])
    shape = [draw.randint(1, n) for n in x.shape]
    shape[dim] = draw.randint(1, 4)
    if op.endswith("take_along_dim"):
        shape = [draw.some([1, n]) for n in x.shape]
        shape[dim] = 3
    if draw.random() < 0.5:
        along = [1, 1, 1]
        along[dim] = shape[dim]
        table = draw.some([draw.indices(x.shape[dim], *along), draw.indices(x.shape[dim], *shape)])
        return Example("default", (x, dim, table.expand(shape)) if op.endswith("gather")
                       else (x, table.expand(shape), dim))  # fmt: skip
    table = draw.indices(x.shape[dim], *shape)
    if op.endswith("gather"):
        return Example("default", (x, dim, table), (0, 2), {"index": range(x.shape[dim])})
    return Example("default", (x, table, dim), (0, 1), {"indices": range(x.shape[dim])})


@rule("aten.gather", "aten.take_along_dim", examples=_gather_examples)
def gather(call: Call) -> Description:
    """Along `dim` the position that the index holds, along the other axes the same one."""
    x = call.operand("self")
    name = "index" if "index" in call.args else "indices"
    chosen = call.operand(name)
    axes = len(x.shape)
    if call.args["dim"] is None or axes == 0 or len(chosen.shape) != axes:
        raise NotImplementedError("an index of other axes than the operand's")
    dim = call.args["dim"] % axes
    spreads = call.op == "aten.take_along_dim"

    def own(length: int, axis: int) -> Link:
        outs = call.shape[axis]
        return Link(axis, broadcast(outs, length) if spreads else strided(outs, length))

    links = {axis: own(x.shape[axis], axis) for axis in range(axes) if axis != dim}
    places = tuple(own(n, axis) for axis, n in enumerate(chosen.shape))
    if chosen.is_constant:
        reads = _constant_gather(call, x, chosen, dim, links)
    else:
        reads = (Read(x, tuple(links.get(axis) for axis in range(axes))), Read(chosen, places))

    def run(args: Arguments, box: Box) -> Tensor:
        region, table = args["self"], args[name]
        sides = [(0, 1) if n == 1 and spreads else side
                 for n, side in zip(region.shape, box, strict=True)]  # fmt: skip
        sides[dim] = region.box[dim]
        table = table.crop(tuple((0, 1) if n == 1 and spreads else side
                                 for n, side in zip(table.shape, box, strict=True)))  # fmt: skip
        where = torch.where(table.tensor < 0, table.tensor + x.shape[dim], table.tensor)
        where = where - region.box[dim][0]
        part = region.crop(tuple(sides)).tensor
        return torch.take_along_dim(part, where, dim) if spreads else part.gather(dim, where)

    return (Movement if chosen.is_constant else Global)(reads, run)


def _constant_gather(
    call: Call, x: Operand, chosen: Operand, dim: int, links: dict[int, Link]
) -> tuple[Read, ...]:
    table = chosen.known().cpu().numpy()
    table = np.broadcast_to(np.where(table < 0, table + x.shape[dim], table), call.shape)
    varying = [a for a in range(table.ndim) if (table != table.take([0], axis=a)).any()]
    corner = table[tuple(slice(None) if a in varying else slice(0, 1) for a in range(table.ndim))]
    place = positions(corner.shape)
    others = [a for a in varying if a != dim]
    along = [np.minimum(place[:, a], x.shape[a] - 1) for a in others]
    pairs = Table(
        place[:, varying],
        np.stack([*along, corner.reshape(-1)], axis=1).astype(np.int64),
        {a: call.shape[a] for a in varying},
        {a: x.shape[a] for a in (*others, dim)},
    )
    fixed = {a: link for a, link in links.items() if a not in varying}
    return table_reads(x, call.shape, pairs, fixed)


def _class_examples(draw: Draw, op: str) -> Example:
    shape = draw.lengths(2, 1, 4)
    if op.endswith("one_hot"):
        index = draw.indices(3, *shape)
        return Example("default", (index, 3), (0,), {"self": range(3)})
    bounds = torch.tensor([0.2, 0.7, 0.9, 1.3], dtype=torch.float64)
    if op.endswith("bucketize"):
        return Example("Tensor", (draw.tensor(*shape), bounds))
    if draw.random() < 0.5:
        bounds = (bounds + draw.tensor(shape[0], 1)).expand(shape[0], 4).contiguous()
    return Example("Tensor", (bounds, draw.tensor(*shape)), (1,))


@rule("aten.one_hot", examples=_class_examples)
def one_hot(call: Call) -> Description:
    """A new last axis, 1 at the position that the value names."""
    x, classes = call.operand("self"), call.shape[-1]
    read = Read(x, (*identity_links(x, x.shape), None))

    def run(args: Arguments, box: Box) -> Tensor:
        lo, hi = box[-1]
        out: Tensor = torch.ops.aten.one_hot(args["self"].tensor, classes)
        return out[..., lo:hi]

    return Pointwise((read,), run)


@rule("aten.bucketize", "aten.searchsorted", examples=_class_examples)
def bucketize(call: Call) -> Description:
    """The number of the interval that each value lies in."""
    x = call.operand("self")
    reads = [Read(x, identity_links(x, call.shape))]
    for bounds in (operand for operand in call.operands if operand is not x):
        if not bounds.is_constant:
            raise NotImplementedError("boundaries that depend on the input")
        rows = identity_links(bounds, bounds.shape)[:-1]
        reads.append(Read(bounds, (*rows, None) if rows else (None,) * len(call.shape)))
    return Pointwise(tuple(reads), replay(call))

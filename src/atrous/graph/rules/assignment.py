"""Values assigned where indices or a mask say: `x[i, j] = values`, `x[mask] = value`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.graph.example import Draw, Example
from atrous.graph.indexing import Indexing
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Local,
    Movement,
    Operand,
    Pointwise,
    Read,
    broadcast,
    identity_links,
    replay,
    rule,
    unlinked_read,
)
from atrous.graph.rules.scattering import embedded
from atrous.graph.tables import Table, kept_reads, positions, table_reads


def _put_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 2, 4))
    a, b, c = x.shape
    accumulate = draw.some([False, True])
    i, j = draw.randint(1, b), draw.randint(1, c)
    some, others = torch.tensor(draw.sample(range(b), i)), torch.tensor(draw.sample(range(c), j))
    if draw.random() < 0.3:
        indices: list[Tensor | None] = [None, draw.indices(b, i) - draw.some([0, b])]
        values = draw.tensor(*draw.some([(a, i, c), (i, 1), (c,), ()]))
        return Example("default", (x, indices, values, accumulate), (0, 1, 2),
                       {"indices1": range(b)})  # fmt: skip
    if draw.random() < 0.2 and "unsafe" not in op:
        mask = draw.some([draw.tensor(a) > 0.9, draw.tensor(a, b) > 0.9])
        value = draw.tensor(*draw.some([(), (1,), (c,)]))
        constant = draw.some([False, True])
        values_of = {} if constant else {"indices0": (False, True)}
        return Example("default", (x, [mask], value, accumulate),
                       (0, 2) if constant else (0, 1, 2), values_of)  # fmt: skip
    indices, shape = draw.some([
        ([None, some], (a, i, c)),
        ([None, some[:, None], others], (a, i, j)),
        ([None, None, others], (a, b, j)),
        ([some[:1] % a, None, others[:1]], (1, b)),
        ([draw.indices(a, i), some], (i, c)),
        ([torch.arange(2) - 1, None, torch.arange(2)], (2, b)),
        ([None, draw.indices(b, 4)], (a, 4, c)),
    ])  # fmt: skip
    values = draw.tensor(*draw.some([shape, shape[-1:], (), (1, shape[-1])]))
    return Example("default", (x, indices, values, accumulate), (0, 2) if values.shape else (0,))


@rule("aten.index_put", "aten._unsafe_index_put", examples=_put_examples)
def index_put(call: Call) -> Description:
    """`x[i, j] = values`, or `+=`: what is written over is not read."""
    x, values = call.operand("self"), call.operand("values")
    given = list(call.args["indices"])
    if given[0] is not None and given[0].dtype == torch.bool and not given[0].is_constant:
        return _masked(call, given)
    how = Indexing.of(x, given)
    adds: bool = call.args["accumulate"]
    reads: tuple[Read, ...] = (Read(x, identity_links(x, call.shape)),)
    # Where the axes of the values lie among those of x[i, j], to which they are broadcast.
    missing = len(how.kept) + len(how.shape) - len(values.shape)
    places = {out: axis for axis, out in how.kept.items()}
    links, chosen = {}, {}
    for axis, length in enumerate(values.shape):
        if axis + missing in places:
            out = places[axis + missing]
            links[out] = Link(axis, broadcast(call.shape[out], length))
        elif length > 1:
            chosen[axis] = axis + missing - how.start
    if how.data:
        reads += (Read(values, tuple(links.get(out) for out in range(len(call.shape)))),)
        # What is written at one position depends on whatever is written at all.
        reads += tuple(Read(index.operand, (None,) * len(call.shape)) for index in how.data)
    else:
        at = positions(how.shape)
        readers = np.stack([
            np.broadcast_to(index.table.numpy(), how.shape).reshape(-1)
            for index in how.constant if index.table is not None
        ], axis=1)  # fmt: skip
        written = np.zeros([index.length for index in how.indices], dtype=bool)
        written[tuple(readers.T)] = True
        if not adds:
            reads = kept_reads(x, call.shape, [index.axis for index in how.indices], written)
        both = np.unique(np.concatenate([readers, at[:, list(chosen.values())]], axis=1), axis=0)
        table = Table(
            both[:, : readers.shape[1]],
            both[:, readers.shape[1] :],
            {index.axis: index.length for index in how.indices},
            {axis: values.shape[axis] for axis in chosen},
        )
        loose = not adds and int(written.sum()) < len(table)
        if not values.is_constant:
            reads += table_reads(values, call.shape, table, links, apart=not adds, loose=loose)

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["values"]
        base = embedded(args["self"], box)
        if region.tensor.numel() == 0:
            return base
        sides, part = list(region.box), [(0, n) for n in how.shape]
        for axis, length in enumerate(values.shape):
            if axis + missing in places and length > 1:
                sides[axis] = box[places[axis + missing]]
            elif axis in chosen:
                part[chosen[axis]] = region.box[axis]
        where = how.local(args["indices"], tuple(part), box, base.device)
        subscripts: list[Tensor | None] = [None] * len(box)
        amounts = [0] * (2 * len(box))
        for index in how.indices:
            # What goes elsewhere is written to one more position, which is cut off again.
            lo, hi = box[index.axis]
            here = where[index.axis]
            subscripts[index.axis] = torch.where((here >= 0) & (here < hi - lo), here, hi - lo)
            amounts[2 * (len(box) - 1 - index.axis) + 1] = 1
        out: Tensor = torch.ops.aten.index_put(
            F.pad(base, amounts), subscripts, region.crop(tuple(sides)).tensor, adds
        )
        return out[tuple(slice(0, hi - lo) for lo, hi in box)]

    kind = Global if how.data else Local if adds else Movement
    return kind(reads, run)


def _masked(call: Call, given: list[Operand | None]) -> Description:
    """`x[mask] = value` for a mask that depends on the input and values that do not vary on it."""
    x, values, mask = call.operand("self"), call.operand("values"), given[0]
    assert mask is not None
    axes, free = len(call.shape), len(call.shape) - len(mask.shape)
    if len(given) > 1 or any(n > 1 for n in values.shape[: max(len(values.shape) - free, 0)]):
        raise NotImplementedError("a mask that depends on the input beside other indices")
    own = identity_links(mask, mask.shape)
    spread = len(values.shape) - free
    inner = tuple(
        Link(k, broadcast(call.shape[axes - len(values.shape) + k], n))
        for k, n in enumerate(values.shape) if k >= spread
    )  # fmt: skip
    reads = (
        Read(x, identity_links(x, call.shape)),
        Read(mask, (*own, *(None,) * free)),
        Read(values, (*(None,) * (axes - len(inner)), *inner)),
    )
    return Pointwise(reads, replay(call))


def _masked_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(2, 2, 3))
    if op.endswith("diagonal_scatter"):
        offset, dims = draw.some([-1, 0, 1]), draw.some([(0, 1), (1, 0), (2, 0), (1, -1)])
        x = draw.tensor(*draw.lengths(3, 2, 4))
        part = torch.ops.aten.diagonal(x, offset, *dims) + 1
        return Example("default", (x, part, offset, *dims), (0, 1))
    mask = draw.some([draw.tensor(*x.shape) > 0.9, draw.tensor(x.shape[1]) > 0.9])
    source = draw.tensor(x.numel()) + 1
    if draw.random() < 0.5:
        return Example("default", (x, mask, source), (0, 2))
    return Example("default", (x, mask, source), (0, 1, 2), {"mask": (False, True)})


@rule("aten.masked_scatter", examples=_masked_examples)
def masked_scatter(call: Call) -> Description:
    """Where the mask is set, the next value of the source, in order."""
    x, mask, source = call.operand("self"), call.operand("mask"), call.operand("source")
    axes = len(call.shape)
    if mask.is_constant:
        table = mask.known().cpu().broadcast_to(call.shape).numpy()
        readers = np.argwhere(table)
        reads = positions(source.shape)[: len(readers)]
        pairs = Table(readers, reads, dict(enumerate(call.shape)), dict(enumerate(source.shape)))
        matter = [a for a in range(axes) if (table != table.take([0], axis=a)).any()] or [0]
        corner = table[tuple(slice(None) if a in matter else 0 for a in range(axes))]
        described = (
            *kept_reads(x, call.shape, matter, corner),
            *table_reads(source, call.shape, pairs, {}, apart=True),
        )
    else:
        # A value's place in the source is told by the mask before it.
        described = (
            Read(x, identity_links(x, call.shape)),
            unlinked_read(mask, axes, "bound"),
            unlinked_read(source, axes, "bound"),
        )

    def run(args: Arguments, box: Box) -> Tensor:
        part: Region = args["source"]
        chosen = args["mask"].tensor.broadcast_to(call.shape)
        order = (chosen.reshape(-1).long().cumsum(0) - 1).reshape(call.shape)
        sides = tuple(slice(*side) for side in box)
        chosen, flat = chosen[sides], order[sides].clamp(min=0)
        base = embedded(args["self"], box)
        if part.tensor.numel() == 0:
            return base
        where = []
        for length, (lo, hi) in reversed(list(zip(part.shape, part.box, strict=True))):
            where.append((flat % length - lo).clamp(0, hi - lo - 1))
            flat = flat // length
        return torch.where(chosen, part.tensor[tuple(reversed(where))], base)

    return (Movement if mask.is_constant else Global)(described, run)


@rule("aten.diagonal_scatter", examples=_masked_examples)
def diagonal_scatter(call: Call) -> Description:
    """The diagonal of two axes taken from the source, whose last axis runs along it."""
    x, source = call.operand("self"), call.operand("src")
    axes, offset = len(call.shape), call.args["offset"]
    down, across = call.args["dim1"] % axes, call.args["dim2"] % axes
    count = source.shape[-1]
    steps = np.arange(count, dtype=np.int64)
    places = np.stack([steps + max(-offset, 0), steps + max(offset, 0)], axis=1)
    written = np.zeros((x.shape[down], x.shape[across]), dtype=bool)
    written[tuple(places.T)] = True
    others = [a for a in range(axes) if a not in (down, across)]
    identity = identity_links(source, source.shape)
    links = {a: replace(link, axis=k) for k, a in enumerate(others)
             if (link := identity[k]) is not None}  # fmt: skip
    table = Table(
        places,
        steps[:, None],
        {down: x.shape[down], across: x.shape[across]},
        {axes - 2: count},
    )
    reads = (
        *kept_reads(x, call.shape, [down, across], written),
        *table_reads(source, call.shape, table, links, apart=True),
    )

    def run(args: Arguments, box: Box) -> Tensor:
        part: Region = args["src"]
        out = embedded(args["self"], box).clone()
        ends = np.array([box[down], box[across]])
        first = part.box[-1][0]
        inside = ((places >= ends[:, 0]) & (places < ends[:, 1])).all(axis=1)
        rows, columns = (torch.from_numpy(p) for p in (places[inside] - ends[:, 0]).T)
        if len(rows):
            entries = part.tensor[..., torch.from_numpy(steps[inside] - first)]
            out.movedim((down, across), (-2, -1))[..., rows, columns] = entries
        return out

    return Movement(reads, run)

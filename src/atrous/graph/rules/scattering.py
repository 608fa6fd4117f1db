"""Values written or added where an index says, along one axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.fitting import fitted
from atrous.geometry.lineage import Status
from atrous.geometry.primitives import strided
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region, box_shape, is_empty
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Local,
    Movement,
    Operand,
    Read,
    Run,
    Segment,
    call_overload,
    identity_links,
    rule,
)
from atrous.graph.tables import Table, kept_reads, positions, table_reads

_ADDING = {"aten.scatter_add", "aten.index_add"}
_MOVING = {"aten.scatter", "aten.index_copy", "aten.index_fill"}


def _examples(draw: Draw, op: str) -> Example:
    args: tuple[Any, ...]
    name = op.removeprefix("aten.")
    data = draw.random() < 0.5
    x = draw.tensor(*draw.lengths(3, 2, 3 if data else 4))
    dim = draw.some([1, 2, -1])
    length = x.shape[dim]
    if name.startswith("index"):
        count = draw.randint(1, length)
        index = torch.tensor(draw.sample(range(length), count))
        if data or name == "index_add":
            index = draw.indices(length, count)
        source = torch.cat([x, x], dim).narrow(dim, 0, count) + 1
        overload, args = "default", (x, dim, index, source)
        if name == "index_fill":
            overload, args = draw.some([
                ("int_Scalar", (x, dim, index, 0.25)),
                ("int_Tensor", (x, dim, index, draw.tensor())),
            ])  # fmt: skip
    else:
        shape = [draw.some([n, draw.randint(1, n)]) for n in x.shape]
        along = [1, 1, 1]
        along[dim] = shape[dim]
        order = torch.tensor(draw.sample(range(length), shape[dim]))
        order = draw.some([order, order // 2]).reshape(along).expand(shape)
        index = draw.some([order, draw.indices(length, *shape)]) if not data else (
            draw.indices(length, *shape))  # fmt: skip
        source = draw.tensor(*(n + draw.randint(0, 1) for n in shape)) + 1
        overload, args = "default", (x, dim, index, source)
        if name == "scatter":
            overload = draw.some(["src", "value"])
            args = (x, dim, index, source if overload == "src" else 0.25)
        elif name == "scatter_reduce":
            overload = "two"
            args = (*args, draw.some(["sum", "prod", "mean", "amax"]), draw.some([False, True]))
    carried = (0, 2, 3) if data else (0, 3)
    return Example(overload, args, carried, {"index": range(length)} if data else {})


@dataclass(frozen=True)
class _Write:
    """What goes where.

    Attributes:
        dim: the axis along which the index speaks.
        extents: how many positions of each axis of the source are written.
        name: the argument that holds what is written.
        source: that argument, if it is a tensor.
        keeps: whether what was there before stays part of the result.
    """

    dim: int
    extents: tuple[int, ...]
    name: str
    source: Operand | None
    keeps: bool

    @classmethod
    def of(cls, call: Call) -> _Write:
        """The meaning of a call's arguments."""
        x, index = call.operand("self"), call.operand("index")
        if not x.shape or not index.shape:
            raise NotImplementedError("tensors without axes")
        dim = call.args["dim"] % len(x.shape)
        # An index of one axis says the same along all others.
        alike = "index_" in call.op
        extents = tuple(
            (index.shape[0] if alike else index.shape[a]) if a == dim or not alike else n
            for a, n in enumerate(x.shape)
        )
        name = next(n for n in ("src", "source", "value") if n in call.args)
        source = call.args[name] if isinstance(call.args[name], Operand) else None
        adds = call.op in _ADDING or bool(call.args.get("reduce"))
        return cls(dim, extents, name, source, adds and call.args.get("include_self", True))


@rule(
    "aten.scatter",
    "aten.scatter_add",
    "aten.scatter_reduce",
    "aten.index_add",
    "aten.index_copy",
    "aten.index_fill",
    examples=_examples,
)
def scatter(call: Call) -> Description:
    """Entry k of the source goes, along `dim`, to where entry k of the index says.

    What is written over is not read. An index that depends on the input may say any position.
    """
    write, constant = _Write.of(call), call.operand("index").is_constant
    reads = _constant_reads(call, write) if constant else _data_reads(call, write)
    moves = constant and call.op in _MOVING
    return (Movement if moves else Local if constant else Global)(reads, _runner(call, write))


def _constant_reads(call: Call, write: _Write) -> tuple[Read, ...]:
    x, index, source = call.operand("self"), call.operand("index"), write.source
    table = index.known().cpu().numpy()
    table = np.where(table < 0, table + x.shape[write.dim], table)
    if len(index.shape) != len(x.shape) or "index_" in call.op:
        table = table.reshape([-1 if a == write.dim else 1 for a in range(len(x.shape))])
    table = np.broadcast_to(table, write.extents)
    matter = [
        a for a, n in enumerate(x.shape)
        if a == write.dim or n != write.extents[a] or (table != table.take([0], axis=a)).any()
    ]  # fmt: skip
    corner = tuple(slice(None) if a in matter else slice(0, 1) for a in range(table.ndim))
    place = positions(table[corner].shape)[:, matter]
    readers = place.copy()
    readers[:, matter.index(write.dim)] = table[corner].reshape(-1)
    written = np.zeros([x.shape[a] for a in matter], dtype=bool)
    written[tuple(readers.T)] = True
    if write.keeps:
        reads: tuple[Read, ...] = (Read(x, identity_links(x, call.shape)),)
    else:
        reads = kept_reads(x, call.shape, matter, written)
    if source is None:
        return reads
    if not source.shape:
        return (*reads, Read(source, (None,) * table.ndim, segment=Segment(write.dim, written)))
    pairs = Table(
        readers, place, {a: x.shape[a] for a in matter}, {a: source.shape[a] for a in matter}
    )
    links = {
        a: Link(a, strided(x.shape[a], source.shape[a]))
        for a in range(table.ndim) if a not in matter
    }  # fmt: skip
    # Of two values for one position only one is left, unless they are added.
    loose = call.op in _MOVING and int(written.sum()) < len(readers)
    apart = not write.keeps
    return (*reads, *table_reads(source, call.shape, pairs, links, apart=apart, loose=loose))


def _data_reads(call: Call, write: _Write) -> tuple[Read, ...]:
    x, index = call.operand("self"), call.operand("index")
    axes = range(len(x.shape))
    reads = [Read(x, identity_links(x, call.shape))]
    for operand in (index, write.source):
        if operand is None:
            continue
        if len(operand.shape) < len(axes) or (operand is index and "index_" in call.op):
            reads.append(Read(operand, (None,) * len(axes)))
            continue
        touched = [np.arange(n, dtype=np.int64) for n in write.extents]
        links = tuple(
            None if a == write.dim
            else Link(a, fitted(x.shape[a], operand.shape[a], touched[a], touched[a]))
            for a in axes
        )  # fmt: skip
        rest = fitted(1, operand.shape[write.dim], 0 * touched[write.dim], touched[write.dim])
        status: Status = "global" if len(touched[write.dim]) > 1 else "exact"
        reads.append(Read(operand, links, (Link(write.dim, rest, status),)))
    return tuple(reads)


def _runner(call: Call, write: _Write) -> Run:
    dim = write.dim

    def run(args: Arguments, box: Box) -> Tensor:
        index: Region = args["index"]
        base = embedded(args["self"], box)
        sides = [(lo, min(hi, n)) for (lo, hi), n in zip(box, write.extents, strict=True)]
        sides[dim] = (0, write.extents[dim])
        given = args[write.name]
        if isinstance(given, Region) and given.shape:
            if given.tensor.numel() == 0:
                return base
            lo, hi = given.box[dim]
            sides[dim] = (lo, min(hi, write.extents[dim]))
        if is_empty(tuple(sides)):
            return base
        if isinstance(given, Region) and given.shape:
            given = embedded(given, tuple(sides))
        alike = "index_" in call.op
        where = index.crop((sides[dim],) if alike else tuple(sides)).tensor
        where = torch.where(where < 0, where + call.shape[dim], where)
        lo, hi = box[dim]
        # What goes elsewhere is written to one more position, which is cut off again.
        where = torch.where((where >= lo) & (where < hi), where - lo, hi - lo)
        amounts = [0, 0] * (len(box) - 1 - dim) + [0, 1]
        roomy = F.pad(base, amounts)
        out: Tensor = call_overload(
            call.target, {**args, "self": roomy, "index": where, write.name: given}
        )
        return out.narrow(dim, 0, hi - lo)

    return run


def embedded(region: Region, box: Box) -> Tensor:
    """A box of a value of which no more than the positions that matter are held."""
    if region.box == box:
        return region.tensor
    out = region.tensor.new_zeros(box_shape(box))
    common = tuple((max(a, c), min(b, d)) for (a, b), (c, d) in zip(region.box, box, strict=True))
    if not is_empty(common):
        at = tuple(slice(a - lo, b - lo) for (a, b), (lo, _) in zip(common, box, strict=True))
        out[at] = region.crop(common).tensor
    return out

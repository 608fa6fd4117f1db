"""Operators that bring a whole axis into order: sorting, the largest values, quantiles."""

from __future__ import annotations

from atrous.geometry.relation import Relation
from atrous.graph.rule import (
    Call,
    Description,
    Global,
    Link,
    Operand,
    Read,
    identity_links,
    replay,
    rule,
    whole,
)
from atrous.graph.rules.reduction import (
    constant,
    drawn_call,
    reduced_axes,
    reduced_links,
    tells_positions,
)


@rule("aten.sort", "aten.argsort", "aten.msort", "aten.topk", examples=drawn_call)
def order(call: Call) -> Description:
    """Every output reads the whole axis that is put into order; `topk` shortens it."""
    x = call.operand("self")
    if isinstance(call.args.get("dim"), str):
        raise NotImplementedError("named axes")
    if not x.shape:
        dim, length = 0, 1
    else:
        dim = call.args.get("dim", 0) % len(x.shape)
        length = x.shape[dim]
    if length == 1 and (call.op == "aten.argsort" or tells_positions(call)):
        return constant(call)
    if not x.shape:
        return Global((Read(x, ()),), replay(call))
    links = list(identity_links(x, x.shape))
    links[dim] = whole(dim, call.shape[dim], length)
    return Global((Read(x, tuple(links)),), replay(call, cut=[dim]))


@rule("aten.quantile", "aten.nanquantile", examples=drawn_call)
def quantile(call: Call) -> Description:
    """Every output reads the reduced axes whole; several quantiles lie along a new first axis."""
    x, q = call.operand("self"), call.args["q"]
    links = reduced_links(x, reduced_axes(call), call.args["keepdim"])
    several = isinstance(q, Operand) and len(q.shape) == 1
    if several:
        links = (None, *links)
    reads = [Read(x, links)]
    if isinstance(q, Operand):
        along = Link(0, Relation.identity(q.shape[0])) if several else None
        reads.append(Read(q, (along, *(None,) * (len(call.shape) - 1)) if call.shape else ()))
    return Global(tuple(reads), replay(call), along=())

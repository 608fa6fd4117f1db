"""Reductions over whole axes."""

from __future__ import annotations

from atrous.graph.example import Draw, Example
from atrous.graph.rule import (
    Call,
    Description,
    Global,
    Link,
    Read,
    identity_links,
    replay,
    rule,
    whole,
)

_OVERLOADS = {"mean": "dim", "sum": "dim_IntList", "amax": "default", "amin": "default"}


def _examples(draw: Draw, op: str) -> Example:
    name = op.removeprefix("aten.")
    x = draw.tensor(2, *draw.lengths(2, 1, 4))
    return Example(
        _OVERLOADS[name], (x, draw.some([[1], [-1], [1, 2], [0, 1, 2]]), draw.some([False, True]))
    )


@rule("aten.mean", "aten.sum", "aten.amax", "aten.amin", examples=_examples)
def reduction(call: Call) -> Description:
    """Every output reads the reduced axes whole."""
    x = call.operand("self")
    axes = len(x.shape)
    dims = call.args.get("dim")
    reduced = {d % axes for d in dims} if dims else set(range(axes))
    keep = bool(call.args.get("keepdim", False))
    identity = identity_links(x, x.shape)
    links: list[Link | None] = []
    for axis in range(axes):
        if axis not in reduced:
            links.append(identity[axis])
        elif keep:
            links.append(whole(axis, 1, x.shape[axis]))
    return Global((Read(x, tuple(links)),), replay(call))

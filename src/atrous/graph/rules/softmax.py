"""Softmax: every position is set against the whole of its axis."""

from __future__ import annotations

from atrous.graph.example import Draw, Example
from atrous.graph.rule import Call, Description, Global, Read, identity_links, replay, rule, whole


def _examples(draw: Draw, op: str) -> Example:
    axes = draw.randint(0, 3)
    x = draw.tensor(*draw.lengths(axes, 1, 4))
    dim = draw.randrange(-max(axes, 1), max(axes, 1))
    if op in ("aten._softmax", "aten._log_softmax"):
        return Example("default", (x, dim, False))
    return Example("default" if op == "aten._safe_softmax" else "int", (x, dim, None))


@rule(
    *(f"aten.{name}" for name in "softmax log_softmax _softmax _log_softmax _safe_softmax".split()),
    examples=_examples,
)
def softmax(call: Call) -> Description:
    """Every output reads the whole axis `dim`; other axes stand by themselves."""
    x = call.operand("self")
    if isinstance(call.args["dim"], str):
        raise NotImplementedError("named axes")
    links = list(identity_links(x, x.shape))
    if not links:
        return Global((Read(x, ()),), replay(call))
    dim = call.args["dim"] % len(links)
    links[dim] = whole(dim, x.shape[dim], x.shape[dim])
    return Global((Read(x, tuple(links)),), replay(call, cut=[dim]), gathers=True)

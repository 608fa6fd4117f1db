"""Padding with a constant, by reflection, replication or wrapping round."""

from __future__ import annotations

from atrous.geometry.primitives import PadMode, padded
from atrous.graph.example import Draw, Example
from atrous.graph.movement import mover
from atrous.graph.rule import Call, Description, Link, Movement, Read, identity_links, rule


def _examples(draw: Draw, op: str) -> Example:
    axes = draw.randint(1, 3)
    x = draw.tensor(1, 2, *draw.lengths(axes, 3, 6))
    mode = draw.some(["constant", "reflect", "replicate", "circular"])
    amounts = draw.lengths(2 * axes, -1, 2 if mode != "constant" else 7)
    if op.endswith("constant_pad_nd"):
        return Example("default", (x, amounts, 0.25))
    return Example("default", (x, amounts, mode, 0.25 if mode == "constant" else None))


@rule("aten.pad", "aten.constant_pad_nd", examples=_examples)
def pad(call: Call) -> Description:
    """Amounts come in pairs, the last axis first; a negative amount crops."""
    x = call.operand("self")
    mode: PadMode = call.args.get("mode") or "constant"
    amounts = list(call.args["pad"])
    links = list(identity_links(x, call.shape))
    for k in range(len(amounts) // 2):
        axis = len(call.shape) - 1 - k
        relation = padded(x.shape[axis], amounts[2 * k], amounts[2 * k + 1], mode)
        links[axis] = Link(axis, relation)
    read = Read(x, tuple(links))
    return Movement((read,), mover(read, "self", float(call.args.get("value") or 0.0)))

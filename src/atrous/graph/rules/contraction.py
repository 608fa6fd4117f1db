"""Products that sum over a whole axis: linear layers and matrix products."""

from __future__ import annotations

from math import prod

import torch.nn.functional as F
from torch import Tensor

from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Operand,
    Read,
    broadcast,
    identity_links,
    rule,
    unlinked_read,
    whole,
)


def _linear_examples(draw: Draw, op: str) -> Example:
    inputs, outputs = draw.lengths(2, 1, 5)
    x = draw.tensor(*draw.lengths(draw.randint(1, 3), 1, 3), inputs)
    bias = draw.some([None, draw.tensor(outputs)])
    if draw.random() < 0.2:
        return Example("default", (x, draw.tensor(inputs), None))
    return Example("default", (x, draw.tensor(outputs, inputs), bias))


def _product_examples(draw: Draw, op: str) -> Example:
    n, k, m, b = draw.lengths(4, 1, 4)
    if op.endswith("bmm"):
        return Example("default", (draw.tensor(b, n, k), draw.tensor(b, k, m)), (0, 1))
    if op.endswith(".mm"):
        return Example("default", (draw.tensor(n, k), draw.tensor(k, m)), (0, 1))
    left = draw.some([(k,), (n, k), (b, n, k), (b, 1, n, k)])
    right = draw.some([(k,), (k, m), (b, k, m)])
    return Example("default", (draw.tensor(*left), draw.tensor(*right)), (0, 1))


@rule("aten.linear", examples=_linear_examples)
def linear(call: Call) -> Description:
    """The last axis is contracted whole; every other position stands by itself."""
    x, weight = call.operand("input"), call.operand("weight")
    links = identity_links(x, x.shape)[:-1]
    if len(weight.shape) == 2:
        links = (*links, whole(len(x.shape) - 1, weight.shape[0], x.shape[-1]))
    others = [o for o in call.operands[1:] if not o.is_constant]

    def run(args: Arguments, box: Box) -> Tensor:
        if len(weight.shape) == 1:
            return F.linear(args["input"].tensor, args["weight"].tensor)
        lo, hi = box[-1]
        bias = None if args["bias"] is None else args["bias"].tensor[lo:hi]
        return F.linear(args["input"].tensor, args["weight"].tensor[lo:hi], bias)

    return Global(
        (Read(x, links), *(unlinked_read(o, len(call.shape), "global") for o in others)),
        run,
        prod(call.shape) * x.shape[-1],
    )


@rule("aten.matmul", "aten.bmm", "aten.mm", examples=_product_examples)
def product(call: Call) -> Description:
    """Rows of the first times columns of the second; leading axes are broadcast."""
    left = call.operand("self")
    right = call.operand("other" if "other" in call.args else "mat2")
    axes = len(call.shape)
    has_row, has_column = len(left.shape) > 1, len(right.shape) > 1
    batch = axes - has_row - has_column

    def leading(operand: Operand, own: int) -> list[Link | None]:
        missing = batch - (len(operand.shape) - own)
        return [
            None
            if axis < missing
            else Link(axis - missing, broadcast(call.shape[axis], operand.shape[axis - missing]))
            for axis in range(batch)
        ]

    row: list[Link | None] = []
    column: list[Link | None] = []
    if has_row:
        row = [Link(len(left.shape) - 2, Relation.identity(left.shape[-2]))]
    if has_column:
        column = [Link(len(right.shape) - 1, Relation.identity(right.shape[-1]))]
    reads = (
        Read(left, (*leading(left, 2 if has_row else 1), *row, *[None] * has_column)),
        Read(right, (*leading(right, 2 if has_column else 1), *[None] * has_row, *column)),
    )

    def run(args: Arguments, box: Box) -> Tensor:
        out: Tensor = args["self"].tensor @ args["other" if "other" in args else "mat2"].tensor
        return out

    return Global(reads, run, prod(call.shape) * left.shape[-1])

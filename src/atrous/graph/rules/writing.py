"""Values written into a part of another: what in-place assignment becomes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.movement import mover
from atrous.graph.region import Box
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
    replay,
    rule,
)


def _scatter_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(1, *draw.lengths(2, 3, 6))
    dim = draw.some([1, 2, -1])
    if op.endswith("select_scatter"):
        return Example("default", (x, x.select(dim, 0) + 1, dim, draw.some([0, 1, -1])), (0, 1))
    start, step = draw.randint(0, 2), draw.randint(1, 2)
    part = torch.ops.aten.slice(x, dim, start, None, step)
    return Example("default", (x, part + 1, dim, start, None, step), (0, 1))


def _copy_examples(draw: Draw, op: str) -> Example:
    shape = draw.lengths(2, 1, 4)
    return Example("default", (draw.tensor(*shape), draw.tensor(shape[1])), (1,))


@rule("aten.copy", examples=_copy_examples)
def copy(call: Call) -> Description:
    """The second operand, broadcast to the first."""
    source = call.operand("src")
    read = Read(source, identity_links(source, call.shape))
    return Pointwise((read,), mover(read, "src"))


def _fill_examples(draw: Draw, op: str) -> Example:
    return Example("Tensor", (draw.tensor(*draw.lengths(2, 1, 4)), draw.tensor()), (1,))


@rule("aten.fill", examples=_fill_examples)
def fill(call: Call) -> Description:
    """One value everywhere; what it is written over is not read."""
    value = call.args["value"]
    if not isinstance(value, Operand):
        return Pointwise((), replay(call))
    read = Read(value, (None,) * len(call.shape))
    return Pointwise((read,), mover(read, "value"))


def _spread(length: int, written: range) -> Relation:
    """Position `start + k * step` reads entry k; the others read nothing."""
    start, step = written.start, written.step
    rows: list[list[int]] = [[] for _ in range(step)]
    rows[start % step] = [(start % step - start) // step]
    return Relation.of(length, len(written), rows)


@rule("aten.slice_scatter", "aten.select_scatter", examples=_scatter_examples)
def scatter(call: Call) -> Description:
    """The first operand with some positions of one axis taken from the second."""
    base, source = call.operand("self"), call.operand("src")
    dim = call.args["dim"] % len(base.shape)
    length = base.shape[dim]
    if call.op.endswith("select_scatter"):
        written = range(call.args["index"] % length, call.args["index"] % length + 1)
    else:
        start, stop, step = call.args["start"], call.args["end"], call.args["step"]
        written = range(length)[start:stop:step]
    taken = np.zeros(length, dtype=bool)
    taken[list(written)] = True
    first = Read(base, identity_links(base, call.shape), segment=Segment(dim, ~taken))
    links: list[Link | None]
    if call.op.endswith("select_scatter"):
        links = list(identity_links(source, source.shape))
        links.insert(dim, None)
    else:
        links = list(identity_links(source, source.shape))
        links[dim] = Link(dim, _spread(length, written))
    second = Read(source, tuple(links), segment=Segment(dim, taken))

    def run(args: Arguments, box: Box) -> Tensor:
        lo, hi = box[dim]
        chosen = torch.from_numpy(taken[lo:hi])
        shape = [1] * len(box)
        shape[dim] = -1
        old = mover(first, "self")(args, box)
        new = mover(second, "src")(args, box)
        return torch.where(chosen.reshape(shape), new, old)

    return Movement((first, second), run)

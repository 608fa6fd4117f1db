"""Grids of places made by an affine map."""

from __future__ import annotations

import torch
from torch import Tensor

from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box
from atrous.graph.rule import Arguments, Call, Description, Global, Link, Read, Segment, rule


def _examples(draw: Draw, op: str) -> Example:
    axes, items = draw.some([2, 3]), draw.randint(1, 2)
    theta = draw.tensor(items, axes, axes + 1)
    size = [items, 1, *draw.lengths(axes, 1, 4)]
    return Example("default", (theta, size, draw.some([False, True])))


def _line(length: int, align_corners: bool) -> Tensor:
    """The coordinates of an axis before the map."""
    if length == 1:
        return torch.zeros(1, dtype=torch.float64)
    line = torch.linspace(-1, 1, length, dtype=torch.float64)
    return line if align_corners else line * (length - 1) / length


@rule("aten.affine_grid_generator", examples=_examples)
def affine_grid(call: Call) -> Description:
    """Coordinate j of a place: row j of the map times the place, which is 0 in the middle."""
    theta = call.operand("theta")
    items, rows, columns = theta.shape
    lines = [_line(n, call.args["align_corners"]) for n in call.shape[1:-1]]
    reads = []
    for column in range(columns):
        # Columns stand for the axes from the fastest to the slowest, the last for the shift.
        links: list[Link | None] = [None] * len(call.shape)
        links[0] = Link(0, Relation.identity(items))
        links[-1] = Link(1, Relation.identity(rows))
        entry = Link(2, Relation.of(1, columns, [[column]]))
        axis = len(call.shape) - 2 - column
        segment = None if axis < 1 else Segment(axis, (lines[axis - 1].abs() > 1e-12).numpy())
        if segment is None or segment.reads.any():
            reads.append(Read(theta, tuple(links), (entry,), segment))

    def run(args: Arguments, box: Box) -> Tensor:
        part: Tensor = args["theta"].tensor
        first = args["theta"].box[2][0]
        shape = tuple(hi - lo for lo, hi in box[1:-1])
        out = part.new_zeros(part.shape[0], *shape, part.shape[1])
        for column in range(first, columns):
            share = part[:, :, column - first].reshape(
                part.shape[0], *[1] * len(shape), part.shape[1]
            )
            axis = len(call.shape) - 2 - column
            if axis >= 1:
                form = [1] * len(call.shape)
                form[axis] = -1
                share = share * lines[axis - 1][slice(*box[axis])].to(part).reshape(form)
            out = out + share
        return out

    return Global(tuple(reads), run)

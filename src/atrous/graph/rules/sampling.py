"""Sampling a value at the places of a grid."""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.primitives import strided
from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Local,
    Operand,
    Read,
    identity_links,
    replay,
    rule,
)
from atrous.graph.sampling import Sampler, mixed
from atrous.graph.tables import Table, positions, table_reads


def _grid_examples(draw: Draw, op: str) -> Example:
    axes = 3 if op.endswith("3d") else 2 if op.endswith("2d") else draw.some([2, 2, 3])
    mode = draw.some([0, 1] if axes == 3 else [0, 1, 2])
    how = (mode, draw.some([0, 1, 2]), draw.some([False, True]))
    items = draw.randint(1, 2)
    if draw.random() < 0.35:
        x = draw.tensor(items, 2, *(2 if mode == 1 else draw.randint(2, 3) for _ in range(axes)))
        grid = draw.tensor(items, *draw.lengths(axes, 1, 2), axes) * 2 - 2
        return Example("default", (x, grid, *how), (0, 1), {"grid": (-0.4, 0.3)})
    x = draw.tensor(items, 2, *draw.lengths(axes, 1, 5 if axes == 2 else 3))
    places = draw.lengths(axes, 1, 5 if axes == 2 else 3)
    lines = [draw.some([
        torch.linspace(-1, 1, n, dtype=torch.float64),
        torch.linspace(1, -1, n, dtype=torch.float64) * (n - 1) / n,
        torch.linspace(-1.6, 0.9, n, dtype=torch.float64),
        draw.tensor(n) * 3 - 3,
    ]) for n in places]  # fmt: skip
    grid = torch.stack(list(reversed(torch.meshgrid(*lines, indexing="ij"))), dim=-1)
    grid = grid.expand(items, *grid.shape)
    form = draw.randint(0, 5)
    if form == 4 and axes == 2:
        grid = grid.flip(-1)
    if form == 5:
        grid = draw.tensor(*grid.shape) * 3 - 3
    return Example("default", (x, grid.contiguous(), *how))


@rule("aten.grid_sampler", "aten.grid_sampler_2d", "aten.grid_sampler_3d", examples=_grid_examples)
def grid_sampler(call: Call) -> Description:
    """Each output is mixed from the positions around the place that the grid names for it.

    A grid that depends on the input may name any place.
    """
    x, grid = call.operand("input"), call.operand("grid")
    axes = len(call.shape) - 2
    identity = identity_links(x, x.shape)
    if not grid.is_constant:
        places = (Link(0, strided(call.shape[0], call.shape[0])), None, *(
            Link(a - 1, strided(call.shape[a], call.shape[a])) for a in range(2, axes + 2)
        ))  # fmt: skip
        reads = (Read(x, (*identity[:2], *[None] * axes)), Read(grid, places))
        return Global(reads, replay(call))
    sampler = Sampler(
        call.args["interpolation_mode"], call.args["padding_mode"], call.args["align_corners"]
    )
    table = grid.known()

    def taps(part: Tensor) -> list[list[tuple[Tensor, Tensor]]]:
        # The last axis of a grid names the fastest axis first.
        return [
            sampler.taps(sampler.places(part[..., axes - 1 - k], n, axes), n)
            for k, n in enumerate(x.shape[2:])
        ]

    def run(args: Arguments, box: Box) -> Tensor:
        region: Region = args["input"]
        region = region.crop((*box[:2], *region.box[2:]))
        part = table[tuple(slice(*side) for side in (box[0], *box[2:]))]
        return mixed(region, taps(part.to(region.tensor.device)))

    return Local(_constant_reads(call, x, table, taps(table)), run)


def _constant_reads(
    call: Call, x: Operand, grid: Tensor, taps: list[list[tuple[Tensor, Tensor]]]
) -> tuple[Read, ...]:
    """What is mixed anywhere, along the axes of the result that matter to it."""
    axes = len(taps)
    outs = [0, *range(2, axes + 2)]
    corner: list[int] = []
    for place, axis in enumerate(outs):
        names = grid.movedim(place, 0)
        if bool((names != names[:1]).any()):
            corner.append(axis)
    keep = tuple(slice(None) if axis in corner else slice(0, 1) for axis in outs)
    lengths = {axis: call.shape[axis] for axis in corner}
    at = positions(list(lengths.values()))
    inputs = {k + 2: n for k, n in enumerate(x.shape[2:])}
    batch = 0 in corner
    readers, reads = [], []
    for combination in itertools.product(*taps):
        read = np.ones(len(at), dtype=bool)
        where = [at[:, 0]] if batch else []
        for (position, weight), n in zip(combination, x.shape[2:], strict=True):
            # The weight of a place on a position is rounding, not a tap.
            tiny = torch.finfo(weight.dtype).eps * n
            read &= (weight[keep].abs() > tiny).reshape(-1).cpu().numpy()
            where.append(position[keep].reshape(-1).cpu().numpy())
        readers.append(at[read])
        reads.append(np.stack(where, axis=1)[read])
    both = np.unique(np.concatenate([np.concatenate(readers), np.concatenate(reads)], 1), axis=0)
    table = Table(
        both[:, : len(corner)],
        both[:, len(corner) :],
        lengths,
        {0: x.shape[0], **inputs} if batch else inputs,
    )
    identity = identity_links(x, x.shape)
    links = {a: link for a in ((1,) if batch else (0, 1)) if (link := identity[a]) is not None}
    return table_reads(x, call.shape, table, links)

"""Running operators that only move values: gather by index, fill what is padding."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from atrous.graph.region import Box, Region, box_shape
from atrous.graph.rule import Arguments, Read, Run


def mover(read: Read, name: str, fill: float = 0.0) -> Run:
    """`run` for a result whose every position is one position of operand `name`, or `fill`."""

    def run(args: Arguments, box: Box) -> Tensor:
        return move(args[name], read, box, fill)

    return run


def move(region: Region, read: Read, box: Box, fill: float) -> Tensor:
    """One box of a result that picks single positions along every axis."""
    tensor = region.tensor
    order: list[int] = []
    padding: list[Tensor | None] = []
    for link, (lo, hi) in zip(read.links, box, strict=True):
        if link is None:
            padding.append(None)
            continue
        outputs = np.arange(lo, hi, dtype=np.int64)
        position, inputs, _ = link.relation.reads(outputs)
        source = np.zeros(len(outputs), dtype=np.int64)
        source[position] = inputs - region.box[link.axis][0]
        missing = np.ones(len(outputs), dtype=bool)
        missing[position] = False
        padding.append(torch.from_numpy(missing) if missing.any() else None)
        order.append(link.axis)
        if tensor.shape[link.axis] == 0:
            return tensor.new_full(box_shape(box), fill)
        tensor = _select(tensor, link.axis, source)
    for link in read.unlinked:
        _, inputs, _ = link.relation.reads(np.zeros(1, dtype=np.int64))
        tensor = tensor.narrow(link.axis, int(inputs[0]) - region.box[link.axis][0], 1)
        order.append(link.axis)
    linked = sum(link is not None for link in read.links)
    tensor = tensor.permute(order)
    for _ in range(len(order) - linked):
        tensor = tensor.squeeze(-1)
    for axis, link in enumerate(read.links):
        if link is None:
            tensor = tensor.unsqueeze(axis)
    tensor = tensor.expand(box_shape(box))
    for axis, missing_rows in enumerate(padding):
        if missing_rows is not None:
            shape = [1] * len(box)
            shape[axis] = -1
            tensor = tensor.masked_fill(missing_rows.reshape(shape), fill)
    return tensor


def _select(
    tensor: Tensor, axis: int, source: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
) -> Tensor:
    steps = np.diff(source)
    if len(source) and (steps == 1).all():
        return tensor.narrow(axis, int(source[0]), len(source))
    return tensor.index_select(axis, torch.from_numpy(source))


def reshaped(region: Region, box: Box, result_shape: Sequence[int]) -> Tensor:
    """One box of a reshape, gathered element by element."""
    flat = torch.zeros(box_shape(box), dtype=torch.int64)
    stride = 1
    for axis in reversed(range(len(box))):
        shape = [1] * len(box)
        shape[axis] = -1
        flat = flat + (torch.arange(*box[axis]) * stride).reshape(shape)
        stride *= result_shape[axis]
    local = torch.zeros_like(flat)
    weight = 1
    for length, (lo, hi) in reversed(list(zip(region.shape, region.box, strict=True))):
        local += (flat % length - lo) * weight
        flat = flat // length
        weight *= hi - lo
    return region.tensor.reshape(-1)[local]


def picked(region: Region, index: Tensor) -> Tensor:
    """The elements of a value at flat indices, from a region that holds them; -1 gives 0."""
    local = torch.zeros_like(index)
    weight, flat = 1, index.clamp(min=0)
    for length, (lo, hi) in reversed(list(zip(region.shape, region.box, strict=True))):
        local += (flat % length - lo).clamp(0, max(hi - lo - 1, 0)) * weight
        flat = flat // length
        weight *= hi - lo
    values = region.tensor.reshape(-1)
    if not len(values):
        return region.tensor.new_zeros(index.shape)
    return torch.where(index < 0, torch.zeros((), dtype=values.dtype), values[local])

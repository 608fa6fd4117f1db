"""Advanced indexing: where the axes of an index lie in the result, and what it picks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.graph.region import Box
from atrous.graph.rule import Link, Operand, Read, broadcast
from atrous.graph.tables import Table, positions


@dataclass(frozen=True, eq=False)
class Index:
    """The index of one axis.

    Attributes:
        axis: the axis that is indexed.
        length: its length.
        operand: the tensor of positions.
        slot: its number among the indices given.
        table: its values, none of them negative, if they are constant.
        shape: their shape.
    """

    axis: int
    length: int
    operand: Operand
    slot: int
    table: Tensor | None
    shape: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Indexing:
    """Indices that are broadcast against each other, as in `x[:, i, j]`.

    Attributes:
        indices: one entry per indexed axis.
        shape: their common shape.
        start: where its axes begin in the result.
        kept: axes that are not indexed -> their place in the result.
    """

    indices: tuple[Index, ...]
    shape: tuple[int, ...]
    start: int
    kept: dict[int, int]

    @classmethod
    def of(cls, x: Operand, given: Sequence[Operand | None]) -> Indexing:
        """The meaning of a list of indices, one per axis (a mask stands for several)."""
        axis = 0
        found: list[Index] = []
        for slot, operand in enumerate(given):
            if operand is None:
                axis += 1
                continue
            tables: Sequence[Tensor | None] = [None]
            if operand.dtype in (torch.bool, torch.uint8):
                if not operand.is_constant:
                    raise NotImplementedError("a mask that depends on the input")
                tables = operand.known().nonzero(as_tuple=True)
            elif operand.is_constant:
                tables = [operand.known()]
            for table in tables:
                if table is not None:
                    table = torch.where(table < 0, table + x.shape[axis], table).long().cpu()
                shape = operand.shape if table is None else tuple(table.shape)
                found.append(Index(axis, x.shape[axis], operand, slot, table, shape))
                axis += 1
        axes = [index.axis for index in found]
        shape = tuple(np.broadcast_shapes(*(index.shape for index in found)))
        neighbours = axes == list(range(axes[0], axes[0] + len(axes)))
        start = axes[0] if neighbours else 0
        rest = [a for a in range(len(x.shape)) if a not in axes]
        kept = {a: n if n < start else n + len(shape) for n, a in enumerate(rest)}
        return cls(tuple(found), shape, start, kept)

    @property
    def constant(self) -> tuple[Index, ...]:
        """The indices whose values are known."""
        return tuple(index for index in self.indices if index.table is not None)

    @property
    def data(self) -> tuple[Index, ...]:
        """The indices that depend on the input."""
        return tuple(index for index in self.indices if index.table is None)

    def table(self) -> Table:
        """What the constant indices pick, along those of their axes that matter."""
        spread = [
            np.broadcast_to(index.table.numpy(), self.shape)
            for index in self.constant
            if index.table is not None
        ]
        varying = [
            d for d in range(len(self.shape))
            if any((t != t.take([0], axis=d)).any() for t in spread)
        ]  # fmt: skip
        corner = tuple(slice(None) if d in varying else slice(0, 1) for d in range(len(self.shape)))
        readers = positions([self.shape[d] for d in varying])
        reads = np.stack([t[corner].reshape(-1) for t in spread], axis=1).astype(np.int64)
        return Table(
            readers,
            reads,
            {self.start + d: self.shape[d] for d in varying},
            {index.axis: index.length for index in self.constant},
        )

    def reads_of_data(self, axes: int) -> tuple[Read, ...]:
        """How a result of that many axes reads the indices that are data: at its own place."""
        reads = []
        for index in self.data:
            links: list[Link | None] = [None] * axes
            for own, length in enumerate(index.shape):
                d = len(self.shape) - len(index.shape) + own
                links[self.start + d] = Link(own, broadcast(self.shape[d], length))
            reads.append(Read(index.operand, tuple(links)))
        return tuple(reads)

    def local(self, given: Sequence[Any], part: Box, origin: Box, device: torch.device) -> Any:
        """Indices for a crop: subscripts of a tensor that begins at `origin`.

        Args:
            given: the indices as regions; those that are data hold just the part.
            part: the box over the indices' common axes.
            origin: the box that the indexed tensor holds.
            device: where it lies.
        """
        subscripts: list[Any] = [slice(None)] * (len(self.indices) + len(self.kept))
        for index in self.indices:
            if index.table is None:
                values: Tensor = given[index.slot].tensor
                values = torch.where(values < 0, values + index.length, values)
            else:
                sides = part[len(part) - index.table.dim() :] if index.table.dim() else ()
                values = index.table[
                    tuple(
                        slice(None) if n == 1 else slice(*side)
                        for n, side in zip(index.table.shape, sides, strict=True)
                    )
                ]
            subscripts[index.axis] = values.to(device) - origin[index.axis][0]
        return tuple(subscripts)

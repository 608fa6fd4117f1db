"""Counts in blocks of positions, where there is no room for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, log

import numpy as np
import numpy.typing as npt

from atrous.geometry.relation import Flags
from atrous.report.views.projection import Projection


@dataclass(frozen=True, eq=False)
class Reduced:
    """Counts in blocks of positions.

    Attributes:
        block: positions per block, per axis.
        largest: the largest count of each block.
        partly: which blocks hold positions that are read and others that are not.
        empty: which hold none that is read.
    """

    block: tuple[int, ...]
    largest: npt.NDArray[np.float64]
    partly: Flags
    empty: Flags


def reduced(found: Projection, most: Sequence[int]) -> Reduced:
    """As many blocks per axis as there is room for; a block tells if any position in it is a hole.

    >>> from types import SimpleNamespace
    >>> counts = np.array([1, 2, 0, 4, 0, 0])
    >>> line = SimpleNamespace(values=lambda: (counts.astype(float), False), holes=counts == 0)
    >>> blocks = reduced(line, [3])
    >>> blocks.largest.tolist(), blocks.partly.tolist(), blocks.empty.tolist()
    ([2.0, 4.0, 0.0], [False, True, False], [False, False, True])
    """
    values, _ = found.values()
    block = tuple(max(1, ceil(n / m)) for n, m in zip(values.shape, most, strict=True))
    if len(block) == 2:
        block = (max(block),) * 2  # squares stay squares
    largest, any_hole = values, found.holes
    any_read = ~found.holes
    for axis, size in enumerate(block):
        starts = np.arange(0, values.shape[axis], size)
        largest = np.maximum.reduceat(largest, starts, axis=axis)
        any_hole = np.logical_or.reduceat(any_hole, starts, axis=axis)
        any_read = np.logical_or.reduceat(any_read, starts, axis=axis)
    return Reduced(block, largest, any_hole & any_read, ~any_read)


def steps(values: npt.NDArray[np.float64], count: int, logarithmic: bool) -> npt.NDArray[np.int64]:
    """Values above 0 as steps 0 to `count - 1`, the largest the last; 0 for values of 0.

    >>> steps(np.array([0.0, 1.0, 2.0, 8.0]), 4, False).tolist()
    [0, 0, 0, 3]
    """
    read = values[values > 0]
    low, high = float(read.min()), float(read.max())
    if logarithmic and low < high:
        share = np.log(np.maximum(values, low) / low) / log(high / low)
    else:
        share = values / high
    found: npt.NDArray[np.int64] = np.clip(np.ceil(share * count) - 1, 0, count - 1).astype(int)
    return found

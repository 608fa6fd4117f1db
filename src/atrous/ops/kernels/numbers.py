"""What depthwise kernels are told, and where each of it stands among their numbers."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from atrous.ops.kernels.compiled import array, inner, to_whole
from atrous.ops.kernels.stretches import Axis, Stretches, stretches
from atrous.ops.problem import Problem
from atrous.ops.team import Numbers

# 0 and 1 are the team's: parts taken, and how many there are.
READ, WEIGHTS, BIAS, RESULT = 2, 3, 4, 5
"""Addresses: of what is read, (N, C, D, H, W) or (N, D, H, W, C); of the weights or their gradient;
of the bias, 0 for none; of the result, or of the gradient given."""
BATCH, CHANNELS_READ, CHANNELS = 6, 7, 8
LENGTHS_READ, LENGTHS, KERNEL, PAD, DILATION, STRIDE, SPREAD = 9, 12, 15, 18, 21, 24, 27
"""Three each, one per axis; for the last three see `stretches.Axis`."""
SOURCES, ALIKE = 30, 31
"""Planes read for one of the result, and planes of the result in a row that read the same."""
_TABLES = 32
"""Per axis the addresses of its runs, taps and outputs, how many runs, and the step read."""
_PER_AXIS = 5
COUNT = _TABLES + 3 * _PER_AXIS


@inner
def three(numbers: Any, first: Any) -> Any:
    """The numbers of all axes."""
    return numbers[first], numbers[first + 1], numbers[first + 2]


@inner
def share(part: Any, parts: Any, count: Any) -> Any:
    """The first of a part, and the one after its last."""
    return count * part // parts, count * (part + 1) // parts


@inner
def axis_tables(numbers: Any, axis: Any) -> Any:
    """Of an axis its runs, their taps, the place of each output, and the step read in a run."""
    at = _TABLES + axis * _PER_AXIS
    like = to_whole(0)
    runs = array(numbers[at], like, (numbers[at + 3], 5))
    taps = array(numbers[at + 1], like, (numbers[LENGTHS + axis] * numbers[KERNEL + axis], 2))
    where = array(numbers[at + 2], like, (numbers[LENGTHS + axis], 2))
    return runs, taps, where, numbers[at + 4]


@inner
def rows_read(numbers: Any, z: Any, v: Any, bases: Any, firsts: Any) -> Any:
    """How many rows a row of the result reads: where they begin, and the first tap of each."""
    lengths, kernel = three(numbers, LENGTHS_READ), three(numbers, KERNEL)
    slice_runs, slices, slice_of, slice_step = axis_tables(numbers, 0)
    row_runs, rows, row_of, row_step = axis_tables(numbers, 1)
    across, down = slice_runs[slice_of[z, 0]], row_runs[row_of[v, 0]]
    count = 0
    for a in range(across[3], across[4]):
        depth = slices[a, 1] + slice_of[z, 1] * slice_step
        for b in range(down[3], down[4]):
            height = rows[b, 1] + row_of[v, 1] * row_step
            bases[count] = (depth * lengths[1] + height) * lengths[2]
            firsts[count] = (slices[a, 0] * kernel[1] + rows[b, 0]) * kernel[2]
            count += 1
    return count


@lru_cache(maxsize=1024)
def numbers_of(problem: Problem, tables: bool = False) -> tuple[Numbers, tuple[Stretches, ...]]:
    """The numbers of a problem without the addresses of its tensors, and what they point to."""
    pad = _three([before for before, _ in problem.padding], 0)
    kernel, dilation = _three(problem.kernel), _three(problem.dilation)
    stride, spread = _three(problem.stride), (1, 1, 1)
    read, result = _three(problem.lengths), _three(problem.outputs)
    channels, multiplier = problem.channels, problem.channels[1] // problem.channels[0]
    sources = (1, multiplier)
    if problem.job == "input gradient":
        pad = tuple(d * (k - 1) - p for d, k, p in zip(dilation, kernel, pad, strict=True))
        read, result, channels = result, read, channels[::-1]
        stride, spread, sources = spread, stride, sources[::-1]
    sizes = (problem.batch, *channels, *read, *result, *kernel, *pad, *dilation, *stride, *spread)
    numbers = np.zeros(COUNT, np.int64)
    numbers[BATCH:_TABLES] = [*sizes, *sources]
    cut: tuple[Stretches, ...] = ()
    if tables:
        cut = tuple(
            stretches(Axis(*sizes))
            for sizes in zip(read, result, kernel, pad, dilation, stride, spread, strict=True)
        )
        for axis, found in enumerate(cut):
            at = _TABLES + axis * _PER_AXIS
            addresses = [t.ctypes.data for t in (found.runs, found.taps, found.where)]
            numbers[at : at + _PER_AXIS] = [*addresses, len(found.runs), found.source_step]
    return numbers, cut


def _three(sizes: Sequence[int], lacking: int = 1) -> tuple[int, ...]:
    return (*(lacking,) * (3 - len(sizes)), *map(int, sizes))

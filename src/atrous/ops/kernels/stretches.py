"""Outputs of one axis that read the same taps.

Near the ends of the input some taps lie beyond it. Which do is the same for long stretches of
outputs: between the ends, at either end, and where dilation is large, in steps of it. Over a
stretch there is no condition left: every tap is a constant offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

Table = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Axis:
    """One axis.

    Output `o` reads, at tap `t`, position `(o * stride + t * dilation - pad) / spread`.

    Attributes:
        read: positions that are read from.
        outputs: positions of the result.
        kernel: taps.
        pad: zeros in front, negative where positions are left out.
        dilation: positions between taps.
        stride: positions between outputs.
        spread: positions from one that is read to the next; what lies between is zero.
    """

    read: int
    outputs: int
    kernel: int
    pad: int
    dilation: int
    stride: int = 1
    spread: int = 1


@dataclass(frozen=True)
class Stretches:
    """The outputs of an axis in stretches.

    Attributes:
        runs: per stretch its first output, the step to the next, how many, and the first and the
            one after the last of its taps: (stretches, 5).
        taps: a tap, and the position that the first output of the stretch reads there: (taps, 2).
        source_step: positions read from one output of a stretch to the next.
        where: per output its stretch and its place in it: (outputs, 2).
    """

    runs: Table
    taps: Table
    source_step: int
    where: Table


def stretches(axis: Axis) -> Stretches:
    """Cut an axis into stretches.

    >>> found = stretches(Axis(read=5, outputs=5, kernel=3, pad=2, dilation=2))
    >>> found.runs[:, 0].tolist(), found.runs[:, 2].tolist()
    ([0, 2, 3], [2, 1, 2])
    """
    runs: list[tuple[int, ...]] = []
    taps: list[tuple[int, int]] = []
    where = np.zeros((axis.outputs, 2), np.int64)
    step = axis.spread
    for phase in range(min(step, axis.outputs)):
        reached = {t: _reach(axis, phase, t) for t in range(axis.kernel)}
        count = (axis.outputs - 1 - phase) // step + 1
        cuts = sorted({0, count, *(end for reach in reached.values() for end in reach)})
        for low, high in pairwise(cuts):
            begin = len(taps)
            first = phase + low * step
            for t, (lowest, end) in reached.items():
                if lowest <= low < end:
                    at = first * axis.stride + t * axis.dilation - axis.pad
                    taps.append((t, at // axis.spread))
            where[first : first + (high - low) * step : step, 0] = len(runs)
            where[first : first + (high - low) * step : step, 1] = np.arange(high - low)
            runs.append((first, step, high - low, begin, len(taps)))
    return Stretches(
        np.array(runs, np.int64).reshape(-1, 5),
        np.array(taps, np.int64).reshape(-1, 2),
        axis.stride * step // axis.spread,
        where,
    )


def _reach(axis: Axis, phase: int, tap: int) -> tuple[int, int]:
    """The outputs of a phase whose tap lies within the input: the first, the one after the last.

    Outputs are `phase + i * spread`; counted by i.
    """
    shift = phase * axis.stride + tap * axis.dilation - axis.pad
    count = (axis.outputs - 1 - phase) // axis.spread + 1
    if shift % axis.spread:
        return 0, 0
    shift //= axis.spread
    first = min(count, max(0, -(shift // axis.stride)))
    last = min(count, (axis.read - 1 - shift) // axis.stride + 1)
    return (first, last) if first < last else (0, 0)

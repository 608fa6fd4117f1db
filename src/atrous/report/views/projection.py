"""One or two axes of a coverage, as every kind of picture shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import log10

import numpy as np
import numpy.typing as npt

from atrous.analysis.coverage.coverage import Coverage
from atrous.geometry.relation import Flags
from atrous.geometry.taps import Counts

_FLOATS_END = 1e300
_WIDE = 100


@dataclass(frozen=True, eq=False)
class Projection:
    """Counts along one or two axes of the input.

    Attributes:
        axes: the input's axes shown, the rows first.
        counts: counts of the span, holes 0.
        start: the first position, per axis.
        places: where the outputs lie, per axis; empty where that cannot be told.
        note: what was done with the other axes; "" if there are none.
    """

    axes: tuple[int, ...]
    counts: Counts
    start: tuple[int, ...]
    places: tuple[tuple[float, ...], ...]
    note: str

    @property
    def holes(self) -> Flags:
        """Which positions nothing reads."""
        return np.asarray(self.counts == 0)

    @property
    def stop(self) -> tuple[int, ...]:
        """One past the last position, per axis."""
        return tuple(a + n for a, n in zip(self.start, self.counts.shape, strict=True))

    @property
    def is_wide(self) -> bool:
        """Whether the largest count is so much above the smallest that only a log scale tells."""
        read = self.counts[~self.holes]
        return bool(read.size) and bool(read.max() > _WIDE * read.min())

    def values(self) -> tuple[npt.NDArray[np.float64], bool]:
        """The counts as floats, holes 0; and whether they are logarithms to base 10, plus 1, as
        they are where floats end."""
        if self.counts.size == 0 or self.counts.max() < _FLOATS_END:
            return self.counts.astype(np.float64), False
        logs = [log10(c) + 1 if c else 0.0 for c in self.counts.ravel().tolist()]
        return np.array(logs).reshape(self.counts.shape), True


def projection(
    cover: Coverage,
    axes: int | tuple[int, ...] | None = None,
    *,
    at: Mapping[int, int] | None = None,
) -> Projection:
    """One or two axes of a coverage; the others added up, or cut at one position.

    Args:
        cover: the coverage.
        axes: which axes of the input; by default the last two, or the only one.
        at: for other axes, the input position to cut at, axis -> position; by default the counts of
            all positions are added up, so that a hole is a hole at all of them.

    Raises:
        ValueError: if there are no such axes, or nothing at such a position.
    """
    if axes is None:
        axes = cover.axes[-2:]
    shown = (axes,) if isinstance(axes, int) else tuple(axes)
    if not 1 <= len(shown) <= 2 or len(set(shown)) < len(shown) or not set(shown) <= {*cover.axes}:
        raise ValueError(
            f"axes must be one or two of the axes {cover.axes} of the coverage, got {axes!r}."
        )
    others = [axis for axis in cover.axes if axis not in shown]
    cuts = dict(at or {})
    if not set(cuts) <= set(others):
        raise ValueError(
            f"at must name axes that are not shown, of {tuple(others)}, got {tuple(cuts)}."
        )
    index: list[int | slice] = []
    for axis, start, length in zip(cover.axes, cover.start, cover.span, strict=True):
        if axis in cuts and not start <= cuts[axis] < start + length:
            raise ValueError(
                f"at must lie in the span {start} to {start + length - 1} of axis {axis}, got "
                f"{cuts[axis]}."
            )
        index.append(
            slice(cuts[axis] - start, cuts[axis] - start + 1) if axis in cuts else slice(None)
        )
    summed = tuple(cover.axes.index(axis) for axis in others)
    counts = cover.counts[tuple(index)].sum(axis=summed)
    left = [axis for axis in cover.axes if axis in shown]
    if list(shown) != left:
        counts = counts.T
    numbers = [cover.axes.index(axis) for axis in shown]
    notes = [
        f"axis {axis} at {cuts[axis]}" if axis in cuts else f"axis {axis} added up"
        for axis in others
    ]
    return Projection(
        shown,
        counts,
        tuple(cover.start[k] for k in numbers),
        tuple(cover.place[k] for k in numbers),
        ", ".join(notes),
    )

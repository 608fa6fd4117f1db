"""Segments cut finer: where strands are alive that single axes do not tell."""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np

from atrous.analysis.fields.members import distinct
from atrous.analysis.fields.strands import Labels, Segment, Strand, Trace


def separated(trace: Trace, axes: Collection[int]) -> Trace:
    """The same trace, each segment lying on a set of positions of every given axis times a set of
    positions of the others.

    What an operator reads along an axis is then told by the positions of that axis.
    """
    varying = [axis for axis, length in enumerate(trace.labels.shape) if length > 1]
    mine = [axis for axis in varying if axis in axes]
    if len(varying) < 2 or not mine:
        return trace
    labels, origins = trace.labels, list(range(len(trace.segments)))
    count = -1
    while count != len(origins):
        count = len(origins)
        for axis in mine:
            labels, origins = _cut_by_profile(labels, origins, axis)
    return Trace(trace.shape, labels, tuple(trace.segments[origin] for origin in origins))


def _cut_by_profile(labels: Labels, origins: list[int], axis: int) -> tuple[Labels, list[int]]:
    """Labels told apart by the positions of an axis that they take beside one another."""
    moved = np.moveaxis(labels, axis, -1)
    lines, line = distinct(moved.reshape(-1, moved.shape[-1]))
    numbers: dict[tuple[int, bytes], int] = {}
    new = np.full_like(lines, -1)
    for own, old in zip(new, lines, strict=True):
        for label in np.unique(old[old >= 0]):
            there = old == label
            own[there] = numbers.setdefault((int(label), there.tobytes()), len(numbers))
    cut = np.moveaxis(new[line].reshape(moved.shape), -1, axis)
    return cut, [origins[label] for label, _ in numbers]


def rows_as_labels(trace: Trace, wanted: Callable[[Strand], Collection[int]]) -> Trace:
    """The same trace, telling by segments where strands are alive, not by rows of the axes that
    are `wanted`."""
    needs = {strand: wanted(strand) for segment in trace.segments for strand in segment}
    shape = list(trace.labels.shape)
    for strand, axes in needs.items():
        for axis in axes:
            shape[axis] = len(strand.rows[axis])
    if not any(needs.values()):
        return trace
    before = np.broadcast_to(trace.labels, shape).reshape(-1)
    labels = np.full(before.shape, -1, dtype=np.int64)
    segments: list[Segment] = []
    for number, segment in enumerate(trace.segments):
        there = np.flatnonzero(before == number)
        place = np.unravel_index(there, shape)
        alive = np.ones((len(there), len(segment)), dtype=bool)
        for k, strand in enumerate(segment):
            for axis in needs[strand]:
                alive[:, k] &= strand.rows[axis][place[axis]]
        freed = [_without_rows(strand, needs[strand]) for strand in segment]
        kinds, kind = np.unique(alive, axis=0, return_inverse=True)
        labels[there] = len(segments) + kind.reshape(-1)
        for flags in kinds:
            segments.append(tuple(s for s, flag in zip(freed, flags, strict=True) if flag))
    return Trace(trace.shape, labels.reshape(shape), tuple(segments))


def _without_rows(strand: Strand, axes: Collection[int]) -> Strand:
    if not axes:
        return strand
    rows = {axis: flags for axis, flags in strand.rows.items() if axis not in axes}
    return Strand(strand.input, strand.routes, rows)

"""Which elements of an operand each element of a result may read, and a colouring of them.

Elements of one colour share no output, so that one evaluation tells all their coefficients: the
idea of A. R. Curtis, M. J. D. Powell and J. K. Reid, "On the estimation of sparse Jacobian
matrices", IMA Journal of Applied Mathematics 13 (1974).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from atrous.geometry.relation import Relation
from atrous.geometry.taps import Ints
from atrous.graph.factors import joined
from atrous.graph.rule import Read


class TooLargeError(ValueError):
    """More pairs than the limit allows."""

    def __init__(self, pairs: int) -> None:
        super().__init__(f"{pairs:,} pairs of an output and an input")
        self.pairs = pairs


@dataclass(frozen=True, eq=False)
class Support:
    """Pairs of an output and an input that may belong together, each in a colour.

    Attributes:
        rows: flat index of the output, per pair.
        columns: flat index of the input, per pair.
        colours: the evaluation that tells the pair's coefficient.
        count: how many evaluations there are.
    """

    rows: Ints
    columns: Ints
    colours: Ints
    count: int


def support(reads: Sequence[Read], shape: tuple[int, ...], limit: int) -> Support:
    """The support of all the reads of one operand by a result of that shape.

    Raises:
        TooLargeError: if it has more than `limit` pairs.
    """
    found: list[Support] = []
    for read in reads:
        mine = _of_read(read, shape, limit)
        if not any(_same(mine, other) for other in found):
            found.append(mine)
    if len(found) == 1:
        return found[0]
    if sum(len(part.rows) for part in found) > limit:
        raise TooLargeError(sum(len(part.rows) for part in found))
    outputs = np.concatenate([np.unique(part.rows) for part in found])
    if len(np.unique(outputs)) == len(outputs):
        # No output is in two of them: each keeps its colours.
        starts = np.cumsum([0, *(part.count for part in found)])
        return Support(
            np.concatenate([part.rows for part in found]),
            np.concatenate([part.columns for part in found]),
            np.concatenate([p.colours + s for p, s in zip(found, starts[:-1], strict=True)]),
            int(starts[-1]),
        )
    pairs = np.concatenate([np.stack([part.rows, part.columns], 1) for part in found])
    rows, columns = np.unique(pairs, axis=0).T
    colours = colouring(rows, columns, prod(reads[0].operand.shape))
    return Support(rows, columns, colours[columns], _count(colours))


def _same(first: Support, second: Support) -> bool:
    return np.array_equal(first.rows, second.rows) and np.array_equal(first.columns, second.columns)


def _count(colours: Ints) -> int:
    return int(colours.max()) + 1 if len(colours) else 0


def _of_read(read: Read, shape: tuple[int, ...], limit: int) -> Support:
    """The product of the relations of all axes; so are the colours."""
    outputs = shape if read.merge is None else joined(read.merge)
    inputs = read.lengths
    steps_out, steps_in = _strides(outputs), _strides(inputs)
    parts: list[tuple[Ints, Ints, Ints, int]] = []
    for axis, length in enumerate(outputs):
        if read.links[axis] is None:
            nothing = np.zeros(length, dtype=np.int64)
            parts.append((np.arange(length, dtype=np.int64) * steps_out[axis], nothing, nothing, 1))
    for axis, length in enumerate(inputs):
        links = [
            (k, link.relation) for k, link in enumerate(read.links) if link and link.axis == axis
        ]
        rest = [link.relation for link in read.unlinked if link.axis == axis]
        if rest:
            _, columns, _ = rest[0].reads(np.zeros(1, dtype=np.int64))
            columns = np.unique(columns)
            rows = np.zeros(len(columns), dtype=np.int64)
        else:
            rows, columns = _pairs(links, steps_out, limit)
        colours = colouring(rows, columns, length)
        parts.append((rows, columns * steps_in[axis], colours[columns], _count(colours)))
    size = prod(len(rows) for rows, *_ in parts)
    if size > limit:
        raise TooLargeError(size)
    rows, columns, colours = (np.zeros(1, dtype=np.int64) for _ in range(3))
    total = 1
    for more_rows, more_columns, more_colours, count in parts:
        rows, columns = _sums(rows, more_rows), _sums(columns, more_columns)
        colours = _sums(colours * count, more_colours)
        total *= count
    if read.segment is not None:
        at = rows // steps_out[read.segment.axis] % outputs[read.segment.axis]
        kept = read.segment.reads[at]
        rows, columns, colours = rows[kept], columns[kept], colours[kept]
    return Support(rows, columns, colours, total)


def _sums(first: Ints, second: Ints) -> Ints:
    return (first[:, None] + second[None, :]).reshape(-1)


def _strides(lengths: tuple[int, ...]) -> list[int]:
    return [prod(lengths[axis + 1 :]) for axis in range(len(lengths))]


def _pairs(links: list[tuple[int, Relation]], steps: list[int], limit: int) -> tuple[Ints, Ints]:
    """(offset of the output, position read) along one operand axis, each pair once.

    Where several output axes follow the same operand axis, they must all read the position.
    """
    rows, columns = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    for number, (axis, relation) in enumerate(links):
        more, read, _ = relation.reads(np.arange(relation.outputs, dtype=np.int64))
        more, read = np.unique(np.stack([more * steps[axis], read]), axis=1)
        if number == 0:
            rows, columns = more, read
            continue
        order, other = np.argsort(columns, kind="stable"), np.argsort(read, kind="stable")
        rows, columns, more, read = rows[order], columns[order], more[other], read[other]
        lo, hi = np.searchsorted(read, columns, "left"), np.searchsorted(read, columns, "right")
        counts = hi - lo
        if int(counts.sum()) > limit:
            raise TooLargeError(int(counts.sum()))
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        rows = np.repeat(rows, counts) + more[np.repeat(lo, counts) + within]
        columns = np.repeat(columns, counts)
    return rows, columns


def colouring(rows: Ints, columns: Ints, length: int) -> Ints:
    """Colours of the positions `[0, length)` such that no row reads two of one colour.

    Greedy, in order: the fewest possible for a sliding window. Positions that nothing reads get
    colour 0.

    >>> colouring(np.array([0, 0, 1, 1, 2, 2]), np.array([0, 1, 1, 2, 2, 3]), 4).tolist()
    [0, 1, 0, 1]
    """
    colours = np.zeros(length, dtype=np.int64)
    _, rows, sizes = np.unique(rows, return_inverse=True, return_counts=True)
    widest = int(sizes.max()) if len(sizes) else 0
    if widest <= 1:
        return colours
    if widest == length:
        return np.arange(length, dtype=np.int64)
    by_row, by_column = np.argsort(rows, kind="stable"), np.argsort(columns, kind="stable")
    members, readers = columns[by_row], rows[by_column]
    row_ends = np.concatenate([[0], np.cumsum(sizes)])
    column_ends = np.concatenate([[0], np.cumsum(np.bincount(columns, minlength=length))])
    colours[:] = -1
    for column in range(length):
        mine = readers[column_ends[column] : column_ends[column + 1]]
        taken = {
            int(c)
            for row in mine
            for c in colours[members[row_ends[row] : row_ends[row + 1]]]
            if c >= 0
        }
        colours[column] = next(c for c in range(len(taken) + 1) if c not in taken)
    return colours

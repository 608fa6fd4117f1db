"""What repeats in a sparse matrix: shifts that leave it as it is, its diagonals, its picture."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd, prod
from typing import TYPE_CHECKING, Literal

import numpy as np

from atrous.analysis.matrix.affine import Floats
from atrous.geometry.relation import Flags, longest_run
from atrous.geometry.taps import Ints

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_LONGEST = 32
"""The longest shift that is looked for, in outputs and in inputs."""

_ROUNDING = 1e-12
"""Entries that differ by less than this share of the largest are equal."""


@dataclass(frozen=True)
class Shift:
    """A shift along one axis that leaves entries as they are.

    Attributes:
        kind: "circulant" if it goes around the ends, else "toeplitz".
        outputs: its length in outputs; more than 1 where an axis is expanded.
        inputs: its length in inputs; more than 1 where an axis is decimated by a stride.
        rows: the outputs `[start, stop)` along the axis between which it holds; None for all.
    """

    kind: Literal["toeplitz", "circulant"]
    outputs: int
    inputs: int
    rows: tuple[int, int] | None = None


@dataclass(frozen=True)
class Band:
    """A diagonal that holds entries.

    Attributes:
        offset: input minus output, in steps of the axes.
        entries: how many of its entries are not zero.
        value: what all of them are; None if they differ.
    """

    offset: int
    entries: int
    value: float | None


@dataclass(frozen=True, eq=False)
class Entries:
    """The entries of a matrix between two shapes, in row-major order.

    Attributes:
        rows: flat output index, per entry.
        columns: flat input index, per entry.
        values: the entries.
        output_shape: shape of the outputs.
        input_shape: shape of the inputs.
    """

    rows: Ints
    columns: Ints
    values: Floats
    output_shape: tuple[int, ...]
    input_shape: tuple[int, ...]

    def equal(self, shifted: Floats, there: Floats) -> bool:
        """Whether values are the same up to rounding."""
        largest = float(np.abs(self.values).max(initial=0.0))
        return bool((np.abs(shifted - there) <= _ROUNDING * largest).all())


def entries(
    matrix: csr_array, output_shape: tuple[int, ...], input_shape: tuple[int, ...]
) -> Entries:
    """The entries of a matrix with sorted indices."""
    rows = np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr))
    return Entries(rows, matrix.indices.astype(np.int64), matrix.data, output_shape, input_shape)


def shift(found: Entries, axis: int) -> Shift | None:
    """The shortest shift along an axis that leaves all entries as they are; if there is none, one
    that does so for at least half of the outputs; None if none does.

    One that goes around the ends is preferred. Both axes must be at least two shifts long: along a
    shorter one nothing repeats.
    """
    lengths = found.output_shape[axis], found.input_shape[axis]
    steps = [prod(s[axis + 1 :]) for s in (found.output_shape, found.input_shape)]
    at = found.rows // steps[0] % lengths[0], found.columns // steps[1] % lengths[1]
    longest = [min(_LONGEST, n // 2) for n in lengths]
    pairs = [
        (q, p) for q in range(1, longest[0] + 1) for p in range(1, longest[1] + 1) if gcd(q, p) == 1
    ]
    for q, p in sorted(pairs, key=lambda pair: (sum(pair), pair)):
        if _repeats(found, at, lengths, steps, (q, p)):
            around = lengths[0] * p == lengths[1] * q and _goes_around(
                found, at, lengths, steps, (q, p)
            )
            return Shift("circulant" if around else "toeplitz", q, p)
    # Borders are exceptions. What is left of a shift has about the rate of the whole.
    q, p = (max(1, round(a / b)) for a, b in (lengths, lengths[::-1]))
    for by in dict.fromkeys([(1, 1), (1, p), (q, 1)]):
        if by in pairs:
            start, stop = _rows_between(found, at, lengths, steps, by)
            if stop - start >= max(2 * by[0] + 1, lengths[0] / 2):
                return Shift("toeplitz", *by, (start, stop))
    return None


def _rows_between(
    found: Entries,
    at: tuple[Ints, Ints],
    lengths: tuple[int, int],
    steps: list[int],
    by: tuple[int, int],
) -> tuple[int, int]:
    """The longest interval of outputs along the axis each of which is the one before, shifted."""
    here, there = _halves(at, lengths, by)
    moved = _moved_keys(found, here, steps, by)
    own = _keys(found, found.rows[there], found.columns[there])
    _, first, second = np.intersect1d(moved, own, assume_unique=True, return_indices=True)
    largest = float(np.abs(found.values).max(initial=0.0))
    off = np.abs(found.values[here][first] - found.values[there][second])
    same = off <= _ROUNDING * largest
    like = np.ones(lengths[0], dtype=bool)
    like[np.delete(at[0][here] + by[0], first[same])] = False
    like[np.delete(at[0][there], second[same])] = False
    start, stop = longest_run(like[by[0] :])
    return start, stop + by[0]


def _keys(found: Entries, rows: Ints, columns: Ints) -> Ints:
    keys: Ints = rows * prod(found.input_shape) + columns
    return keys


def _halves(
    at: tuple[Ints, Ints], lengths: tuple[int, int], by: tuple[int, int]
) -> tuple[Flags, Flags]:
    """Which entries have room for one shift on, and which for one shift back, on both axes."""
    here = (at[0] < lengths[0] - by[0]) & (at[1] < lengths[1] - by[1])
    there = (at[0] >= by[0]) & (at[1] >= by[1])
    return here, there


def _moved_keys(found: Entries, here: Flags, steps: list[int], by: tuple[int, int]) -> Ints:
    """The keys of some entries one shift on."""
    rows = found.rows[here] + by[0] * steps[0]
    return _keys(found, rows, found.columns[here] + by[1] * steps[1])


def _repeats(
    found: Entries,
    at: tuple[Ints, Ints],
    lengths: tuple[int, int],
    steps: list[int],
    by: tuple[int, int],
) -> bool:
    """Whether every entry is there again one shift on, where both axes still hold it."""
    here, there = _halves(at, lengths, by)
    if here.sum() != there.sum() or (len(here) and not here.any()):
        return False
    moved = _moved_keys(found, here, steps, by)
    same = np.array_equal(moved, _keys(found, found.rows[there], found.columns[there]))
    return same and found.equal(found.values[here], found.values[there])


def _goes_around(
    found: Entries,
    at: tuple[Ints, Ints],
    lengths: tuple[int, int],
    steps: list[int],
    by: tuple[int, int],
) -> bool:
    """Whether the entries are the same after a shift that re-enters at the other end."""
    rows, columns = (
        flat + ((place + step) % length - place) * stride
        for flat, place, step, length, stride in zip(
            (found.rows, found.columns), at, by, lengths, steps, strict=True
        )
    )
    moved = _keys(found, rows, columns)
    order = np.argsort(moved)
    same = np.array_equal(moved[order], _keys(found, found.rows, found.columns))
    return same and found.equal(found.values[order], found.values)


def named(shifts: tuple[Shift | None, ...]) -> str | None:
    """The name of a matrix with these shifts, the slowest axis first; None if one is missing or
    does not hold for all outputs.

    >>> named((Shift("toeplitz", 1, 2), Shift("toeplitz", 1, 2)))
    'block toeplitz with toeplitz blocks, decimated by 2'
    """
    known = [s for s in shifts if s is not None and s.rows is None]
    if not known or len(known) < len(shifts):
        return None
    kinds = [s.kind for s in known]
    if len(kinds) == 1:
        kind: str = kinds[0]
    elif len(kinds) == 2:
        kind = f"block {kinds[0]} with {kinds[1]} blocks"
    else:
        levels = kinds[:1] if len(set(kinds)) == 1 else kinds
        kind = f"{len(kinds)}-level {' of '.join(levels)}"
    steps = [(s.outputs, s.inputs) for s in known]
    for word, mine in (("decimated", [p for _, p in steps]), ("expanded", [q for q, _ in steps])):
        if max(mine) > 1:
            same = len(set(mine)) == 1
            kind += f", {word} by {mine[0] if same else tuple(mine)}"
    return kind


def bands(matrix: csr_array, outputs: int, inputs: int) -> tuple[Band, ...]:
    """The diagonals `column * outputs - row * inputs` that hold entries, ascending."""
    found = matrix.tocoo()
    rows, columns = (index.astype(np.int64) for index in found.coords)
    offsets, which = np.unique(columns * outputs - rows * inputs, return_inverse=True)
    counts = np.bincount(which, minlength=len(offsets))
    low, high = np.full(len(offsets), np.inf), np.full(len(offsets), -np.inf)
    np.minimum.at(low, which, found.data)
    np.maximum.at(high, which, found.data)
    largest = float(np.abs(found.data).max(initial=0.0))
    return tuple(
        Band(int(o), int(n), float(a) if b - a <= _ROUNDING * largest else None)
        for o, n, a, b in zip(offsets, counts, low, high, strict=True)
    )


def picture(matrix: csr_array, width: int, height: int) -> str:
    """Where the entries of a matrix are: a mark for each, or a dot for each part of larger ones
    that holds any.

    A character holds two by four dots, as in Braille.
    """
    rows, columns = matrix.shape
    y, x = matrix.tocoo().coords
    if rows <= height and 2 * columns <= width:
        filled = np.zeros((rows, columns), dtype=bool)
        filled[y, x] = True
        return "\n".join(" ".join("#" if f else "·" for f in row) for row in filled)
    scale = max(rows / (4 * height), columns / (2 * width), 1.0)
    high, wide = max(int(rows / scale), 1), max(int(columns / scale), 1)
    dots = np.zeros((-(-high // 4) * 4, -(-wide // 2) * 2), dtype=np.int64)
    dots[y * high // rows, x * wide // columns] = 1
    cells = dots.reshape(len(dots) // 4, 4, -1, 2)
    codes = np.einsum("iajb,ab->ij", cells, _BRAILLE)
    return "\n".join("".join(chr(0x2800 + int(code)) for code in line) for line in codes)


_BRAILLE = np.array([[1, 8], [2, 16], [4, 32], [64, 128]])
"""The bit of each dot of a Braille character."""

"""Sums of products over long contiguous rows."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from atrous.ops.kernels.compiled import inner, narrow, widen


def _sum_of(count: int) -> Any:
    """Adds a number of taps, or begins with them if they are the first."""

    def taps(
        out: Any, flat: Any, offsets: Any, weights: Any, at: Any, n: Any, begin: Any, first: Any
    ) -> None:
        # Tuples are constants to the compiler, and unsigned numbers are never counted from the end.
        w, off = to_fixed_tuple(weights, count), to_fixed_tuple(offsets, count)
        for t in range(np.uint64(n)):
            total = begin if first else out[t]
            for k in range(count):
                total += w[k] * flat[off[k] + at + t]
            out[t] = total

    return inner(taps)


_sum_9, _sum_6, _sum_4 = _sum_of(9), _sum_of(6), _sum_of(4)
_sum_3, _sum_2, _sum_1 = _sum_of(3), _sum_of(2), _sum_of(1)


@inner
def sum_taps(out: Any, flat: Any, offsets: Any, weights: Any, at: Any, n: Any, begin: Any) -> None:
    """`out[t] = begin + sum of weights[k] * flat[offsets[k] + at + t]`, for t below n."""
    done, count = 0, len(weights)
    if count == 0:
        out[:n] = begin
    while done < count:
        off, w, first = offsets[done:], weights[done:], done == 0
        left = count - done
        if left >= 9:
            _sum_9(out, flat, off, w, at, n, begin, first)
            done += 9
        elif left >= 6:
            _sum_6(out, flat, off, w, at, n, begin, first)
            done += 6
        elif left >= 4:
            _sum_4(out, flat, off, w, at, n, begin, first)
            done += 4
        elif left >= 3:
            _sum_3(out, flat, off, w, at, n, begin, first)
            done += 3
        elif left >= 2:
            _sum_2(out, flat, off, w, at, n, begin, first)
            done += 2
        else:
            _sum_1(out, flat, off, w, at, n, begin, first)
            done += 1


def _vectors_of(count: int, first: bool) -> Any:
    """Adds a number of taps that have a weight for each element, or begins with them."""

    def taps(
        out: Any, flat: Any, offsets: Any, weights: Any, rows: Any, at: Any, n: Any, begin: Any
    ) -> None:
        w, off = to_fixed_tuple(rows, count), to_fixed_tuple(offsets, count)
        for t in range(np.uint64(n)):
            total = begin[t] if first else widen(out[t])
            for k in range(count):
                total += weights[w[k] + t] * widen(flat[off[k] + at + t])
            out[t] = narrow(total, out[t])

    return inner(taps)


_vectors_9, _more_9 = _vectors_of(9, True), _vectors_of(9, False)
_vectors_6, _more_6 = _vectors_of(6, True), _vectors_of(6, False)
_vectors_4, _more_4 = _vectors_of(4, True), _vectors_of(4, False)
_vectors_3, _more_3 = _vectors_of(3, True), _vectors_of(3, False)
_vectors_2, _more_2 = _vectors_of(2, True), _vectors_of(2, False)
_vectors_1, _more_1 = _vectors_of(1, True), _vectors_of(1, False)


@inner
def sum_vectors(
    out: Any, sums: Any, flat: Any, offsets: Any, weights: Any, rows: Any, at: Any, n: Any,
    begin: Any,
) -> None:  # fmt: skip
    """`out[t] = begin[t] + sum of weights[rows[k] + t] * flat[offsets[k] + at + t]`.

    Sums of more taps than are added at once are kept in `sums`: it may be more precise.
    """
    count = len(offsets)
    if count == 9:
        _vectors_9(out, flat, offsets, weights, rows, at, n, begin)
    elif count == 6:
        _vectors_6(out, flat, offsets, weights, rows, at, n, begin)
    elif count == 4:
        _vectors_4(out, flat, offsets, weights, rows, at, n, begin)
    elif count == 3:
        _vectors_3(out, flat, offsets, weights, rows, at, n, begin)
    elif count == 2:
        _vectors_2(out, flat, offsets, weights, rows, at, n, begin)
    elif count == 1:
        _vectors_1(out, flat, offsets, weights, rows, at, n, begin)
    else:
        for t in range(np.uint64(n)):
            sums[t] = begin[t]
        done = 0
        while done < count:
            off, w = offsets[done:], rows[done:]
            left = count - done
            if left >= 9:
                _more_9(sums, flat, off, weights, w, at, n, begin)
                done += 9
            elif left >= 6:
                _more_6(sums, flat, off, weights, w, at, n, begin)
                done += 6
            elif left >= 4:
                _more_4(sums, flat, off, weights, w, at, n, begin)
                done += 4
            elif left >= 3:
                _more_3(sums, flat, off, weights, w, at, n, begin)
                done += 3
            elif left >= 2:
                _more_2(sums, flat, off, weights, w, at, n, begin)
                done += 2
            else:
                _more_1(sums, flat, off, weights, w, at, n, begin)
                done += 1
        for t in range(np.uint64(n)):
            out[t] = narrow(sums[t], out[t])


@inner
def add_products(sums: Any, given: Any, flat: Any, at: Any, to: Any, steps: Any, runs: Any) -> None:
    """`sums[t] += given[at + i * steps[0] + t] * flat[to + i * steps[1] + t]`, i below runs."""
    i = 0
    while i + 4 <= runs:
        a, b = at + np.uint64(i) * steps[0], to + np.uint64(i) * steps[1]
        a1, a2, a3 = a + steps[0], a + np.uint64(2) * steps[0], a + np.uint64(3) * steps[0]
        b1, b2, b3 = b + steps[1], b + np.uint64(2) * steps[1], b + np.uint64(3) * steps[1]
        for t in range(np.uint64(len(sums))):
            sums[t] += (
                widen(given[a + t]) * widen(flat[b + t])
                + widen(given[a1 + t]) * widen(flat[b1 + t])
                + widen(given[a2 + t]) * widen(flat[b2 + t])
                + widen(given[a3 + t]) * widen(flat[b3 + t])
            )
        i += 4
    while i < runs:
        a, b = at + np.uint64(i) * steps[0], to + np.uint64(i) * steps[1]
        for t in range(np.uint64(len(sums))):
            sums[t] += widen(given[a + t]) * widen(flat[b + t])
        i += 1

"""Depthwise convolutions where the channels of a position lie side by side in memory."""

from __future__ import annotations

from typing import Any

import numpy as np

from atrous.ops.kernels import numbers as at
from atrous.ops.kernels.compiled import Kernel, array, claim, inner, to_doubles, widen, zero_of
from atrous.ops.kernels.numbers import axis_tables, rows_read, share, three
from atrous.ops.kernels.sums import add_products, sum_vectors


@inner
def _correlate(numbers: Any, like: Any) -> None:
    lengths, outputs = three(numbers, at.LENGTHS_READ), three(numbers, at.LENGTHS)
    kernel, channels = three(numbers, at.KERNEL), numbers[at.CHANNELS]
    batch, size = numbers[at.BATCH], channels * lengths[0] * lengths[1] * lengths[2]
    most = kernel[0] * kernel[1] * kernel[2]
    x = array(numbers[at.READ], like, (batch, size))
    y = array(numbers[at.RESULT], like, (batch * outputs[0] * outputs[1], outputs[2] * channels))
    stored = array(numbers[at.WEIGHTS], like, (most * channels,))
    biases = array(numbers[at.BIAS], like, (channels if numbers[at.BIAS] else 0,))
    weights = np.full(len(stored), zero_of(like))
    for k in range(len(stored)):
        weights[k] = widen(stored[k])
    begin = np.full(channels, zero_of(like))
    for k in range(len(biases)):
        begin[k] = widen(biases[k])
    sums = np.full(channels, zero_of(like))
    runs, taps, _, step = axis_tables(numbers, 2)
    offsets, rows = np.empty(most, np.uint64), np.empty(most, np.uint64)
    bases, firsts = np.empty(most, np.int64), np.empty(most, np.int64)
    while True:
        part = claim(numbers)
        if part >= numbers[1]:
            break
        first, last = share(part, numbers[1], len(y))
        for row in range(first, last):
            above = row // outputs[1]
            flat = x[above // outputs[0]]
            found = rows_read(numbers, above % outputs[0], row % outputs[1], bases, firsts)
            for r in range(len(runs)):
                count = 0
                for a in range(found):
                    for c in range(runs[r, 3], runs[r, 4]):
                        offsets[count] = np.uint64((bases[a] + taps[c, 1]) * channels)
                        rows[count] = np.uint64((firsts[a] + taps[c, 0]) * channels)
                        count += 1
                for i in range(runs[r, 2]):
                    o = runs[r, 0] + i * runs[r, 1]
                    out = y[row, o * channels : (o + 1) * channels]
                    sum_vectors(
                        out, sums, flat, offsets[:count], weights, rows,
                        np.uint64(i * step * channels), channels, begin,
                    )  # fmt: skip


@inner
def _weigh(numbers: Any, like: Any) -> None:
    lengths, outputs = three(numbers, at.LENGTHS_READ), three(numbers, at.LENGTHS)
    kernel, channels = three(numbers, at.KERNEL), numbers[at.CHANNELS]
    batch, size = numbers[at.BATCH], channels * lengths[0] * lengths[1] * lengths[2]
    most = kernel[0] * kernel[1] * kernel[2]
    x = array(numbers[at.READ], like, (batch, size))
    shape = (batch * outputs[0] * outputs[1], outputs[2] * channels)
    grad = array(numbers[at.RESULT], like, shape)
    found = array(numbers[at.WEIGHTS], to_doubles(0), (numbers[1], most, channels))
    runs, taps, _, step = axis_tables(numbers, 2)
    bases, firsts = np.empty(most, np.int64), np.empty(most, np.int64)
    sums = np.full(channels, zero_of(like))
    while True:
        part = claim(numbers)
        if part >= numbers[1]:
            break
        own = found[part]
        own[:] = 0
        first, last = share(part, numbers[1], len(grad))
        for row in range(first, last):
            above = row // outputs[1]
            flat = x[above // outputs[0]]
            rows = rows_read(numbers, above % outputs[0], row % outputs[1], bases, firsts)
            for r in range(len(runs)):
                begin = np.uint64(runs[r, 0] * channels)
                steps = np.uint64(runs[r, 1] * channels), np.uint64(step * channels)
                for a in range(rows):
                    for c in range(runs[r, 3], runs[r, 4]):
                        to = np.uint64((bases[a] + taps[c, 1]) * channels)
                        sums[:] = 0
                        add_products(sums, grad[row], flat, begin, to, steps, runs[r, 2])
                        total = own[firsts[a] + taps[c, 0]]
                        for k in range(np.uint64(channels)):
                            total[k] += sums[k]


correlate = Kernel("depthwise convolution, channels last", _correlate)
"""Weights (taps, C), and every plane of the result reads one."""

weigh = Kernel("gradient of depthwise weights, channels last", _weigh)
"""The gradient in double precision, of every part by itself: (parts, taps, C)."""

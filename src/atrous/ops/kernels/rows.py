"""Depthwise convolutions along long rows, straight from the input to the output."""

from __future__ import annotations

from typing import Any

import numpy as np

from atrous.ops.kernels import numbers as at
from atrous.ops.kernels.compiled import Kernel, array, claim, inner, zero_of
from atrous.ops.kernels.numbers import axis_tables, rows_read, share, three
from atrous.ops.kernels.sums import sum_taps


@inner
def _correlate(numbers: Any, like: Any) -> None:
    lengths, outputs = three(numbers, at.LENGTHS_READ), three(numbers, at.LENGTHS)
    kernel = three(numbers, at.KERNEL)
    batch, channels = numbers[at.BATCH], numbers[at.CHANNELS]
    alike, planes = numbers[at.ALIKE], numbers[at.CHANNELS_READ]
    plane = lengths[0] * lengths[1] * lengths[2]
    x = array(numbers[at.READ], like, (batch * planes, plane))
    y = array(numbers[at.RESULT], like, (batch * channels * outputs[0] * outputs[1], outputs[2]))
    stored = array(numbers[at.WEIGHTS], like, (channels, kernel[0] * kernel[1] * kernel[2]))
    biases = array(numbers[at.BIAS], like, (channels if numbers[at.BIAS] else 0,))
    runs, taps, _, _ = axis_tables(numbers, 2)
    most = kernel[0] * kernel[1] * kernel[2]
    bases, firsts = np.empty(most, np.int64), np.empty(most, np.int64)
    offsets, weights = np.empty(most, np.uint64), np.full(most, zero_of(like))
    while True:
        part = claim(numbers)
        if part >= numbers[1]:
            break
        first, last = share(part, numbers[1], len(y))
        for row in range(first, last):
            out, above = y[row], row // outputs[1]
            channel = above // outputs[0] % channels
            item = above // outputs[0] // channels
            flat = x[item * planes + channel // alike]
            begin = biases[channel] if len(biases) else zero_of(like)
            found = rows_read(numbers, above % outputs[0], row % outputs[1], bases, firsts)
            for r in range(len(runs)):
                count = 0
                for a in range(found):
                    for c in range(runs[r, 3], runs[r, 4]):
                        offsets[count] = np.uint64(bases[a] + taps[c, 1])
                        weights[count] = stored[channel, firsts[a] + taps[c, 0]]
                        count += 1
                run = out[runs[r, 0] : runs[r, 0] + runs[r, 2]]
                sum_taps(run, flat, offsets[:count], weights[:count], np.uint64(0), len(run), begin)


correlate = Kernel("depthwise convolution of rows", _correlate)
"""Sums of shifted rows. The last axis has neither stride nor spread; no numbers of 16 bits."""

"""Depthwise convolutions plane by plane, as sums over one flat axis.

A plane (the positions of one channel of one item) is copied into a zero-padded buffer whose rows
follow each other, what is padding after one row being that before the next. Then a tap is a
constant offset, everywhere: all outputs of many rows are one long sum of shifted copies, without a
condition in it, and what falls between rows is left out when the result is copied to its place. The
buffers of a plane lie in the caches near the core.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from atrous.ops.kernels import numbers as at
from atrous.ops.kernels.compiled import (
    Kernel,
    array,
    claim,
    copy,
    inner,
    narrow,
    to_doubles,
    widen,
    zero_of,
)
from atrous.ops.kernels.numbers import share, three
from atrous.ops.kernels.vectors import ROOM, SIDE_BY_SIDE, TALL, add_dots, add_rows

_BLOCK = 4096
"""Outputs summed at a time: they stay in the nearest cache while taps are added."""


@inner
def _layout(lengths: Any, outputs: Any, kernel: Any, pad: Any, dilation: Any) -> Any:
    """How a padded plane lies: positions from row to row, from slice to slice, and in all.

    `lengths` and `outputs` are those of the spread input and of the output before it is thinned.
    """
    sizes = np.empty(3, np.int64)
    step = 1
    for axis in range(2, -1, -1):
        reach = (kernel[axis] - 1) * dilation[axis]
        # What is zero after one row may be what is zero before the next.
        room = max(pad[axis] + lengths[axis], outputs[axis] + max(reach - pad[axis], 0))
        if axis == 0:
            room = max(room, outputs[axis] + reach) + 1
        step *= room
        sizes[2 - axis] = step
    return sizes[0], sizes[1], sizes[2] + sizes[0]


@inner
def _part_of(left: Any, sizes: Any) -> Any:
    """The largest of the sizes that there is room for."""
    for size in sizes:
        if size <= left:
            return size
    return left


@inner
def _alike(low: Any, rows: Any, apart: Any, height: Any) -> Any:
    """Rows from `low` on, no more than `rows`, and how many such groups lie `apart`."""
    steps = (height - low + apart - 1) // apart
    # From here on there is one group less.
    end = height - (height - 1) // apart * apart
    if low >= end:
        end = min(apart, height)
    return min(rows, end - low), steps


@inner
def _fill(flat: Any, planes: Any, first: Any, shape: Any, start: Any, places: Any) -> None:
    """Copy a plane into a buffer of zeros, positions spread apart.

    `places` are the steps in the buffer from slice to slice, row to row, and position to position.
    """
    for z in range(shape[0]):
        for v in range(shape[1]):
            low = start + z * places[0] + v * places[1]
            source = first + (z * shape[1] + v) * shape[2]
            if places[2] == 1:
                copy(flat, low, planes, source, shape[2])
            else:
                for t in range(shape[2]):
                    flat[low + t * places[2]] = widen(planes[source + t])


@inner
def _apart(lengths: Any, steps: Any) -> Any:
    """Lengths when positions lie steps apart."""
    return (
        (lengths[0] - 1) * steps[0] + 1,
        (lengths[1] - 1) * steps[1] + 1,
        (lengths[2] - 1) * steps[2] + 1,
    )


@inner
def _thin(out: Any, y: Any, to: Any, at_out: Any, width: Any, step: Any) -> None:
    """Copy a row of sums to its place, some of them where there is a stride."""
    if step == 1:
        copy(y, to, out, at_out, width)
    else:
        for t in range(width):
            y[to + t] = narrow(out[at_out + t * step], y[to + t])


@inner
def _correlate(numbers: Any, like: Any) -> None:
    lengths, wanted = three(numbers, at.LENGTHS_READ), three(numbers, at.LENGTHS)
    kernel, pad = three(numbers, at.KERNEL), three(numbers, at.PAD)
    stride, spread = three(numbers, at.STRIDE), three(numbers, at.SPREAD)
    dilation, channels = three(numbers, at.DILATION), numbers[at.CHANNELS]
    read, alike, zero = numbers[at.SOURCES], numbers[at.ALIKE], zero_of(like)
    taps = kernel[0] * kernel[1] * kernel[2]
    plane, made = lengths[0] * lengths[1] * lengths[2], wanted[0] * wanted[1] * wanted[2]
    planes = numbers[at.BATCH] * channels
    x = array(numbers[at.READ], like, (numbers[at.BATCH] * numbers[at.CHANNELS_READ] * plane,))
    y = array(numbers[at.RESULT], like, (planes * made,))
    stored = array(numbers[at.WEIGHTS], like, (channels, read * taps))
    biases = array(numbers[at.BIAS], like, (channels if numbers[at.BIAS] else 0,))
    outputs = _apart(wanted, stride)
    pitch, area, size = _layout(_apart(lengths, spread), outputs, kernel, pad, dilation)
    places = area * spread[0], pitch * spread[1], spread[2]
    weights = np.full(read * taps, zero)
    start = pad[0] * area + pad[1] * pitch + pad[2]
    # Rows of the result that read the same rows lie so far apart; they are computed at once.
    apart = dilation[1] if stride[1] == 1 and kernel[1] > 1 else wanted[1]
    down = dilation[1] * pitch
    rows = max(1, min(apart, _BLOCK // pitch)) if stride[1] == 1 else 1
    flat = np.full(read * size + ROOM, zero)
    out, held = np.full(max(SIDE_BY_SIDE) * (rows * pitch + ROOM), zero), -1
    while True:
        part = claim(numbers)
        if part >= numbers[1]:
            break
        first, last = share(part, numbers[1], planes)
        for own in range(first, last):
            channel = own % channels
            source = own // channels * numbers[at.CHANNELS_READ] + channel * read // alike
            if source != held:
                held = source
                for u in range(read):
                    _fill(flat, x, (source + u) * plane, lengths, u * size + start, places)
            for k in range(len(weights)):
                weights[k] = widen(stored[channel, k])
            begin = widen(biases[channel]) if len(biases) else zero
            for z in range(wanted[0]):
                to = (own * wanted[0] + z) * wanted[1]
                above = z * stride[0] * area
                low = 0
                while low < min(apart, wanted[1]):
                    count, steps = _alike(low, rows, apart, wanted[1])
                    step = 0
                    while step < steps:
                        many = _part_of(steps - step, SIDE_BY_SIDE)
                        v = step * apart + low
                        length = (count - 1) * pitch + outputs[2]
                        room = count * pitch + ROOM
                        first_of = 1
                        for u in range(read):
                            for a in range(kernel[0]):
                                at_weights = (u * kernel[0] + a) * kernel[1] * kernel[2]
                                base = u * size + above + a * dilation[0] * area
                                i = 0
                                while i < kernel[1]:
                                    tall = _part_of(kernel[1] - i, TALL)
                                    add_rows(
                                        out, flat, weights, at_weights + i * kernel[2], kernel[2],
                                        base + v * stride[1] * pitch + i * down, down, dilation[2],
                                        room, length, begin, first_of, tall, many,
                                    )  # fmt: skip
                                    i, first_of = i + tall, 0
                        for r in range(many):
                            for row in range(count):
                                place = (to + v + r * apart + row) * wanted[2]
                                _thin(out, y, place, r * room + row * pitch, wanted[2], stride[2])
                        step += many
                    low += count


@inner
def _weigh(numbers: Any, like: Any) -> None:
    lengths, given = three(numbers, at.LENGTHS_READ), three(numbers, at.LENGTHS)
    kernel, pad = three(numbers, at.KERNEL), three(numbers, at.PAD)
    stride, dilation = three(numbers, at.STRIDE), three(numbers, at.DILATION)
    batch, channels = numbers[at.BATCH], numbers[at.CHANNELS]
    planes, alike, zero = numbers[at.CHANNELS_READ], numbers[at.ALIKE], zero_of(like)
    plane, made = lengths[0] * lengths[1] * lengths[2], given[0] * given[1] * given[2]
    x = array(numbers[at.READ], like, (batch * planes * plane,))
    grad = array(numbers[at.RESULT], like, (batch * channels * made,))
    found = array(numbers[at.WEIGHTS], to_doubles(0), (channels, kernel[0] * kernel[1] * kernel[2]))
    outputs = _apart(given, stride)
    pitch, area, size = _layout(lengths, outputs, kernel, pad, dilation)
    start = pad[0] * area + pad[1] * pitch + pad[2]
    flat, apart = np.full(size + ROOM, zero), np.full(size + ROOM, zero)
    while True:
        part = claim(numbers)
        if part >= numbers[1]:
            break
        first, last = share(part, numbers[1], channels)
        for channel in range(first, last):
            sums = found[channel]
            sums[:] = 0
            for item in range(batch):
                own = (item * planes + channel // alike) * plane
                _fill(flat, x, own, lengths, start, (area, pitch, 1))
                places = area * stride[0], pitch * stride[1], stride[2]
                _fill(apart, grad, (item * channels + channel) * made, given, 0, places)
                _add_plane(sums, apart, flat, kernel, dilation, outputs, pitch, area)


@inner
def _add_plane(
    sums: Any, given: Any, flat: Any, kernel: Any, dilation: Any, outputs: Any, pitch: Any,
    area: Any,
) -> None:  # fmt: skip
    """Add the products of one plane to the sums of all taps.

    Rows of the gradient that meet the same rows lie `dilation` apart.
    """
    apart = dilation[1] if kernel[1] > 1 else outputs[1]
    rows, down = max(1, min(apart, _BLOCK // pitch)), dilation[1] * pitch
    for z in range(outputs[0]):
        low = 0
        while low < min(apart, outputs[1]):
            count, steps = _alike(low, rows, apart, outputs[1])
            step = 0
            while step < steps:
                many = _part_of(steps - step, SIDE_BY_SIDE)
                here = z * area + (step * apart + low) * pitch
                for a in range(kernel[0]):
                    for j in range(kernel[2]):
                        i = 0
                        while i < kernel[1]:
                            tall = _part_of(kernel[1] - i, TALL)
                            there = here + a * dilation[0] * area + i * down + j * dilation[2]
                            add_dots(
                                sums, given, flat, (a * kernel[1] + i) * kernel[2] + j, kernel[2],
                                here, there, down, (count - 1) * pitch + outputs[2], tall, many,
                            )  # fmt: skip
                            i += tall
                step += many
            low += count


correlate = Kernel("depthwise convolution", _correlate)
"""Sums of shifted planes: outputs, or gradients of inputs. Weights (C', planes read times taps)."""

weigh = Kernel("gradient of depthwise weights", _weigh)
"""Sums of products of the gradient given and shifted planes, in double precision: (C', taps)."""

"""Reads on padding, counted one by one."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import numpy as np

from atrous.geometry import Window
from atrous.geometry.padding import padding_share, reads_inside, reads_on_data


def test_reads_are_counted_one_by_one() -> None:
    for kernel, stride, dilation, left, length in product(
        (1, 2, 3), (1, 2, 3), (1, 4), (0, 3, 9), (1, 5, 8)
    ):
        window, outputs = Window(kernel, stride, dilation, left), -(-length // stride)
        inside = [
            sum(0 <= o * stride + tap * dilation - left < length for o in range(outputs))
            for tap in range(kernel)
        ]
        assert reads_on_data(window, outputs, np.ones(length, dtype=bool)).tolist() == inside
        assert list(reads_inside(window, length, outputs)) == inside
        reads = kernel * outputs
        assert padding_share(window, length, outputs) == Fraction(reads - sum(inside), reads)


def test_holes_in_the_data_are_padding() -> None:
    data = np.array([True, False, True, True])
    assert reads_on_data(Window(2), 4, data).tolist() == [3, 2]


def test_a_kernel_of_3_is_a_1x1_in_disguise_from_the_length_of_the_map_on() -> None:
    for dilation in range(1, 30):
        hits = reads_on_data(Window(3, 1, dilation, dilation), 14, np.ones(14, dtype=bool))
        assert (hits.tolist() == [0, 14, 0]) == (dilation >= 14)

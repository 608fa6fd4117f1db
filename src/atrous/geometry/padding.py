"""Which reads of a window fall on padding."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from atrous.geometry.primitives import Window
from atrous.geometry.relation import Flags
from atrous.geometry.taps import Ints


def reads_on_data(window: Window, outputs: int, data: Flags) -> Ints:
    """At how many outputs each tap of a window reads data.

    Args:
        window: kernel, stride, dilation and left padding.
        outputs: how often it stands on the axis.
        data: which positions of the axis hold data; all else is padding.

    Returns:
        One number per tap; 0 for a tap that always reads padding.

    >>> reads_on_data(Window(3, dilation=18, left=18), 14, np.ones(14, dtype=bool)).tolist()
    [0, 14, 0]
    """
    base = np.arange(outputs, dtype=np.int64) * window.stride - window.left
    found = []
    for tap in range(window.kernel_size):
        at = base + tap * window.dilation
        at = at[(at >= 0) & (at < len(data))]
        found.append(int(data[at].sum()))
    return np.array(found, dtype=np.int64)


def reads_inside(window: Window, length: int, outputs: int) -> tuple[int, ...]:
    """At how many outputs each tap of a window reads an axis of `length` positions, not padding.

    As `reads_on_data` where all is data, by arithmetic alone.

    >>> reads_inside(Window(3, dilation=6, left=6), 14, 14)
    (8, 14, 8)
    """
    found = []
    for tap in range(window.kernel_size):
        # Output o reads position o * stride + at.
        at = tap * window.dilation - window.left
        first = max(0, -(at // window.stride))
        last = min(outputs - 1, (length - 1 - at) // window.stride)
        found.append(max(0, last - first + 1))
    return tuple(found)


def padding_share(window: Window, length: int, outputs: int) -> Fraction:
    """Share of all reads of a window that fall on padding, on an axis of `length` positions.

    >>> padding_share(Window(3, dilation=6, left=6), 14, 14)  # 12 of 42 reads
    Fraction(2, 7)
    """
    reads = window.kernel_size * outputs
    inside = sum(reads_inside(window, length, outputs))
    return Fraction(reads - inside, reads) if reads else Fraction(0)

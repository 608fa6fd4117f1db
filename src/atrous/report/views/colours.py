"""The colours of all pictures: a ramp of blues for counts, an orange for holes.

Blue and orange are apart for every kind of colour vision: no colour of the ramp comes nearer to
that of holes than 70 units of CIELAB, seen by protanopes, deuteranopes, tritanopes or others
(measured in the tests, with the matrices of Machado, Oliveira and Fernandes, 2009). Holes in the
usual maps from blue to yellow would be down to 20.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RAMP = ("#cfe3f6", "#92c3ea", "#4f98d6", "#1f67b2", "#0d3d7d", "#071f47")
"""From the smallest count to the largest."""

HOLE = "#d55e00"
"""Positions inside a span that nothing reads."""

MARK = "#f0e442"
"""The output's own position: on blue and on orange alike it is the lightest."""

LINES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00")
"""Curves side by side, by Okabe and Ito (2008)."""

QUIET = "#8a8a8a"
"""What stands back: grids, levels, positions that are not read; grey on light and on dark."""


def ramp(levels: int) -> npt.NDArray[np.uint8]:
    """So many colours from the first of the ramp to the last, of shape (levels, 3).

    >>> ramp(3).tolist()
    [[207, 227, 246], [55, 128, 196], [7, 31, 71]]
    """
    anchors = np.array([rgb(colour) for colour in RAMP], dtype=np.float64)
    at = np.linspace(0, len(anchors) - 1, levels)
    parts = [np.interp(at, np.arange(len(anchors)), anchors[:, k]) for k in range(3)]
    return np.stack(parts, axis=1).round().astype(np.uint8)


def rgb(colour: str) -> tuple[int, int, int]:
    """Red, green and blue of "#rrggbb"."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)

"""Coverages and effective fields as grids of cells small enough for a page."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.effective.effective import EffectiveField
from atrous.geometry.relation import Flags
from atrous.report.views.blocks import reduced
from atrous.report.views.projection import projection

MOST_2D = 129
"""Cells of a map along an axis."""
MOST_1D = 516
_MOST_VIEWS = 3
ROUNDED_FROM = 10**7
"""Counts from here on are told to four digits on a page."""


@dataclass(frozen=True, eq=False)
class Cells:
    """One or two axes of what an output reads, in blocks of positions.

    Attributes:
        axes: the input's axes, rows first.
        lengths: their lengths.
        start: the first position, per axis.
        stop: one past the last.
        block: positions per cell, per axis.
        routes: the largest count of each cell; logarithms to base 10, plus 1, if `logarithmic`.
        partly: which cells hold positions that are read and others that are not.
        logarithmic: whether counts are beyond floats.
        place: the output's own position, per axis; empty if that cannot be told.
        note: what was done with the other axes; "" if there are none.
        energy: the share of the effective field in each cell; None if it was not measured.
    """

    axes: tuple[int, ...]
    lengths: tuple[int, ...]
    start: tuple[int, ...]
    stop: tuple[int, ...]
    block: tuple[int, ...]
    routes: npt.NDArray[np.float64]
    partly: Flags
    logarithmic: bool
    place: tuple[float, ...]
    note: str
    energy: npt.NDArray[np.float64] | None


def cells(cover: Coverage, effective: EffectiveField | None = None) -> tuple[Cells, ...]:
    """Views of a coverage: itself along one or two axes, else its projections on pairs of axes.

    Example:
        >>> import atrous
        >>> from torch import nn
        >>> net = nn.Conv1d(1, 1, 3, dilation=2, padding=2)
        >>> view, = cells(atrous.coverage(net, (1, 1, 16)))
        >>> view.routes, view.start, view.block
        (array([1., 0., 1., 0., 1.]), (6,), (1,))
    """
    shown = [cover.axes] if len(cover.axes) <= 2 else list(combinations(cover.axes, 2))
    return tuple(_view(cover, axes, effective) for axes in shown[-_MOST_VIEWS:])


def _view(cover: Coverage, axes: tuple[int, ...], effective: EffectiveField | None) -> Cells:
    found = projection(cover, axes)
    blocks = reduced(found, [MOST_1D if len(axes) == 1 else MOST_2D] * len(axes))
    energy = None
    if effective is not None and effective.energy.shape == cover.shape and not effective.zero:
        others = tuple(k for k, axis in enumerate(cover.axes) if axis not in axes)
        energy = effective.energy.sum(axis=others)[
            tuple(slice(a, b) for a, b in zip(found.start, found.stop, strict=True))
        ]
        for axis, size in enumerate(blocks.block):
            energy = np.add.reduceat(energy, np.arange(0, energy.shape[axis], size), axis=axis)
    own = [found.places[k] for k in range(len(axes))]
    return Cells(
        axes=axes,
        lengths=tuple(cover.shape[cover.axes.index(axis)] for axis in axes),
        start=found.start,
        stop=found.stop,
        block=blocks.block,
        routes=blocks.largest,
        partly=blocks.partly,
        logarithmic=found.values()[1],
        place=tuple(p[0] for p in own) if all(len(p) == 1 for p in own) else (),
        note=found.note,
        energy=energy,
    )


def packed(found: Cells) -> dict[str, Any]:
    """A view for the page's script: each count as a place in a table of them."""
    return {
        "axes": list(found.axes),
        "lengths": list(found.lengths),
        "start": list(found.start),
        "stop": list(found.stop),
        "block": list(found.block),
        "shape": list(found.routes.shape),
        "routes": _table(found.routes),
        "partly": b64encode(np.packbits(found.partly.ravel()).tobytes()).decode(),
        "logarithmic": found.logarithmic,
        "place": list(found.place),
        "note": found.note,
        "energy": None if found.energy is None else _table(found.energy),
    }


def plain(found: Cells) -> dict[str, Any]:
    """A view for JSON: lists of numbers."""
    return {
        "axes": list(found.axes),
        "start": list(found.start),
        "block": list(found.block),
        "note": found.note,
        "counts": _numbers(found.routes),
        "counts_are_log10_plus_1": found.logarithmic,
        "partly_read": found.partly.astype(int).tolist(),
        "energy": None if found.energy is None else _six_digits(found.energy),
    }


def _numbers(values: npt.NDArray[np.float64]) -> Any:
    whole = bool((values == np.floor(values)).all()) and float(values.max(initial=0)) < 2**53
    return values.astype(np.int64).tolist() if whole else values.tolist()


def _six_digits(values: npt.NDArray[np.float64]) -> Any:
    return np.array([float(f"{v:.6g}") for v in values.ravel()]).reshape(values.shape).tolist()


def _table(values: npt.NDArray[np.float64]) -> dict[str, Any]:
    distinct, index = np.unique(_rounded(values.ravel()), return_inverse=True)
    kind: type[np.unsignedinteger[Any]] = np.uint8 if len(distinct) <= 256 else np.uint16
    return {
        "values": [
            int(v) if v == int(v) and v < ROUNDED_FROM else float(f"{v:.4g}") for v in distinct
        ],
        "bytes": np.dtype(kind).itemsize,
        "index": b64encode(
            index.astype(kind).astype(f"<u{np.dtype(kind).itemsize}").tobytes()
        ).decode(),
    }


def _rounded(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Four digits of shares below 1, and of counts from `ROUNDED_FROM` on."""
    scale = np.zeros_like(values)
    np.log10(values, out=scale, where=values > 0)
    unit = 10.0 ** (np.floor(scale) - 3)
    exact = (values == 0) | ((values >= 1) & (values < ROUNDED_FROM))
    found: npt.NDArray[np.float64] = np.where(exact, values, np.round(values / unit) * unit)
    return found

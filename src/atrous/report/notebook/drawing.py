"""Small pictures inside HTML, without any library: SVG and PNG as text."""

from __future__ import annotations

import struct
import zlib
from base64 import b64encode

import numpy as np
import numpy.typing as npt

from atrous.analysis.coverage.route_tree import RouteTree
from atrous.geometry.index_map import IndexMap
from atrous.report.views.blocks import Reduced, reduced, steps
from atrous.report.views.colours import HOLE, MARK, QUIET, RAMP, ramp, rgb
from atrous.report.views.projection import Projection

_LEVELS = 255
_MOST = 512
"""Cells of an image along an axis, and bars of a chart."""
_MOST_EDGES = 4000

_FRAME = "style='display:block;max-width:100%;height:auto;overflow:visible'"


def heat_map(found: Projection) -> tuple[str, Reduced]:
    """Counts along two axes as an image, holes in orange, and what it was reduced to.

    A cell of several positions some of which are holes is half orange: paler.
    """
    blocks = reduced(found, [_MOST, _MOST])
    logarithmic = found.is_wide and not found.values()[1]
    index = 2 + steps(blocks.largest, _LEVELS - 1, logarithmic)
    if len({*found.counts[~found.holes].tolist()}) == 1:
        index[:] = 2 + _LEVELS // 2  # a single count is neither little nor much
    index[blocks.partly] = 1
    index[blocks.empty] = 0
    palette = np.vstack([[rgb(HOLE)], [rgb("#e9a66b")], ramp(_LEVELS - 1)]).astype(np.uint8)
    data = b64encode(png(index.astype(np.uint8), palette)).decode()
    rows, columns = index.shape
    scale = max(1, min(16, 360 // max(rows, columns)))
    image = (
        f"<image width='{columns}' height='{rows}' style='image-rendering:pixelated' "
        f"preserveAspectRatio='none' href='data:image/png;base64,{data}'/>"
    )
    return (
        f"<svg viewBox='0 0 {columns} {rows}' width='{columns * scale}' height='{rows * scale}' "
        f"role='img' aria-label='routes to each position' {_FRAME}>{image}"
        f"{_output_mark(found, blocks)}</svg>",
        blocks,
    )


def shades(values: npt.NDArray[np.float64]) -> str:
    """Values of at least 0 along two axes as an image, the largest darkest; blocks are added up."""
    block = max(1, -(-max(values.shape) // _MOST))
    for axis, length in enumerate(values.shape):
        values = np.add.reduceat(values, np.arange(0, length, block), axis=axis)
    largest = float(values.max()) or 1.0
    index = np.rint(values / largest * (_LEVELS - 1)).astype(np.uint8)
    data = b64encode(png(index, ramp(_LEVELS))).decode()
    scale = max(1, min(16, 360 // max(index.shape)))
    height, width = (scale * n for n in index.shape)
    return (
        f"<img width='{width}' height='{height}' alt='share of the energy' "
        f"style='image-rendering:pixelated' src='data:image/png;base64,{data}'/>"
    )


def _output_mark(found: Projection, blocks: Reduced) -> str:
    if [len(own) for own in found.places] != [1, 1]:
        return ""
    y, x = (
        (own[0] - start + 0.5) / size
        for own, start, size in zip(found.places, found.start, blocks.block, strict=True)
    )
    radius = max(0.3, max(blocks.largest.shape) / 120)
    return (
        f"<circle cx='{x:.2f}' cy='{y:.2f}' r='{radius:.2f}' fill='{MARK}' stroke='#000' "
        f"stroke-width='{radius / 4:.2f}'><title>the output's own position</title></circle>"
    )


def png(index: npt.NDArray[np.uint8], palette: npt.NDArray[np.uint8]) -> bytes:
    """An image with a palette in the PNG format (ISO/IEC 15948): a row per line, 8 bits a cell."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", check)

    rows, columns = index.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    # Each line begins with its filter: none.
    lines = np.hstack([np.zeros((rows, 1), dtype=np.uint8), index]).tobytes()
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        [
            chunk(b"IHDR", header),
            chunk(b"PLTE", palette.tobytes()),
            chunk(b"IDAT", zlib.compress(lines, 9)),
            chunk(b"IEND", b""),
        ]
    )


def bars(found: Projection) -> tuple[str, Reduced]:
    """Counts along one axis as bars, holes as orange marks at the foot."""
    blocks = reduced(found, [_MOST])
    logarithmic = found.is_wide and not found.values()[1]
    tall = 100.0
    heights = tall * (1 + steps(blocks.largest, 1000, logarithmic)) / 1000
    width = 720 / len(heights)
    gap = 0.8 if len(heights) <= 200 else 1.0
    drawn, holes = [], []
    for k, height in enumerate(heights.tolist()):
        x = k * width
        if not blocks.empty[k]:
            drawn.append(f"M{x:.1f} {tall}v{-height:.1f}h{gap * width:.2f}V{tall}z")
        if blocks.empty[k] or blocks.partly[k]:
            holes.append(f"M{x:.1f} {tall + 2}h{gap * width:.2f}v5h{-gap * width:.2f}z")
    place = ""
    if len(found.places[0]) == 1:
        x = ((found.places[0][0] - found.start[0]) / blocks.block[0] + 0.4) * width
        place = (
            f"<path d='M{x:.1f} {tall + 9}l5 9h-10z' fill='{MARK}' stroke='#000' "
            "stroke-width='.7'><title>the output's own position</title></path>"
        )
    first, last = found.start[0], found.stop[0] - 1
    return (
        f"<svg viewBox='0 0 720 136' width='720' height='136' role='img' "
        f"aria-label='routes to each position' {_FRAME}>"
        f"<path d='{''.join(drawn)}' fill='{RAMP[3]}'/><path d='{''.join(holes)}' fill='{HOLE}'/>"
        f"{place}{_text(0, 132, str(first))}{_text(720, 132, str(last), 'end')}</svg>",
        blocks,
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return (
        f"<text x='{x:g}' y='{y:g}' text-anchor='{anchor}' fill='currentColor' "
        f"font-size='12'>{text}</text>"
    )


def cells(found: IndexMap) -> str | None:
    """The taps of one output on the input; None for more than two axes or too many cells."""
    if not 1 <= len(found.input_shape) <= 2:
        return None
    rows, columns = (1, *found.input_shape)[-2:]
    if rows * columns > _MOST_EDGES:
        return None
    at = {(0, *tap.input_index)[-2:]: tap.is_padding for tap in found.taps}
    low = [min(0, *(p[k] for p in at)) for k in range(2)]
    high = [max(n - 1, *(p[k] for p in at)) for k, n in enumerate((rows, columns))]
    size = 18
    drawn = []
    for y in range(low[0], high[0] + 1):
        for x in range(low[1], high[1] + 1):
            left, top = (x - low[1]) * size + 1, (y - low[0]) * size + 1
            inside = 0 <= y < rows and 0 <= x < columns
            if inside:
                fill = RAMP[3] if (y, x) in at else "none"
                drawn.append(
                    f"<rect x='{left}' y='{top}' width='{size}' height='{size}' fill='{fill}' "
                    f"stroke='{QUIET}'/>"
                )
            elif (y, x) in at:
                drawn.append(
                    f"<path d='M{left + 4} {top + 4}l10 10m0 -10l-10 10' stroke='{HOLE}' "
                    "stroke-width='2.5'/>"
                )
    width, height = ((b - a + 1) * size + 2 for a, b in zip(low[::-1], high[::-1], strict=True))
    return (
        f"<svg viewBox='0 0 {width} {height}' width='{width}' height='{height}' role='img' "
        f"aria-label='taps on the input' {_FRAME}>{''.join(drawn)}</svg>"
    )


def tree(found: RouteTree) -> str | None:
    """The levels as rows of dots with the taps between; None where there are too many to see."""
    if found.edges > _MOST_EDGES:
        return None
    reached = [float(p * level.rate) for level in found.levels for p in level.positions]
    low, high = min(reached, default=0.0), max(reached, default=0.0)
    step = min(20.0, 900 / (high - low + 1))
    count, tall = len(found.levels), 42
    margin = 8 + 7 * max(len(level.label) for level in found.levels)

    def x(position: float) -> float:
        return margin + (position - low + 0.5) * step

    def y(number: int) -> float:
        return 14.0 + (count - 1 - number) * tall

    paths = []
    for reading in found.readings:
        upper, lower = found.levels[reading.reader], found.levels[reading.source]
        top = x(float(reading.position * upper.rate)), y(reading.reader)
        for position in reading.inputs:
            end = x(float(position * lower.rate)), y(reading.source)
            # A bend where the tap passes other levels.
            bend = 0.6 * step if reading.reader - reading.source > 1 else 0
            middle = (top[0] + end[0]) / 2 + bend, (top[1] + end[1]) / 2
            paths.append(
                f"M{top[0]:.1f} {top[1]:.1f}Q{middle[0]:.1f} {middle[1]:.1f} {end[0]:.1f} "
                f"{end[1]:.1f}"
            )
    radius = max(1.0, 0.32 * step)
    dots = []
    for number, level in enumerate(found.levels):
        dots.append(_text(margin - 8, y(number) + 4, _escaped(level.label), "end"))
        taken = set(level.positions)
        for position in range(level.length):
            at = float(position * level.rate)
            if not low - 1e-6 <= at <= high + 1e-6:
                continue
            hole = number == 0 and taken and min(taken) < position < max(taken)
            colour = RAMP[3] if position in taken else HOLE if hole else "none"
            edge = QUIET if colour == "none" else colour
            dots.append(
                f"<circle cx='{x(at):.1f}' cy='{y(number):.1f}' r='{radius:.1f}' "
                f"fill='{colour}' stroke='{edge}'/>"
            )
    width, height = margin + (high - low + 1) * step + 4, 34 + (count - 1) * tall
    ends = _text(x(low), height - 2, f"{low:g}", "middle")
    if high > low:
        ends += _text(x(high), height - 2, f"{high:g}", "middle")
    return (
        f"<svg viewBox='0 0 {width:.0f} {height}' width='{width:.0f}' height='{height}' "
        f"role='img' aria-label='tree of routes' {_FRAME}><path d='{''.join(paths)}' fill='none' "
        f"stroke='{RAMP[2]}' stroke-width='.9'/>{''.join(dots)}{ends}</svg>"
    )


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

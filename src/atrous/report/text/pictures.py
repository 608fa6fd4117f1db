"""Pictures as text, for terminals: kernels, taps, path counts, trees."""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch
from itertools import product
from textwrap import wrap

import numpy as np

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.route_tree import RouteTree
from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.plan import Plan
from atrous.design.schedule.pyramid import Pyramid
from atrous.geometry.index_map import IndexMap
from atrous.geometry.primitives import Window
from atrous.geometry.relation import Flags
from atrous.report.text.quantities import routes
from atrous.report.text.trees import tree_lines
from atrous.report.views.blocks import Reduced, reduced, steps
from atrous.report.views.kernels import kernel_mask
from atrous.report.views.projection import Projection, projection
from atrous.report.views.schedules import of_pyramid, of_schedule

SHADES = "░▒▓█"
BARS = "▁▂▃▄▅▆▇█"
HOLE = "·"
PARTLY = "▚"

_ROWS = 4
"""Lines of a chart of one axis."""
_MOST_LINES = 60


@singledispatch
def picture(result: object, *, width: int = 80) -> str:
    """A result as a picture of characters.

    Args:
        result: a coverage, a tree of routes, a schedule or its plan, an index map, or one window of
            a kernel or several.
        width: columns to keep to.

    Raises:
        TypeError: if there is no picture of such a thing.
    """
    raise TypeError(
        "result must be a Coverage, a RouteTree, a Plan, a Schedule, an IndexMap or one Window or "
        f"several, got {type(result).__name__}. Pass what atrous.coverage, atrous.routes, "
        "atrous.schedule or atrous.geometry.index_map returns; atrous.plot draws the rest."
    )


@picture.register
def _of_window(result: Window, *, width: int = 80) -> str:
    return _of_windows((result,), width=width)


@picture.register(tuple)
@picture.register(list)
def _of_windows(result: Sequence[Window], *, width: int = 80) -> str:
    if not result or not all(isinstance(window, Window) for window in result):
        raise TypeError(f"result must be windows, one per axis of the kernel, got {result!r}.")
    mask, title = kernel_mask([w.kernel_size for w in result], [w.dilation for w in result])
    if mask.ndim > 2:
        # What lies between the slices that hold taps is empty.
        taps = product(
            *(range(0, n, w.dilation) for n, w in zip(mask.shape[:-2], result, strict=False))
        )
        slices = [f"{', '.join(map(str, at))}:\n{_mask_text(mask[at])}" for at in taps]
        return "\n\n".join([title, *slices])
    return f"{title}\n{_mask_text(np.atleast_2d(mask))}"


def _mask_text(mask: Flags) -> str:
    return "\n".join(" ".join("■" if cell else HOLE for cell in row) for row in mask)


@picture.register
def _of_index_map(result: IndexMap, *, width: int = 80) -> str:
    return str(result)


@picture.register
def _of_tree(result: RouteTree, *, width: int = 80) -> str:
    return "\n".join(tree_lines(result, width))


@picture.register
def _of_coverage(result: Coverage, *, width: int = 80) -> str:
    if not result.counts.size:
        return "\n".join(["nothing is read", *wrap(result.hint, width)])
    return _of_projection(projection(result), width)


@picture.register
def _of_schedule(result: Schedule, *, width: int = 80) -> str:
    return _of_projection(of_schedule(result), width)


@picture.register
def _of_pyramid(result: Pyramid, *, width: int = 80) -> str:
    return _of_projection(of_pyramid(result), width)


@picture.register
def _of_plan(result: Plan, *, width: int = 80) -> str:
    return _of_projection(of_schedule(result.schedule), width)


def _of_projection(found: Projection, width: int) -> str:
    drawn = _line(found, width) if len(found.axes) == 1 else _map(found, width)
    return f"{drawn}\n{found.note}" if found.note else drawn


def strip(found: Projection, width: int) -> str:
    """Counts along one axis on a single line, holes as dots.

    >>> from atrous.design.schedule.chain import Schedule
    >>> [strip(of_schedule(Schedule((3,) * len(rates), rates)), 40) for rates in ((1, 2), (3,))]
    ['▄▄█▄█▄▄', '█··█··█']
    """
    blocks = reduced(found, [width])
    heights = steps(blocks.largest, len(BARS), found.is_wide and not found.values()[1])
    return "".join(
        HOLE if empty else PARTLY if partly else BARS[height]
        for height, partly, empty in zip(heights.tolist(), blocks.partly, blocks.empty, strict=True)
    )


def _line(found: Projection, width: int) -> str:
    blocks = reduced(found, [width])
    logarithmic = found.is_wide and not found.values()[1]
    # In eighths of a character; what is read at all is at least one eighth high.
    heights = steps(blocks.largest, _ROWS * 8, logarithmic) + 1
    lines = []
    for row in reversed(range(_ROWS)):
        cells = []
        for height, partly, empty in zip(heights, blocks.partly, blocks.empty, strict=True):
            left = int(height) - 8 * row
            if empty or left <= 0:
                cells.append(HOLE if empty and row == 0 else " ")
            elif partly and row == 0:
                cells.append(PARTLY)
            else:
                cells.append(BARS[min(left, 8) - 1])
        lines.append("".join(cells).rstrip())
    first, last = str(found.start[0]), str(found.stop[0] - 1)
    room = len(blocks.largest) - len(first) - len(last)
    scale = f"{first}{' ' * room}{last}" if room > 0 else f"{first} to {last}"
    place = ""
    if len(found.places[0]) == 1:
        at = (found.places[0][0] - found.start[0]) / blocks.block[0]
        if 0 <= at < len(blocks.largest):
            place = " " * int(at) + "^"
    return "\n".join(
        [
            *(line for line in [*lines, place] if line),
            scale,
            *_legend(found, blocks, logarithmic, bool(place), width),
        ]
    )


def _map(found: Projection, width: int) -> str:
    names = [str(found.start[0]), str(found.stop[0] - 1)]
    margin = max(map(len, names)) + 1
    # Two characters per cell are about square.
    blocks = reduced(found, [_MOST_LINES, max((width - margin) // 2, 1)])
    logarithmic = found.is_wide and not found.values()[1]
    level = steps(blocks.largest, len(SHADES), logarithmic)
    place = _cell_of_output(found, blocks)
    lines = []
    for row in range(level.shape[0]):
        cells = []
        for column in range(level.shape[1]):
            mark = SHADES[level[row, column]]
            if blocks.empty[row, column]:
                mark = HOLE
            elif blocks.partly[row, column]:
                mark = PARTLY
            cells.append("()" if (row, column) == place else mark * 2 if mark != HOLE else " ·")
        name = names[0] if row == 0 else names[1] if row == level.shape[0] - 1 else ""
        lines.append(f"{name:>{margin - 1}} {''.join(cells)}".rstrip())
    first, last = str(found.start[1]), str(found.stop[1] - 1)
    room = 2 * level.shape[1] - len(first) - len(last)
    scale = f"{first}{' ' * room}{last}" if room > 0 else f"{first} to {last}"
    lines.append(" " * margin + scale)
    return "\n".join(lines + _legend(found, blocks, logarithmic, place is not None, width))


def _cell_of_output(found: Projection, blocks: Reduced) -> tuple[int, int] | None:
    if [len(own) for own in found.places] != [1, 1]:
        return None
    row, column = (
        int((own[0] - start) // size)
        for own, start, size in zip(found.places, found.start, blocks.block, strict=True)
    )
    inside = 0 <= row < blocks.largest.shape[0] and 0 <= column < blocks.largest.shape[1]
    return (row, column) if inside else None


def _legend(
    found: Projection, blocks: Reduced, logarithmic: bool, marked: bool, width: int
) -> list[str]:
    flat = len(found.axes) == 1
    read = found.counts[~found.holes]
    low, high = read.min(), read.max()
    scale = ", log scale" if logarithmic or found.values()[1] else ""
    several = low != high
    told = [f"routes: {routes(low)} to {routes(high)}{scale}"]
    if not several:
        told = [f"routes: {routes(low)} everywhere"]
    if not flat and several:
        told[0] += f" ({SHADES})"
    if blocks.empty.any():
        told.append(f"{HOLE} holes")
    if marked:
        told.append(f"{'^' if flat else '()'} the output's own position")
    lines = ["; ".join(told)]
    if max(blocks.block) > 1:
        size = " x ".join(map(str, blocks.block))
        text = f"reduced: one cell is {size} positions and tells the largest count among them"
        if blocks.partly.any():
            text += f"; {PARTLY} where some of them are holes"
        lines.append(text)
    return [part for line in lines for part in wrap(line, width)]

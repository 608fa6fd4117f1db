"""The chart of field sizes over depth: lines that stretch, texts that do not."""

from __future__ import annotations

from typing import Any

from atrous.analysis.inspection import Inspection
from atrous.report.page.markup import section, text
from atrous.report.views.growth import Growth, growth_lines

_SIZE = 1000
"""Units of the drawing along both axes; the page stretches it."""


def growth(found: Inspection) -> str:
    """The section."""
    lines = growth_lines(found)
    points = [point for line in lines for point in line.points.values()]
    if not points:
        return section("growth", "Growth of the field", '<p class="note">no field is known</p>')
    lengths = sorted({length for line in lines for length in line.lengths})
    top = _top(max(size for _, size in points), lengths)
    last = max(number for number, _ in points)
    drawn = "".join(_drawn(line, k, max(last, 1), top) for k, line in enumerate(lines))
    shown = [length for length in lengths if length <= top]
    levels = "".join(_level(value, top, "") for value in _ticks(top))
    levels += "".join(_level(length, top, "input") for length in shown)
    beyond = [length for length in lengths if length > top]
    note = f"The input is longer: {' and '.join(map(str, beyond))}. " if beyond else ""
    body = (
        '<div class="chart" id="growth-chart"><div class="plot">'
        f'<svg viewBox="0 0 {_SIZE} {_SIZE}" '
        'preserveAspectRatio="none" role="img" aria-label="field size over the order of '
        f'computation, up to {max(size for _, size in points)} positions">{drawn}</svg>{levels}'
        '<div class="cursor js" hidden></div></div>'
        '<p class="axis"><span>first node</span><span>in order of computation</span>'
        "<span>last node</span></p>"
        '<div class="step js"><label for="growth-node">Node</label><input type="range" '
        f'id="growth-node" min="0" max="{last}" value="{last}"></div>'
        '<p class="readout js" id="growth-told" role="status"></p></div>'
    )
    drawn_all = all(row.name in line.points for line in lines for row in found.rows if row.field)
    left_out = "" if drawn_all else " Nodes that read everything, and nothing else, are left out."
    lead = f"{note}Each node is joined to those it reads.{left_out}{_legend(lines)}"
    return section("growth", "Growth of the field", body, lead)


def growth_data(found: Inspection) -> dict[str, Any]:
    """What the script tells at each node."""
    rows = [row for row in found.rows if row.field is not None]
    return {
        "nodes": [[row.label, row.kind, f"n-{row.name}"] for row in rows],
        "lines": [
            {"axes": list(line.axes), "sizes": {str(k): size for k, size in line.points.values()}}
            for line in growth_lines(found)
        ],
    }


def _top(largest: int, lengths: list[int]) -> int:
    """The top of the chart: the input's length is shown unless it dwarfs the fields."""
    near = [length for length in lengths if length <= 4 * largest]
    return max([largest, *near])


def _drawn(line: Growth, number: int, last: int, top: int) -> str:
    at = {
        name: (k * _SIZE / last, _SIZE - size * _SIZE / top)
        for name, (k, size) in line.points.items()
    }
    joins = "".join(
        f"M{at[a][0]:.1f} {at[a][1]:.1f}L{at[b][0]:.1f} {at[b][1]:.1f}" for a, b in line.joins
    )
    dots = "".join(f"M{x:.1f} {y:.1f}h.01" for x, y in at.values())
    few = " few" if len(at) <= 80 else ""
    return (
        f'<path class="join line-{number}" d="{joins}"/>'
        f'<path class="dots{few} line-{number}" d="{dots}"/>'
    )


def _ticks(top: int) -> list[int]:
    """Round numbers from 0 to the top, three to six of them.

    >>> _ticks(470), _ticks(7)
    ([0, 100, 200, 300, 400], [0, 2, 4, 6])
    """
    steps = (first * 10**power for power in range(len(str(top))) for first in (1, 2, 5))
    return list(range(0, top + 1, next(step for step in steps if top / step <= 5)))


def _level(value: int, top: int, style: str) -> str:
    told = f"input: {value}" if style else str(value)
    return (
        f'<div class="level {style}" style="--at:{value / top:.4f}"><span>{text(told)}</span></div>'
    )


def _legend(lines: tuple[Growth, ...]) -> str:
    if len(lines) < 2:
        return ""
    keys = "".join(
        f'<span class="key line-{k}">axis {", ".join(map(str, line.axes))}</span> '
        for k, line in enumerate(lines)
    )
    return f" {keys}"

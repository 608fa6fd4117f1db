"""The tree of a stack as text."""

from __future__ import annotations

from math import ceil
from textwrap import wrap

from atrous.analysis.coverage.route_tree import RouteTree

_READ, _OTHER, _HOLE = "●", "○", "·"


def tree_lines(tree: RouteTree, width: int) -> list[str]:
    """A row of dots per level, the output's on top, over a scale of input positions.

    One column per input position where there is room, else one for several: then a dot is filled if
    any of its positions lies on a route.
    """
    labels = [level.label for level in tree.levels]
    margin = min(max(map(len, labels)), 24) + 1
    reached = [p * level.rate for level in tree.levels for p in level.positions]
    low, high = min(reached, default=0), max(reached, default=0)
    columns = int(high - low) + 1
    block = max(1, ceil(columns / max(width - margin, 1)))
    inputs = set(tree.levels[0].positions)
    lines = []
    for number, level in reversed(list(enumerate(tree.levels))):
        cells = [" "] * ceil(columns / block)
        for position in range(level.length):
            at = position * level.rate - low
            if not 0 <= at < columns:
                continue
            cell = int(at) // block
            if position in level.positions:
                cells[cell] = _READ
            elif cells[cell] == " ":
                hole = number == 0 and inputs and min(inputs) < position < max(inputs)
                cells[cell] = _HOLE if hole else _OTHER
        name = level.label if len(level.label) < margin else "…" + level.label[2 - margin :]
        lines.append(f"{name:<{margin}}{''.join(cells)}".rstrip())
    first, last = str(int(low)), str(int(high))
    room = max(ceil(columns / block) - len(first) - len(last), 1)
    lines.append(" " * margin + first + " " * room + last)
    unread = max(inputs) - min(inputs) + 1 - len(inputs) if inputs else 0
    told = f"{_READ} on a route, {_OTHER} not"
    if unread:
        told += f", {_HOLE} a hole: {unread} in all"
    if block > 1:
        told += f"; reduced: one column is {block} input positions, filled if any is on a route"
    return [*lines, *wrap(told, width)]

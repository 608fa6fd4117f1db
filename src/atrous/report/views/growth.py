"""Field sizes over depth, as every kind of chart draws them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from atrous.analysis.inspection import Inspection


@dataclass(frozen=True)
class Growth:
    """Field sizes along input axes on which they are equal everywhere.

    Attributes:
        axes: these axes.
        lengths: lengths of the input along them, each once.
        points: node -> (number in order of computation, field size); without nodes that read
            everything and nothing else, and those of which nothing is known.
        joins: pairs of a node and a later one that reads it.
    """

    axes: tuple[int, ...]
    lengths: tuple[int, ...]
    points: Mapping[str, tuple[int, int]]
    joins: tuple[tuple[str, str], ...]


def growth_lines(found: Inspection) -> tuple[Growth, ...]:
    """The sizes of all nodes, one entry per set of axes along which all are equal.

    Where all is read besides, the size is that of the other ways.
    """
    rows = [row for row in found.rows if row.field is not None]
    alike: dict[tuple[tuple[str, tuple[int, int]], ...], list[int]] = {}
    for axis in found.axes:
        points = {}
        for number, row in enumerate(rows):
            for own in row.field.axes if row.field else ():
                told = own if own.local is None else own.local
                if own.axis == axis and told.status in ("exact", "bound"):
                    points[row.name] = number, told.size
        alike.setdefault(tuple(points.items()), []).append(axis)
    drawn = []
    for items, axes in alike.items():
        points = dict(items)
        joins = tuple(
            (name, row.name)
            for row in rows
            if row.name in points
            for name in row.reads
            if name in points
        )
        lengths = tuple(dict.fromkeys(found.input_shape[axis] for axis in axes))
        drawn.append(Growth(tuple(axes), lengths, points, joins))
    return tuple(drawn)

"""What has to change in a model, module by module, so that values become dense."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from atrous.convert.densities import Densities
from atrous.geometry.primitives import Window
from atrous.graph.program import Node

How = Literal["settings", "borders", "phases", "grid", "left out"]
"""By other settings; by a convolution with borders of its own; phase by phase; the grid alone; not
at all."""


@dataclass(frozen=True)
class Change:
    """One module that has to change.

    Attributes:
        path: the module.
        how: what is done to it.
        before: density of what it reads, per axis of positions.
        after: density of its result.
        stride: dense positions of what it reads per dense position of the result.
        axes: the axes of positions of what it reads and of its result, counted from the end.
        nodes: the calls in it that make this necessary.
        windows: the window along each axis, where it changes by its settings.
    """

    path: str
    how: How
    before: Densities
    after: Densities
    stride: tuple[Fraction, ...]
    axes: tuple[tuple[int, ...], tuple[int, ...]]
    nodes: tuple[Node, ...]
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True)
class Plan:
    """All that has to change.

    Attributes:
        changes: the modules, none inside another.
        grid: calls that read all positions, and those of the grid alone from now on.
        pooled: calls that read all positions and go on doing so, in no module that changes.
        resized: calls that bring what they read to a size of their own, and read all positions
            of it from now on.
        stuck: calls outside of any module that could change.
    """

    changes: tuple[Change, ...]
    grid: tuple[Node, ...]
    pooled: tuple[Node, ...]
    resized: tuple[Node, ...]
    stuck: tuple[Node, ...]

    def is_like(self, other: Plan) -> bool:
        """Whether the same is done to the same modules, whatever makes it necessary."""
        mine, theirs = ({replace(c, nodes=()) for c in p.changes} for p in (self, other))
        return mine == theirs

    def holder(self, path: str) -> Change | None:
        """The change of the module in which a module goes on as it is, on phases, if any."""
        return next(
            (
                change
                for change in self.changes
                if change.how in ("phases", "grid")
                and (path == change.path or is_inside(path, change.path))
            ),
            None,
        )


def is_inside(path: str, other: str) -> bool:
    """Whether a module lies in another."""
    return other == "" or path.startswith(other + ".")

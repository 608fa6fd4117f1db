"""One axis of a redesign: which dilations may change, and what a choice of them reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from atrous.design.redesign.goals import Goal
from atrous.design.redesign.layers import Layer
from atrous.design.redesign.offsets import Line
from atrous.geometry.bits import Offsets
from atrous.geometry.primitives import Window

Choice = tuple[int, ...]
"""A dilation for every layer of a problem, in order."""


@dataclass(frozen=True)
class Reached:
    """What a choice reads.

    Attributes:
        left: by line, holes that are left, or by how much a factor is too large.
        sizes: what every value spans of the input.
    """

    left: tuple[int, ...]
    sizes: tuple[int, ...]

    @property
    def unmet(self) -> int:
        """All that is left."""
        return sum(self.left)


@dataclass(frozen=True, eq=False)
class Problem:
    """The layers along one axis of the input.

    Attributes:
        goals: what must hold.
        place: which of the goals' axes it is about.
        layers: those with taps along it.
        stuck: labels of layers that must stay.
        ties: labels of layers that must have one dilation, as one number pads for all of them.
        also: what else must hold of a choice.
        smaller: whether fields may become smaller where no dilations keep them.
        whole: the stretches that must have no holes and keep their fields too; others only have to
            mix.
    """

    goals: Sequence[Goal]
    place: int
    layers: tuple[Layer, ...]
    stuck: Collection[str] = ()
    ties: Sequence[Collection[str]] = ()
    also: Callable[[Choice], bool] | None = None
    smaller: bool = False
    whole: Collection[Goal] = ()
    known: dict[Choice, Reached] = field(default_factory=dict)

    @cached_property
    def lines(self) -> tuple[tuple[Goal, Line], ...]:
        """The programs along the axis, of an output of every pattern."""
        return tuple(
            (goal, line)
            for goal in self.goals
            for line in goal.lines.get(goal.axes[self.place], ())
        )

    @cached_property
    def axes(self) -> tuple[int, ...]:
        """By layer, the axis of its result that lies along this one; -1 where none does."""
        found = []
        for layer in self.layers:
            mine = [
                line.axis[name]
                for _, line in self.lines
                for name in layer.names
                if name in line.windows
            ]
            found.append(mine[0] if mine else -1)
        return tuple(found)

    @cached_property
    def now(self) -> Choice:
        """The dilations the layers have."""
        return tuple(
            layer.windows[axis].dilation if axis in layer.windows else 1
            for layer, axis in zip(self.layers, self.axes, strict=True)
        )

    def is_free(self, k: int) -> bool:
        """Whether a layer may change along this axis."""
        window = self.layers[k].windows.get(self.axes[k])
        return (
            window is not None and window.kernel_size > 1 and self.layers[k].label not in self.stuck
        )

    @cached_property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """The layers that may change, those together that must have one dilation."""
        found: dict[int, list[int]] = {}
        for k, layer in enumerate(self.layers):
            if self.axes[k] in layer.windows and layer.windows[self.axes[k]].kernel_size > 1:
                mine = [n for n, tie in enumerate(self.ties) if layer.label in tie]
                found.setdefault(mine[0] if mine else -1 - k, []).append(k)
        return tuple(tuple(own) for own in found.values() if all(map(self.is_free, own)))

    def allows(self, choice: Choice) -> bool:
        """Whether all taps lie on whole positions."""
        return all(
            new == old or self.layers[k].allows(self.axes[k], new)
            for k, (new, old) in enumerate(zip(choice, self.now, strict=True))
        )

    def windows(self, choice: Choice) -> dict[str, Window]:
        """By node, the windows that a choice changes."""
        found = {}
        for k, (new, old) in enumerate(zip(choice, self.now, strict=True)):
            if new != old:
                window = self.layers[k].window(self.axes[k], new)
                found.update(dict.fromkeys(self.layers[k].names, window))
        return found

    def reached(self, choice: Choice) -> Reached:
        """What a choice reads along this axis."""
        if choice not in self.known:
            windows = self.windows(choice)
            self.known[choice] = self._reached(windows)
        return self.known[choice]

    def _reached(self, windows: Mapping[str, Window]) -> Reached:
        left, sizes = [], []
        for goal, line in self.lines:
            read = line.offsets(windows) or Offsets(0, 1)
            if self.is_whole(goal):
                left.append(read.holes)
                sizes.append(read.span)
            else:
                left.append(max(read.factor - 1, 0))
        return Reached(tuple(left), tuple(sizes))

    def excess(self, choice: Choice) -> int | None:
        """By how much the fields differ from what they are; None where one must not be smaller."""
        pairs = list(zip(self.reached(choice).sizes, self.reached(self.now).sizes, strict=True))
        shrinks = any(a < b for a, b in pairs)
        return None if shrinks and not self.smaller else sum(abs(a - b) for a, b in pairs)

    def is_met(self, goal: Goal, line: Line) -> bool:
        """Whether a program along the axis is as it must be."""
        read = line.offsets() or Offsets(0, 1)
        return read.holes == 0 if self.is_whole(goal) else read.factor < 2

    def is_whole(self, goal: Goal) -> bool:
        """Whether a value must have no holes, and keep its field."""
        return goal.kind == "holes" or goal in self.whole

    def serves(self, choice: Choice) -> bool:
        """Whether a choice does what is asked, and makes no field smaller that must not be."""
        return (
            self.allows(choice)
            and self.excess(choice) is not None
            and self.reached(choice).unmet == 0
            and (self.also is None or self.also(choice))
        )

    def helps(self, choice: Choice, number: int) -> bool:
        """Whether a choice does what is asked of one line, and nothing worse to the others."""
        if not self.allows(choice) or self.excess(choice) is None:
            return False
        left, before = self.reached(choice).left, self.reached(self.now).left
        worse = any(a > b for a, b in zip(left, before, strict=True))
        return left[number] == 0 and not worse

    def is_like(self, other: Problem) -> bool:
        """Whether it is the same along another axis, away from the borders: then what solves one
        solves the other."""
        return (
            self.now == other.now
            and len(self.lines) == len(other.lines)
            and all(
                one[0] is two[0] and one[1].is_like(two[1])
                for one, two in zip(self.lines, other.lines, strict=True)
            )
            and all(
                layer.windows.get(a) == layer.windows.get(b)
                and layer.anchors.get(a) == layer.anchors.get(b)
                for layer, a, b in zip(self.layers, self.axes, other.axes, strict=True)
            )
        )

    def cost(self, choice: Choice) -> tuple[int, int]:
        """How many layers change, and by how much all together."""
        changes = [abs(a - b) for a, b in zip(choice, self.now, strict=True)]
        return sum(c > 0 for c in changes), sum(changes)

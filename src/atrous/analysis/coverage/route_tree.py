"""The tree of routes from one output to the inputs, node by node: the classical picture."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from atrous.analysis.coverage.adjoint import position_axes
from atrous.analysis.coverage.crossing import Axes, Way, through
from atrous.analysis.fields.field import Field, default_axes, traced
from atrous.geometry.relation import Flags
from atrous.graph.program import Node, Program
from atrous.graph.rule import Movement, Pointwise, Unknown
from atrous.shown import Shown

_MOST = 200_000
"""Edges of a tree: more nobody can see, and each is followed by itself."""


@dataclass(frozen=True)
class Level:
    """The positions of one node that lie on routes.

    Attributes:
        name: the node.
        label: its module path, or its name.
        kind: the operator, as "conv1d".
        length: positions of the node in all.
        rate: input positions per position of the node.
        positions: those on routes, ascending.
    """

    name: str
    label: str
    kind: str
    length: int
    rate: Fraction
    positions: tuple[int, ...]


@dataclass(frozen=True)
class Reading:
    """One position of a level reads positions of an earlier one.

    Attributes:
        reader: number of the level that reads.
        position: which of its positions.
        source: number of the level that is read.
        inputs: which of its positions are read, ascending.
    """

    reader: int
    position: int
    source: int
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class RouteTree(Shown):
    """All routes from one output to an input, along one axis.

    Operators that pass positions on one by one, as activations and padding do, are no levels of
    their own: what reads them reads what they read. Parts of a value that are read side by side are
    one line of the tree, where a coverage may count a route for each.

    Attributes:
        node: the value whose output it is.
        input: the input.
        axis: the input's axis.
        at: the output, as a position of the node.
        levels: the input first, the output's node last, in order of computation.
        readings: who reads whom, from the output down.
    """

    node: str
    input: str
    axis: int
    at: int
    levels: tuple[Level, ...]
    readings: tuple[Reading, ...] = field(repr=False)

    @property
    def edges(self) -> int:
        """Pairs of a position and a position that it reads."""
        return sum(len(reading.inputs) for reading in self.readings)

    def __str__(self) -> str:
        read = len(self.levels[0].positions)
        count = len(self.levels) - 1
        return (
            f"{self.node} at {self.at} reads {read} position{'' if read == 1 else 's'} of "
            f"{self.input} through {count} layer{'' if count == 1 else 's'} and {self.edges:,} taps"
        )


def route_tree(
    program: Program,
    node: Node,
    *,
    input: str | None = None,
    axis: int | None = None,
    at: int | None = None,
) -> RouteTree:
    """Every position that lies on a route from one output to the input.

    Args:
        program: the captured model.
        node: the value.
        input: the input; the first by default.
        axis: the input's axis; its only one that holds positions by default. Positions along other
            axes count as channels.
        at: the output's position along its axis; the middle by default.

    Raises:
        ValueError: if the axis must be named, `at` lies outside, an operator has no rule, positions
            lie along several axes of a value, or there are more than 200,000 edges.
    """
    source = program.input(input)
    axis = _the_axis(program, source, axis)
    layout = position_axes(program, {source.name: (axis,)})
    length = _length(node, layout)
    start = length // 2 if at is None else at
    if not isinstance(start, int | np.integer) or not -length <= start < length:
        raise ValueError(
            f"at must be a whole number among the {length} positions of {node.label!r}, "
            f"got {at!r}. Leave it out for the middle."
        )
    start = int(start) % length
    reads = _walked(program, source, node, start, layout)
    return _folded(program, source, node, axis, start, layout, reads)


def _the_axis(program: Program, source: Node, axis: int | None) -> int:
    if axis is not None:
        return axis
    axes = default_axes(program, source)
    if len(axes) != 1:
        raise ValueError(
            f"axis must be given where positions lie along several, got {axes} for "
            f"{source.name!r}. Name one of them with axis=."
        )
    return axes[0]


def _moving(node: Node, layout: dict[str, Axes]) -> int | None:
    """The axis that holds positions; None where all is read alike, which is one position."""
    found = [axis for axis, flag in enumerate(layout[node.name]) if flag]
    if len(found) > 1:
        raise ValueError(
            f"every value on the way must have its positions along one axis, but those of "
            f"{node.label!r} lie along the axes {tuple(found)}. Ask for a node before it with "
            "node=."
        )
    return found[0] if found else None


def _length(node: Node, layout: dict[str, Axes]) -> int:
    axis = _moving(node, layout)
    return 1 if axis is None else node.shape[axis]


Reads = dict[str, dict[int, dict[str, set[int]]]]
"""Node -> position -> operand -> the positions of it that are read."""


def _walked(program: Program, source: Node, node: Node, at: int, layout: dict[str, Axes]) -> Reads:
    """What is read on the way from one position back to the input, and on ways to padding alone.

    Each position is followed by itself, with the channels that are touched there.
    """
    holds = layout[node.name]
    lengths = [1 if flag else n for flag, n in zip(holds, node.shape, strict=True)]
    seed = _single(np.ones(lengths, dtype=bool), tuple(at if flag else 0 for flag in holds))
    waiting: dict[str, dict[int, dict[bytes, Way]]] = {node.name: {at: {b"": seed}}}
    reads: Reads = {node.name: {at: {}}}
    needed = program.ahead(source)
    count = 0
    order = list(program.nodes.values())
    for here in (n for n in reversed(order[: order.index(node) + 1]) if n.name in needed):
        mine = reads.setdefault(here.name, {})
        for position, ways in waiting.pop(here.name, {}).items():
            taken = mine.setdefault(position, {})
            for way in ways.values() if here.name != source.name else ():
                for operand, there, back in _step(program, here, way, layout, needed):
                    known = taken.setdefault(operand, set())
                    count += there not in known
                    known.add(there)
                    arrived = waiting.setdefault(operand, {}).setdefault(there, {})
                    arrived.setdefault(back.channels.tobytes(), back)
            if count > _MOST:
                raise ValueError(
                    f"the tree must have at most {_MOST:,} edges. "
                    "Ask for a node nearer to the input with node=, or use atrous.coverage."
                )
    return reads


def _single(channels: Flags, start: tuple[int, ...]) -> Way:
    return Way(channels, np.ones([1] * channels.ndim, dtype=np.int64), start)


def _step(
    program: Program, node: Node, way: Way, layout: dict[str, Axes], needed: Collection[str]
) -> Iterator[tuple[str, int, Way]]:
    """Every position of every operand that one position reads, with the channels touched there."""
    if isinstance(node.description, Unknown):
        raise ValueError(
            f"every operator on the way must have a rule, but there is none for {node.kind!r} at "
            f"{node.label!r} ({node.description.reason}). Teach it with atrous.rule."
        )
    for read in node.description.reads if node.description else ():
        name = read.operand.name
        if name not in needed:
            continue
        axis = _moving(program.nodes[name], layout)
        for back in through(read, way, layout[node.name], layout[name], exact=False):
            first = back.start[axis] if axis is not None else 0
            for offset in np.flatnonzero(back.counts.ravel()).tolist():
                start = tuple(first + offset if a == axis else 0 for a in range(len(back.start)))
                yield name, first + offset, _single(back.channels, start)


def _folded(
    program: Program,
    source: Node,
    node: Node,
    axis: int,
    at: int,
    layout: dict[str, Axes],
    reads: Reads,
) -> RouteTree:
    """Levels and readings, without nodes that only pass positions on."""
    alive = _alive(program, source, reads)
    alive.setdefault(source.name, set())
    alive.setdefault(node.name, set()).add(at)
    passed = {
        name: program.nodes[name].operands[0].name
        for name in alive
        if _passes_on(program.nodes[name], node, {p: reads[name][p] for p in alive[name]})
    }
    kept = [name for name in program.nodes if name in alive and name not in passed]
    number = {name: k for k, name in enumerate(kept)}

    def ends(name: str, position: int) -> tuple[str, int]:
        while name in passed:
            (position,) = reads[name][position][passed[name]]
            name = passed[name]
        return name, position

    readings: list[Reading] = []
    for name in reversed(kept):
        for position in sorted(alive[name]):
            merged: dict[str, set[int]] = {}
            for operand, positions in reads[name][position].items():
                for there in positions & alive.get(operand, set()):
                    end, place = ends(operand, there)
                    merged.setdefault(end, set()).add(place)
            readings += [
                Reading(number[name], position, number[end], tuple(sorted(places)))
                for end, places in merged.items()
            ]
    found = traced(program, input=source.name, axes=(axis,)).fields()
    levels = tuple(
        Level(
            name,
            program.nodes[name].label,
            program.nodes[name].kind,
            _length(program.nodes[name], layout),
            _rate(found.get(name), source.shape[axis], _length(program.nodes[name], layout)),
            tuple(sorted(alive[name])),
        )
        for name in kept
    )
    return RouteTree(node.label, source.name, axis, at, levels, tuple(readings))


def _alive(program: Program, source: Node, reads: Reads) -> dict[str, set[int]]:
    """The positions from which the input is really reached, not padding alone."""
    alive: dict[str, set[int]] = {}
    for name in program.nodes:
        found = {
            position
            for position, operands in reads.get(name, {}).items()
            if name == source.name
            or any(own & alive.get(operand, set()) for operand, own in operands.items())
        }
        if found:
            alive[name] = found
    return alive


def _passes_on(node: Node, target: Node, reads: dict[int, dict[str, set[int]]]) -> bool:
    """Whether a node hands positions on one by one from a single operand.

    The target does so only where each keeps its number.
    """
    if not isinstance(node.description, Pointwise | Movement) or len(node.operands) != 1:
        return False
    taken = {position: set().union(*own.values()) for position, own in reads.items()}
    if node.name == target.name:
        return all(places == {position} for position, places in taken.items())
    return all(len(places) == 1 for places in taken.values())


def _rate(field: Field | None, inputs: int, length: int) -> Fraction:
    """Input positions per position; what the lengths say where the field is of no use."""
    for own in field.axes if field is not None else ():
        if own.stride > 0:
            return own.stride
    return Fraction(inputs, length)

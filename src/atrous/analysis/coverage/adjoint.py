"""The structural adjoint: a program backwards from chosen outputs, every weight 1.

A route is a way through the program from position to position; channels are not counted, but a
route must be possible through channels that are really read. What is only moved is no branch:
channels that are cut apart and put together again are one route, while parts that are computed
apart, as in a grouped convolution written by hand, are a route each. Axes along which positions of
the input lie hold numbers, one per position; all other axes hold which of their places are touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from atrous.analysis.coverage.crossing import (
    Axes,
    Way,
    spread_axes,
    through,
    wide_enough,
    width,
)
from atrous.analysis.fields.field import default_axes
from atrous.geometry.lineage import SEVERITY, Status
from atrous.geometry.relation import Flags
from atrous.graph.program import Node, Program
from atrous.graph.rule import Global, Movement, Read, Unknown

_LOOSENESS: tuple[Status, ...] = ("exact", "global", "bound", "unknown")
"""What a count is worth, the best first: all that reads everything is counted to the last route,
while a bound counts routes that are none."""


@dataclass(frozen=True, eq=False)
class Routes:
    """What arrives at one input.

    Attributes:
        ways: the routes, by the channels they touch.
        status: "bound" if a read on the way is told as more than it is, else "global" if one
            reads all by nature, else "exact".
        cause: the first node on the way from the input that made it so; empty when exact.
    """

    ways: tuple[Way, ...]
    status: Status
    cause: str


def position_axes(program: Program, axes: Mapping[str, tuple[int, ...]]) -> dict[str, Axes]:
    """Of every node, the axes that hold positions of the inputs.

    An axis that mixes all positions, so that each of its own reads every one of them (as in a
    softmax), holds none; one that holds channels and positions both, as after flattening, holds
    positions.

    Args:
        program: the captured model.
        axes: the axes of each input that hold positions.
    """
    found: dict[str, Axes] = {}
    for name, node in program.nodes.items():
        mine = np.zeros(len(node.shape), dtype=bool)
        if node.call is None:
            mine[list(axes.get(name, ()))] = True
        for read in node.reads:
            mine |= _moving_through(read, found[read.operand.name], node)
        found[name] = tuple(mine.tolist())
    _lay_out_repeats(program, found)
    return found


def _lay_out_repeats(program: Program, found: dict[str, Axes]) -> None:
    """Let axes along which one value is repeated hold positions where all who read them hold some:
    a gate spread over a map is one gate at all positions, not as many channels."""
    for node in reversed(list(program.nodes.values())):
        mine = list(found[node.name])
        for axis, length in enumerate(node.shape):
            if length > 1 and not mine[axis] and _repeats(node, axis):
                behind = program.readers.get(node.name, ())
                mine[axis] = bool(behind) and all(
                    _keeps_as_positions(read, axis, found[reader.name]) for reader, read in behind
                )
        found[node.name] = tuple(mine)


def _keeps_as_positions(read: Read, axis: int, holds: Axes) -> bool:
    """Whether a reader has an operand's axis as one of its own axes of positions."""
    return (
        read.split is None
        and read.merge is None
        and any(
            link is not None and link.axis == axis and link.relation.is_identity and holds[own]
            for own, link in enumerate(read.links)
        )
    )


def _repeats(node: Node, axis: int) -> bool:
    """Whether every position along an axis is a copy of the same value."""
    if not isinstance(node.description, Movement):
        return False
    links = [read.links[axis] for read in node.reads if read.merge is None]
    return len(links) == 1 and (
        links[0] is None or (links[0].relation.is_constant and links[0].relation.inputs == 1)
    )


def layout_for(program: Program, source: Node, axes: tuple[int, ...]) -> dict[str, Axes]:
    """Of every node, the axes that hold positions, one input being followed along given axes and
    the others along those that fields are told for."""
    followed = {
        name: axes if name == source.name else default_axes(program, program.nodes[name])
        for name in program.inputs
    }
    return position_axes(program, followed)


def _moving_through(read: Read, operand: Axes, node: Node) -> Flags:
    inner = spread_axes(operand, read.split)
    mixes = isinstance(node.description, Global)
    moving = [
        link is not None
        and inner[link.axis]
        and not (mixes and link.relation.is_constant and link.relation.outputs > 1)
        for link in read.links
    ]
    if read.merge is None:
        return np.array(moving, dtype=bool)
    parts = iter(moving)
    found = []
    for own in read.merge:
        flags = [(length, next(parts)) for length in own]
        # One position beside many channels, as after global pooling, leaves channels.
        longest = max(own, default=1)
        found.append(any(moves for length, moves in flags if length > 1 or longest == 1))
    return np.array(found, dtype=bool)


def routes_back(
    program: Program,
    node: Node,
    source: Node,
    seed: Way,
    axes: Mapping[str, Axes],
    *,
    exact: bool = False,
    local: bool = False,
    replaced: Mapping[str, tuple[Read, ...]] | None = None,
) -> Routes:
    """Follow routes from a node back to an input.

    Args:
        program: the captured model.
        node: where they begin.
        source: the input.
        seed: the positions (and channels) they begin at.
        axes: what `position_axes` says.
        exact: keep counts exact as Python integers once they do not fit 64 bits; otherwise they
            become floats then, and Python integers only beyond what floats hold.
        local: leave out ways on which an operator reads all positions by nature.
        replaced: reads of nodes to be used in place of their own.

    Raises:
        ValueError: if an operator without a rule lies on the way.
    """
    arriving: dict[str, list[Way]] = {node.name: [seed]}
    status: Status = "exact"
    cause = ""
    order = list(program.nodes.values())
    needed = program.ahead(source)
    for at in reversed(order[: order.index(node) + 1]):
        if at.name not in arriving or at.name not in needed or at.name == source.name:
            continue
        ways = _collected(arriving.pop(at.name), exact)
        if isinstance(at.description, Unknown):
            raise ValueError(
                f"coverage must follow every operator, but there is no rule for {at.kind!r} at "
                f"{at.label!r} ({at.description.reason}). Teach it with atrous.rule."
            )
        moves = isinstance(at.description, Movement)
        if moves:
            ways = [
                way if way.part_of else replace(way, part_of=(at.name, k))
                for k, way in enumerate(ways)
            ]
        reads = (replaced or {}).get(at.name) or at.reads
        for number, read in enumerate(reads):
            worst = _status(read, axes[read.operand.name])
            if read.operand.name not in needed or (local and worst == "global"):
                continue
            told = False
            for way in ways:
                backs = through(read, way, axes[at.name], axes[read.operand.name], exact=exact)
                if moves:
                    backs = _as_parts(backs, way, read, number, at, axes[at.name])
                if backs:
                    arriving.setdefault(read.operand.name, []).extend(backs)
                    told = True
            if told and _LOOSENESS.index(worst) >= max(1, _LOOSENESS.index(status)):
                # Backwards the first cause on the way from the input comes last.
                status, cause = worst, at.label
    return Routes(tuple(_collected(arriving.get(source.name, []), exact)), status, cause)


def _as_parts(
    backs: list[Way], way: Way, read: Read, number: int, at: Node, holds: Axes
) -> list[Way]:
    """What a movement makes of a way, marked as parts of it.

    Those that one read makes pass by different positions, and so do reads that each fill a part of
    an axis of positions; reads that each fill some channels pass by the same.
    """
    apart = read.segment is not None and spread_axes(holds, read.merge)[read.segment.axis]
    if len(backs) == 1 and not apart:
        return [replace(backs[0], part_of=way.part_of)]
    mark = (at.name, number if apart else -1)
    return [replace(back, part_of=(*way.part_of, *mark, k)) for k, back in enumerate(backs)]


def _collected(ways: list[Way], exact: bool) -> list[Way]:
    """What arrives at a value: parts put together, those through the same channels added."""
    parts: dict[tuple[object, ...], list[Way]] = {}
    for number, way in enumerate(ways):
        alike = (way.part_of, way.start) if way.part_of else (number,)
        parts.setdefault(alike, []).append(way)
    groups: dict[bytes, list[Way]] = {}
    for some in parts.values():
        for way in _together(some):
            groups.setdefault(way.channels.tobytes(), []).append(way)
    return [_added(group, exact) for group in groups.values()]


def _together(parts: list[Way]) -> list[Way]:
    """Ways that differ in their channels alone, as few as can be with none through one twice."""
    found: list[Way] = []
    for way in parts:
        for k, other in enumerate(found):
            apart = not (other.channels & way.channels).any()
            if apart and np.array_equal(other.counts, way.counts):
                found[k] = replace(other, channels=other.channels | way.channels)
                break
        else:
            found.append(way)
    return found


def _status(read: Read, operand: Axes) -> Status:
    """The worst status of the links on axes that hold positions."""
    inner = spread_axes(operand, read.split)
    links = [link for link in (*read.links, *read.unlinked) if link is not None]
    return max(
        (link.status for link in links if inner[link.axis]), key=SEVERITY.index, default="exact"
    )


def _added(ways: list[Way], exact: bool) -> Way:
    """Routes that touch the same channels, as one."""
    if len(ways) == 1:
        return ways[0]
    ndim = ways[0].counts.ndim
    start = tuple(min(way.start[a] for way in ways) for a in range(ndim))
    stop = [max(way.start[a] + way.counts.shape[a] for way in ways) for a in range(ndim)]
    mass = sum(way.mass for way in ways)
    ways = [wide_enough(way, mass, exact) for way in ways]
    dtype = max((way.counts.dtype for way in ways), key=width)
    total = np.zeros([b - a for a, b in zip(start, stop, strict=True)], dtype=dtype)
    for way in ways:
        here = zip(way.start, start, way.counts.shape, strict=True)
        total[tuple(slice(a - b, a - b + n) for a, b, n in here)] += way.counts
    return Way(ways[0].channels, total, start)

"""Which positions of a value anything reads: the other direction of holes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from atrous.analysis.coverage.crossing import Axes, Way, through
from atrous.geometry.relation import Flags
from atrous.graph.program import Node, Program
from atrous.graph.rule import Movement, Read

_Ways = dict[bytes, Way]
"""Positions that are read, by the channels they are read in."""


class Liveness:
    """What of every value is read, by the next layers or by any output.

    Exact in all dimensions. Channels are told apart on the way, and put together in the answers.

    Args:
        program: the captured model.
        layout: of every node, which axes hold positions (see `position_axes`).
    """

    def __init__(self, program: Program, layout: Mapping[str, Axes]) -> None:
        self.program = program
        self.layout = layout
        self._outputs = set(program.outputs.values())
        self._used: dict[str, _Ways] = {}

    def used(self, node: Node) -> Flags:
        """Which positions of a value the layers behind it read, if all that they give is used.

        What is only moved (cropped, padded, rearranged, picked) is followed to the layers behind.
        Axes without positions have length 1.
        """
        return self._flags(node, self._used_ways(node))

    def reaching(self, node: Node) -> Flags:
        """Which positions of a value any output of the model reads in the end."""
        arriving: dict[str, _Ways] = {name: {} for name in self.program.nodes}
        for at in reversed(list(self.program.nodes.values())):
            if at.name == node.name:
                break
            arrived = arriving.pop(at.name)
            ways = self._whole(at) if at.name in self._outputs else _joined(arrived)
            for read in at.reads:
                self._add(arriving[read.operand.name], at, read, ways)
        if node.name in self._outputs:
            return self._flags(node, {b"": self._whole(node)[0]})
        return self._flags(node, arriving[node.name])

    def _used_ways(self, node: Node) -> _Ways:
        """See `used`; kept for what is only moved, without recursion along long chains."""
        pending = [node]
        while pending:
            at = pending[-1]
            behind = [n for n, _ in self.program.readers.get(at.name, ()) if self._is_moved(n)]
            missing = [n for n in behind if n.name not in self._used]
            if missing:
                pending += missing
                continue
            pending.pop()
            found: _Ways = {}
            for reader, read in self.program.readers.get(at.name, ()):
                ways: Iterable[Way] = self._whole(reader)
                if self._is_moved(reader):
                    ways = _joined(self._used[reader.name])
                self._add(found, reader, read, ways)
            self._used[at.name] = found
        return self._used[node.name]

    def _is_moved(self, node: Node) -> bool:
        return isinstance(node.description, Movement) and node.name not in self._outputs

    def _whole(self, node: Node) -> list[Way]:
        """Every position of a value in every channel."""
        axes = list(zip(node.shape, self.layout[node.name], strict=True))
        channels = np.ones([1 if holds else n for n, holds in axes], dtype=bool)
        counts = np.ones([n if holds else 1 for n, holds in axes], dtype=np.int64)
        return [Way(channels, counts, (0,) * len(axes))]

    def _add(self, found: _Ways, node: Node, read: Read, ways: Iterable[Way]) -> None:
        """Put what some positions of a node read into what is known of the operand.

        Once a value is known to be read wholly, nothing more is learned, and its ways are one.
        """
        if any(way.channels.all() and way.counts.all() for way in found.values()):
            return
        mine, theirs = self.layout[node.name], self.layout[read.operand.name]
        shape = [n if holds else 1 for n, holds in zip(read.operand.shape, theirs, strict=True)]
        for way in ways:
            for back in through(read, way, mine, theirs, exact=False):
                key = back.channels.tobytes()
                known = found.get(key)
                counts = known.counts if known is not None else np.zeros(shape, dtype=np.int64)
                here = zip(back.start, back.counts.shape, strict=True)
                counts[tuple(slice(a, a + n) for a, n in here)] |= back.counts > 0
                whole = back.channels.all() and counts.all()
                if whole:
                    found.clear()
                found[key] = Way(back.channels, counts, (0,) * len(shape))
                if whole:
                    return

    def _flags(self, node: Node, ways: _Ways) -> Flags:
        holds = self.layout[node.name]
        flags = np.zeros(
            [n if h else 1 for n, h in zip(node.shape, holds, strict=True)], dtype=bool
        )
        for way in ways.values():
            flags |= way.counts > 0
        return flags


def _joined(ways: _Ways) -> list[Way]:
    """The same, with one way for all channels that are read at the same positions."""
    found: dict[bytes, Way] = {}
    for way in ways.values():
        key = (way.counts > 0).tobytes()
        known = found.get(key)
        channels = way.channels if known is None else known.channels | way.channels
        found[key] = Way(channels, way.counts, way.start)
    return list(found.values())

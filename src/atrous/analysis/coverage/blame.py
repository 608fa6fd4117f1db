"""Which layers leave the holes of a coverage, and what they would have to read to close them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Protocol

import numpy as np

from atrous.analysis.coverage.crossing import Axes, spread_axes
from atrous.geometry.primitives import Window, filled
from atrous.geometry.relation import Flags, Relation
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local, Read

Reads = dict[str, tuple[Read, ...]]
Strides = tuple[tuple[int, Fraction] | None, ...]
"""Per input axis: the axis of a value that holds it, and the value's stride along it."""


@dataclass(frozen=True)
class Blame:
    """A layer that skips positions, and its part in the holes.

    Attributes:
        node: what to call it: module path or node name.
        name: its node's unique name.
        steps: per input axis, how far apart its taps are, in input positions; 0 where it has a
            single tap, or does not move along that axis.
        closes: holes that would be read if it read its whole window.
        dilation: per axis of its window, the largest dilation with which no holes were left, all
            else being equal; None if there is none.
    """

    node: str
    name: str
    steps: tuple[Fraction, ...]
    closes: int
    dilation: tuple[int, ...] | None


class Asked(Protocol):
    """A question about coverage that can be asked again (see `coverage._Filling`)."""

    program: Program
    layout: dict[str, Axes]

    def read_with(self, replaced: Reads) -> Flags:
        """Which positions of the span are read if some nodes read otherwise."""
        ...

    def has_holes_with(self, replaced: Reads) -> bool:
        """Whether what is read then has holes."""
        ...

    def spans_with(self, replaced: Reads, positions: Flags) -> bool:
        """Whether some positions of the span lie in the span of what is read then."""
        ...


def blamed(asked: Asked, holes: Flags, strides: Callable[[str], Strides]) -> Iterator[Blame]:
    """The layers that could close holes, in order of the program.

    Args:
        asked: the question whose answer has holes.
        holes: which positions of the span are holes.
        strides: per input axis, along which of its axes a node's value holds it and at what
            stride; None where it does not.
    """
    for node in asked.program.nodes.values():
        reads = _filled_reads(node, asked.layout)
        if reads is None:
            continue
        left = holes & ~asked.read_with({node.name: reads})
        closed = int(holes.sum()) - int(left.sum())
        if closed == 0:
            continue
        yield Blame(
            node=node.label,
            name=node.name,
            steps=_steps(node, strides),
            closes=closed,
            dilation=_largest_dilation(asked, node, left),
        )


def _filled_reads(node: Node, layout: Mapping[str, Axes]) -> tuple[Read, ...] | None:
    """The node's reads without gaps along axes of positions; None if there were none before."""
    if node.description is None:
        return None
    changed = False
    reads = []
    for read in node.description.reads:
        if read.operand.is_constant:
            continue
        inner = spread_axes(layout[read.operand.name], read.split)
        links = []
        for link in read.links:
            if link is not None and inner[link.axis]:
                whole = filled(link.relation)
                changed |= whole is not link.relation
                link = replace(link, relation=whole)
            links.append(link)
        reads.append(replace(read, links=tuple(links)))
    return tuple(reads) if changed else None


def _steps(node: Node, strides: Callable[[str], Strides]) -> tuple[Fraction, ...]:
    """Distances between taps, in input positions, from what the first operand is read by."""
    read = node.reads[0]
    if read.split is not None:
        return tuple(Fraction(0) for _ in strides(read.operand.name))
    apart = {link.axis: _tap_step(link.relation) for link in read.links if link is not None}
    return tuple(
        Fraction(0) if own is None else apart.get(own[0], 0) * own[1]
        for own in strides(read.operand.name)
    )


def _tap_step(relation: Relation) -> int:
    distances = [
        np.diff(relation.taps.offsets[a:b])
        for a, b in zip(relation.taps.starts[:-1], relation.taps.starts[1:], strict=True)
    ]
    return int(np.gcd.reduce(np.concatenate(distances), initial=0)) if distances else 0


def _largest_dilation(asked: Asked, node: Node, left: Flags) -> tuple[int, ...] | None:
    """Dilations, smaller by the same number on every axis, that leave no holes.

    Args:
        asked: the question whose answer has holes.
        node: the layer.
        left: the holes that are left where it reads its whole window.
    """
    windows = node.description.windows if isinstance(node.description, Local) else {}
    highest = max((w.dilation for w in windows.values()), default=1)
    if highest == 1:
        return None
    # A smaller dilation reads no more than the whole window, and spans no less than the smallest:
    # a hole that is left inside that span stays, whatever the dilation is.
    least = {axis: _narrowed(w, highest - 1) for axis, w in windows.items()}
    if left.any() and asked.spans_with({node.name: windowed_reads(node, least)}, left):
        return None
    for less in range(1, highest):
        smaller = {axis: _narrowed(w, less) for axis, w in windows.items()}
        if not asked.has_holes_with({node.name: windowed_reads(node, smaller)}):
            return tuple(w.dilation for w in smaller.values())
    return None


def _narrowed(window: Window, less: int) -> Window:
    """The window with a dilation smaller by `less`, around the same centre."""
    dilation = max(1, window.dilation - less)
    lost = (window.dilation - dilation) * (window.kernel_size - 1)
    return Window(window.kernel_size, window.stride, dilation, window.left - lost // 2)


def windowed_reads(node: Node, windows: Mapping[int, Window]) -> tuple[Read, ...]:
    """The reads of a node that slides other windows along some of its axes."""
    assert node.description is not None
    reads = []
    for read in node.description.reads:
        if read.operand.is_constant:
            continue
        links = [
            replace(
                link,
                relation=windows[axis].relation(link.relation.outputs, link.relation.inputs),
            )
            if link is not None and axis in windows
            else link
            for axis, link in enumerate(read.links)
        ]
        reads.append(replace(read, links=tuple(links)))
    return tuple(reads)

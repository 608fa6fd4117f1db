"""The layers whose dilation a redesign may change, and where their taps lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from torch import nn

from atrous.geometry.primitives import Window
from atrous.geometry.relation import Relation
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local

Wanted = Mapping[int, int]
"""By axis of a layer's result, the dilation it is to have."""


@dataclass(frozen=True, eq=False)
class Layer:
    """All calls of one dilated operation: a module, or a place in a module's code.

    Attributes:
        label: what to call it.
        path: the module that makes the calls; "" for the model itself.
        names: its nodes.
        windows: by axis of their results, the window.
        anchors: by axis, which tap stays at its place when the dilation changes, counted from the
            first; None where nothing tells.
        padded: whether something is padded for it; the map shrinks otherwise.
        pads: the values before it that its padding is in.
        is_module: whether it is a module of its own, with a dilation of its own.
        place: `file:line` of the call.
    """

    label: str
    path: str
    names: tuple[str, ...]
    windows: Mapping[int, Window]
    anchors: Mapping[int, Fraction | None]
    padded: bool
    pads: frozenset[str]
    is_module: bool
    place: str

    def window(self, axis: int, dilation: int) -> Window:
        """The window along an axis with another dilation, its anchor where it is."""
        own = self.windows[axis]
        moved = (self.anchors[axis] or 0) * (dilation - own.dilation)
        if moved.denominator != 1:
            raise ValueError(
                f"dilation must move the taps of {self.label!r} by whole positions, got {dilation} "
                f"in place of {own.dilation}. Choose one that differs by an even number."
            )
        return Window(own.kernel_size, own.stride, dilation, own.left + int(moved))

    def allows(self, axis: int, dilation: int) -> bool:
        """Whether a dilation keeps the taps on whole positions around the same centre."""
        own = self.windows[axis]
        return ((self.anchors[axis] or 0) * (dilation - own.dilation)).denominator == 1


def layers_of(program: Program, model: nn.Module, names: Iterable[str]) -> tuple[Layer, ...]:
    """The layers among some nodes that can have a dilation, in order of the program."""
    modules = dict(model.named_modules(remove_duplicate=False))
    wanted = set(names)
    groups: dict[tuple[object, ...], list[Node]] = {}
    seen: dict[tuple[object, ...], int] = {}
    for name, node in program.nodes.items():
        at = (node.place.calls, node.place.source, node.kind)
        seen[at] = seen.get(at, -1) + 1
        if name not in wanted or not isinstance(node.description, Local):
            continue
        windows = node.description.windows
        if not any(window.kernel_size > 1 for window in windows.values()):
            continue
        module = modules.get(node.place.module)
        if has_dilation(module):
            groups.setdefault((id(module),), []).append(node)
        elif module is not None:
            # A call of a function: each place in the code is one, whatever the module is called
            # for. Of several in a line, loops around it call one after the other.
            turn = seen[at] % max(node.place.code.count(f"{node.kind}("), 1)
            key = (id(module), node.place.source, turn, tuple(windows.items()))
            groups.setdefault(key, []).append(node)
    found = []
    for nodes in groups.values():
        first = nodes[0]
        description = first.description
        assert isinstance(description, Local)
        windows = description.windows
        if any(
            not isinstance(n.description, Local) or n.description.windows != windows for n in nodes
        ):
            continue
        told = {axis: _anchor(program, nodes, axis, window) for axis, window in windows.items()}
        anchors = {axis: anchor for axis, (anchor, *_) in told.items()}
        found.append(
            Layer(
                first.label,
                first.place.module,
                tuple(node.name for node in nodes),
                windows,
                anchors,
                any(padded for _, padded, _ in told.values()),
                frozenset(pad for *_, pads in told.values() for pad in pads),
                has_dilation(modules.get(first.place.module)),
                first.place.source,
            )
        )
    return tuple(found)


def has_dilation(module: Any) -> bool:
    """Whether a module slides a window with a dilation of its own, as `nn.Conv2d` and
    `nn.MaxPool2d` do."""
    return isinstance(
        module,
        nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d,
    )


def _anchor(
    program: Program, nodes: Iterable[Node], axis: int, window: Window
) -> tuple[Fraction | None, bool, set[str]]:
    """Which tap stays, whether padding tells it, and the values before it that pad it."""
    told = {_anchor_of(program, node, axis, window) for node in nodes}
    padded = {anchor for anchor, _ in told}
    if padded != {None}:
        pads = {pad for anchor, pad in told if anchor is not None and pad}
        return (padded.pop() if len(padded) == 1 else None), True, pads
    cut = {_cut_beside(program, node, axis, window) for node in nodes}
    return (cut.pop() if len(cut) == 1 else None), False, set()


def _cut_beside(program: Program, node: Node, axis: int, window: Window) -> Fraction | None:
    """What is cut off the front of a way around a layer, in dilations: where a layer pads nothing,
    what is added to its result is cut instead."""
    link = node.reads[0].links[axis]
    for reader, read in program.readers.get(node.reads[0].operand.name, ()):
        if reader is node or link is None or read.merge is not None or read.split is not None:
            continue
        for own in read.links:
            if own is not None and own.axis == link.axis:
                shift = shift_of(own.relation)
                if shift and 0 < shift < window.span:
                    return Fraction(shift, window.dilation)
    return None


def _anchor_of(
    program: Program, node: Node, axis: int, window: Window
) -> tuple[Fraction | None, str]:
    """What is padded before the first tap, its own padding and that of the values before it, in
    dilations; and the value before it that pads."""
    left = window.left
    pad = ""
    at: Node | None = node
    own = axis
    while at is not None and not left:
        links = [(r.operand.name, r.links[own]) for r in at.reads if r.merge is None]
        if len(links) != 1 or links[0][1] is None:
            break
        name, link = links[0]
        assert link is not None
        if at is not node:
            shift = shift_of(link.relation)
            if shift is None or shift > 0:
                break
            left -= shift
            pad = at.name if shift else ""
        before = program.nodes[name]
        description = before.description
        slides = isinstance(description, Local) and any(
            w.kernel_size > 1 for w in description.windows.values()
        )
        if before.call is None or slides or len(before.reads) != 1 or before.reads[0].split:
            break
        own, at = link.axis, before
    anchor = Fraction(left, window.dilation)
    return (anchor if 0 < anchor <= window.kernel_size - 1 else None), pad


def tied(layers: Iterable[Layer]) -> list[frozenset[str]]:
    """Labels of layers that read one padded value, and so must keep one dilation."""
    found: dict[object, list[str]] = {}
    for layer in layers:
        if layer.pads:
            key = (layer.pads, tuple(layer.windows.items()))
            found.setdefault(key, []).append(layer.label)
    return [frozenset(labels) for labels in found.values() if len(labels) > 1]


def shift_of(relation: Relation) -> int | None:
    """By how much a relation that reads one position moves on; None if it does something else.

    >>> from atrous.geometry.primitives import strided
    >>> shift_of(strided(6, 4, start=-2)), shift_of(strided(2, 4, step=2))
    (-2, None)
    """
    if relation.step != 1 or relation.period != 1 or len(relation.taps.offsets) != 1:
        return None
    return int(relation.taps.offsets[0])

"""Branches of one value that differ in dilation alone and meet again: pyramids of rates (ASPP)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from atrous.analysis.fields.alignment import meeting
from atrous.graph.program import Node, Program
from atrous.graph.rule import Pointwise
from atrous.lint.facts.along import Layer, layer_of


@dataclass(frozen=True)
class Pyramid:
    """Dilated layers side by side.

    Attributes:
        root: the value that all branches read.
        meeting: where they meet.
        branches: one layer per rate with more than one tap, by its rate.
        axes: the axes of the root along which the rates lie.
    """

    root: Node
    meeting: Node
    branches: Mapping[int, Layer]
    axes: tuple[int, ...]

    @property
    def rates(self) -> tuple[int, ...]:
        """The dilations, ascending."""
        return tuple(sorted(self.branches))


def pyramids(program: Program) -> list[Pyramid]:
    """Every place where layers of one kernel and different dilations read the same value and meet
    by concatenation or addition; of nested meetings the one with most branches."""
    found: dict[tuple[str, tuple[int, ...]], Pyramid] = {}
    behind: dict[str, dict[str, tuple[Layer, str]]] = {}
    for name, node in program.nodes.items():
        behind[name] = _behind(node, behind)
        if len(meeting(node)) < 2:
            continue
        groups: dict[tuple[str, tuple[int, ...]], dict[int, Layer]] = {}
        for layer, root in behind[name].values():
            windows = list(layer.windows.values())
            rates = {w.dilation for w in windows if w.kernel_size > 1}
            if len(rates) == 1 and all(w.stride == 1 for w in windows):
                kernel = tuple(w.kernel_size for w in windows)
                groups.setdefault((root, kernel), {})[rates.pop()] = layer
        for key, branches in groups.items():
            known = found.get(key)
            if len(branches) > 1 and (known is None or len(branches) > len(known.branches)):
                axes = tuple(sorted(a for a, w in layer_axes(branches) if w > 1))
                found[key] = Pyramid(program.nodes[key[0]], node, branches, axes)
    return list(found.values())


def layer_axes(branches: Mapping[int, Layer]) -> list[tuple[int, int]]:
    """Axis and kernel size of the windows that all branches share."""
    layer = next(iter(branches.values()))
    return [(axis, w.kernel_size) for axis, w in layer.windows.items()]


def _behind(
    node: Node, behind: Mapping[str, Mapping[str, tuple[Layer, str]]]
) -> dict[str, tuple[Layer, str]]:
    """The sliding layers whose results, changed position by position alone, make up a value; with
    what they read, position by position changes left out."""
    layer = layer_of(node)
    slides = layer is not None and any(w.kernel_size > 1 for w in layer.windows.values())
    if layer is not None and slides:
        return {node.name: (layer, node.operands[0].name)}
    keeps = isinstance(node.description, Pointwise) or layer is not None or len(meeting(node)) > 1
    if not keeps:
        return {}
    return {k: v for o in node.operands for k, v in behind.get(o.name, {}).items()}

"""The layers that make the field larger, and those of them that reach nothing new."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from atrous.analysis.fields.field import AxisField
from atrous.geometry.primitives import Window
from atrous.graph.program import Node
from atrous.graph.rule import Movement
from atrous.lint.facts.along import Layer, layers, local, on_axis
from atrous.lint.subject import Subject


@dataclass(frozen=True)
class Spread:
    """A convolution that makes the field larger along one input axis.

    Attributes:
        layer: the layer.
        window: its window along that axis.
        before: the field of what it reads, before any padding, along the ways that read nothing
            whole.
        after: its own.
    """

    layer: Layer
    window: Window
    before: AxisField
    after: AxisField

    def is_idle(self, length: int) -> bool:
        """Whether on no side it reaches what is not reached before it.

        That is so on a side where what it reads goes past the end of `length` positions from every
        one of them already.
        """
        sides = zip(self.after.reach, self.before.reach, strict=True)
        return all(b >= length - 1 for a, b in sides if a > b)


def widening_layers(subject: Subject, axis: int) -> Iterator[Spread]:
    """The convolutions on the way to the output that make the field larger on `axis`."""
    for layer in layers(subject.program.behind(subject.target)):
        before = local(on_axis(subject.fields.get(_before_padding(subject, layer).name), axis))
        after = local(on_axis(subject.fields.get(layer.node.name), axis))
        if before is None or after is None or after.output_axis is None:
            continue
        window = layer.windows.get(after.output_axis)
        if window is not None and window.kernel_size > 1 and after.size > before.size:
            yield Spread(layer, window, before, after)


def _before_padding(subject: Subject, layer: Layer) -> Node:
    """What a layer reads, without the operators between that only move values: padding shifts
    positions, and with them the reach to each side."""
    node = subject.program.nodes[layer.node.operands[0].name]
    while isinstance(node.description, Movement) and len(node.operands) == 1:
        node = subject.program.nodes[node.operands[0].name]
    return node


def idle_layers(subject: Subject, axis: int, length: int) -> Iterator[Spread]:
    """Those that reach nothing new inside `length` positions."""
    return (found for found in widening_layers(subject, axis) if found.is_idle(length))


def level_size(dilations: Sequence[int]) -> int:
    """How many layers in a row share each dilation, where all levels agree; else 1.

    >>> level_size([1, 1, 2, 2, 4, 4]), level_size([1, 2, 5, 1, 2, 5]), level_size([2, 2, 2])
    (2, 1, 1)
    """
    runs = [len(list(group)) for _, group in groupby(dilations)]
    return runs[0] if len(runs) > 1 and len(set(runs)) == 1 else 1


def schedule(dilations: Sequence[int]) -> str:
    """Dilations as a tuple in code, once for each level.

    >>> schedule([1, 1, 2, 2, 4, 4]), schedule([8])
    ('(1, 2, 4)', '(8,)')
    """
    return str(tuple(dilations[:: level_size(dilations)]))

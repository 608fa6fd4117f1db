"""The longest way through a line of layers, and whether it is all that counts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from atrous.design.redesign.layers import Layer
from atrous.design.redesign.offsets import Line


@dataclass(frozen=True)
class Chain:
    """Layers in a row.

    Attributes:
        jumps: by the nodes of the layers, in order, the input positions per position of what they
            read.
        is_all: whether an output reads just what this way reads, whatever the dilations are: every
            other way leaves out layers of it that read their own position too.
    """

    jumps: Mapping[str, Fraction]
    is_all: bool


@dataclass(frozen=True)
class _Way:
    span: Fraction
    jump: Fraction
    layers: tuple[tuple[str, Fraction], ...]
    is_all: bool


def longest_chain(line: Line, layers: Mapping[str, Layer]) -> Chain:
    """The way that spans most.

    Layers that read one padded value, with one window, count as one: each reads what all read.

    Args:
        line: the program along one axis.
        layers: by node, the layer it is a call of.
    """
    first: dict[object, str] = {}
    same: dict[str, str] = {}
    for name, layer in layers.items():
        if layer.pads and len(layer.names) == 1:
            same[name] = first.setdefault((layer.pads, tuple(layer.windows.items())), name)
    ways = {line.source: _Way(Fraction(1), Fraction(1), (), True)}
    for name in reversed(line.order):
        if name == line.source:
            continue
        mine = [
            _through(line, name, same.get(name, name), k, ways[step.source])
            for k, step in enumerate(line.steps[name])
            if step.source in ways
        ]
        if mine:
            ways[name] = _met(mine, line, layers)
    last = ways[line.target]
    return Chain(dict(last.layers), last.is_all)


def _through(line: Line, name: str, called: str, number: int, way: _Way) -> _Way:
    step = line.steps[name][number]
    window = line.windows.get(name)
    if window is not None:
        layers = way.layers
        if window.kernel_size > 1:
            layers = (*layers, (called, way.jump))
        span = way.span + (window.span - 1) * way.jump
        return _Way(span, way.jump * window.stride, layers, way.is_all)
    taken = step.taken
    jump = way.jump * Fraction(taken.step, len(taken.rows))
    plain = all(len(row) == 1 for row in taken.rows) and taken.step >= 1
    return _Way(way.span, jump, way.layers, way.is_all and plain)


def _met(ways: list[_Way], line: Line, layers: Mapping[str, Layer]) -> _Way:
    longest = max(ways, key=lambda way: (way.span, len(way.layers)))
    is_all = longest.is_all
    for way in ways:
        more = [entry for entry in longest.layers if entry not in way.layers]
        is_all = (
            is_all
            and way.is_all
            and way.jump == longest.jump
            and set(way.layers) <= set(longest.layers)
            and all(
                line.windows[name].stride == 1 and reads_itself(line, layers, name)
                for name, _ in more
            )
        )
    return _Way(longest.span, longest.jump, longest.layers, is_all)


def reads_itself(line: Line, layers: Mapping[str, Layer], name: str) -> bool:
    """Whether one of a layer's taps stays at the position of the result, times its stride."""
    layer, window = layers.get(name), line.windows[name]
    if layer is None:
        return window.left % window.dilation == 0 and 0 <= window.left <= window.span - 1
    anchor = layer.anchors[line.axis[name]]
    return anchor is not None and anchor.denominator == 1

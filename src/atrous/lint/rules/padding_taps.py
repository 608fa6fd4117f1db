"""Taps of a convolution read padding wherever the kernel stands on this map.

What it finds
    At this input size, convolutions with taps that no output uses: their distance from the output's
    own position is at least the length of the map. Of a kernel of 3 only the centre is left then: a
    1x1 convolution in disguise. Zeros that a layer before has put around the map count as padding,
    as in causal networks; mirrored values do not. A convolution that is called several times is
    judged over all calls.

    A note says which convolutions read padding in more than `max-padding-share` of all reads.

Why it matters
    The weights of such taps never see a gradient, and the field that the dilation was to buy does
    not exist. The layer still costs what it costs. In a pyramid of rates (ASPP) the branch adds
    nothing that its 1x1 branch has not; trained on such maps and used on larger ones, it lets
    random weights loose. It is cheap to see before training.

    That a dilated kernel is wider than the map is no fault yet: some outputs read padding, but
    every tap has outputs at which it reads data.

Example
    Rate 18 on a map of 14 x 14 (a picture of 224 at output stride 16)::

        nn.Conv2d(8, 8, 3, padding=18, dilation=18)

Use instead
    A rate that leaves at least half of the reads on the map::

        nn.Conv2d(8, 8, 3, padding=6, dilation=6)

Settings
    max-padding-share: the largest share of reads that may fall on padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from torch import nn

from atrous.geometry.primitives import Window
from atrous.geometry.relation import Flags
from atrous.graph.program import Node
from atrous.lint.facts.layers import has_weights, percent, short, windows
from atrous.lint.facts.modules import constructor, convolution_of, with_dilation
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _bad() -> Iterator[Case]:
    yield Case(nn.Conv2d(2, 2, 3, padding=18, dilation=18), (1, 2, 14, 14))
    causal = nn.Sequential(nn.ConstantPad1d((64, 0), 0.0), nn.Conv1d(2, 2, 3, dilation=32))
    yield Case(causal, (1, 2, 40), path="1")
    yield Case(nn.Conv2d(2, 2, 3, padding=1), (1, 2, 1, 1))
    share = {"max-padding-share": 0.2}
    yield Case(nn.Conv2d(2, 2, 3, padding=6, dilation=6), (1, 2, 14, 14), settings=share)


def _good() -> Iterator[Case]:
    yield Case(nn.Conv2d(2, 2, 3, padding=6, dilation=6), (1, 2, 14, 14))
    yield Case(nn.Conv2d(2, 2, 3, padding=1), (1, 2, 4, 4))
    causal = nn.Sequential(nn.ConstantPad1d((32, 0), 0.0), nn.Conv1d(2, 2, 3, dilation=16))
    yield Case(causal, (1, 2, 80))
    mirrored = nn.Sequential(nn.ReflectionPad1d(9), nn.Conv1d(2, 2, 3, dilation=9))
    yield Case(mirrored, (1, 2, 10))
    yield Case(nn.MaxPool2d(3, padding=1), (1, 2, 1, 1))


@dataclass(frozen=True)
class _Axis:
    """What the taps of a window read along one axis.

    Attributes:
        window: the window.
        length: positions of the map that hold data.
        used: per tap, whether any output reads data with it.
        share: share of the reads that fall on data.
    """

    window: Window
    length: int
    used: Flags
    share: float


@lint_rule(
    "ATR201",
    "padding-taps",
    severity="warning",
    settings={"max-padding-share": 0.5},
    bad=_bad,
    good=_good,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find taps that read padding only, and convolutions that mostly do."""
    calls: dict[tuple[str, ...], list[tuple[Node, list[_Axis]]]] = {}
    for node in subject.program.nodes.values():
        if has_weights(node) and windows(node):
            axes = _axes(subject, node)
            if axes:
                calls.setdefault(node.parameters or (node.name,), []).append((node, axes))
    for own in calls.values():
        node, axes = own[0]
        used = [np.any([a[k].used for _, a in own], axis=0) for k in range(len(axes))]
        on_padding = 1 - max(prod(axis.share for axis in a) for _, a in own)
        if not all(flags.all() for flags in used):
            yield _dead(subject, node, axes, used, on_padding, settings["max-padding-share"])
        elif on_padding > settings["max-padding-share"]:
            yield _mostly(subject, node, axes, on_padding, settings["max-padding-share"])


def _axes(subject: Subject, node: Node) -> list[_Axis]:
    assert node.description is not None
    found = []
    # Of the map alone: a convolution may compute its weights from the input, too.
    read = node.description.reads[0]
    for axis, window in sorted(windows(node).items()):
        link = read.links[axis]
        if link is not None:
            data = _data(subject, read.operand.name, link.axis)
            found.append(_on(window, node.shape[axis], data))
    return found


def _data(subject: Subject, name: str, axis: int) -> Flags:
    """Which positions of a value along an axis depend on the input at all."""
    value = subject.program.nodes[name]
    data = np.ones(value.shape[axis], dtype=bool)
    field = subject.fields.get(name)
    for own in field.axes if field is not None else ():
        if own.output_axis == axis and own.lineage.live is not None:
            data &= own.lineage.live
    return data


def _on(window: Window, outputs: int, data: Flags) -> _Axis:
    base = np.arange(outputs) * window.stride - window.left
    used, hits = [], 0
    for tap in range(window.kernel_size):
        at = base + tap * window.dilation
        inside = (at >= 0) & (at < len(data))
        inside[inside] = data[at[inside]]
        used.append(bool(inside.any()))
        hits += int(inside.sum())
    return _Axis(
        window, int(data.sum()), np.array(used), hits / max(outputs * window.kernel_size, 1)
    )


def _dead(
    subject: Subject, node: Node, axes: list[_Axis], used: list[Flags], share: float, most: float
) -> Found:
    taps, alive = prod(map(len, used)), prod(int(flags.sum()) for flags in used)
    disguise = ": it is a 1x1 convolution in disguise" if alive == 1 and len(axes) == 2 else ""
    if alive == 1 and len(axes) != 2:
        disguise = ": it is a convolution of kernel 1 in disguise"
    if alive == 0:
        disguise = ": its output is the bias"
    return Found(
        f"{taps - alive} of {taps} taps read padding at every position{disguise}: "
        f"{_what(axes)}, and {percent(share)} of all reads fall on padding",
        node,
        _fix(subject, node, axes, most),
        {"taps": taps, "used": alive, "padding": share, "map": [axis.length for axis in axes]},
    )


def _mostly(subject: Subject, node: Node, axes: list[_Axis], share: float, most: float) -> Found:
    return Found(
        f"{percent(share)} of all reads fall on padding: {_what(axes)}",
        node,
        _fix(subject, node, axes, most),
        {"padding": share, "map": [axis.length for axis in axes]},
        "note",
    )


def _what(axes: list[_Axis]) -> str:
    kernel = short(axis.window.kernel_size for axis in axes)
    rate = short(axis.window.dilation for axis in axes)
    dilated = f" with dilation {rate}" if rate != "1" else ""
    return f"kernel {kernel}{dilated} on a map of {short(axis.length for axis in axes)}"


def _fix(subject: Subject, node: Node, axes: list[_Axis], most: float) -> str:
    """The largest dilation, the same part of it on every axis, with which enough reads are data."""
    largest = max(axis.window.dilation for axis in axes)
    for rate in range(largest - 1, 0, -1):
        smaller = [
            _redilated(axis, max(1, axis.window.dilation * rate // largest)) for axis in axes
        ]
        on_padding = 1 - prod(axis.share for axis in smaller)
        if all(axis.used.all() for axis in smaller) and on_padding <= most:
            return with_dilation(subject, node, tuple(a.window.dilation for a in smaller))
    module = convolution_of(subject, node)
    if largest == 1 and all(axis.length == 1 for axis in axes) and module is not None:
        ones = (1,) * len(axes)
        return constructor(subject, node, kernel_size=ones, padding=(0,) * len(axes))
    return ""


def _redilated(axis: _Axis, dilation: int) -> _Axis:
    """The same with another dilation and its taps as one-sided as they are."""
    window = axis.window
    # Without padding of its own, zeros were put there before: it looks back.
    left = window.left * dilation // window.dilation or (window.kernel_size - 1) * dilation
    outputs = -(-axis.length // window.stride)
    smaller = Window(window.kernel_size, window.stride, dilation, left)
    return _on(smaller, outputs, np.ones(axis.length, dtype=bool))

"""Taps of a convolution read padding wherever the kernel stands on this map.

What it finds
    At this input size, convolutions with taps that no output uses: their distance from the output's
    own position is at least the length of the map. Of a kernel of 3 only the centre is left then: a
    1x1 convolution in disguise. Zeros that padding directly before has put around the map count, as
    in causal networks; mirrored values and other constants do not, nor does what a layer before
    makes of padding: its bias is data. A convolution that is called several times is judged over
    all calls.

    A note says which convolutions read padding in more than `max-padding-share` of all reads.

    Convolutions on maps of one size of which the same is said are one finding, at the first.

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

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from torch import nn

from atrous.geometry.padding import reads_on_data
from atrous.geometry.primitives import Window
from atrous.geometry.relation import Flags
from atrous.graph.program import Node
from atrous.graph.rule import Movement
from atrous.lint.facts.layers import has_weights, listed, percent, quoted, short, windows
from atrous.lint.facts.modules import constructor, convolution_of, with_dilation
from atrous.lint.finding import Number
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _bad() -> Iterator[Case]:
    yield Case(nn.Conv2d(2, 2, 3, padding=18, dilation=18), (1, 2, 14, 14))
    causal = nn.Sequential(nn.ConstantPad1d((64, 0), 0.0), nn.Conv1d(2, 2, 3, dilation=32))
    yield Case(causal, (1, 2, 40), path="1")
    stack = nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=d, dilation=d) for d in (2, 18, 18, 24)))
    yield Case(stack, (1, 2, 14, 14), path="1")
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


@dataclass(frozen=True, eq=False)
class _Axis:
    """What the taps of a window read along one axis.

    Attributes:
        window: the window.
        outputs: how often it stands there.
        data: which positions of the map hold anything but zeros of padding.
        used: per tap, whether any output reads data with it.
        share: share of the reads that fall on data.
    """

    window: Window
    outputs: int
    data: Flags
    used: Flags
    share: float

    @property
    def length(self) -> int:
        """Positions of the map that hold data."""
        return int(self.data.sum())


@dataclass(frozen=True, eq=False)
class _Judged:
    """A convolution over all its calls.

    Attributes:
        node: the first call.
        axes: what its taps read there.
        taps: how many it has.
        alive: how many of them any output reads data with.
        share: share of all reads that fall on padding.
        fix: what to write instead.
    """

    node: Node
    axes: Sequence[_Axis]
    taps: int
    alive: int
    share: float
    fix: str


_Calls = list[tuple[Node, list[_Axis]]]
"""The calls of one convolution."""


@lint_rule(
    "ATR201",
    "padding-taps",
    severity="warning",
    settings={"max-padding-share": 0.5},
    bad=_bad,
    good=_good,
    others=("note",),
    limits={"max-padding-share": (0, 1)},
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find taps that read padding only, and convolutions that mostly do."""
    calls: dict[tuple[str, ...], _Calls] = {}
    for node in subject.program.nodes.values():
        if has_weights(node) and windows(node):
            axes = _axes(subject, node)
            if axes:
                calls.setdefault(node.parameters or (node.name,), []).append((node, axes))
    most = settings["max-padding-share"]
    alike: dict[object, list[_Judged]] = {}
    for own in calls.values():
        one = _judged(subject, own, most)
        if one.alive < one.taps or one.share > most:
            length = tuple(axis.length for axis in one.axes)
            state = "none" if one.alive == 0 else "one" if one.alive == 1 else "some"
            alike.setdefault((one.alive < one.taps and state, one.taps, length), []).append(one)
    for group in alike.values():
        yield _told(group)


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
    """Which positions of a value along an axis hold anything but zeros of padding.

    Positions that do not depend on the input are no padding for that: behind a layer with a bias
    they hold the bias, and weights that read them learn.
    """
    value = subject.program.nodes[name]
    found = np.ones(value.shape[axis], dtype=bool)
    # The positions of `found` that come from elsewhere, and where they lie there.
    mine = theirs = np.arange(len(found))
    while isinstance(value.description, Movement) and len(value.description.reads) == 1:
        read = value.description.reads[0]
        link = read.links[axis] if read.split is None and read.merge is None else None
        if link is None:
            break
        # Pads and crops read one position or none.
        at, inputs, _ = link.relation.reads(theirs)
        none = np.ones(len(mine), dtype=bool)
        none[at] = False
        if none.any():
            if not _pads_with_zeros(value):
                break
            found[mine[none]] = False
        if len(at) != len(mine) - int(none.sum()):
            break
        mine, theirs, axis = mine[at], inputs, link.axis
        value = subject.program.nodes[read.operand.name]
    return found


def _pads_with_zeros(node: Node) -> bool:
    args = node.call.args if node.call is not None else {}
    return "pad" in args and float(args.get("value") or 0.0) == 0.0


def _on(window: Window, outputs: int, data: Flags) -> _Axis:
    hits = reads_on_data(window, outputs, data)
    share = int(hits.sum()) / max(outputs * window.kernel_size, 1)
    return _Axis(window, outputs, data, hits > 0, share)


def _judged(subject: Subject, calls: _Calls, most: float) -> _Judged:
    node, axes = calls[0]
    used = [np.any([own[k].used for _, own in calls], axis=0) for k in range(len(axes))]
    share = 1 - max(prod(axis.share for axis in own) for _, own in calls)
    alive = prod(int(flags.sum()) for flags in used)
    wrong = alive < prod(map(len, used)) or share > most
    return _Judged(
        node, axes, prod(map(len, used)), alive, share, _fix(subject, calls, most) if wrong else ""
    )


def _told(group: Sequence[_Judged]) -> Found:
    """One finding for convolutions of which the same is said."""
    first = group[0]
    dead, several = first.alive < first.taps, len(group) > 1
    names = list(dict.fromkeys(one.node.label for one in group))
    who = f"{quoted(names)}: " if several else ""
    shares = sorted(one.share for one in group)
    part = percent(shares[0])
    if percent(shares[-1]) != part:
        part += f" to {percent(shares[-1])}"
    reads = f"{part} of all reads fall on padding"
    if dead:
        lost = list(dict.fromkeys(one.taps - one.alive for one in group))
        said = f"{who}{listed(lost)} of {first.taps} taps read padding at every position"
        message = f"{said}{_disguise(first)}: {_what(group)}, and {reads}"
    else:
        message = f"{who}{reads}: {_what(group)}"
    fixes = list(dict.fromkeys(one.fix for one in group))
    fix = fixes[0]
    if len(fixes) > 1:
        fix = "\n".join(f"# {one.node.label}\n{one.fix}" for one in group if one.fix)
    numbers: dict[str, Number] = {"padding": shares[-1], "map": [a.length for a in first.axes]}
    if dead:
        numbers |= {"taps": first.taps, "used": first.alive}
    if several:
        numbers["layers"] = names
    layers = tuple(one.node for one in group)
    return Found(
        message, first.node, fix, numbers, None if dead else "note", also=layers[1:], layers=layers
    )


def _disguise(one: _Judged) -> str:
    """What is left of a convolution of which taps read padding alone."""
    if one.alive == 0:
        return " (the output is the bias)"
    if one.alive > 1:
        return ""
    what = "1x1 convolution" if len(one.axes) == 2 else "convolution of kernel 1"
    return f" (a {what} in disguise)"


def _what(group: Sequence[_Judged]) -> str:
    axes = group[0].axes
    kernels = dict.fromkeys(short(a.window.kernel_size for a in one.axes) for one in group)
    rates = dict.fromkeys(short(a.window.dilation for a in one.axes) for one in group)
    dilated = f" with dilation {listed(rates, most=8)}" if list(rates) != ["1"] else ""
    return f"kernel {listed(kernels)}{dilated} on a map of {short(axis.length for axis in axes)}"


def _fix(subject: Subject, calls: _Calls, most: float) -> str:
    """The largest dilation, the same part of it on every axis, with which enough reads are data;
    where there is only one position, one tap. "" where neither helps."""
    node, axes = calls[0]
    module = convolution_of(subject, node)
    same = module is not None and module.padding == "same"
    padded = module.padding_mode if module is not None else "zeros"
    largest = max((a.window.dilation for a in axes if a.window.kernel_size > 1), default=1)
    for rate in range(largest - 1, 0, -1):
        dilation = tuple(
            a.window.dilation if a.window.kernel_size == 1
            else max(1, a.window.dilation * rate // largest)
            for a in axes
        )  # fmt: skip
        smaller = [
            [_redilated(a, d, same) for a, d in zip(own, dilation, strict=True)] for _, own in calls
        ]
        if _is_sound(smaller, most):
            return with_dilation(subject, node, dilation)
    ones = (1,) * len(axes)
    single = [[_of_one_tap(a) for a in own] for _, own in calls]
    if largest == 1 and padded == "zeros" and _is_sound(single, most):
        return constructor(subject, node, kernel_size=ones, padding=(0,) * len(axes), dilation=ones)
    return ""


def _is_sound(calls: Sequence[Sequence[_Axis | None]], most: float) -> bool:
    """Whether all calls are possible, and nothing is left to find."""
    own = [[axis for axis in axes if axis is not None] for axes in calls]
    if any(len(a) < len(b) for a, b in zip(own, calls, strict=True)):
        return False
    used = [np.any([axes[k].used for axes in own], axis=0) for k in range(len(own[0]))]
    share = 1 - max(prod(axis.share for axis in axes) for axes in own)
    return all(bool(flags.all()) for flags in used) and share <= most


def _redilated(axis: _Axis, dilation: int, same: bool) -> _Axis | None:
    """The same with another dilation and as many outputs; None where no padding does that."""
    window, data = axis.window, axis.data
    less = (window.kernel_size - 1) * (window.dilation - dilation)
    left = window.left - less // 2
    if same:
        left = (window.kernel_size - 1) * dilation // 2
    elif window.left == 0 and less:
        # Zeros were put there before, on one side as in causal layers or on both: fewer of them.
        where = np.flatnonzero(data)
        before, after = (int(where[0]), len(data) - 1 - int(where[-1])) if len(where) else (0, 0)
        first = less // 2 if after else less
        if before < first or after < less - first:
            return None
        left, data = 0, data[first : len(data) - (less - first)]
    elif less % 2 or left < 0:
        return None
    smaller = Window(window.kernel_size, window.stride, dilation, left)
    return _on(smaller, axis.outputs, data)


def _of_one_tap(axis: _Axis) -> _Axis | None:
    """The same with a kernel of 1 and no padding; None where that has other outputs."""
    stride = axis.window.stride
    if (len(axis.data) - 1) // stride + 1 != axis.outputs:
        return None
    return _on(Window(1, stride), axis.outputs, axis.data)

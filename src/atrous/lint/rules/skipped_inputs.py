"""Strides step over positions that no output reads, on any way.

What it finds
    Maps of which some positions are read by nothing that follows: all layers that read the map
    stride past them. The layer is named at which the values are lost, and what that means for the
    network's input: positions that no output of the model sees at all.

    A 1x1 convolution of stride 2 beside a 3x3 one, as in the shortcut of a residual block, loses
    nothing: the other way reads all.

    Positions at the end of a map that are left over because its length does not divide are a note
    with a message of its own: common, and rarely worth more than another input size. Cropping,
    slicing and resizing to the nearest position are done on purpose: what they leave out is a note.

Why it matters
    A position that is read by nobody cannot matter: small objects and fine texture vanish, and
    shifting the input by one position shows the network other data altogether. Where a whole map
    was computed first, that work is lost: three of four values at stride 2.

    A dilation that shares a factor with the stride of its layer skips inputs whatever the kernel:
    all taps of all outputs fall on multiples of that factor.

Example
    A stride above the kernel, and a dilation of 2 at stride 2::

        nn.Conv2d(8, 16, 1, stride=2)
        nn.Conv2d(3, 64, 7, stride=2, dilation=2, padding=6)

Use instead
    A kernel that covers the stride, and no dilation (or one that shares no factor)::

        nn.Conv2d(8, 16, 3, stride=2, padding=1)
        nn.Conv2d(3, 64, 7, stride=2, padding=3)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd
from typing import Any

import numpy as np
from torch import Tensor, nn

from atrous.analysis.coverage.liveness import Liveness
from atrous.geometry.relation import Flags
from atrous.graph.program import Node
from atrous.graph.rule import Movement
from atrous.lint.facts.layers import moving, named_axes, percent, quoted, short, windows
from atrous.lint.facts.modules import constructor, convolution_of
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


class _Shortcut(nn.Module):
    """A residual block that halves the map, with its stride in the first or the second layer."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(4, 4, 1, stride=first)
        self.conv2 = nn.Conv2d(4, 4, 3, stride=second, padding=1)
        self.shortcut = nn.Conv2d(4, 4, 1, stride=first * second)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv2(self.conv1(x)) + self.shortcut(x)
        return out


def _bad() -> Iterator[Case]:
    yield Case(nn.Conv2d(3, 4, 7, stride=2, dilation=2, padding=6), (1, 3, 32, 32))
    yield Case(_Shortcut(2, 1), (1, 4, 16, 16), path="conv1")
    padded = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(2, 2, 2, stride=3))
    yield Case(padded, (1, 2, 16, 16), path="1")
    late = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Conv2d(2, 2, 3), nn.MaxPool2d(1, stride=2))
    yield Case(late, (1, 2, 19, 19), path="2")


def _good() -> Iterator[Case]:
    yield Case(nn.Conv2d(3, 4, 7, stride=2, padding=3), (1, 3, 32, 32))
    yield Case(nn.Conv2d(3, 4, 7, stride=2, dilation=3, padding=9), (1, 3, 31, 31))
    yield Case(_Shortcut(1, 2), (1, 4, 16, 16))
    yield Case(nn.Conv2d(3, 4, 4, stride=4), (1, 3, 32, 32))


@lint_rule("ATR103", "skipped-inputs", severity="warning", bad=_bad, good=_good)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find maps whose values no layer reads, and the layers that step over them."""
    live = Liveness(subject.program, subject.layout)
    outputs = set(subject.program.outputs.values())
    unseen: list[float] = []
    for name in live.readers:
        value = subject.program.nodes[name]
        moved = isinstance(value.description, Movement)
        if moved or name in outputs or name not in subject.fields:
            continue
        skipping = _skipping(subject, live, name)
        if not skipping:
            continue
        unread = ~live.used(value)
        if not unread.any():
            continue
        if not unseen and not _is_border(unread):
            unseen.append(float(1 - live.reaching(subject.traced.source).mean()))
        yield _found(value, skipping, unread, unseen[0] if unseen else 0.0, subject)


def _skipping(subject: Subject, live: Liveness, name: str) -> list[Node]:
    """The layers that read a value, or what is only moved of it, in steps above 1."""
    found: dict[str, Node] = {}
    pending = [name]
    for at in pending:
        for node, _ in live.readers.get(at, ()):
            if _steps_over(subject, node, at):
                found[node.name] = node
            if isinstance(node.description, Movement) and node.name not in pending:
                pending.append(node.name)
    return [node for key, node in subject.program.nodes.items() if key in found]


def _steps_over(subject: Subject, node: Node, name: str) -> bool:
    """Whether a node's reads along an axis advance by more than one position."""
    for read, axes in moving(subject, node):
        for _, relation in axes.values():
            if read.operand.name == name and abs(relation.step) > relation.period:
                return True
    return False


def _found(
    value: Node, skipping: list[Node], unread: Flags, unseen: float, subject: Subject
) -> Found:
    share, at_end = float(unread.mean()), _is_border(unread)
    numbers: dict[str, Any] = {"unread": share, "border": at_end}
    node = skipping[0]
    what = "the input" if value.call is None else f"the map of '{value.label}'"
    who = quoted(node.label for node in skipping)
    if at_end:
        axes = [k for k in range(unread.ndim) if _left(unread, k)]
        rest = short(_left(unread, k) for k in axes)
        size = short(unread.shape[k] for k in axes)
        end = "last" if all(not unread.take(0, k).all() for k in axes) else "outermost"
        return Found(
            f"no layer reads the {end} {rest} of the {size} positions of {what} "
            f"({named_axes(axes)}): the length does not divide",
            node,
            numbers=numbers,
            severity="note",
        )
    on_purpose = all(isinstance(n.description, Movement) for n in skipping)
    lost = ""
    if unseen:
        numbers["unseen"] = unseen
        lost = f"; {percent(unseen)} of the input's positions reach no output"
    elif value.call is not None:
        lost = ", computed for nothing"
    return Found(
        f"{percent(share)} of the positions of {what} are read by no layer: {who} "
        f"{'steps' if len(skipping) == 1 else 'step'} over them{lost}",
        node,
        "" if on_purpose else _fix(subject, node),
        numbers,
        "note" if on_purpose else None,
    )


def _is_border(unread: Flags) -> bool:
    """Whether all positions inside the hull of what is read are read."""
    read = np.argwhere(~unread)
    if not len(read):
        return False
    hull = tuple(slice(a, b + 1) for a, b in zip(read.min(axis=0), read.max(axis=0), strict=True))
    return not unread[hull].any()


def _left(unread: Flags, axis: int) -> int:
    """Places along an axis at which nothing is read at all."""
    return int(unread.all(axis=tuple(k for k in range(unread.ndim) if k != axis)).sum())


def _fix(subject: Subject, node: Node) -> str:
    module = convolution_of(subject, node)
    own = list(windows(node).values())
    if module is None or not own or isinstance(module.padding, str):
        return ""
    kernel, padding, dilation = [], [], []
    for window, pad in zip(own, module.padding, strict=True):
        k, d = window.kernel_size, window.dilation
        if gcd(d, window.stride) > 1:
            k, pad, d = window.kernel_size, pad // d, 1
        wider = k if k >= window.stride else k + 2 * -(-(window.stride - k) // 2)
        kernel.append(wider)
        dilation.append(d)
        padding.append(pad + (wider - k) * d // 2)
    return constructor(
        subject,
        node,
        kernel_size=tuple(kernel),
        padding=tuple(padding),
        dilation=tuple(dilation),
    )

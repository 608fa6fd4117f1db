"""Positions that no output reads, on any way: strides step over them, or dilated taps do.

What it finds
    Maps of which some positions are read by nothing that follows: all layers that read the map
    stride past them. The layer is named at which the values are lost, and what that means for the
    network's input: positions that no output of the model sees at all.

    So it is where a dilated layer without padding has fewer outputs along an axis than its
    dilation: its taps stand at too few places to fill the gaps between them.

    A 1x1 convolution of stride 2 beside a 3x3 one, as in the shortcut of a residual block, loses
    nothing: the other way reads all.

    Positions at the end of a map that are left over because its length does not divide are a note
    with a message of its own: common, and rarely worth more than another input size. Cropping,
    slicing and resizing to the nearest position are done on purpose: what they leave out is a note.
    So are skipped activations of a map that itself is read wholly on other ways, as in shortcuts of
    dual-path and NASNet cells: all that is lost is the work of the activation.

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

    Dilation 6 without padding, on a map of 16 x 16: 112 of its 256 positions are read by nobody::

        nn.Conv2d(1, 1, 3, dilation=6)

Use instead
    A kernel that covers the stride, and no dilation (or one that shares no factor); padding::

        nn.Conv2d(8, 16, 3, stride=2, padding=1)
        nn.Conv2d(3, 64, 7, stride=2, padding=3)
        nn.Conv2d(1, 1, 3, padding=6, dilation=6)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from atrous.analysis.coverage.liveness import Liveness
from atrous.geometry.primitives import Window
from atrous.geometry.relation import Flags
from atrous.graph.program import Node
from atrous.graph.rule import Movement, Pointwise
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
    yield Case(nn.Conv2d(1, 1, 3, dilation=6), (1, 1, 16, 16))


def _good() -> Iterator[Case]:
    yield Case(nn.Conv2d(3, 4, 7, stride=2, padding=3), (1, 3, 32, 32))
    yield Case(nn.Conv2d(3, 4, 7, stride=2, dilation=3, padding=9), (1, 3, 31, 31))
    yield Case(_Shortcut(1, 2), (1, 4, 16, 16))
    yield Case(nn.Conv2d(3, 4, 4, stride=4), (1, 3, 32, 32))
    yield Case(nn.Conv2d(1, 1, 3, dilation=6), (1, 1, 18, 18))
    yield Case(nn.Conv2d(1, 1, 3, padding=6, dilation=6), (1, 1, 16, 16))


@lint_rule(
    "ATR103",
    "skipped-inputs",
    severity="warning",
    bad=_bad,
    good=_good,
    others=("note",),
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find maps whose values no layer reads, and the layers that step over them."""
    live = Liveness(subject.program, subject.layout)
    outputs = set(subject.program.outputs.values())
    unseen: list[float] = []
    for name in subject.program.readers:
        value = subject.program.nodes[name]
        moved = isinstance(value.description, Movement)
        if moved or name in outputs or name not in subject.fields:
            continue
        skipping = _reading(subject, live, name, _steps_over)
        gapped = _reading(subject, live, name, _leaves_gaps)
        if not skipping and not gapped:
            continue
        unread = ~live.used(value)
        if not unread.any() or (not skipping and _is_border(unread)):
            continue
        if not unseen and not _is_border(unread):
            unseen.append(float(1 - live.reaching(subject.traced.source).mean()))
        lost = unseen[0] if unseen else 0.0
        if skipping:
            yield _found(value, skipping, unread, lost, subject, _only_activates(value, live))
        else:
            yield _gaps(value, gapped, unread, lost, subject)


def _reading(
    subject: Subject, live: Liveness, name: str, how: Callable[[Subject, Node, str], bool]
) -> list[Node]:
    """The layers that read a value, or what is only moved of it, in a way of theirs."""
    found: dict[str, Node] = {}
    pending = [name]
    for at in pending:
        for node, _ in live.program.readers.get(at, ()):
            if how(subject, node, at):
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


def _leaves_gaps(subject: Subject, node: Node, name: str) -> bool:
    """Whether a dilated layer has too few outputs for its taps to meet."""
    return bool(_gap_axes(subject, node, name))


def _gap_axes(subject: Subject, node: Node, name: str) -> dict[int, int]:
    """By the axes along which a dilated layer leaves gaps between its taps: how many outputs."""
    found = {}
    for read, axes in moving(subject, node):
        for axis, (_, relation) in axes.items():
            window = windows(node).get(axis)
            if window is None or read.operand.name != name or relation.outputs >= window.dilation:
                continue
            _, inputs, _ = relation.reads(np.arange(relation.outputs, dtype=np.int64))
            own = np.unique(inputs)
            if len(own) and len(own) < own[-1] - own[0] + 1:
                found[axis] = relation.outputs
    return found


def _gaps(value: Node, gapped: list[Node], unread: Flags, unseen: float, subject: Subject) -> Found:
    """What dilated layers without padding leave out."""
    node = gapped[0]
    axes = _gap_axes(subject, node, node.operands[0].name)
    share = float(unread.mean())
    what = "the input" if value.call is None else f"the map of '{value.label}'"
    rate = short(windows(node)[axis].dilation for axis in axes)
    others = f"; so it is with {quoted(n.label for n in gapped[1:])}" if len(gapped) > 1 else ""
    lost = f"; {percent(unseen)} of the input's positions reach no output" if unseen else ""
    if value.call is None:
        lost = ""
    return Found(
        f"{int(unread.sum()):,} of the {unread.size:,} positions of {what} ({percent(share)}) are "
        f"read by no layer: the taps of '{node.label}' lie {rate} apart, and from its "
        f"{short(axes.values())} outputs along {named_axes(list(axes))} they do not meet"
        f"{others}{lost}",
        node,
        _padded(subject, node),
        {"unread": share, "border": False, **({"unseen": unseen} if unseen else {})},
    )


def _padded(subject: Subject, node: Node) -> str:
    """The layer with padding that keeps the map; or with the largest dilation of which the taps
    meet. "" if it is padded already, or no module."""
    module = convolution_of(subject, node)
    if module is None or module.transposed or any(module.padding) or max(module.stride) > 1:
        return ""
    spans = [(k - 1) * d for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    padding = "same" if any(span % 2 for span in spans) else tuple(span // 2 for span in spans)
    code = constructor(subject, node, padding=padding)
    lengths = node.operands[0].shape[-len(spans) :]
    dilation = tuple(
        max(1, min(d, length // k))
        for k, d, length in zip(module.kernel_size, module.dilation, lengths, strict=True)
    )
    return f"{code}  # keeps the map\n# or {constructor(subject, node, dilation=dilation)}"


def _only_activates(value: Node, live: Liveness) -> bool:
    """Whether a value is computed position by position of maps that outputs read wholly."""
    pending, nodes = [value], live.program.nodes
    for node in pending:
        if isinstance(node.description, Pointwise):
            behind = [nodes[operand.name] for operand in node.operands]
            pending += [other for other in behind if other not in pending]
        elif not live.reaching(node).all():
            return False
    return len(pending) > 1


def _found(
    value: Node,
    skipping: list[Node],
    unread: Flags,
    unseen: float,
    subject: Subject,
    activates: bool,
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
    elif activates:
        lost = ", activated for nothing; the map itself is read wholly on other ways"
    elif value.call is not None:
        lost = ", computed for nothing"
    return Found(
        f"{percent(share)} of the positions of {what} are read by no layer: {who} "
        f"{'steps' if len(skipping) == 1 else 'step'} over them{lost}",
        node,
        "" if on_purpose else _fix(subject, node),
        numbers,
        "note" if on_purpose or (activates and not unseen) else None,
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
    """The same convolution with the smallest change that reads all of its map, and has as many
    outputs, in all of its calls; "" if there is none."""
    module = convolution_of(subject, node)
    if module is None or module.transposed or module.padding == "same":
        return ""
    shapes = [
        (call.operands[0].shape, call.shape)
        for call in subject.program.nodes.values()
        if call.place.module == node.place.module and windows(call)
    ]
    count = len(module.kernel_size)
    padding = (0,) * count if isinstance(module.padding, str) else module.padding
    found = []
    for k, p in enumerate(padding):
        # Other borders than zeros are padded before the convolution.
        apart = 0 if module.padding_mode == "zeros" else 2 * p
        lengths = {(a[k - count] - apart, b[k - count]) for a, b in shapes}
        window = Window(module.kernel_size[k], module.stride[k], module.dilation[k], p)
        own = next((w for w in _nearby(window) if all(_reads_all(w, *n) for n in lengths)), None)
        if own is None or (module.padding_mode != "zeros" and own.left > p):
            return ""
        found.append(own)
    return constructor(
        subject,
        node,
        kernel_size=tuple(w.kernel_size for w in found),
        padding=tuple(w.left for w in found),
        dilation=tuple(w.dilation for w in found),
    )


def _nearby(window: Window) -> Iterator[Window]:
    """The window and what could stand in its place, the smallest change first: its kernel with
    smaller dilations, then larger kernels up to one more than the stride."""
    yield window
    stride, span = window.stride, window.span
    for kernel in range(window.kernel_size, max(window.kernel_size, stride + 1) + 1):
        for dilation in dict.fromkeys((1, *range(window.dilation, 1, -1))):
            # The centre stays where it is, as far as it can.
            wanted = window.left + ((kernel - 1) * dilation + 1 - span) / 2
            nearest = sorted(range(window.left + span + 1), key=lambda p: abs(p - wanted))
            for left in nearest[: stride + 1]:
                yield Window(kernel, stride, dilation, left)


def _reads_all(window: Window, inputs: int, outputs: int) -> bool:
    """Whether a window padded alike on both sides has so many outputs, and leaves nothing out."""
    if (inputs + 2 * window.left - window.span) // window.stride + 1 != outputs:
        return False
    relation = window.relation(outputs, inputs)
    _, read, _ = relation.reads(np.arange(outputs, dtype=np.int64))
    return len(np.unique(read)) == inputs

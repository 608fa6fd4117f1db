"""A net that is declared causal reads the future.

What it finds
    Every output of the model, every position of it, borders included: the last input that it really
    reads along the declared axis, against the last that it may: its own. An output of stride s
    stands for s inputs and may read all of them. Where windows without padding leave fewer outputs
    than inputs, the last output stands for the last input; what is cut off at the end is no such
    loss. The first layer that reads ahead is named, and with it those further on that read all of
    the future: however little the first one looks ahead, they have to be mended as well.

Why it matters
    In training such a net looks at what it is meant to predict, and scores well. In use the future
    is not there: the net has to wait for it, or reads padding that it never saw in training.

    Not only convolutions padded on both sides do so. Normalisation over time, a bidirectional
    recurrence, attention without a mask, linear interpolation between frames, and padding by
    reflection, which reads a few positions ahead at the front border alone, do it as well.

Example
    Padding on both sides::

        nn.Conv1d(16, 16, 3, padding=4, dilation=4)

Use instead
    The same amount on the left::

        x = F.pad(x, (8, 0))
        x = nn.Conv1d(16, 16, 3, dilation=4)(x)

Settings
    lookahead: how many positions an output may read ahead: a window of 16 samples that is encoded,
        filtered and decoded again looks 15 ahead, and is often called causal.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.analysis.fields.field import AxisField
from atrous.geometry.primitives import Window
from atrous.graph.program import Node
from atrous.graph.rule import Global, Local, Movement, Pointwise
from atrous.lint.facts.along import declared_axis, layer_of, named, on_axis, window_along
from atrous.lint.facts.layers import listed
from atrous.lint.facts.lookahead import Ahead, Clock, ahead, aheads, clock_of, origin
from atrous.lint.facts.modules import code_of, convolution_of
from atrous.lint.facts.whole import Way, whole_readings
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_CAUSAL = {"causal": True}
_WHOLE: tuple[Way, ...] = ("statistic", "weights", "pairs", "backward", "all")


class _Causal(nn.Module):
    """Padding on the left, by any mode, and a convolution."""

    def __init__(self, dilation: int, mode: str = "constant") -> None:
        super().__init__()
        self.left, self.mode = 2 * dilation, mode
        self.conv = nn.Conv1d(2, 2, 3, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.pad(x, (self.left, 0), mode=self.mode))
        return out


class _Scored(nn.Module):
    """Attention of every step to others."""

    def __init__(self, causal: bool) -> None:
        super().__init__()
        self.enter, self.causal = nn.Linear(2, 6), causal

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.enter(x).chunk(3, dim=-1)
        return F.scaled_dot_product_attention(q, k, v, is_causal=self.causal)


class _Steps(nn.Module):
    """A recurrence over (batch, time, features)."""

    def __init__(self, both: bool) -> None:
        super().__init__()
        self.lstm = nn.LSTM(2, 3, batch_first=True, bidirectional=both)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.lstm(x)[0]
        return out


class _Cut(nn.Module):
    """A convolution padded on both sides, and cut at the end."""

    def __init__(self, cut: int) -> None:
        super().__init__()
        self.conv, self.cut = nn.Conv1d(2, 2, 5, padding=cut), cut

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return out[..., : -self.cut]


def _bad() -> Iterator[Case]:
    wide = nn.Conv1d(2, 2, 3, padding=4, dilation=4)
    yield Case(nn.Sequential(_Causal(1), _Causal(2), wide), (1, 2, 64), _CAUSAL, path="2")
    normed = nn.Sequential(_Causal(1), nn.GroupNorm(1, 2), _Causal(2))
    yield Case(normed, (1, 2, 64), _CAUSAL, path="1")
    yield Case(nn.Sequential(_Causal(1), _Causal(2, "reflect")), (1, 2, 64), _CAUSAL, path="1")
    yield Case(_Cut(2), (1, 2, 64), _CAUSAL, path="conv")
    yield Case(_Steps(both=True), torch.zeros(1, 40, 2), _CAUSAL, path="lstm")
    yield Case(_Scored(causal=False), torch.zeros(1, 40, 2), _CAUSAL)


def _good() -> Iterator[Case]:
    yield Case(nn.Sequential(_Causal(1), _Causal(2), _Causal(4)), (1, 2, 64), _CAUSAL)
    yield Case(nn.Sequential(_Causal(1), nn.BatchNorm1d(2), _Causal(2)), (1, 2, 64), _CAUSAL)
    yield Case(_Cut(4), (1, 2, 64), _CAUSAL)
    yield Case(nn.Conv1d(2, 2, 3, padding=4, dilation=4), (1, 2, 64))
    # Nothing is padded: the last output stands for the last input.
    yield Case(
        nn.Sequential(nn.Conv1d(2, 2, 3), nn.Conv1d(2, 2, 3, dilation=2)), (1, 2, 64), _CAUSAL
    )
    yield Case(nn.Sequential(nn.Conv1d(2, 2, 4, stride=4), _Causal(1)), (1, 2, 64), _CAUSAL)
    yield Case(_Steps(both=False), torch.zeros(1, 40, 2), _CAUSAL)
    yield Case(_Scored(causal=True), torch.zeros(1, 40, 2), _CAUSAL)
    yield Case(nn.Conv1d(2, 2, 3, padding=1), (1, 2, 64), _CAUSAL, {"lookahead": 1})


@lint_rule(
    "ATR501",
    "reads-the-future",
    severity="error",
    settings={"lookahead": 0},
    bad=_bad,
    good=_good,
    others=("warning",),
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find outputs that read inputs behind their own position."""
    if not subject.declared.causal:
        return
    axis, allowed = declared_axis(subject), settings["lookahead"]
    told: set[str] = set()
    for label, name in subject.program.outputs.items():
        target = subject.program.nodes[name]
        found = future_of(subject, target, axis, allowed, label)
        if found is not None and found.message not in told:
            told.add(found.message)
            yield found


def future_of(
    subject: Subject, target: Node, axis: int, allowed: int = 0, label: str = ""
) -> Found | None:
    """What a value reads ahead of its own place; None if nothing.

    Args:
        subject: the model.
        target: the value that is judged.
        axis: the axis of the input that is time.
        allowed: how many positions ahead it may read.
        label: what to call it among several outputs.
    """
    field = on_axis(subject.fields.get(target.name), axis)
    if field is None:
        return None
    if field.status == "unknown":
        return Found(
            f"whether it reads the future along axis {axis} cannot be told: an operator has "
            f"no rule ({field.cause})",
            target,
            numbers={"axis": axis},
            severity="warning",
        )
    clock = clock_of(field)
    if clock is None:
        return None
    worst = ahead(field, clock)
    return (
        _found(subject, label, target, field, clock, worst, allowed) if worst.by > allowed else None
    )


def _found(
    subject: Subject,
    label: str,
    target: Node,
    field: AxisField,
    clock: Clock,
    worst: Ahead,
    allowed: int,
) -> Found:
    axis, program = field.axis, subject.program
    nodes = program.behind(target)
    by = aheads(subject, nodes, axis, clock)
    first = origin(nodes, by, allowed)
    adding = _adding(nodes, by)
    whole = _reading_all(subject, nodes, axis)
    all_of_it = [node for node in whole if node.label != first.label]
    own = on_axis(subject.fields.get(first.name), axis)
    layer = layer_of(first)
    what = f", {code_of(subject, layer)}," if layer is not None else ""
    answer = f" '{label}'" if len(program.outputs) > 1 else ""
    message = (
        f"the model is declared causal, but output {worst.output}{answer} reads input "
        f"{worst.read}, {worst.by:,} position{'s' if worst.by > 1 else ''} ahead; "
        f"'{first.label}'{what} is the first to read ahead"
    )
    if all_of_it:
        message += f" (by {by[first.name]:,})" if by.get(first.name) else ""
        message += " and reads all of the future" if len(whole) > len(all_of_it) else ""
        message += f", and {named(all_of_it)} {'read' if len(all_of_it) > 1 else 'reads'} all of "
        message += "the future: to mend the first alone does not help"
    elif whole:
        message += " and reads all of the future; what later layers add shows once that is mended"
    elif len(adding) > 1:
        each = (f"'{node.label}' {further:,}" for node, further in adding)
        message += f", of {len(adding)} that read further than what is before them ({listed(each)})"
    unsure = _may_be_masked(subject, first)
    if unsure:
        message += (
            "; it multiplies values of all positions: if a mask makes those ahead 0, it is fine"
        )
    return Found(
        message,
        first,
        fix="\n".join([_fix(subject, first, own, axis), *_later(subject, all_of_it, axis)]),
        numbers={
            "ahead": worst.by,
            "output": worst.output,
            "reads": worst.read,
            "outputs": worst.outputs,
            "layers": list(dict.fromkeys(node.label for node, _ in adding)),
            "whole": list(dict.fromkeys(node.label for node in all_of_it)),
        },
        severity="warning" if unsure else None,
    )


def _adding(nodes: Iterable[Node], by: Mapping[str, int]) -> list[tuple[Node, int]]:
    """The nodes that read further ahead than all before them, and how far they do."""
    furthest: dict[str, int] = {}
    found = []
    for node in nodes:
        before = max((furthest[operand.name] for operand in node.operands), default=0)
        furthest[node.name] = max(before, by.get(node.name, 0))
        if furthest[node.name] > before:
            found.append((node, furthest[node.name]))
    return found


def _reading_all(subject: Subject, nodes: Iterable[Node], axis: int) -> list[Node]:
    """The nodes that read the axis to its end from every position, however they do it; one for each
    module."""
    found: dict[str, Node] = {}
    for whole in whole_readings(subject, nodes, axis):
        if whole.way in _WHOLE and not _may_be_masked(subject, whole.node):
            found.setdefault(whole.node.label, whole.node)
    return list(found.values())


def _later(subject: Subject, nodes: Iterable[Node], axis: int) -> Iterator[str]:
    """What to write in place of later layers."""
    for node in nodes:
        fix = _fix(subject, node, on_axis(subject.fields.get(node.name), axis), axis)
        if fix:
            yield f"# at '{node.label}':\n{fix}"


def _may_be_masked(subject: Subject, node: Node) -> bool:
    """Whether it is a product of two values behind a table that may hide what lies ahead."""
    if not isinstance(node.description, Global) or len(node.operands) < 2:
        return False
    rows = node.operands[0].shape[-2:]
    if any(tuple(o.shape[-2:]) == tuple(rows) and o.is_constant for o in node.call.operands):  # type: ignore[union-attr]
        return False
    at = [subject.program.nodes[o.name] for o in node.operands]
    while at:
        before = at.pop()
        if before.description is None or isinstance(before.description, Local):
            continue
        if isinstance(before.description, Pointwise) and any(
            r.operand.is_constant and len(r.operand.shape) > 1 and r.operand.shape[-2:] == rows
            for r in before.description.reads
        ):
            return True
        if before.shape[-2:] == rows:
            at += [subject.program.nodes[o.name] for o in before.operands]
    return False


def _fix(subject: Subject, node: Node, field: AxisField | None, axis: int) -> str:
    """What to write instead."""
    description = node.description
    window = window_along(node, field)
    if field is not None and window is not None and field.output_axis is not None:
        return _padded_left(subject, node, window, field.output_axis)
    if isinstance(description, Movement) and field is not None and field.output_axis is not None:
        return _plainly_padded(node, field.output_axis)
    if isinstance(description, Global):
        if description.along:
            return "bidirectional=False"
        if len(node.operands) > 1:
            return "F.scaled_dot_product_attention(q, k, v, is_causal=True)"
        if len(node.shape) < 3:
            return ""
        return (
            "# statistics of one position, or of those before it, for example\n"
            f"nn.BatchNorm{len(node.shape) - 2}d({node.shape[1]}).eval()"
        )
    if isinstance(description, Local) and description.border == "none":
        return 'F.interpolate(x, scale_factor=..., mode="nearest")'
    return ""


def _plainly_padded(node: Node, axis: int) -> str:
    """Zeros in place of what padding takes from further on."""
    reads = node.description.reads if node.description is not None else ()
    link = reads[0].links[axis] if len(reads) == 1 and reads[0].split is None else None
    if link is None or link.relation.step != 1 or not len(link.relation.exceptional):
        return ""
    left = -int(link.relation.taps.offsets[0])
    return f"x = F.pad(x, {(0, 0) * (len(node.shape) - 1 - axis) + (left, 0)})" if left > 0 else ""


def _padded_left(subject: Subject, node: Node, window: Window, axis: int) -> str:
    left = window.span - 1
    amounts = (0, 0) * (len(node.shape) - 1 - axis) + (left, 0)
    assert isinstance(node.description, Local)
    border = node.description.border
    value = "" if border in (0.0, "none") else f', value=float("{border}")'
    layer = layer_of(node)
    code = f"x = F.pad(x, {amounts}{value})"
    if layer is None:
        return code + "  # and padding=0"
    module = convolution_of(subject, node)
    told = [layer.windows[a].left for a in sorted(layer.windows)]
    mode = "zeros"
    if module is not None and module.padding_mode != "zeros":
        # What mirrors or wraps is padded before the window slides.
        mode, told = module.padding_mode, list(module.padding)
    padding = tuple(0 if a == axis else p for a, p in zip(sorted(layer.windows), told, strict=True))
    mode = mode if any(padding) else "zeros"
    return f"{code}\nx = {code_of(subject, layer, padding=padding, padding_mode=mode)}(x)"

"""Branches meet that are centred on different positions of the input.

What it finds
    Sums, products and concatenations of values whose fields have different centres at the same
    index, or whose centres drift apart from the first output to the last. Where both branches look
    back from where they parted, and end at the same position, nothing is wrong (nor where the one
    is cropped in front by what the other, not padded, loses); attention within windows, and along
    the tokens of a picture, has no centre to compare.

    It warns where branches of one resolution lie a position of their map apart, or more. Where a
    branch has come from a coarser map, half a step of that map is usual: halving centres a value on
    one of two positions, doubling puts it back between them. Stock decoders and pyramids do so at
    every level, and so does the average pool in a shortcut (ResNet-D). Offsets below one step of
    the coarsest map in between are one note for the whole model.

    Places at one line of code, or whose branches share layers, are one finding, at the first: in a
    stack of residual blocks one pad out of place is out of place in every block.

    What is joined side by side and given out as it is, as the bands of a wavelet transform, is a
    note: nothing brings the parts together.

Why it matters
    Edges of the two branches do not lie on each other: the sum blurs them, and masks and boxes are
    off by the offset. A network learns around an offset, but not around a drift, nor around an
    offset that changes with the size of the input.

Example
    A branch cropped on one side only, to make sizes fit::

        self.conv = nn.Conv2d(8, 8, 5, padding=1)
        x[:, :, 2:, 2:] + self.conv(x)

Use instead
    The same amount from each side::

        x[:, :, 1:-1, 1:-1] + self.conv(x)

Settings
    max-offset: how far branches of one resolution may lie apart without a warning, in steps of
        their map, and others in steps of the coarsest map in between; offsets of that size and more
        are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.analysis.fields.alignment import Misalignment
from atrous.analysis.fields.field import AxisField, fields
from atrous.graph.program import Node
from atrous.lint.facts.layers import input_axis, named_axes, quoted
from atrous.lint.facts.lookahead import Clock, ahead
from atrous.lint.facts.meetings import are_mixed, by_cause, since_parted
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

Floats = npt.NDArray[np.float64]


class _Cropped(nn.Module):
    """A residual sum with an unpadded branch; the shortcut is cropped from `first` on."""

    def __init__(self, first: int) -> None:
        super().__init__()
        self.first = first
        self.conv = nn.Conv2d(2, 2, 5, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        a, b = self.first, self.first + out.shape[-1]
        return x[:, :, a:b, a:b] + out


class _Decoder(nn.Module):
    """Down by a strided convolution, up again, and beside the map it came from."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(2, 2, 3, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x, F.interpolate(self.down(x), scale_factor=2)], 1)


class _Averaged(nn.Module):
    """The shortcut of ResNet-D: an average pool beside a strided convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, stride=2, padding=1)
        self.pool = nn.AvgPool2d(2)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x) + self.pool(x)
        return out


class _Causal(nn.Module):
    """A layer that looks back, behind one that does not."""

    def forward(self, x: Tensor) -> Tensor:
        x = F.avg_pool1d(x, 8, 4)
        return x + F.avg_pool1d(F.pad(x, (4, 0)), 5, 1)


def _bad() -> Iterator[Case]:
    yield Case(_Cropped(2), (1, 2, 20, 20))
    yield Case(_Decoder(), (1, 2, 16, 16))
    yield Case(_Averaged(), (1, 2, 16, 16), path="")


def _good() -> Iterator[Case]:
    yield Case(_Cropped(1), (1, 2, 20, 20))
    yield Case(_Causal(), (1, 2, 60))
    strict = {"max-offset": 0.0}
    yield Case(_Cropped(1), (1, 2, 21, 21), settings=strict)


@lint_rule(
    "ATR401",
    "misaligned",
    severity="warning",
    settings={"max-offset": 1.0},
    bad=_bad,
    good=_good,
    others=("note",),
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find places where branches meet out of step."""
    usual: list[_Meeting] = []
    wrong: list[_Meeting] = []
    for (name, *_), group in groupby(subject.misalignments, lambda m: m.names):
        node = subject.program.nodes[name]
        own = [m for m in group if not _on_purpose(subject, node, m)]
        if not own:
            continue
        worst, steps = max(((m, _steps(subject, node, m)) for m in own), key=lambda item: item[1])
        far = steps >= settings["max-offset"]
        (wrong if far else usual).append(_Meeting(node, own, worst, steps))
    for is_mixed, members in _by_use(subject, wrong):
        for same in by_cause(subject, members, lambda member: member.node):
            yield _found(subject, same, is_mixed)
    if usual:
        most = max(usual, key=lambda item: item.steps)
        places = list(dict.fromkeys(item.node.label for item in usual))
        count = len(places) - 1
        more = f" and at {count} more place{'s' * (count > 1)}" if count else ""
        yield Found(
            f"{most.worst}{more}: {float(most.steps):.2g} of the coarsest step in between, as is "
            "usual where maps are halved and doubled",
            most.node,
            numbers={
                "offset": float(most.worst.offset), "steps": float(most.steps), "places": places,
            },
            severity="note",
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class _Meeting:
    """A place where two branches meet out of step.

    Attributes:
        node: where they meet.
        own: along which axes, and by how much.
        worst: of these the worst.
        steps: how far that is, in steps of the coarsest map in between.
    """

    node: Node
    own: list[Misalignment]
    worst: Misalignment
    steps: Fraction


def _by_use(subject: Subject, found: list[_Meeting]) -> Iterator[tuple[bool, list[_Meeting]]]:
    """Those of which the branches are brought together, and those that only lie side by side."""
    mixed = {item.node.name: are_mixed(subject, item.node) for item in found}
    for use in (True, False):
        yield use, [item for item in found if mixed[item.node.name] is use]


def _on_purpose(subject: Subject, node: Node, found: Misalignment) -> bool:
    """Whether centres do not tell where a branch belongs: it reads the map in blocks or along
    tokens, or looks back."""
    branches = found.names[1:]
    hulls = []
    for name in branches:
        own = next(a for a in subject.fields[name].axes if a.axis == found.axis)
        own = own.local or own
        if own.output_axis is None or input_axis(subject, name, own.output_axis) is None:
            return True
        outputs = np.arange(own.lineage.length, dtype=np.int64)
        hulls.append(own.lineage.pattern.hulls(outputs))
    (first, last), (start, end) = hulls
    read = (first <= last) & (start <= end)
    apart = ((start + end) - (first + last))[read] / 2
    if _in_blocks(apart, found, _coarsest(subject, node, found.axis)):
        return True
    return bool((last == end)[read].all()) and _looks_back(subject, node, found)


def _in_blocks(apart: Floats, found: Misalignment, coarsest: Fraction) -> bool:
    """Whether the distance of the centres rises within blocks of outputs and falls back at the next
    block, as in attention within windows; resampling stays within a step of the coarsest map."""
    line = np.linspace(apart[0], apart[-1], len(apart))
    if not found.drift:
        line = np.full(len(apart), apart.mean())
    return coarsest > 0 and float(np.abs(apart - line).max()) > coarsest


def _looks_back(subject: Subject, node: Node, found: Misalignment) -> bool:
    """Whether both branches read nothing behind their position since they parted.

    Where windows without padding, and crops in front that fit them, leave fewer positions, the last
    one stands for the last of what they parted from.
    """
    inner = since_parted(subject, node)
    parted = inner.nodes[inner.inputs[0]]
    along = [
        k for k in range(len(parted.shape)) if input_axis(subject, parted.name, k) == found.axis
    ]
    mine = fields(inner, axes=tuple(along))
    branches = [
        axis.local or axis for name in found.names[1:] if name in mine for axis in mine[name].axes
    ]
    known = all(axis.status in ("exact", "bound") for axis in branches)
    return bool(branches) and known and all(_is_causal(axis) for axis in branches)


def _is_causal(axis: AxisField) -> bool:
    clock = Clock.of(axis)
    return axis.reach[1] <= 0 or (clock.block == 1 and ahead(axis, clock).by == 0)


def _coarsest(subject: Subject, node: Node, axis: int) -> Fraction:
    """The coarsest stride between where two branches parted and where they meet."""
    return max(_stride(subject, name, axis) for name in since_parted(subject, node).nodes)


def _steps(subject: Subject, node: Node, found: Misalignment) -> Fraction:
    """The largest distance of the two, in steps of the coarsest map since they parted."""
    coarsest = _coarsest(subject, node, found.axis)
    apart = abs(found.offset) + abs(found.drift) / 2
    return apart / coarsest if coarsest else Fraction(0)


def _stride(subject: Subject, name: str, axis: int) -> Fraction:
    field = subject.fields.get(name)
    own = [a.local or a for a in field.axes if a.axis == axis] if field is not None else []
    known = [a.stride for a in own if a.status in ("exact", "bound")]
    return max(known, default=Fraction(0))


def _found(subject: Subject, same: list[_Meeting], is_mixed: bool) -> Found:
    """One finding for meetings of one cause, at the first of them."""
    first = same[0]
    worst, steps = first.worst, first.steps
    axes = [m.axis for m in first.own]
    drift = (
        f", and drifts by {float(abs(worst.drift)):g} from the first output to the last"
        if worst.drift
        else ""
    )
    side = "behind" if worst.offset > 0 else "before"
    so = ", so that what they add does not lie on each other" if is_mixed else ""
    so = so or ": they lie side by side in the output, and nothing brings them together yet"
    return Found(
        f"'{worst.second}' reads {_counted(abs(worst.offset), 'input position')} {side} what "
        f"'{worst.first}' reads at the same index ({named_axes(axes)}){drift}: "
        f"{_counted(steps, 'step')} of the map{so}{_likewise(same)}",
        first.node,
        _fix(subject, first.node, first.own),
        {
            "offset": float(worst.offset),
            "drift": float(worst.drift),
            "steps": float(steps),
            "axes": axes,
            "places": list(dict.fromkeys(item.node.label for item in same)),
        },
        None if is_mixed else "note",
        also=tuple(item.node for item in same[1:]),
    )


def _likewise(same: list[_Meeting]) -> str:
    """The other places of the same cause; "" if there are none."""
    if len(same) < 2:
        return ""
    places = list(dict.fromkeys(item.node.label for item in same[1:]))
    most = max(abs(item.worst.offset) for item in same)
    times = f"{len(same) - 1} more time{'s' * (len(same) > 2)}"
    return f". So it is {times} ({quoted(places)}), by up to {_counted(most, 'position')}"


def _counted(number: Fraction, what: str) -> str:
    return f"{float(number):.3g} {what}{'s' * (number != 1)}"


def _fix(subject: Subject, node: Node, own: list[Misalignment]) -> str:
    """Pads that move one branch by whole positions; "" where that is not all there is.

    The branch with the larger field is moved: a shortcut keeps its place.
    """
    first, second = (max(subject.fields[name].size) for name in own[0].names[1:])
    sign = -1 if first > second else 1
    by: dict[int, int] = {}
    for found in own:
        stride = _stride(subject, node.name, found.axis)
        places = found.offset / stride if stride else Fraction(1, 2)
        axis = next(
            (a.local or a).output_axis
            for a in subject.fields[node.name].axes
            if a.axis == found.axis
        )
        if found.drift or places.denominator != 1 or axis is None:
            return ""
        by[axis] = sign * int(places)
    pads = [
        amount
        for axis in range(len(node.shape) - 1, min(by) - 1, -1)
        for amount in (by.get(axis, 0), -by.get(axis, 0))
    ]
    moved = own[0].first if sign < 0 else own[0].second
    return f"y = F.pad(y, {tuple(pads)})  # y: what '{moved}' gives"

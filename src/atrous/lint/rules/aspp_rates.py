"""The rates of parallel branches do not fit the map, or the output stride they were chosen for.

What it finds
    Layers of one kernel that read the same value with different dilations and meet again, as in
    atrous spatial pyramid pooling (ASPP). It fires where a tap of a branch reads data at fewer than
    `min-inside` of the positions of this map (at none, the branch is a 1x1 convolution in
    disguise), and where the rates are those that were published for another output stride.

Why it matters
    A rate counts positions of the map, not of the picture. Rates (6, 12, 18) were made for an
    output stride of 16, where the outer taps lie 96, 192 and 288 pixels away; at output stride 8
    the same numbers see half as far, and (12, 24, 36) are meant (Chen et al. 2017, arXiv
    1706.05587). The other way round the outer taps fall off the map: the larger the rate, the fewer
    weights meet data, until only the centre is left.

Example
    Rates for output stride 8 on a map of 33 x 33 at output stride 16::

        DeepLabHead(960, 21, atrous_rates=(12, 24, 36))

Use instead
    The same distances at that stride::

        DeepLabHead(960, 21, atrous_rates=(6, 12, 18))

Settings
    min-inside: the share of a map's positions, along one axis, at which the outermost taps must
        read data. A rate of 36 on a map of 65 is at 45 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor, nn

from atrous.graph.program import Node
from atrous.lint.facts.along import local
from atrous.lint.facts.modules import redilated
from atrous.lint.facts.parallel import Pyramid, pyramids
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_MEANT: dict[tuple[int, ...], int] = {(6, 12, 18): 16, (12, 24, 36): 8}
"""Rates and the output stride they were published for."""


class _Aspp(nn.Module):
    """A backbone of one patch per position and branches of several rates."""

    def __init__(self, stride: int, rates: Sequence[int], *, add: bool = False) -> None:
        super().__init__()
        self.backbone, self.add = nn.Conv2d(1, 2, stride, stride=stride), add
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv2d(2, 2, 3, padding=r, dilation=r), nn.ReLU()) for r in rates
        )
        self.point = nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.backbone(x)
        parts = [self.point(x), *(branch(x) for branch in self.branches)]
        return sum(parts[1:], start=parts[0]) if self.add else torch.cat(parts, dim=1)


def _bad() -> Iterator[Case]:
    yield Case(_Aspp(8, (6, 12, 18)), (1, 1, 512, 512), path="branches.2.0")
    yield Case(_Aspp(16, (12, 24, 36)), (1, 1, 2048, 2048), path="branches.2.0")
    yield Case(_Aspp(8, (12, 24, 36)), (1, 1, 224, 224), path="branches.2.0")
    yield Case(_Aspp(4, (1, 8), add=True), (1, 1, 32, 32), path="branches.1.0")


def _good() -> Iterator[Case]:
    yield Case(_Aspp(8, (12, 24, 36)), (1, 1, 520, 520))
    yield Case(_Aspp(16, (6, 12, 18)), (1, 1, 512, 512))
    yield Case(_Aspp(4, (1, 2, 4), add=True), (1, 1, 32, 32))


@lint_rule(
    "ATR304",
    "aspp-rates",
    severity="warning",
    settings={"min-inside": 0.25},
    bad=_bad,
    good=_good,
    limits={"min-inside": (0, 1)},
    per_output=False,
    includes=("ATR201",),
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find pyramids whose rates do not fit."""
    for pyramid in pyramids(subject.program):
        if pyramid.rates[-1] == 1:
            continue
        wide = {r: s for r in pyramid.rates if (s := _inside(pyramid, r)) < settings["min-inside"]}
        stride = _stride(subject, pyramid.root)
        apart = tuple(r for r in pyramid.rates if r > 1)
        meant = _MEANT.get(apart)
        if stride is None or stride == meant:
            meant = None
        if not wide and meant is None:
            continue
        better = _better(pyramid, bool(wide), stride, meant, settings["min-inside"])
        if wide or _is_nearer(pyramid, better, stride, meant):
            yield _found(subject, pyramid, wide, stride, meant, better)


def _is_nearer(
    pyramid: Pyramid, better: Mapping[int, int], stride: Fraction | None, meant: int | None
) -> bool:
    """Whether there are rates that fit this map and see further where that is meant, or less far.

    Where the map has no room for larger rates, the ones that are there are as good as any.
    """
    if not better or stride is None or meant is None:
        return False
    return (max(better.values()) > pyramid.rates[-1]) == (meant > stride)


def _inside(pyramid: Pyramid, rate: int, new: int | None = None) -> float:
    """The smallest share of positions at which the outermost taps read data, over the axes.

    Args:
        pyramid: the branches.
        rate: which of them.
        new: another rate for it, its padding in proportion.
    """
    shares = []
    for axis in pyramid.axes:
        window = pyramid.branches[rate].windows[axis]
        inputs = pyramid.root.shape[axis]
        outputs = pyramid.branches[rate].node.shape[axis]
        dilation, left = window.dilation, window.left
        if new is not None:
            dilation, left = new, left * new // window.dilation
        for tap in (0, window.kernel_size - 1):
            offset = tap * dilation - left
            inside = min(outputs, inputs - offset) - max(0, -offset)
            shares.append(max(inside, 0) / outputs)
    return min(shares)


def _stride(subject: Subject, root: Node) -> Fraction | None:
    """Input positions per position of the map, where all axes agree."""
    field = subject.fields.get(root.name)
    axes = field.axes if field is not None else ()
    own = {s for axis in axes for s in (local(axis) or axis).strides}
    return own.pop() if len(own) == 1 and min(own) > 0 else None


def _found(
    subject: Subject,
    pyramid: Pyramid,
    wide: Mapping[int, float],
    stride: Fraction | None,
    meant: int | None,
    better: Mapping[int, int],
) -> Found:
    lengths = [pyramid.root.shape[axis] for axis in pyramid.axes]
    shown = " x ".join(map(str, lengths))
    rates = ", ".join(map(str, pyramid.rates))
    if meant is not None and stride is not None:
        far = ", ".join(f"{r * stride}" for r in pyramid.rates if r > 1)
        aim = ", ".join(f"{r * meant}" for r in pyramid.rates if r > 1)
        message = (
            f"rates ({rates}) belong to output stride {meant}, here it is {stride}: the outer taps "
            f"lie {far} input positions away instead of {aim}"
        )
        message += _room(lengths, pyramid, stride, meant, better)
        message += f"; on the map of {shown}" if wide else ""
    else:
        message = f"rates ({rates}) do not fit a map of {shown}:"
    for rate, share in wide.items():
        what = "nothing but padding" if share == 0 else f"data at {share:.0%} of its positions"
        message += f" the outer taps of {rate} read {what},"
    message = message.rstrip(",:")
    worst = pyramid.branches[max(wide or pyramid.rates)]
    return Found(
        message,
        worst.node,
        fix=_fix(subject, pyramid, better) if better else "",
        numbers={
            "rates": list(pyramid.rates),
            "map": lengths,
            "stride": float(stride) if stride is not None else 0.0,
            "inside": [_inside(pyramid, rate) for rate in pyramid.rates],
        },
        layers=tuple(layer.node for layer in pyramid.branches.values()),
    )


def _room(
    lengths: Sequence[int],
    pyramid: Pyramid,
    stride: Fraction,
    meant: int,
    better: Mapping[int, int],
) -> str:
    """That the map has no room for rates of the same distances, where it has none."""
    same = _scaled(pyramid, meant / stride)
    if same == better:
        return ""
    rates = ", ".join(str(new) for rate, new in same.items() if rate > 1)
    return f"; ({rates}) are meant here, but do not fit a map of {' x '.join(map(str, lengths))}"


def _scaled(pyramid: Pyramid, scale: Fraction) -> dict[int, int]:
    """All rates by one factor, rounded down but for those that would be the same then."""
    found: dict[int, int] = {}
    for rate in pyramid.rates:
        new = int(rate * scale) if rate > 1 else 1
        found[rate] = max(new, max(found.values(), default=0) + 1)
    return found


def _better(
    pyramid: Pyramid, wide: bool, stride: Fraction | None, meant: int | None, least: float
) -> dict[int, int]:
    """Rates of the same distances at this stride; where these do not fit the map, the largest in
    proportion that do. Where the present ones do not fit either, their outermost taps are to read
    data at half of the map. Empty if there are none."""
    top = pyramid.rates[-1]
    same = Fraction(1) if meant is None or stride is None else meant / stride
    rates = _scaled(pyramid, same)
    if meant is not None and _fit(pyramid, rates, stride, least):
        return rates
    most = int(top * same)
    if wide:
        length = min(pyramid.root.shape[axis] for axis in pyramid.axes)
        half = max((w.kernel_size - 1) // 2 for w in pyramid.branches[top].windows.values())
        most = min(most, length // (2 * max(half, 1)))
    for wanted in range(most, 1, -1):
        rates = _scaled(pyramid, Fraction(wanted, top))
        if _fit(pyramid, rates, stride, least):
            return rates
    return {}


def _fit(pyramid: Pyramid, rates: Mapping[int, int], stride: Fraction | None, least: float) -> bool:
    """Whether the rule would find nothing about other rates in place of these."""
    meant = _MEANT.get(tuple(rate for rate in rates.values() if rate > 1))
    known = meant is None or stride in (None, meant)
    return known and all(_inside(pyramid, rate, new) >= least for rate, new in rates.items())


def _fix(subject: Subject, pyramid: Pyramid, better: Mapping[int, int]) -> str:
    rates = tuple(better[rate] for rate in pyramid.rates if rate > 1)
    lines = [f"rates = {rates}"]
    for rate, new in better.items():
        if rate > 1:
            layer = pyramid.branches[rate]
            lines.append(redilated(subject, layer, dict.fromkeys(layer.windows, new)))
    return "\n".join(lines)

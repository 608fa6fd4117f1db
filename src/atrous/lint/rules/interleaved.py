"""Dilations share a factor: the layers are several networks side by side that never mix.

What it finds
    Stretches at one resolution, with two dilated layers or more, in which the distances between
    all positions that an output reads share a factor d. Along each such axis the outputs fall into
    d sets that read different inputs.

Why it matters
    With dilations 8, 8, 8, 8 a picture is cut into 64 pictures of every eighth pixel, and each is
    worked on alone. The stretch is not blind, as is often said: at stride 1, with padding that
    keeps the length, every input is read by some output. But no output compares a value with its
    neighbour; edges and texture of a period below d are not told apart, and neighbouring outputs
    disagree (gridding).

    The holes of `holes` are then these networks: where both are asked for, this is told alone.

    One layer that is not a multiple of the factor, anywhere in the stretch, mixes the networks.

    Padding that wraps around or reflects can mix them at the ends of the map, where its length is
    no multiple of the factor, say: the finding then speaks of the outputs away from the ends.

    Where a stretch is not the whole network its inputs are values that have seen neighbours
    before; the gridding is then one of features.

Example
    One dilation throughout::

        nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=8, dilation=8) for _ in range(4)))

Use instead
    Dilations that begin at 1 and grow no faster than what was read before, of the same field::

        nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=d, dilation=d) for d in (1, 3, 8, 20)))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

import numpy as np
from torch import Tensor, nn

from atrous.analysis.fields.field import traced
from atrous.analysis.stretches import Stretch
from atrous.geometry.repairs import Tapped, repaired
from atrous.geometry.schedules import filled_schedule
from atrous.lint.facts.along import local
from atrous.lint.facts.layers import dilated_stretches, listed, percent, short
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


class _Residual(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 2, 3, padding=dilation, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.conv(x).relu()
        return out


def _stack(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=d, dilation=d) for d in dilations))


def _bad() -> Iterator[Case]:
    yield Case(_stack(8, 8, 8, 8), (1, 2, 64, 64), path="0")
    yield Case(_stack(2, 4, 6), (1, 2, 64, 64), path="0")
    yield Case(nn.Sequential(_Residual(2), _Residual(2)), (1, 2, 32, 32), path="0.conv")
    tall = nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=(2, 1), dilation=(2, 1)) for _ in range(2)))
    yield Case(tall, (1, 2, 32, 32), path="0")


def _good() -> Iterator[Case]:
    yield Case(_stack(1, 3, 8, 20), (1, 2, 64, 64))
    yield Case(_stack(8, 8, 1, 8), (1, 2, 64, 64))
    yield Case(_stack(2, 3), (1, 2, 32, 32))
    yield Case(nn.Sequential(_Residual(1), _Residual(2)), (1, 2, 32, 32))


@lint_rule(
    "ATR105",
    "interleaved",
    severity="warning",
    autofix="redesign",
    bad=_bad,
    good=_good,
    includes=("ATR101",),
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find stretches whose dilations share a factor."""
    for stretch, first, cover in dilated_stretches(subject):
        factors = cover.factor
        nets = [factor for factor in factors if factor > 1]
        if nets:
            worst = max(range(len(factors)), key=lambda k: factors[k])
            rates = [dilation for _, dilation in stretch.schedule(worst)]
            mixed = _mixed_at_ends(stretch, factors)
            if mixed:
                apart = "that do not mix away from the ends, and no output there"
                ends = f"; at the ends, where {mixed} outputs read what padding moves, they mix"
            else:
                apart, ends = "that never mix, and no output", ""
            reads = f"one output reads {percent(cover.density)} of its span of "
            reads += " x ".join(map(str, cover.span))
            yield Found(
                f"dilations {listed(rates, most=12)} are multiples of {factors[worst]}: from here "
                f"to '{stretch.last.label}' these are {prod(nets)} networks side by side "
                f"({short(factors)} per axis) {apart} compares a value with its neighbour{ends}; "
                f"{reads}",
                first,
                _fix(stretch, worst),
                {
                    "factors": list(factors),
                    "networks": prod(nets),
                    "dilations": rates,
                    "density": cover.density,
                },
                layers=tuple(subject.program.nodes[node.name] for node, _ in stretch.windows),
            )


def _mixed_at_ends(stretch: Stretch, factors: tuple[int, ...]) -> int:
    """How many outputs, of the axis with most, read positions at distances that its factor does not
    divide."""
    field = traced(stretch.program, axes=stretch.axes).field(
        stretch.program.nodes[stretch.last.name]
    )
    most = 0
    if field is None or not _moves_at_ends(stretch):
        return 0
    for own, factor in zip(field.axes, factors, strict=True):
        axis = local(own)
        if factor < 2 or axis is None:
            continue
        start, stop = axis.interior
        outputs = range(axis.lineage.length)
        plain = range(start, stop) if stop > start else range(0)
        rows = (axis.lineage.taps(o)[0] for o in outputs if o not in plain)
        most = max(most, sum(bool((np.diff(row) % factor).any()) for row in rows))
    return most


def _moves_at_ends(stretch: Stretch) -> bool:
    """Whether anything reads other positions at the ends than in between: where taps only fall off
    the ends, what is read there is a part of what is read elsewhere."""
    links = (link for n in stretch.program.nodes.values() for r in n.reads for link in r.links)
    return any(link is not None and len(link.relation.exceptional) for link in links)


def _fix(stretch: Stretch, axis: int) -> str:
    schedule = stretch.schedule(axis)
    if not stretch.is_chain:
        return "# give one of these layers dilation 1"
    # What `redesign` finds for a chain: the least change.
    filled = repaired([Tapped(k, d) for k, d in schedule]) or filled_schedule(schedule)
    span = 1 + sum((k - 1) * d for k, d in schedule)
    new = 1 + sum((k - 1) * d for (k, _), d in zip(schedule, filled, strict=True))
    return f"dilations = {filled}  # a field of {new}{' as before' if new == span else ''}"

"""A dilated layer directly before a stride: its images fold, though its weights are a low-pass.

What it finds
    Layers with real weights whose taps are apart and whose own stride, or that of the next sliding
    operator (with only pointwise ones between), is larger than 1. On white input, the share of the
    output's power that the stride folds is compared with what the same weights would fold with
    their taps side by side; it fires where that share is larger by `tax`. Weights that pass all
    frequencies, such as those drawn at random, fold as much either way: nothing is said.

    With `most` below 1, also every strided layer that folds more than that share of an input whose
    power falls as 1 / f^2, as that of pictures does. Ordinary networks fold 10 to 30 %.

Why it matters
    Dilation by d does not lower a filter's cut-off w_c to w_c / d: it repeats the passband d times
    around the circle of frequencies, a comb. A stride keeps the lowest part of it and adds the
    images onto that, where nothing can tell them from the signal. A stride up to pi * d / w_c is
    safe only if the input ends before the first image, at (2 * pi - w_c) / d.

Example
    A smoothing kernel with dilation and stride::

        nn.Conv1d(16, 16, 9, stride=2, padding=8, dilation=2, groups=16)

Use instead
    Taps side by side before the stride, where they are the low-pass it needs; a dilation of d / s
    behind it reads as far apart in the input::

        nn.Conv1d(16, 16, 9, stride=2, padding=4, groups=16)

Settings
    tax: by how much the folded share may exceed that of the undilated weights.
    most: the folded share of 1 / f^2 input from which a strided layer is noted; 1 is off.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from atrous.analysis.spectrum.aliasing import (
    AliasEnergy,
    Covariance,
    covariance,
    energy_on_grid,
    power_on_grid,
)
from atrous.analysis.spectrum.folding import folding
from atrous.analysis.spectrum.spectrum import kernel_of
from atrous.geometry.primitives import Window
from atrous.graph.kernel import Kernel
from atrous.graph.program import Node
from atrous.graph.rule import Local, Movement, Pointwise
from atrous.lint.facts.along import layer_of, readers
from atrous.lint.facts.modules import redilated
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _smooth(stride: int, dilation: int, *then: nn.Module) -> nn.Module:
    """A binomial low-pass of nine taps for each channel."""
    pad = 4 * dilation
    layer = nn.Conv1d(2, 2, 9, stride, pad, dilation, groups=2, bias=False)
    taps = torch.tensor([1.0, 8, 28, 56, 70, 56, 28, 8, 1]) / 256
    with torch.no_grad():
        layer.weight.copy_(taps.expand(2, 1, 9))
    return nn.Sequential(layer, *then)


def _bad() -> Iterator[Case]:
    yield Case(_smooth(2, 2), (1, 2, 128), path="0")
    yield Case(_smooth(1, 4, nn.ReLU(), nn.MaxPool1d(4)), (1, 2, 128), path="0")
    yield Case(_smooth(1, 2, nn.ReLU(), nn.Conv1d(2, 4, 1, stride=2)), (1, 2, 128), path="0")
    yield Case(nn.Conv1d(1, 1, 1, stride=8), (1, 1, 128), settings={"most": 0.05})


def _good() -> Iterator[Case]:
    yield Case(_smooth(2, 1), (1, 2, 128))
    # A mean over the stride takes the image away again.
    yield Case(_smooth(1, 2, nn.AvgPool1d(2), nn.AvgPool1d(2)), (1, 2, 128))
    # All frequencies are passed with or without dilation.
    wide = nn.Conv1d(1, 1, 2, stride=2, dilation=2)
    with torch.no_grad():
        wide.weight.copy_(torch.tensor([[[1.0, 0.0]]]))
    yield Case(wide, (1, 1, 128))


@lint_rule(
    "ATR601",
    "aliasing",
    severity="warning",
    settings={"tax": 0.2, "most": 1.0},
    bad=_bad,
    good=_good,
    others=("note",),
    limits={"tax": (0, 1), "most": (0, 1)},
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find dilated layers whose images the next stride folds."""
    reading = readers(subject.program)
    for node in subject.program.nodes.values():
        kernel = kernel_of(node)
        if kernel is None or max(kernel.upsampling) > 1:
            continue
        strided = _stride_behind(node, kernel, reading)
        if strided is None:
            continue
        try:
            pair = _energies(kernel, strided)
        except NotImplementedError:
            # Weights that depend on data.
            continue
        if pair is not None and pair[0].fraction - pair[1].fraction >= settings["tax"]:
            yield _taxed(subject, node, strided, *pair)
    if settings["most"] < 1.0:
        yield from _folding(subject, settings["most"])


@dataclass(frozen=True, eq=False)
class _Strided:
    """What takes every second position of a layer's result, or fewer.

    Attributes:
        node: the node; the layer itself where the stride is its own.
        strides: per axis of the layer.
        kernel: its weights, where it is another linear layer.
    """

    node: Node
    strides: tuple[int, ...]
    kernel: Kernel | None


def _stride_behind(
    node: Node, kernel: Kernel, reading: Mapping[str, list[Node]]
) -> _Strided | None:
    """The stride that a dilated layer's result meets first; None if there is none."""
    assert isinstance(node.description, Local)
    taps = [node.description.windows.get(axis, Window(1)).kernel_size for axis in kernel.axes]
    if not any(k > 1 and d > 1 for k, d in zip(taps, kernel.dilation, strict=True)):
        return None
    if max(kernel.stride) > 1:
        return _Strided(node, kernel.stride, None)
    pending = list(reading[node.name])
    while pending:
        at = pending.pop()
        if isinstance(at.description, Pointwise) and len(at.operands) == 1:
            pending += reading[at.name]
            continue
        strides = _strides(at, kernel.axes)
        if max(strides) > 1:
            return _Strided(at, strides, kernel_of(at))
    return None


def _strides(node: Node, axes: tuple[int, ...]) -> tuple[int, ...]:
    description = node.description
    if isinstance(description, Local):
        own = kernel_of(node)
        if own is not None and max(own.upsampling) > 1:
            return (1,) * len(axes)
        return tuple(description.windows[a].stride if a in description.windows else 1 for a in axes)
    if isinstance(description, Movement) and len(description.reads) == 1:
        read = description.reads[0]
        if read.split is read.merge is None and len(read.links) > max(axes):
            links = [read.links[axis] for axis in axes]
            return tuple(
                link.relation.step if link is not None and link.relation.period == 1 else 1
                for link in links
            )
    return (1,) * len(axes)


def _energies(kernel: Kernel, strided: _Strided) -> tuple[AliasEnergy, AliasEnergy] | None:
    """What the stride folds with the taps apart, and with them side by side."""
    weights = kernel.weights()
    if not bool(torch.isfinite(weights).all()):
        return None
    apart = covariance(weights, kernel.dilation)
    together = covariance(weights, (1,) * len(kernel.dilation))
    if strided.kernel is None or strided.kernel.axes != kernel.axes:
        return apart.energy(strided.strides), together.energy(strided.strides)
    then = covariance(strided.kernel.weights(), strided.kernel.dilation)
    found = [_joined(first, then, strided.strides) for first in (apart, together)]
    return found[0], found[1]


def _joined(first: Covariance, then: Covariance, strides: tuple[int, ...]) -> AliasEnergy:
    """What strides fold of two layers in a row, on a grid of frequencies that holds all lags."""
    lengths = []
    for a, b, stride in zip(first.lags, then.lags, strides, strict=True):
        least = max(64, 2 * int(a.max(initial=0) + b.max(initial=0)) + 1)
        lengths.append(-(-least // stride) * stride)
    power = power_on_grid(first, lengths) * power_on_grid(then, lengths)
    return energy_on_grid(power, strides)


def _taxed(
    subject: Subject, node: Node, strided: _Strided, apart: AliasEnergy, together: AliasEnergy
) -> Found:
    layer = layer_of(node)
    stride = max(strided.strides)
    own = strided.node is node
    where = "its stride" if own else f"the stride at '{strided.node.label}'"
    images = max(w.dilation for w in layer.windows.values()) if layer is not None else 0
    fix = ""
    if layer is not None:
        code = redilated(subject, layer, dict.fromkeys(layer.windows, 1))
        fix = f"{code}  # and dilate behind the stride"
    return Found(
        f"dilation repeats the passband of '{node.label}' {images} times, and {where} ({stride}) "
        f"folds {apart.fraction:.0%} of its output's power (white input); with the taps side by "
        f"side the same weights fold {together.fraction:.0%}",
        node,
        fix=fix,
        numbers={
            "folded": apart.fraction,
            "undilated": together.fraction,
            "stride": stride,
            "images": images,
        },
    )


def _folding(subject: Subject, most: float) -> Iterator[Found]:
    """Every strided layer that folds much of pictures."""
    nodes = subject.program.nodes
    for row in folding(subject.program, "", exponent=2.0).rows:
        if row.energy is not None and row.energy.fraction > most:
            yield Found(
                f"the stride of '{row.label}' folds {row.energy.fraction:.0%} of the power of an "
                "input that falls as 1 / f^2",
                nodes[row.name],
                numbers={"folded": row.energy.fraction, "stride": list(row.stride)},
                severity="note",
            )

"""Layers that cost something and give neither a larger field nor another function.

What it finds
    Two convolutions with nothing but affine operators between them (a bias, batch normalisation in
    inference, dropout), one of them 1x1, that are one convolution of far fewer multiplications: a
    warning, for a non-linearity is missing or one layer is too many. Where the channels between are
    few, as in linear bottlenecks, the pair is a factorisation: nothing is said. Where the second
    is padded and something before it adds a constant, the one layer gives the same away from the
    border alone: the padding holds zeros, not that constant. The message says which.

    Convolutions that widen the field when what they read sees past the ends of the input from every
    position already: a note with what they cost. That is usual at the end of a deep classifier,
    where depth is wanted for itself; where the field is what is wanted, these layers can go.

Why it matters
    Two linear maps in a row are one. The second one costs time and parameters and can express
    nothing new; in training it merely changes the step size.

Example
    A squeeze that does not squeeze, without an activation::

        nn.Sequential(nn.Conv2d(64, 128, 1), nn.BatchNorm2d(128), nn.Conv2d(128, 64, 1))

Use instead
    An activation between, or one layer::

        nn.Sequential(nn.Conv2d(64, 128, 1), nn.BatchNorm2d(128), nn.ReLU(), nn.Conv2d(128, 64, 1))

Settings
    saving: the share of the pair's multiplications that the one layer must save.
    layers: how many layers whose growth lies outside the input make a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import inf, prod
from typing import Any

import torch
from torch import Tensor, nn

from atrous.analysis.matrix.affine import Evaluator, evaluating
from atrous.geometry.primitives import Window
from atrous.graph.program import Node
from atrous.graph.region import Box, Region, box_shape
from atrous.graph.rule import Operand, Pointwise
from atrous.lint.facts.along import Layer, declared_axis, layer_of, macs, named, readers
from atrous.lint.facts.modules import code_of
from atrous.lint.facts.widening import widening_layers
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_POSITIONS = 4
"""At how many positions of each axis an operator is tried."""


def _chain(*between: nn.Module, width: int = 4) -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, width, 1), *between, nn.Conv2d(width, 2, 3, padding=1))


def _deep(layers: int) -> nn.Module:
    parts: list[nn.Module] = []
    for _ in range(layers):
        parts += [nn.Conv2d(2, 2, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*parts)


def _bad() -> Iterator[Case]:
    yield Case(_chain(), (1, 2, 16, 16), path="1")
    yield Case(_chain(nn.BatchNorm2d(4), nn.Dropout(0.5)), (1, 2, 16, 16), path="3")
    yield Case(nn.Sequential(nn.Conv2d(2, 4, 3, stride=2), nn.Conv2d(4, 2, 1)), (1, 2, 16, 16))
    yield Case(_deep(18), (1, 2, 8, 8))


def _good() -> Iterator[Case]:
    yield Case(_chain(nn.ReLU()), (1, 2, 16, 16))
    yield Case(_chain(nn.BatchNorm2d(4), nn.LeakyReLU(0.999)), (1, 2, 16, 16))
    # Few channels between: two cheap layers in place of a dear one.
    yield Case(nn.Sequential(nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1)), (1, 8, 16, 16))
    # A depthwise and a pointwise layer are a factorisation, too.
    separable = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Conv2d(8, 8, 1))
    yield Case(separable, (1, 8, 16, 16))
    yield Case(_deep(8), (1, 2, 16, 16))


@lint_rule(
    "ATR305",
    "no-growth",
    severity="warning",
    settings={"saving": 0.5, "layers": 8},
    bad=_bad,
    good=_good,
    others=("note",),
    limits={"saving": (0, 1), "layers": (1, inf)},
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find convolutions that are one with the next, and those that reach nothing new."""
    yield from _collapsing(subject, settings["saving"])
    yield from _unseen(subject, settings["layers"])


def _collapsing(subject: Subject, saving: float) -> Iterator[Found]:
    program = subject.program
    reading = readers(program)
    outputs = set(program.outputs.values())
    evaluator = Evaluator(program)
    for node in program.nodes.values():
        second = layer_of(node)
        if second is None or second.groups != 1:
            continue
        between: list[Node] = []
        at = program.nodes[node.operands[0].name]
        while isinstance(at.description, Pointwise) and len(at.operands) == 1:
            between.append(at)
            at = program.nodes[at.operands[0].name]
        first = layer_of(at)
        if first is None or first.groups != 1 or set(first.windows) != set(second.windows):
            continue
        if any(len(reading[n.name]) > 1 or n.name in outputs for n in (at, *between)):
            continue
        windows = _merged(first, second)
        pair = macs([first.node, second.node])
        if windows is None:
            continue
        cost = _cost(first, second, windows)
        if cost <= pair * (1 - saving) and all(_is_affine(n, evaluator) for n in between):
            everywhere = not _is_padded(second) or not _adds(first, between, evaluator)
            yield _pair(subject, first, second, windows, (pair, cost), bool(between), everywhere)


def _pair(
    subject: Subject,
    first: Layer,
    second: Layer,
    windows: Mapping[int, Window],
    costs: tuple[int, int],
    between: bool,
    everywhere: bool,
) -> Found:
    pair, cost = costs
    one = _one(subject, first, second, windows, between or first.bias or second.bias)
    where, but = "", ""
    if not everywhere:
        where = "away from the border "
        but = (
            f". At the border they are not: the padding of '{second.node.label}' holds zeros, not "
            f"the constant that is added before it"
        )
    return Found(
        f"{code_of(subject, first)} ('{first.node.label}') and {code_of(subject, second)} have no "
        f"non-linearity between them: {where}together they are one convolution of {cost:,} "
        f"multiplications instead of {pair:,}{but}",
        second.node,
        fix=f"# for all from '{first.node.label}' to '{second.node.label}'; "
        f"or an activation behind '{first.node.label}'\n{one}",
        numbers={
            "macs": pair, "merged": cost, "first": first.node.label, "everywhere": everywhere,
        },
    )  # fmt: skip


def _merged(first: Layer, second: Layer) -> dict[int, Window] | None:
    """The windows of the one convolution that two make of which one has single taps, by axis; None
    if neither has."""
    windows = {}
    for axis, a in first.windows.items():
        b = second.windows[axis]
        if a.kernel_size == 1 and a.stride == 1 and a.left == 0 and _right(first, axis) <= 0:
            windows[axis] = b
        elif b.kernel_size == 1 and b.left == 0 and _right(second, axis) <= 0:
            windows[axis] = Window(a.kernel_size, a.stride * b.stride, a.dilation, a.left)
        else:
            return None
    return windows


def _right(layer: Layer, axis: int) -> int:
    """Positions that a layer reads past the end of what it reads."""
    window = layer.windows[axis]
    last = (layer.node.shape[axis] - 1) * window.stride - window.left + window.span
    return last - layer.node.operands[0].shape[axis]


def _is_padded(layer: Layer) -> bool:
    return any(w.left > 0 or _right(layer, axis) > 0 for axis, w in layer.windows.items())


def _adds(first: Layer, between: Iterable[Node], evaluator: Evaluator) -> bool:
    """Whether zeros become anything else, or may in training, up to the second layer."""
    return first.bias or any(n.parameters or not _keeps_zero(n, evaluator) for n in between)


def _keeps_zero(node: Node, evaluator: Evaluator) -> bool:
    box = _box(node)
    with evaluating():
        zero = _on_box(node, torch.zeros(box_shape(box), dtype=torch.float64), box, evaluator)
    return not bool(zero.any())


def _one(
    subject: Subject, first: Layer, second: Layer, windows: Mapping[int, Window], bias: bool
) -> str:
    """Code for the one layer."""
    axes = sorted(windows)
    like: dict[str, Any] = {
        "in_channels": first.channels[0],
        "out_channels": second.channels[1],
        "stride": tuple(windows[axis].stride for axis in axes),
        "bias": bias,
    }
    for layer, other in ((second, first), (first, second)):
        if all(other.windows[axis].kernel_size == 1 for axis in axes) and not _is_padded(other):
            return code_of(subject, layer, **like)
    return code_of(
        subject,
        second,
        kernel_size=tuple(windows[axis].kernel_size for axis in axes),
        padding=tuple(windows[axis].left for axis in axes),
        dilation=tuple(windows[axis].dilation for axis in axes),
        padding_mode="zeros",
        **like,
    )


def _cost(first: Layer, second: Layer, windows: Mapping[int, Window]) -> int:
    taps = prod(w.kernel_size for w in windows.values())
    return prod(second.node.shape) * first.channels[0] * taps


def _box(node: Node) -> Box:
    """A few positions of every channel."""
    shape = node.shape
    return tuple((0, n if axis == 1 else min(n, _POSITIONS)) for axis, n in enumerate(shape))


def _is_affine(node: Node, evaluator: Evaluator) -> bool:
    """Whether values of a pointwise operator add up as those of an affine function do, small and
    large, tried at a few positions of every channel."""
    operand = node.operands[0]
    shape = node.shape
    if not operand.dtype.is_floating_point or operand.shape != shape or len(shape) < 2:
        return False
    box = _box(node)
    generator = torch.Generator().manual_seed(0)
    with evaluating():
        try:
            for scale in (1.0, 1e-3, 1e3):
                a, b = (
                    torch.randn(box_shape(box), generator=generator, dtype=torch.float64) * scale
                    for _ in range(2)
                )
                points = (a, b, a + b, torch.zeros_like(a))
                fa, fb, both, none = (_on_box(node, x, box, evaluator) for x in points)
                size = fa.abs() + fb.abs() + both.abs() + none.abs()
                if not bool(((fa + fb - both - none).abs() <= 1e-9 * size).all()):
                    return False
        except NotImplementedError:
            return False
    return True


def _on_box(node: Node, x: Tensor, box: Box, evaluator: Evaluator) -> Tensor:
    """A box of a pointwise operator's result, given the same box of its one data operand."""
    assert node.call is not None and node.description is not None
    reads = {read.operand.name: read for read in node.description.reads}

    def argument(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [argument(v) for v in value]
        if not isinstance(value, Operand):
            return value
        if not value.is_constant:
            return Region(x, box, node.shape)
        whole = Region.whole(evaluator.constant(value.name))
        if value.name not in reads:
            return whole
        sides = {
            link.axis: link.relation.inputs_of(*box[axis])
            for axis, link in enumerate(reads[value.name].links)
            if link is not None
        }
        return whole.crop(tuple(sides[axis] for axis in range(len(value.shape))))

    return node.description.run({k: argument(v) for k, v in node.call.args.items()}, box)


def _unseen(subject: Subject, least: int) -> Iterator[Found]:
    """All convolutions on the way that widen the field outside the input alone."""
    widening: dict[str, list[bool]] = {}
    shape, declared = subject.traced.source.shape, subject.declared.length
    for axis in subject.traced.axes:
        length = declared if declared and axis == declared_axis(subject) else shape[axis]
        for found in widening_layers(subject, axis):
            widening.setdefault(found.layer.node.name, []).append(found.is_idle(length))
    idle = [
        n
        for n in subject.program.behind(subject.target)
        if n.name in widening and all(widening[n.name])
    ]
    if not idle or len(idle) < least:
        return
    total = macs(subject.program.nodes.values())
    yield Found(
        f"{len(idle)} convolutions ({named(idle)}) widen a field that covers the whole input from "
        f"every position before them; they cost {macs(idle) / total:.1%} of the multiplications",
        idle[0],
        numbers={"layers": len(idle), "macs": macs(idle), "share": macs(idle) / total},
        severity="note",
    )

"""The field is larger than the input, or than the examples the model is trained on.

What it finds
    The field along the ways that read nothing whole, against the length of the input, or the
    declared `length`. A note where it is larger at all. A warning where in a sequence model, or one
    with a declared `length`, dilations go on growing when the layers before already reach past the
    ends from every position: what the wider taps could add is padding, in every example. Later
    cycles of the same dilations, as in stages that refine, are not counted.

Why it matters
    A field somewhat larger than the input is usual: a classifier is to see the whole picture, and
    dilations double past the length they have to cover. What lies further out is padding in every
    example. Layers there cost time and parameters, their outer weights are trained on next to
    nothing, and on longer inputs they read what they never read in training.

Example
    Eight levels of two convolutions with kernels of 7 for examples of 784 positions; seven reach
    1,524 back::

        TCN(levels=8, kernel=7)

Use instead
    As many levels as the length needs: `1 + 2 * (7 - 1) * (2**n - 1) >= 784` holds for n = 7::

        TCN(levels=7, kernel=7)

Settings
    layers: how many such layers make a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from torch import nn

from atrous.lint.facts.along import declared_axis, local, macs, named, on_axis
from atrous.lint.facts.layers import listed
from atrous.lint.facts.widening import Spread, idle_layers, schedule, widening_layers
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _levels(*dilations: int) -> nn.Module:
    layers: list[nn.Module] = []
    for d in dilations:
        layers += [nn.Conv1d(2, 2, 3, padding=d, dilation=d), nn.ReLU()]
    return nn.Sequential(*layers)


def _bad() -> Iterator[Case]:
    yield Case(_levels(1, 2, 4, 8, 16, 32, 64, 128), (1, 2, 100), path="14")
    yield Case(_levels(1, 2, 4, 8, 16, 32), (1, 2, 400), {"length": 20}, path="10")
    causal = [
        layer
        for d in (1, 2, 4, 8, 16, 32, 64, 128)
        for layer in (nn.ConstantPad1d((2 * d, 0), 0.0), nn.Conv1d(2, 2, 3, dilation=d))
    ]
    yield Case(nn.Sequential(*causal), (1, 2, 100), path="13")
    # Larger at all: worth a note.
    yield Case(nn.Sequential(nn.Conv2d(2, 2, 9, padding=4)), (1, 2, 8, 8))


def _good() -> Iterator[Case]:
    yield Case(_levels(1, 2, 4, 8, 16), (1, 2, 100))
    yield Case(_levels(1, 2, 4, 8, 16, 32), (1, 2, 400), {"length": 200})


@lint_rule(
    "ATR301",
    "field-exceeds-input",
    severity="note",
    settings={"layers": 1},
    bad=_bad,
    good=_good,
    others=("warning",),
    limits={"layers": (1, inf)},
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find fields that go past the input, and layers that do nothing else."""
    told = declared_axis(subject), subject.declared.length
    is_sequence = len(subject.traced.axes) == 1
    best: tuple[int, int, int] | None = None
    for axis in subject.traced.axes:
        own = subject.traced.source.shape[axis]
        length = told[1] if axis == told[0] and told[1] else own
        size = largest(subject, axis)
        if size <= length:
            continue
        idle = list(idle_layers(subject, axis, length))
        widening = _widening(subject, axis, idle)
        if widening or not (told[1] and axis == told[0]):
            idle = widening if is_sequence or told[1] else []
        if idle and len(idle) >= settings["layers"]:
            yield _warning(subject, axis, size, length, idle)
            return
        if best is None or size - length > best[1] - best[2]:
            best = axis, size, length
    if best is not None:
        axis, size, length = best
        yield Found(
            f"the field along axis {axis} is {size:,} positions, the input has {length:,}: "
            f"wherever it lies, {size - length:,} or more of it are padding",
            numbers={"axis": axis, "field": size, "length": length},
        )


def _spacing(found: Spread) -> int:
    """Inputs from one tap to the next."""
    return int(found.window.dilation * found.before.stride)


def _widening(subject: Subject, axis: int, idle: list[Spread]) -> list[Spread]:
    """The idle layers whose taps lie further apart than those of any layer that is not idle."""
    names = {found.layer.node.name for found in idle}
    spreads = list(widening_layers(subject, axis))
    most = max((_spacing(f) for f in spreads if f.layer.node.name not in names), default=0)
    return [f for f in idle if f.window.dilation > 1 and _spacing(f) > most]


def largest(subject: Subject, axis: int) -> int:
    """The largest field of anything that leads to the output, whole readings left out."""
    sizes = [0]
    for node in subject.program.behind(subject.target):
        field = local(on_axis(subject.fields.get(node.name), axis))
        sizes.append(field.size if field is not None else 0)
    return max(sizes)


def _warning(subject: Subject, axis: int, size: int, length: int, idle: list[Spread]) -> Found:
    first = idle[0]
    nodes = [found.layer.node for found in idle]
    what = "the examples have" if subject.declared.length else "the input has"
    kept = [f.window.dilation for f in widening_layers(subject, axis) if f not in idle]
    dilations = listed(dict.fromkeys(found.window.dilation for found in idle))
    adding = "add" if len(idle) > 1 else "adds"
    return Found(
        f"the field is {size:,} positions, {what} {length:,}; what comes before "
        f"'{first.layer.node.label}' already reaches {max(first.before.reach):,} away, past the "
        f"end{'s' if min(first.before.reach) else ''} from everywhere: {named(nodes)} (dilation "
        f"{dilations}) {adding} nothing but padding",
        nodes[0],
        fix=f"dilations = {schedule(kept)}  # a field of {first.before.size:,}",
        numbers={
            "field": size,
            "length": length,
            "enough": first.before.size,
            "layers": list(dict.fromkeys(node.label for node in nodes)),
            "macs": macs(nodes),
        },
        severity="warning",
    )

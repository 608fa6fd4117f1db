"""The field is smaller than the declared one, or sees less far than the declared reach.

What it finds
    The field of the output along the ways that read nothing whole, against the declared `field`, or
    its reach to each side against the declared `reach` (to the past alone, if the model is declared
    causal). An output that reads the input whole by nature, and nothing beside that, meets any
    target.

Why it matters
    What lies outside the field cannot influence the output, whatever the training. A field and a
    reach are not the same: a field of 20,001 sees 10,000 to each side. To see 20,000 away on both
    it must be 40,001.

Example
    Declared `field = 100`, and dilations (1, 2, 4, 8), a field of 31::

        nn.Sequential(*(nn.Conv1d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 4, 8)))

Use instead
    Two more levels, a field of 127::

        nn.Sequential(*(nn.Conv1d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 4, 8, 16, 32)))
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from atrous.analysis.fields.field import AxisField
from atrous.lint.facts.along import Layer, declared_axis, layer_of, local, on_axis, readers
from atrous.lint.facts.modules import redilated
from atrous.lint.facts.widening import Spread, level_size, schedule, widening_layers
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_MOST = 24


def _stack(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv1d(2, 2, 3, padding=d, dilation=d) for d in dilations))


def _bad() -> Iterator[Case]:
    yield Case(_stack(1, 2, 4, 8), (1, 2, 200), {"field": 100})
    yield Case(_stack(1, 2, 4, 8, 16, 32), (1, 2, 400), {"reach": 100})


def _good() -> Iterator[Case]:
    yield Case(_stack(1, 2, 4, 8, 16, 32), (1, 2, 200), {"field": 100})
    yield Case(_stack(1, 2, 4, 8, 16, 32, 64), (1, 2, 400), {"reach": 100})
    yield Case(_stack(1, 2, 4, 8), (1, 2, 200))
    pooled = nn.Sequential(_stack(1, 2), nn.AdaptiveAvgPool1d(1))
    yield Case(pooled, (1, 2, 200), {"field": 100})


@lint_rule("ATR302", "field-below-target", severity="warning", bad=_bad, good=_good)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find outputs that see less than they are declared to."""
    declared = subject.declared
    if declared.field is None and declared.reach is None:
        return
    worst: tuple[int, str, AxisField] | None = None
    for axis in subject.traced.axes:
        field = local(on_axis(subject.traced.field(subject.target), axis))
        if field is None:
            continue
        causal = declared.causal and axis == declared_axis(subject)
        for missing, message in _missing(field, declared.field, declared.reach, causal):
            if worst is None or missing > worst[0]:
                worst = missing, message, field
    if worst is not None:
        missing, message, field = worst
        yield Found(
            message,
            subject.target,
            fix=_fix(subject, field, missing),
            numbers={
                "axis": field.axis,
                "field": field.size,
                "reach": list(field.reach),
                "missing": missing,
            },
        )


def _missing(
    field: AxisField, size: int | None, reach: int | None, causal: bool
) -> Iterator[tuple[int, str]]:
    """By how much the field is too small, and how to say so."""
    before, after = field.reach
    # Picked out of a sequence, it has no position of its own to look to the sides from.
    seen = "" if field.output_axis is None else f" ({before:,} before and {after:,} after)"
    if size is not None and field.size < size:
        yield (
            size - field.size,
            f"the output reads {field.size:,} positions along axis {field.axis}{seen}, "
            f"{size:,} are declared",
        )
    if reach is None:
        return
    if field.output_axis is None:
        # Picked out of a sequence: all it reads may lie on one side.
        short = reach + 1 - field.size
        far = field.size - 1
    else:
        far = before if causal else min(before, after)
        short = (reach - far) * (1 if causal else 2)
    if short > 0:
        wanted = reach + 1 if causal or field.output_axis is None else 2 * reach + 1
        sides = "back" if causal else "to each side"
        yield (
            short,
            f"the output sees {far:,} positions {sides} along axis {field.axis}, {reach:,} are "
            f"declared: that takes a field of {wanted:,}, it is {field.size:,}",
        )


def _fix(subject: Subject, field: AxisField, missing: int) -> str:
    """The next dilations of the last layers' kind that make up for what is missing."""
    spreads = [
        f for f in widening_layers(subject, field.axis)
        if f.window.stride == 1 and f.before.stride == f.after.stride
    ]  # fmt: skip
    if not spreads:
        return ""
    last = spreads[-1]
    mine = _in_a_row(f for f in spreads if f.after.stride == last.after.stride)
    dilations = [f.window.dilation for f in mine]
    each, rate = level_size(dilations), last.after.stride
    gain = each * (last.window.kernel_size - 1) * rate
    more: list[int] = []
    while sum(more) * gain < missing and len(more) < _MOST:
        more.append(2 * max(dilations + more))
    size = field.size + int(sum(more) * gain)
    text = f"# {len(more)} more level{'s' if len(more) > 1 else ''}: a field of {size:,}\n"
    if max(dilations) > 1:
        longer = [*dilations, *(d for d in more for _ in range(each))]
        text += f"dilations = {schedule(longer)}\n"
    return text + _code(subject, last, more)


def _in_a_row(spreads: Iterable[Spread]) -> list[Spread]:
    """One of those that read the same value, as a gate and what it gates do."""
    found: dict[int, Spread] = {}
    for spread in spreads:
        found[id(spread.before.lineage)] = spread
    return list(found.values())


def _goes_on_with(subject: Subject, layer: Layer) -> int:
    """How many channels are left of a layer's result where the next one reads it: half of them
    behind a gate."""
    reading = readers(subject.program)
    channel = min(layer.windows) - 1
    node = layer.node
    while True:
        after = [n for n in reading[node.name] if len(n.shape) == len(node.shape)]
        if not after or layer_of(after[0]) is not None:
            return node.shape[channel]
        node = after[0]
        if node.shape[channel] != layer.channels[1]:
            return node.shape[channel]


def _code(subject: Subject, last: Spread, dilations: Sequence[int]) -> str:
    """A layer like the last one, its padding scaled with the dilation."""
    layer = last.layer
    inputs, outputs = layer.channels
    enters = _goes_on_with(subject, layer)
    like = {
        "in_channels": enters,
        "stride": (1,) * len(layer.windows),
        "groups": layer.groups if inputs == enters else 1,
    }
    lines = [redilated(subject, layer, dict.fromkeys(layer.windows, d), **like) for d in dilations]
    if enters != outputs:
        lines.insert(0, f"# each in a block as that of '{layer.node.label}'")
    return "\n".join(lines)

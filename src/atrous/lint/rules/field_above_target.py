"""The field is larger than the declared one by more than a factor.

What it finds
    The field of the output along the ways that read nothing whole, against the declared `field`,
    or against what the declared `reach` takes.

Why it matters
    A schedule that doubles overshoots by up to two, which is why the default allows that. Beyond
    it, the last layers cost time, memory (and delay, in a stream) for context that was not asked
    for.

Example
    Declared `field = 31`, and dilations (1, 2, 4, 8, 16), a field of 63::

        nn.Sequential(*(nn.Conv1d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 4, 8, 16)))

Use instead
    As many levels as are needed::

        nn.Sequential(*(nn.Conv1d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 4, 8)))

Settings
    factor: how much larger the field may be.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

from torch import nn

from atrous.analysis.fields.field import AxisField
from atrous.lint.facts.along import declared_axis, local, on_axis
from atrous.lint.facts.widening import schedule, widening_layers
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _stack(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv1d(2, 2, 3, padding=d, dilation=d) for d in dilations))


def _bad() -> Iterator[Case]:
    yield Case(_stack(1, 2, 4, 8, 16), (1, 2, 200), {"field": 31})
    yield Case(_stack(1, 2, 4, 8, 16), (1, 2, 200), {"reach": 10})


def _good() -> Iterator[Case]:
    yield Case(_stack(1, 2, 4, 8), (1, 2, 200), {"field": 31})
    yield Case(_stack(1, 2, 4, 8), (1, 2, 200), {"reach": 10})
    yield Case(_stack(1, 2, 4, 8), (1, 2, 200))


@lint_rule(
    "ATR303",
    "field-above-target",
    severity="note",
    settings={"factor": 2.0},
    bad=_bad,
    good=_good,
    limits={"factor": (1, inf)},
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find outputs that see much more than they are declared to."""
    worst: tuple[AxisField, int] | None = None
    for axis in subject.traced.axes:
        field = local(on_axis(subject.traced.field(subject.target), axis))
        wanted = _wanted(subject, axis)
        if field is None or not wanted or field.size <= settings["factor"] * wanted:
            continue
        if worst is None or field.size * worst[1] > worst[0].size * wanted:
            worst = field, wanted
    if worst is not None:
        field, wanted = worst
        yield Found(
            f"the output reads {field.size:,} positions along axis {field.axis}, "
            f"{field.size / wanted:.3g} times the {wanted:,} that are declared",
            subject.target,
            fix=_fix(subject, field, wanted),
            numbers={"axis": field.axis, "field": field.size, "declared": wanted},
        )


def _wanted(subject: Subject, axis: int) -> int:
    """The field that is declared for an axis, or that the declared reach takes; 0 if neither is."""
    declared = subject.declared
    one_sided = declared.causal and axis == declared_axis(subject)
    reach = declared.reach or 0
    from_reach = 0 if not reach else reach + 1 if one_sided else 2 * reach + 1
    return max(declared.field or 0, from_reach)


def _fix(subject: Subject, field: AxisField, wanted: int) -> str:
    """The schedule cut behind the first layer that meets the target."""
    spreads = list(widening_layers(subject, field.axis))
    enough = next((k for k, found in enumerate(spreads) if found.after.size >= wanted), None)
    if enough is None or enough + 1 == len(spreads):
        return ""
    last = spreads[enough]
    text = f"# up to '{last.layer.node.label}': a field of {last.after.size:,}"
    dilations = [found.window.dilation for found in spreads[: enough + 1]]
    return text + (f"\ndilations = {schedule(dilations)}" if max(dilations) > 1 else "")

"""Ways pile up in the middle of the field of a dilated schedule.

What it finds
    Stretches at one resolution, with two dilated layers or more and no holes, whose numbers of
    ways from one output to each position vary by more than `max-variation` of their mean (the
    coefficient of variation, along one axis).

Why it matters
    At the start of training, and with weights of one scale later, a position counts as much as
    there are ways to it. A sawtooth, dilations 1, 2, 4, 8 twice, reads 61 positions, but the ends
    in one way and the middle in more than a hundred: the field that works is much smaller than the
    one that was paid for. Powers of the kernel size reach every position in exactly one way.

    Piling is not wrong as such: repeated cycles are there for depth, and a field that fades is
    often wanted. So this is a note. Numbers to compare, for kernels of 3: dilations 1, 3, 9 vary by
    0; 1, 2, 5 by 0.31; 1, 2, 4, 8 by 0.52; 1, 2, 4, 8 twice by 0.77.

Example
    A sawtooth::

        nn.Sequential(*(nn.Conv1d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 4, 8) * 2))

Use instead
    Fewer layers with the same field::

        nn.Sequential(*(nn.Conv1d(8, 8, 3, padding=d, dilation=d) for d in (1, 3, 9, 17)))

Settings
    max-variation: the largest standard deviation of the numbers of ways, over their mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from atrous.analysis.stretches import Stretch
from atrous.geometry.measures import evenness
from atrous.geometry.schedules import chain_counts
from atrous.lint.facts.layers import dilated_stretches, even_dilations, listed
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _stack(*dilations: int, kernel: int = 3) -> nn.Module:
    half = kernel - 1
    return nn.Sequential(
        *(nn.Conv1d(2, 2, kernel, padding=half * d // 2, dilation=d) for d in dilations)
    )


def _bad() -> Iterator[Case]:
    yield Case(_stack(1, 2, 4, 8, 1, 2, 4, 8), (1, 2, 128), path="1")
    yield Case(_stack(1, 2, 4, 8), (1, 2, 128), settings={"max-variation": 0.5}, path="1")


def _good() -> Iterator[Case]:
    yield Case(_stack(1, 3, 9, 17), (1, 2, 128))
    yield Case(_stack(1, 2, 4, 8), (1, 2, 128))
    yield Case(_stack(*[1] * 12), (1, 2, 128))


@lint_rule(
    "ATR104",
    "piled",
    severity="note",
    settings={"max-variation": 0.7},
    bad=_bad,
    good=_good,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find dilated stretches whose ways are spread unevenly."""
    for stretch, first, cover in dilated_stretches(subject):
        variations = []
        for axis in range(cover.counts.ndim):
            others = tuple(k for k in range(cover.counts.ndim) if k != axis)
            along = cover.counts.sum(axis=others)
            # Holes and side by side networks vary, too; other rules tell of them.
            variations.append(evenness(along).cv if along.all() else 0.0)
        worst = max(range(len(variations)), key=lambda k: variations[k], default=0)
        if variations and variations[worst] > settings["max-variation"]:
            schedule = stretch.schedule(worst)
            rates = [dilation for _, dilation in schedule]
            yield Found(
                f"the numbers of ways to the {cover.span[worst]} positions that one output of "
                f"'{stretch.last.label}' reads of '{stretch.first.label}' vary by "
                f"{variations[worst]:.2f} of their mean: dilations {listed(rates, most=12)} pile "
                "up in the middle",
                first,
                _fix(stretch, worst),
                {"variation": variations[worst], "dilations": rates, "span": cover.span[worst]},
            )


def _fix(stretch: Stretch, axis: int) -> str:
    even = even_dilations(stretch, axis)
    if even is None:
        return ""
    kernel, span, rates = even
    left = evenness(chain_counts([(kernel, dilation) for dilation in rates])).cv
    return f"dilations = {rates}  # kernel {kernel}, field {span} as before, variation {left:.2f}"

"""The field of the output has holes: positions inside its span that no route reads.

What it finds
    The coverage of the output that is judged: routes from its central position back to the input,
    along the ways that read nothing whole. It fires where the share of the span that is read is
    below `min-density`.

Why it matters
    What lies in a hole, the output cannot react to: a small object can fall between its taps.
    Where the positions read have a common factor, neighbouring outputs share no input at all, and
    the pattern of the dilation shows in the result (gridding). Layers further on cannot make up for
    what was never read before them.

    A hole belongs to one output. At stride 1 every input is still read by some other output; inputs
    that no output reads are `skipped-inputs`.

    A common factor of the dilations makes holes, but a greatest common divisor of 1 does not rule
    them out: kernels of 3 with dilations (2, 3) miss the offsets 4 and -4. The exact test for a
    chain of stride 1, sorted by dilation: every dilation is at most one more than what the smaller
    ones span together.

Example
    Dilations (2, 2, 2)::

        nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=2, dilation=2) for _ in range(3)))

Use instead
    Dilations (1, 2, 3), of the same field::

        nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 3)))

Settings
    min-density: the share of the span, in all dimensions, that must be read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _stack(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=d, dilation=d) for d in dilations))


def _bad() -> Iterator[Case]:
    yield Case(_stack(2, 2, 2), (1, 2, 33, 33))
    yield Case(_stack(2, 3), (1, 2, 33, 33))
    yield Case(_stack(1, 2, 9), (1, 2, 65, 65))


def _good() -> Iterator[Case]:
    yield Case(_stack(1, 2, 3), (1, 2, 33, 33))
    yield Case(_stack(1, 5, 2), (1, 2, 33, 33))
    yield Case(_stack(1, 2, 4, 8), (1, 2, 65, 65))


@lint_rule(
    "ATR101",
    "holes",
    severity="warning",
    settings={"min-density": 1.0},
    autofix="redesign",
    bad=_bad,
    good=_good,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find outputs that leave out positions inside their field."""
    cover = subject.coverage()
    if not cover.counts.size or cover.density >= settings["min-density"]:
        return
    span = " x ".join(map(str, cover.span))
    yield Found(
        f"one output reads {cover.density:.1%} of its field of {span}: {len(cover.holes):,} holes",
        numbers={"density": cover.density, "holes": len(cover.holes), "span": list(cover.span)},
    )

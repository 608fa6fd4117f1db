"""What the published rule for hybrid dilated convolution says of a schedule, and where it errs.

What it finds
    Chains of layers of one kernel size K at one resolution. The rule (Wang et al. 2018,
    "Understanding Convolution for Semantic Segmentation") computes from the rates r_1, ..., r_n:
    `M_n = r_n`, `M_i = max(M_(i+1) - 2 r_i, M_(i+1) - 2 (M_(i+1) - r_i), r_i)`, and asks for
    `M_2 <= K`. A schedule that repeats is judged once; a single layer has no
    `M_2` and is not judged.

    Beside the verdict stands that of the exact test: sorted by dilation, every dilation is at most
    one more than what the smaller ones span together. Where the rule rejects a schedule without
    holes it errs, and the finding is a note.

Why it matters
    The rule is widely quoted, so that it is good to know what it says. It is off unless asked for,
    because it errs both ways. Of the 1,728 schedules of three rates up to 12, for kernels of 3, it
    accepts 228, of which 181 have holes, as (2, 2, 2) does. Of the 144 that begin with rate 1 it
    accepts 19, all without holes, and rejects 14 of the 33 without holes, as (1, 5, 2). `holes`
    counts instead.

Example
    Rates 1, 2, 9, with 4 holes::

        nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 9)))

Use instead
    Rates 1, 2, 5::

        nn.Sequential(*(nn.Conv2d(8, 8, 3, padding=d, dilation=d) for d in (1, 2, 5)))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from atrous.geometry.schedules import chain_holes, even_schedule, hdc_accepts, hdc_bound
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _stack(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=d, dilation=d) for d in dilations))


def _bad() -> Iterator[Case]:
    yield Case(_stack(1, 2, 9), (1, 2, 33, 33), path="1")
    yield Case(_stack(1, 5, 2), (1, 2, 33, 33), path="1")
    yield Case(_stack(2, 2, 5, 9), (1, 2, 65, 65), path="0")


def _good() -> Iterator[Case]:
    yield Case(_stack(1, 2, 5), (1, 2, 33, 33))
    yield Case(_stack(1, 2, 5, 1, 2, 5), (1, 2, 65, 65))
    yield Case(_stack(1, 1, 1), (1, 2, 33, 33))


@lint_rule(
    "ATR901",
    "hdc",
    severity="warning",
    default=False,
    bad=_bad,
    good=_good,
    others=("note",),
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Hold the rule's verdict on chains beside the exact one."""
    for stretch in subject.stretches:
        for axis in range(len(stretch.axes)):
            schedule = stretch.schedule(axis)
            rates = _once([dilation for _, dilation in schedule])
            kernels = {kernel for kernel, _ in schedule}
            # A single layer has no M_2.
            if len(rates) < 2 or len(kernels) != 1 or max(rates) == 1 or not stretch.is_chain:
                continue
            kernel = kernels.pop()
            span = 1 + (kernel - 1) * sum(rates)
            better = even_schedule(span, kernel)
            accepted = hdc_accepts(rates, kernel)
            holes = len(chain_holes([(kernel, rate) for rate in rates]))
            if accepted and not holes:
                continue
            bound = hdc_bound(rates)
            says = f"the HDC rule {'accepts' if accepted else 'rejects'} rates {tuple(rates)}: "
            says += f"M_2 is {bound}, kernel {kernel}"
            if accepted:
                truth = f"; it errs, one output misses {holes} positions of its field"
            elif holes:
                truth = f", and one output misses {holes} positions of its field"
            else:
                truth = "; it errs, an output reads every position of its field"
            dilated = next(n for n, w in stretch.windows if (own := w[axis]) and own.dilation > 1)
            yield Found(
                says + truth,
                dilated,
                f"dilations = {better}  # kernel {kernel}, field {span} as before" if holes else "",
                {"rates": rates, "bound": bound, "accepted": accepted, "holes": holes},
                None if holes else "note",
            )
            # The axes of a network are mostly alike: one is enough.
            break


def _once(rates: list[int]) -> list[int]:
    """The shortest beginning, of two layers or more, of which all is a repetition."""
    for period in range(2, len(rates)):
        if len(rates) % period == 0 and rates == rates[:period] * (len(rates) // period):
            return rates[:period]
    return rates

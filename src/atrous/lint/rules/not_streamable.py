"""A net that is declared to stream has parts that need all of the axis, or its end.

What it finds
    Along the declared axis, on the way to the output: operators that read the axis whole, or from
    its end on, or all that came before without bound; flips and wrapping around; resizing to a
    length that is told instead of a factor; values for every position, as learned positions are;
    weights for every position; one position that is picked. Each way with its first place, the
    others by name, and what to do.

Why it matters
    A stream has no end: an output must be complete once its last input is there, and the memory for
    what came before must be bounded. A layer that looks ahead by a fixed number is no hindrance: it
    delays. A recurrence forward in time, or a running sum, carries a state of fixed size, and is
    none either; nor is its last state, where the model gives that back beside its answer. Where the
    output's own rows show that its look-ahead is bounded, turning the axis round and back again is
    no hindrance.

    Resizing to a told length that is a whole multiple of the length before, as decoders do that
    take it from the input's shape, is a note: a factor gives the same.

Example
    Statistics over all time::

        nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.GroupNorm(1, 8))

Use instead
    Statistics that are there before the stream begins::

        nn.Sequential(nn.Conv1d(8, 8, 3, padding=1), nn.BatchNorm1d(8)).eval()
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.lint.facts.along import declared_axis, is_beside, named, on_axis
from atrous.lint.facts.endless import endless, first_endless
from atrous.lint.facts.whole import UNTOLD, Way, Whole, whole_readings
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_STREAM = {"stream": True}


class _Then(nn.Module):
    """A convolution, and something done to its result."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.conv, self.what = nn.Conv1d(4, 4, 3, padding=1), what
        self.places = nn.Parameter(torch.arange(32.0))
        self.lstm = nn.LSTM(4, 4, batch_first=True, bidirectional=what == "backward")

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        if self.what == "flip":
            return x.flip(-1)
        if self.what == "twice":
            x = self.conv(x.flip(-1))
            return x.flip(-1)
        if self.what == "last":
            return x.sub(x[..., -1:])
        if self.what == "first":
            return x - x[..., :1]
        if self.what == "blocks":
            return x + x.reshape(1, 4, 8, 4).flip(2).reshape(1, 4, 32)
        if self.what == "size":
            return F.interpolate(x, size=50)
        if self.what == "factor":
            return F.interpolate(x, scale_factor=2)
        if self.what == "constant":
            return x + self.places
        if self.what == "pick":
            return x[..., -1]
        if self.what == "wrap":
            return F.pad(x, (2, 0), mode="circular")
        if self.what == "cumulative":
            return x.cumsum(-1)
        t = x.transpose(1, 2)
        if self.what in ("attention", "earlier"):
            return F.scaled_dot_product_attention(t, t, t, is_causal=self.what == "earlier")
        out: Tensor = self.lstm(t)[0]
        return out


def _bad() -> Iterator[Case]:
    normed = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.GroupNorm(1, 4))
    yield Case(normed, (1, 4, 32), _STREAM, path="1")
    flat = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(128, 2))
    yield Case(flat, (1, 4, 32), _STREAM, path="2")
    for what in (
        "flip", "last", "blocks", "size", "constant", "pick", "wrap", "attention", "earlier",
    ):  # fmt: skip
        yield Case(_Then(what), (1, 4, 32), _STREAM)
    yield Case(_Then("backward"), (1, 4, 32), _STREAM, path="lstm")


def _good() -> Iterator[Case]:
    causal = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1, dilation=1), nn.BatchNorm1d(4), nn.ReLU())
    yield Case(causal, (1, 4, 32), _STREAM)
    for what in ("factor", "cumulative", "forward", "twice", "first"):
        yield Case(_Then(what), (1, 4, 32), _STREAM)
    yield Case(nn.GroupNorm(1, 4), (1, 4, 32))


_REASONS: Mapping[Way, tuple[str, str]] = {
    "statistic": (
        "takes the mean, the sum or the like over all of the axis",
        "nn.AvgPool{n}d(k, stride=1)  # over a window; norms: nn.BatchNorm{n}d(channels).eval()",
    ),
    "weights": (
        "has a weight for every position, so that its length is fixed",
        "nn.Conv{n}d(channels, features, k)  # the same weights at every position",
    ),
    "pairs": (
        "sets every position against every other, those to come included",
        "attn_mask = torch.ones(n, n, dtype=torch.bool).tril().triu(-window)",
    ),
    "earlier pairs": (
        "keeps all earlier positions, so that memory grows with the stream",
        "attn_mask = torch.ones(n, n, dtype=torch.bool).tril().triu(-window)",
    ),
    "backward": ("begins at the end of the axis", "bidirectional=False"),
    "all": ("needs all of the axis at once", ""),
    "flip": ("reads from the end of the axis on", ""),
    "wrap": ("reads across the ends of the axis", 'padding_mode="zeros"'),
    "pick": (
        "keeps one position of the axis",
        "# return every position and pick from the result",
    ),
    "size": (
        "resizes to a length that the call tells, not by a factor",
        "F.interpolate(x, scale_factor=...)",
    ),
    "constant": (
        "puts something to the axis that has a value for every position",
        "# positions relative to each other, or none: a convolution sees where it is not padded",
    ),
    "unknown": UNTOLD,
}
"""What hinders, and what to write instead. What is not here does not hinder a stream."""

_UNDONE: tuple[Way, ...] = ("flip", "wrap")
"""What may be undone later, as by a second flip: the output's rows tell."""


@lint_rule(
    "ATR502",
    "not-streamable",
    severity="error",
    bad=_bad,
    good=_good,
    others=("note",),
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find what needs more of the declared axis than a bounded piece."""
    if not subject.declared.stream:
        return
    axis = declared_axis(subject)
    if len(subject.program.outputs) > 1 and is_beside(subject, axis):
        return
    nodes = subject.program.behind(subject.target)
    groups: dict[Way, list[Whole]] = {}
    own = on_axis(subject.fields.get(subject.target.name), axis)
    # Of an output that has no place of its own along the axis no row tells.
    placed = own is not None and len(own.output_axes) == 1 and own.status != "unknown"
    bounded = own is not None and placed and endless(subject.target, own) is None
    for found in whole_readings(subject, nodes, axis):
        if found.way in _REASONS and not (bounded and found.way in _UNDONE):
            groups.setdefault(found.way, []).append(found)
    for way, group in groups.items():
        multiples = [m for f in group if (m := _multiple(subject, f)) is not None]
        if way == "size" and len(multiples) == len(group):
            yield _by_a_factor(group, multiples, axis)
            continue
        reason, remedy = _REASONS[way]
        labels = list(dict.fromkeys(found.node.label for found in group))
        others = f", as do {named(f.node for f in group[1:])}" if len(labels) > 1 else ""
        first = group[0].node
        yield Found(
            f"it cannot be streamed along axis {axis}: '{first.label}' {reason}{others}",
            first,
            fix=remedy.format(n=len(subject.traced.axes)),
            numbers={"axis": axis, "way": way, "layers": labels},
        )
    if placed and not bounded:
        told = {found.node.name for group in groups.values() for found in group}
        for origin in first_endless(subject, nodes, axis, told):
            yield Found(
                f"it cannot be streamed along axis {axis}: '{origin.node.label}' reads ahead "
                f"without a bound (output {origin.output} up to input {origin.read} of "
                f"{origin.length})",
                origin.node,
                numbers={"axis": axis, "way": "ahead", "layers": [origin.node.label]},
            )


def _multiple(subject: Subject, found: Whole) -> int | None:
    """How many times as long the call makes the axis, if that is a whole number."""
    own = on_axis(subject.fields.get(found.node.name), found.axis)
    before = on_axis(subject.fields.get(found.node.operands[0].name), found.axis)
    if own is None or before is None or own.output_axis is None or before.output_axis is None:
        return None
    after = found.node.shape[own.output_axis]
    length = found.node.operands[0].shape[before.output_axis]
    return after // length if length and after % length == 0 else None


def _by_a_factor(group: list[Whole], multiples: list[int], axis: int) -> Found:
    labels = list(dict.fromkeys(found.node.label for found in group))
    return Found(
        f"{named(f.node for f in group)} resize{'s' if len(labels) == 1 else ''} axis {axis} to a "
        f"length that the call tells: here it is {multiples[0]} times the length before, and a "
        "factor gives the same at every length",
        group[0].node,
        fix=f"F.interpolate(x, scale_factor={multiples[0]})",
        numbers={"axis": axis, "way": "size", "layers": labels},
        severity="note",
    )

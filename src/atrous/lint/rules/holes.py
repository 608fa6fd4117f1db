"""The field of the output has holes: positions inside its span that no route reads.

What it finds
    The coverage of the output that is judged: routes from its central position back to the input,
    along the ways that read nothing whole; from one further on where the ends of the input cut the
    central field off, as of a causal net with a long field. Of a classifier it is that of the
    values that are pooled. Behind an upsampling, where neighbouring outputs read in different
    patterns, it is that of the pattern that leaves out most. It fires where the share of the span
    that is read is below `min-density`.

    It is told at the layer that can close the holes with the smallest change: the message says
    which dilation it would need. Where no single layer can, it is told at the one that closes most,
    and the schedule has to change.

Why it matters
    What lies in a hole, the output cannot react to: a small object can fall between its taps.
    Where the positions read have a common factor, neighbouring outputs share no input at all, and
    the pattern of the dilation shows in the result (gridding). Layers further on cannot make up for
    what was never read before them.

    A hole belongs to one output. At stride 1, with padding that keeps the length, every input is
    still read by some other output; without it a map that is small against the dilation has inputs
    that no output reads: these are `skipped-inputs`.

    A common factor of the dilations makes holes, and is told as `interleaved`; but a greatest
    common divisor of 1 does not rule them out: kernels of 3 with dilations (2, 3) miss the offsets
    4 and -4. The exact test for a chain of stride 1, sorted by dilation: every dilation is at most
    one more than what the smaller ones span together.

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

from atrous.analysis.coverage.blame import Blame
from atrous.analysis.coverage.coverage import Coverage
from atrous.graph.program import Node
from atrous.lint.facts.layers import quoted, short, windows
from atrous.lint.facts.modules import with_dilation
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _stack(*dilations: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv2d(2, 2, 3, padding=d, dilation=d) for d in dilations))


def _doubled(dilation: int) -> nn.Module:
    """Every second output reads what an upsampled value has at an odd distance."""
    return nn.Sequential(
        nn.Conv1d(2, 2, 3, padding=2, dilation=2),
        nn.Upsample(scale_factor=2),
        nn.Conv1d(2, 2, 2, dilation=dilation),
    )


def _bad() -> Iterator[Case]:
    yield Case(_stack(2, 2, 2), (1, 2, 33, 33), path="0")
    yield Case(_stack(2, 3), (1, 2, 33, 33), path="0")
    yield Case(_stack(1, 2, 9), (1, 2, 65, 65), path="2")
    yield Case(_stack(8, 8, 8, 8), (1, 2, 97, 97), path="0")
    yield Case(_doubled(3), (1, 2, 32), path="2")


def _good() -> Iterator[Case]:
    yield Case(_stack(1, 2, 3), (1, 2, 33, 33))
    yield Case(_stack(1, 5, 2), (1, 2, 33, 33))
    yield Case(_stack(1, 2, 4, 8), (1, 2, 65, 65))
    yield Case(_doubled(2), (1, 2, 32))


@lint_rule(
    "ATR101",
    "holes",
    severity="warning",
    autofix="redesign",
    settings={"min-density": 1.0},
    bad=_bad,
    good=_good,
    limits={"min-density": (0, 1)},
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find outputs that leave out positions inside their field."""
    told: set[str] = set()
    for end in subject.ends:
        cover = subject.coverage(end).sparsest
        if not cover.counts.size or cover.density >= settings["min-density"]:
            continue
        found = _found(subject, end, cover)
        name = found.node.name if found.node is not None else ""
        if name not in told:
            told.add(name)
            yield found


def _found(subject: Subject, end: Node, cover: Coverage) -> Found:
    span = " x ".join(map(str, cover.span))
    central = subject.coverage(end)
    one = f"one output of '{end.label}'"
    if cover is not central:
        even = f"{_at(central)} reads all" if central.read.all() else "others read more"
        one += f" ({_at(cover)}, as all of its phase; {even})"
    message = f"{one} reads {cover.density:.1%} of its field of {span}: "
    message += f"{len(cover.holes):,} holes"
    numbers: dict[str, Any] = {
        "at": [own for (own,) in cover.at],
        "density": cover.density,
        "holes": len(cover.holes),
        "span": list(cover.span),
    }
    if not cover.blame:
        return Found(message, end, numbers=numbers)
    # Sorted by what they close; of those that can close all, the one that gives up least.
    alone = [blame for blame in cover.blame if blame.dilation is not None]
    at = min(alone, key=lambda blame: _given_up(subject, blame)) if alone else cover.blame[0]
    node = subject.program.nodes[at.name]
    numbers["layers"] = [blame.node for blame in cover.blame]
    steps = short(s for s in at.steps if s)
    by = f"the steps of {steps} in " if steps else ""
    message += f", left by {by}{quoted(b.node for b in cover.blame)}"
    layers = tuple(subject.program.nodes[blame.name] for blame in cover.blame)
    if at.dilation is None:
        told = f"{message}; no single layer can close them"
        return Found(told, node, numbers=numbers, layers=layers)
    numbers["dilation"] = list(at.dilation)
    return Found(
        f"{message}; dilation {short(at.dilation)} at '{at.node}' closes them all, and makes the "
        f"field smaller by {_lost(subject, at)}",
        node,
        with_dilation(subject, node, at.dilation),
        numbers,
        layers=layers,
    )


def _at(cover: Coverage) -> str:
    """Which output it is of."""
    return ", ".join(str(own) for (own,) in cover.at)


def _lost(subject: Subject, blame: Blame) -> str:
    """Input positions that the field loses with that dilation, per axis that it moves along."""
    own = windows(subject.program.nodes[blame.name]).values()
    lost = [
        (window.kernel_size - 1) * (window.dilation - dilation) * step / window.dilation
        for window, dilation, step in zip(
            own, blame.dilation or (), [s for s in blame.steps if s], strict=False
        )
    ]
    return short(lost)


def _given_up(subject: Subject, blame: Blame) -> int:
    """Positions that a layer spans less with the dilation that closes the holes."""
    own = windows(subject.program.nodes[blame.name]).values()
    return sum(
        (window.kernel_size - 1) * (window.dilation - dilation)
        for window, dilation in zip(own, blame.dilation or (), strict=True)
    )

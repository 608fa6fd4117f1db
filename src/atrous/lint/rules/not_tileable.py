"""A net that is declared to run in tiles has parts that no tile can compute by itself.

What it finds
    On the way to the output, along every axis that holds positions: recurrences, attention over
    positions, sorting and the like, which need all of the map at once; wrapping around the ends.
    These are errors. A warning: pooling and normalisation over the map (image pooling,
    squeeze-and-excitation, `GroupNorm`), for which tiles need a second pass. A note: batch
    normalisation while the model is in training.

Why it matters
    A tile with a halo as wide as the reach of the output gives exactly the values of the whole. An
    output that reads everything has no such halo. Run tile by tile as it is, a mean over the map
    becomes one over the tile: nothing fails, and the values are others, with seams between tiles.
    Sums, means, variances and extremes can be gathered from tile to tile first and used in a second
    pass: exact, in bounded memory, at up to twice the cost for what comes before them. In training,
    batch normalisation takes its statistics from the tile, and the values differ from those of the
    whole.

Example
    Attention between all positions of a map::

        F.scaled_dot_product_attention(q, k, v)   # q: (batch, height * width, channels)

Use instead
    Attention inside windows, or dilated convolutions with the reach that is needed::

        nn.Conv2d(channels, channels, 3, padding=8, dilation=8)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from atrous.lint.facts.along import is_beside, named
from atrous.lint.facts.layers import named_axes
from atrous.lint.facts.whole import UNTOLD, Way, Whole, whole_readings
from atrous.lint.finding import Number
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_TILE = {"tile": True}


class _Attends(nn.Module):
    """A convolution, and attention between all positions or inside windows."""

    def __init__(self, window: int | None) -> None:
        super().__init__()
        self.conv, self.window = nn.Conv2d(2, 2, 3, padding=1), window

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        n, c, h, w = x.shape
        size = self.window or h
        x = x.view(n, c, h // size, size, w // size, size).permute(0, 2, 4, 3, 5, 1)
        x = x.reshape(-1, size * size, c)
        return F.scaled_dot_product_attention(x, x, x)


class _Excited(nn.Module):
    """Squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.gate = nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        out: Tensor = x * self.gate(x.mean((2, 3), keepdim=True)).sigmoid()
        return out


def _rows() -> nn.Module:
    """A recurrence down the rows of a map of one channel."""
    return nn.LSTM(16, 4, batch_first=True)


def _bad() -> Iterator[Case]:
    yield Case(_Attends(None), (1, 2, 16, 16), _TILE)
    yield Case(_rows(), (1, 16, 16), _TILE)
    yield Case(nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"), (1, 2, 16, 16), _TILE)
    yield Case(_Excited(), (1, 2, 16, 16), _TILE)
    trained = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.BatchNorm2d(2)).train()
    yield Case(trained, (1, 2, 16, 16), _TILE, path="1")


def _good() -> Iterator[Case]:
    yield Case(_Attends(4), (1, 2, 16, 16), _TILE)
    plain = nn.Sequential(nn.Conv2d(2, 2, 3, padding=8, dilation=8), nn.BatchNorm2d(2)).eval()
    yield Case(plain, (1, 2, 16, 16), _TILE)
    yield Case(_Attends(None), (1, 2, 16, 16))


_REASONS: Mapping[Way, tuple[str, str]] = {
    "pairs": (
        "sets every position against every other",
        "# attention inside windows: the tile then has whole windows",
    ),
    "earlier pairs": (
        "sets every position against all before it",
        "# attention inside windows: the tile then has whole windows",
    ),
    "recurrence": (
        "goes from one position to the next",
        "nn.Conv{n}d(channels, channels, 3, padding=d, dilation=d)  # of the reach that is needed",
    ),
    "backward": (
        "goes from one position to the next",
        "nn.Conv{n}d(channels, channels, 3, padding=d, dilation=d)  # of the reach that is needed",
    ),
    "all": ("needs all positions at once", ""),
    "wrap": ("reads across the ends", 'padding_mode="zeros"'),
    "unknown": UNTOLD,
}
"""What forbids exact tiles in bounded memory, and what to write instead."""

_GATHERED = (
    "# first pass: add up the sums (and squares) and numbers of positions of all tiles;\n"
    "# second pass: the statistics of the whole in place of those of the tile"
)
_PASSES: tuple[Way, ...] = ("statistic", "weights")


@lint_rule(
    "ATR503",
    "not-tileable",
    severity="error",
    bad=_bad,
    good=_good,
    others=("warning", "note"),
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find what needs more of the input than a tile with a halo."""
    if not subject.declared.tile:
        return
    nodes = subject.program.behind(subject.target)
    groups: dict[str, list[Whole]] = {}
    for axis in subject.traced.axes:
        # The last state of a recurrence, beside the answer, is told with that.
        beside = len(subject.program.outputs) > 1 and is_beside(subject, axis)
        for found in whole_readings(subject, nodes, axis):
            if beside and found.way in ("recurrence", "backward"):
                continue
            kind = "pass" if found.way in _PASSES else _REASONS.get(found.way, ("",))[0]
            groups.setdefault(kind, []).append(found)
    for kind, group in groups.items():
        if not kind:
            continue
        unique = list({found.node.name: found.node for found in group}.values())
        labels = list(dict.fromkeys(node.label for node in unique))
        axes = sorted({found.axis for found in group})
        numbers: dict[str, Number] = {"layers": labels, "axes": axes}
        if kind == "pass":
            passes = "a second pass" if len(labels) == 1 else f"up to {len(labels)} passes more"
            yield Found(
                f"{named(unique)} gather{'s' if len(labels) == 1 else ''} over all of "
                f"{named_axes(axes)}: tile by tile that is another value for each, and exact tiles "
                f"need {passes}",
                unique[0],
                fix=_GATHERED,
                numbers=numbers,
                severity="warning",
            )
            continue
        others = f", as do {named(unique[1:])}" if len(labels) > 1 else ""
        yield Found(
            f"'{unique[0].label}' {kind} along {named_axes(axes)}{others}: no tile can compute "
            "its part by itself",
            unique[0],
            fix=_REASONS[group[0].way][1].format(n=len(subject.traced.axes)),
            numbers=numbers,
        )
    yield from _in_training(subject)


def _in_training(subject: Subject) -> Iterator[Found]:
    if subject.model is None:
        return
    names = [
        name
        for name, module in subject.model.named_modules()
        if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.training
    ]
    first = next((n for n in subject.program.nodes.values() if n.place.module in names), None)
    if first is not None:
        yield Found(
            f"batch normalisation at {len(names)} place{'s' if len(names) > 1 else ''} (first "
            f"'{names[0]}') is in training: each tile would be normalised by itself",
            first,
            fix="model.eval()",
            numbers={"layers": names},
            severity="note",
        )

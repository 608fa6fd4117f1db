"""A dilated layer is padded, but not as far as its taps reach.

What it finds
    Dilated convolutions of stride 1 whose padding is more than none and less than what keeps the
    length of the map, `(kernel_size - 1) * dilation` positions in all: mostly the padding of the
    same layer without its dilation.

Why it matters
    Both costs are paid. Zeros enter at the border, and the map shrinks all the same: in a context
    module with dilations 1, 1, 2, 4, 8, 16 and padding 1 everywhere by 60 positions along each
    axis. Outputs no longer lie over the inputs of their index, so that a sum with what was before
    fails, or is out of step after cropping or resizing.

    No padding at all is a choice (every output then reads real inputs only), and so is padding that
    keeps the length.

Example
    Dilation 4 with the padding of dilation 1::

        nn.Conv2d(8, 8, 3, padding=1, dilation=4)

Use instead
    Padding that follows the dilation::

        nn.Conv2d(8, 8, 3, padding=4, dilation=4)
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import nn

from atrous.geometry.primitives import Window
from atrous.graph.program import Node
from atrous.lint.facts.layers import has_weights, short, windows
from atrous.lint.facts.modules import constructor, convolution_of
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


def _context(*padding: int) -> nn.Module:
    rates = (1, 1, 2, 4)
    return nn.Sequential(
        *(nn.Conv2d(2, 2, 3, padding=p, dilation=d) for p, d in zip(padding, rates, strict=True))
    )


def _bad() -> Iterator[Case]:
    yield Case(_context(1, 1, 1, 1), (1, 2, 33, 33), path="2")
    yield Case(nn.Conv1d(2, 2, 2, padding=1, dilation=4), (1, 2, 32))


def _good() -> Iterator[Case]:
    yield Case(_context(1, 1, 2, 4), (1, 2, 33, 33))
    yield Case(_context(0, 0, 0, 0), (1, 2, 33, 33))
    # More than keeps the length: all rows, as for a causal stack that is cut off behind.
    yield Case(nn.Conv1d(2, 2, 3, padding=8, dilation=4), (1, 2, 32))
    yield Case(nn.Conv1d(2, 2, 4, padding="same", dilation=3), (1, 2, 32))
    yield Case(nn.Conv2d(2, 2, 3, padding=1, dilation=2, stride=2), (1, 2, 33, 33))


@lint_rule(
    "ATR202",
    "partial-padding",
    severity="warning",
    bad=_bad,
    good=_good,
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find dilated layers that are padded less than their taps reach."""
    told: set[tuple[str, ...]] = set()
    for node in subject.program.nodes.values():
        if not has_weights(node) or (node.parameters and node.parameters in told):
            continue
        short_of = _short_axes(node)
        if short_of:
            told.add(node.parameters)
            yield _found(subject, node, short_of)


def _short_axes(node: Node) -> dict[int, tuple[Window, int, int]]:
    """By axis with too little padding: the window, the padding in all, and the map's length."""
    assert node.description is not None
    read = node.description.reads[0]
    found = {}
    for axis, window in sorted(windows(node).items()):
        link = read.links[axis]
        if link is None or window.stride > 1 or window.dilation == 1 or node.shape[axis] == 0:
            continue
        length = link.relation.inputs
        padding = node.shape[axis] - 1 + window.span - length
        if 0 < padding < window.span - 1:
            found[axis] = (window, padding, length)
    return found


def _found(subject: Subject, node: Node, short_of: Mapping[int, tuple[Window, int, int]]) -> Found:
    rows = list(short_of.values())
    rate = short(window.dilation for window, _, _ in rows)
    before = short(length for _, _, length in rows)
    after = short(node.shape[axis] for axis in short_of)
    needed = [window.span - 1 for window, _, _ in rows]
    return Found(
        f"padding of {short(padding for _, padding, _ in rows)} in all, where kernel "
        f"{short(window.kernel_size for window, _, _ in rows)} with dilation {rate} needs "
        f"{short(needed)} to keep the map: it shrinks from {before} to {after}, and zeros enter at "
        "the border all the same",
        node,
        _fix(subject, node, short_of),
        {
            "padding": [padding for _, padding, _ in rows],
            "needed": needed,
            "lengths": [length for _, _, length in rows],
            "outputs": [node.shape[axis] for axis in short_of],
        },
    )


def _fix(subject: Subject, node: Node, short_of: Mapping[int, tuple[Window, int, int]]) -> str:
    """Padding that keeps the map along the axes that are short; the others stay as they are."""
    module = convolution_of(subject, node)
    if module is None or isinstance(module.padding, str):
        return ""
    odd = any((window.span - 1) % 2 for window, _, _ in short_of.values())
    if odd and len(short_of) < len(windows(node)):
        return ""
    if odd:
        return constructor(subject, node, padding="same")
    padding = tuple(
        (short_of[axis][0].span - 1) // 2 if axis in short_of else own
        for axis, own in zip(sorted(windows(node)), module.padding, strict=True)
    )
    return constructor(subject, node, padding=padding)

"""Even kernels, or padding of one side, move the output off its place.

What it finds
    Convolutions, pools, pads and crops that put the centre of what an output reads half a position
    or more beside the place the output holds on its map, added up along the way. A second shift
    back cancels the first: then nothing is found. It is told at the layer that shifts first.

    Strides leave room. A kernel of 2 at stride 2 is centred between its two inputs, where its
    output belongs; anywhere within the stride's positions is no shift. Nor is padding an even
    kernel equally on both sides: the map grows or shrinks by one, and stays centred.

    Layers that read the past alone, padded on the left, are shifted on purpose.

    Up to `max-shift` positions in all it is a note.

Why it matters
    With `padding="same"` an even kernel has its extra tap on one side: each such layer moves the
    picture by half a position of its map, all in the same direction. Eight of them at stride 8 are
    32 pixels: boxes and masks are off by that, borders are treated differently, and a residual sum
    adds values of different places.

Example
    Two kernels of 4 that are padded alike::

        nn.Sequential(*(nn.Conv2d(8, 8, 4, padding="same") for _ in range(2)))

Use instead
    An odd kernel, or one layer padded the other way round::

        nn.Sequential(*(nn.Conv2d(8, 8, 5, padding=2) for _ in range(2)))
        nn.Sequential(nn.Conv2d(8, 8, 4, padding=1), nn.Conv2d(8, 8, 4, padding=2))

Settings
    max-shift: positions of the map that may be shifted in all without a warning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from torch import Tensor, nn

from atrous.geometry.relation import Relation
from atrous.graph.program import Node
from atrous.graph.rule import Movement
from atrous.lint.facts.layers import input_axis, moving, named_axes, quoted, windows
from atrous.lint.facts.modules import constructor, convolution_of
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_NONE = Fraction(0)


class _Chomped(nn.Module):
    """A convolution padded on both sides and cut at the right: causal if padded by its span."""

    def __init__(self, kernel: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, kernel, padding=padding)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)[:, :, : x.shape[-1]]
        return out


def _pair(first: Any, second: Any, **settings: Any) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 2, 4, padding=first, **settings),
        nn.Conv2d(2, 2, 4, padding=second, **settings),
    )


def _bad() -> Iterator[Case]:
    yield Case(_pair("same", "same"), (1, 2, 20, 20), path="0")
    yield Case(nn.Conv2d(2, 2, 2, padding="same"), (1, 2, 20, 20))
    yield Case(nn.Sequential(nn.Conv2d(2, 2, 3), nn.ZeroPad2d((0, 2, 0, 2))), (1, 2, 20, 20))
    yield Case(nn.Sequential(_Chomped(8, 4), _Chomped(8, 4)), (1, 2, 40), path="0")


def _good() -> Iterator[Case]:
    yield Case(_pair(1, 2), (1, 2, 20, 20))
    yield Case(_pair(1, 1), (1, 2, 20, 20))
    padded = nn.Sequential(
        nn.Conv2d(2, 2, 4, padding="same"), nn.ZeroPad2d((2, 1, 2, 1)), nn.Conv2d(2, 2, 4)
    )
    yield Case(padded, (1, 2, 20, 20))
    yield Case(nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.MaxPool2d(2)), (1, 2, 20, 20))
    yield Case(nn.Conv2d(2, 2, 5, padding="same"), (1, 2, 20, 20))
    yield Case(_Chomped(8, 7), (1, 2, 40))
    yield Case(nn.ConvTranspose2d(2, 2, 4, stride=2, padding=1), (1, 2, 20, 20))
    yield Case(nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), nn.Conv2d(2, 2, 3, 2)), (1, 2, 20, 20))


@dataclass(frozen=True)
class _Shift:
    """How far a value lies off its place along one of its axes.

    Attributes:
        pending: by pads and crops that no layer has used yet, in positions of the value.
        offset: the position that index 0 of the value was before those pads and crops.
        mover: the first of them.
        layers: the layers that shift, by how many of their positions, and the stride of these.
    """

    pending: Fraction = _NONE
    offset: int = 0
    mover: Node | None = None
    layers: tuple[tuple[Node, Fraction, Fraction], ...] = ()

    @property
    def total(self) -> Fraction:
        """By all layers, in input positions."""
        return sum((by * stride for _, by, stride in self.layers), _NONE)

    def settled(self, node: Node, own: Fraction, by: Fraction, stride: Fraction) -> _Shift:
        """The shift once a layer that shifts by `own` itself has used what was pending."""
        if by == 0:
            return _Shift(layers=self.layers)
        source = node if own or self.mover is None else self.mover
        return _Shift(layers=(*self.layers, (source, by, stride)))


@lint_rule(
    "ATR402",
    "even-kernel-shift",
    severity="warning",
    settings={"max-shift": 0.5},
    bad=_bad,
    good=_good,
    others=("note",),
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find shifts that add up on the way to the last values that have positions."""
    if subject.declared.causal:
        return
    known: dict[tuple[str, int], _Shift] = {}
    for node in subject.program.nodes.values():
        for axis, shift in _shifts(subject, node, known).items():
            known[node.name, axis] = shift
    told: dict[str, tuple[_Shift, list[int]]] = {}
    for end in subject.ends:
        for field in subject.fields[end.name].axes:
            own = field.local or field
            before = known.get((end.name, own.output_axis)) if own.output_axis else None
            if before is None or own.reach[1] <= 0:
                continue
            shift = before.settled(end, _NONE, before.pending, own.stride)
            if abs(_in_steps(shift)) >= Fraction(1, 2):
                told.setdefault(_first(shift).name, (shift, []))[1].append(field.axis)
    for shift, axes in told.values():
        yield _found(subject, shift, list(dict.fromkeys(axes)), settings["max-shift"])


def _in_steps(shift: _Shift) -> Fraction:
    """The whole shift in positions of the coarsest map that is shifted."""
    coarsest = max((stride for *_, stride in shift.layers), default=_NONE)
    return shift.total / coarsest if coarsest else _NONE


def _first(shift: _Shift) -> Node:
    """The first layer that shifts to the side where the value ends up."""
    # Behind a flip the stride is negative.
    return next(node for node, by, stride in shift.layers if by * stride * shift.total > 0)


def _shifts(
    subject: Subject, node: Node, known: Mapping[tuple[str, int], _Shift]
) -> dict[int, _Shift]:
    """The shift of a node's value by its axes; of a sum the way that is shifted most."""
    found: dict[int, _Shift] = {}
    for read, along in moving(subject, node):
        for axis, (theirs, relation) in along.items():
            if input_axis(subject, read.operand.name, theirs) is None:
                continue
            before = known.get((read.operand.name, theirs), _Shift())
            stride = _stride(subject, read.operand.name, theirs)
            after = _after(node, axis, relation, before, stride)
            known_here = found.setdefault(axis, after)
            more = abs(after.total) > abs(known_here.total)
            if read.segment is None and abs(after.total) == abs(known_here.total):
                # A shortcut that is cropped to fit has the place of what it is added to.
                more = abs(after.pending) < abs(known_here.pending)
            # What lies side by side as channels holds a part that is in place.
            if more is (read.segment is None):
                found[axis] = after
    return found


def _after(node: Node, axis: int, relation: Relation, before: _Shift, stride: Fraction) -> _Shift:
    if relation.is_identity or relation.step == 0 or relation.outputs == 0:
        return before
    own = _moved_by(relation)
    moves = isinstance(node.description, Movement) and relation.step == relation.period == 1
    if moves and 2 * relation.outputs <= relation.inputs:
        # A part is taken, as in a split: it has a place of its own.
        return _Shift()
    if moves:
        offset = before.offset + int(relation.taps.lo[0])
        mover = before.mover or (node if own else None)
        return _Shift(before.pending + own, offset, mover, before.layers)
    by = before.pending + own
    window = windows(node).get(axis)
    if window is not None and window.stride == 1 and window.kernel_size > 2:
        last = window.span - 1 - window.left + before.offset
        if last <= 0:
            # It looks back, and ends where the output is. Half its span is what padding on the
            # left has shifted, or what cropping on the right will.
            rest = by + Fraction(window.span - 1, 2)
            return _Shift(rest, 0, before.mover or node, before.layers)
    room = abs(abs(Fraction(relation.step, relation.period)) - 1) / 2
    over = max(abs(by) - room, _NONE) * (1 if by > 0 else -1)
    return before.settled(node, own if abs(own) > room else _NONE, over, stride)


def _moved_by(relation: Relation) -> Fraction:
    """How far the centre of what is read lies behind the centre of the operand, on average."""
    outputs = np.arange(relation.outputs, dtype=np.int64)
    if relation.outputs == relation.inputs and len(relation.exceptional):
        at, inputs, _ = relation.reads(outputs)
        if len(at) == len(np.unique(inputs)) == relation.inputs:
            # Positions that only change places, as in a roll.
            return _NONE
    lo, hi = relation.hulls(outputs)
    lo, hi = lo[lo <= hi], hi[lo <= hi]
    if len(lo) == 0:
        return _NONE
    return Fraction(int((lo + hi).sum()), 2 * len(lo)) - Fraction(relation.inputs - 1, 2)


def _stride(subject: Subject, name: str, axis: int) -> Fraction:
    field = subject.fields.get(name)
    for own in (a.local or a for a in (field.axes if field is not None else ())):
        if own.output_axis == axis and own.status in ("exact", "bound"):
            return own.stride
    return Fraction(1)


def _found(subject: Subject, shift: _Shift, axes: list[int], most: float) -> Found:
    first = _first(shift)
    names = list(dict.fromkeys(node.label for node, *_ in shift.layers))
    steps = abs(float(_in_steps(shift)))
    total = float(shift.total)
    side = "on" if total > 0 else "back"
    where = named_axes(axes)
    if len(shift.layers) == 1:
        who = f"'{names[0]}' moves the centre of what an output reads"
    else:
        who = f"{quoted(names)} together move the centre of what an output reads"
    far = f"{steps:.2g} {'of a position' if steps < 1 else 'position' + 's' * (steps > 1)}"
    unit = "positions" if abs(total) != 1 else "position"
    return Found(
        f"{who} {side} by {abs(total):g} input {unit} along {where}: {far} of its map",
        first,
        _fix(subject, first),
        {"shift": total, "steps": steps, "axes": axes, "layers": names},
        None if steps > most else "note",
    )


def _fix(subject: Subject, node: Node) -> str:
    """The next odd kernel where it is even, padded by its half; "" where none is even."""
    module = convolution_of(subject, node)
    own = list(windows(node).values())
    if module is None or not own or any(window.stride > 1 for window in own):
        return ""
    kernel = tuple(w.kernel_size + 1 - w.kernel_size % 2 for w in own)
    if kernel == module.kernel_size:
        return ""
    padding = tuple((k - 1) // 2 * w.dilation for k, w in zip(kernel, own, strict=True))
    return constructor(subject, node, kernel_size=kernel, padding=padding)

"""The receptive field of a value, axis by axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cached_property

import numpy as np

from atrous.analysis.fields.strands import Digit, Route, Source, Trace, on_whole_axis
from atrous.analysis.fields.tracing import picked, trace
from atrous.geometry import measures
from atrous.geometry.lineage import SEVERITY, Lineage, Status
from atrous.geometry.pattern import Periodic
from atrous.geometry.taps import Counts, Ints
from atrous.graph.program import Node, Program
from atrous.graph.rule import Global, Local, Movement, Pointwise, Read
from atrous.shown import Shown


@dataclass(frozen=True)
class AxisField(Shown):
    """The receptive field along one input axis.

    All numbers are in input positions, as at an output that no border clips, even where the input
    is smaller than the field.

    Attributes:
        axis: the input axis.
        size: from the first to the last position read; the largest over the outputs.
        sizes: the smallest and the largest size; they differ where phases or rates do.
        stride: input steps per output step; the largest where branches disagree.
        strides: the smallest and the largest stride.
        start: the first position that the first output reads, of those that read anything;
            negative in padding, and where it wraps around an end.
        reach: positions read before and after the output's own, which is `output * stride`.
        interior: the outputs `[start, stop)` for which no border clips anything; (0, 0) if none.
        length: length of the input axis.
        status: "exact", "bound" (a superset), "global" (an operator reads all of an axis; size is
            what that covers of the input, mostly its length) or "unknown" (no rule).
        cause: what made the status so; empty when exact.
        lineage: what every output reads, as a graph of relations.
        digits: the output's axes, or digits of them, that the lineage is told along.
        shape: the output's.
        local: where the status is "global", the field along the ways on which nothing is read
            whole; None if there are none.
    """

    axis: int
    size: int
    sizes: tuple[int, int]
    stride: Fraction
    strides: tuple[Fraction, Fraction]
    start: int
    reach: tuple[int, int]
    length: int
    status: Status
    cause: str
    lineage: Lineage = field(repr=False, compare=False)
    digits: tuple[Digit, ...] = field(repr=False, compare=False)
    shape: tuple[int, ...] = field(repr=False, compare=False)
    local: AxisField | None = None

    @property
    def interior(self) -> tuple[int, int]:
        """The outputs `[start, stop)` for which no border clips anything; `(0, 0)` if none."""
        return self.lineage.interior

    @property
    def output_axis(self) -> int | None:
        """The output axis that moves along this input axis; None if none does, or several."""
        return self.output_axes[0] if len(self.output_axes) == 1 else None

    @property
    def output_axes(self) -> tuple[int, ...]:
        """The output axes that move along this input axis: two in the scores of an attention, say,
        whose rows and columns both descend from it."""
        return tuple(sorted({digit.axis for digit in self.digits}))

    def taps(self, output: int | tuple[int, ...] | None = None) -> tuple[Ints, Counts]:
        """Positions read along this axis, ascending, and the number of ways to each.

        Ways are counted along this axis alone, and parts of a value in which it lies alike, as in a
        concatenation of a value with itself, once: `atrous.coverage` counts them in all dimensions,
        one by one.

        Args:
            output: an index along `output_axis`, or one along each of `output_axes`: what that
                output really reads, borders included. By default the taps away from the borders,
                relative to no clipping (they may be negative).

        Raises:
            ValueError: if the status is "unknown", or there are not as many indices as axes.
            IndexError: if there is no such output.
        """
        self.check_known()
        if output is None:
            if not self.lineage.length:
                # Nothing is put out, so nothing is read.
                return np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
            taps = self.lineage.taps(self._typical, clipped=False)
            # What only wraps around an end is read at no other place than its own.
            return taps if len(taps[0]) else self.lineage.taps(self._typical)
        axes = self.output_axes
        indices = (output,) if isinstance(output, int | np.integer) else tuple(output)
        if len(indices) != max(len(axes), 1) and not (indices == () == axes):
            raise ValueError(
                f"output must have one index for each of the output axes {axes}, got {output}."
            )
        if len(axes) < 2:
            position = indices[0] if indices else 0
            if not 0 <= position < self.lineage.length:
                raise IndexError(f"output must be in [0, {self.lineage.length}), got {output}.")
            return self.lineage.taps(int(position))
        at, position = dict(zip(axes, indices, strict=True)), 0
        for digit in self.digits:
            length = self.shape[digit.axis]
            if not 0 <= at[digit.axis] < length:
                raise IndexError(
                    f"output must be in [0, {length}) along axis {digit.axis}, got {output}."
                )
            position = position * digit.length + at[digit.axis] // digit.divisor % digit.length
        return self.lineage.taps(position)

    @cached_property
    def _typical(self) -> int:
        """The output with the largest field; of equals the most central."""
        outputs = np.arange(self.lineage.length, dtype=np.int64)
        lo, hi = _hulls(self.lineage, outputs)
        middle = np.abs(outputs - self.lineage.length // 2)
        return int(np.lexsort((middle, -np.where(lo <= hi, hi - lo, -1)))[0])

    @cached_property
    def clearest(self) -> int:
        """The output that says most of the field: the central one, unless the ends of the input cut
        its field off and another sees more, as in a causal net whose field is long."""
        middle = self.lineage.length // 2
        start, stop = self.interior
        if start <= middle < stop or not self.lineage.length:
            return middle
        outputs = np.arange(self.lineage.length, dtype=np.int64)
        lo, hi = _hulls(self.lineage, outputs)
        seen = np.minimum(hi, self.length - 1) - np.maximum(lo, 0) + 1
        if seen[middle] == hi[middle] - lo[middle] + 1:
            return middle
        most = np.flatnonzero(seen == seen.max())
        return int(most[np.argmin(np.abs(most - middle))])

    @cached_property
    def density(self) -> float:
        """Share of the span that is read at all, by the output with the largest field."""
        return measures.density(self.taps()[0])

    @cached_property
    def holes(self) -> Ints:
        """Positions inside the span that no path reads, counted from its first position."""
        taps = self.taps()[0]
        return measures.holes(taps) - (int(taps[0]) if len(taps) else 0)

    @cached_property
    def unread(self) -> Ints:
        """Positions of the input axis that no output reads."""
        self.check_known()
        read, _ = self.lineage.taps_of(np.arange(self.lineage.length, dtype=np.int64))
        return np.setdiff1d(np.arange(self.length, dtype=np.int64), read)

    @cached_property
    def phases(self) -> int:
        """Into how many sets of inputs that do not mix the outputs fall (see
        `atrous.geometry.phases`): with 2, even and odd positions are two nets side by side."""
        self.check_known()
        rows = [self.lineage.taps(o)[0] for o in range(self.lineage.length)]
        outputs = np.repeat(np.arange(len(rows), dtype=np.int64), [len(row) for row in rows])
        return measures.phases(outputs, np.concatenate(rows))

    def check_known(self) -> None:
        """Raise `ValueError` if an operator without a rule lies on the way."""
        if self.status == "unknown":
            raise ValueError(
                f"field must be known, but an operator has no rule: {self.cause}. "
                "Teach it with atrous.rule."
            )

    @cached_property
    def uniformity(self) -> measures.Uniformity:
        """How evenly the ways are spread over the span."""
        return measures.uniformity(*self.taps())


@dataclass(frozen=True)
class Field(Shown):
    """The receptive field of one value with respect to one input.

    Attributes:
        node: the value: a module path or a node's name.
        input: name of the input.
        axes: one entry per input axis that was asked for, in order.
        channels: the channels of the node that it is told for; None for all together.
    """

    node: str
    input: str
    axes: tuple[AxisField, ...]
    channels: tuple[int, ...] | None = None

    @property
    def status(self) -> Status:
        """The worst status of any axis."""
        return max((axis.status for axis in self.axes), key=SEVERITY.index, default="exact")

    @property
    def size(self) -> tuple[int, ...]:
        """The size along each axis."""
        return tuple(axis.size for axis in self.axes)

    @property
    def stride(self) -> tuple[Fraction, ...]:
        """The stride along each axis."""
        return tuple(axis.stride for axis in self.axes)

    @property
    def start(self) -> tuple[int, ...]:
        """The start along each axis."""
        return tuple(axis.start for axis in self.axes)

    def __str__(self) -> str:
        some = "" if self.channels is None else f", channels {', '.join(map(str, self.channels))},"
        lines = [f"field of {self.node}{some} on {self.input}"]
        for axis in self.axes:
            low, high = axis.sizes
            size = f"{axis.size}" if low == high else f"{low} to {high}"
            slow, fast = axis.strides
            stride = f"{axis.stride}" if slow == fast else f"{slow} to {fast}"
            if axis.status == "unknown":
                lines.append(f"  axis {axis.axis}: unknown ({axis.cause})")
                continue
            where = (
                f"stride {stride}, start {axis.start}, "
                f"reach {axis.reach[0]} before and {axis.reach[1]} after"
                if axis.output_axes
                else f"from {axis.start} on, the same for every output"
            )
            cause = f" ({axis.cause})" if axis.cause else ""
            lines.append(f"  axis {axis.axis}: size {size}, {where}, {axis.status}{cause}")
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class Traced:
    """The traces of a program on all its inputs, and fields made from them.

    Attributes:
        program: the captured model.
        source: the input that fields refer to.
        axes: the axes of that input.
        traces: the trace of every node.
    """

    program: Program
    source: Node
    axes: tuple[int, ...]
    traces: Mapping[str, Trace]

    def field(
        self, node: Node, *, channels: Sequence[int] | None = None, channel_axis: int = 1
    ) -> Field | None:
        """The field of a node, or of some of its channels; None if it does not depend on the
        input."""
        mine = self.traces[node.name]
        if channels is None:
            return field_of(node, mine, self.source, self.axes)
        mine = picked(node, mine, channel_axis, channels)
        found = field_of(replace(node, shape=mine.shape), mine, self.source, self.axes)
        return found and replace(found, channels=tuple(channels))

    def fields(self) -> dict[str, Field]:
        """The field of every node that depends on the input, by node name."""
        found: dict[str, Field] = {}
        known: dict[tuple[object, ...], Field | None] = {}
        # The last nodes need the widest windows of all before them, which are then known.
        for name, node in reversed(list(self.program.nodes.items())):
            key = self.traces[name].key
            value = known[key] if key in known else self.field(node)
            if value is None or value.status != "bound":
                # A bound may be this node's own doing, which its cause tells.
                known[key] = value
            if value is not None:
                found[name] = replace(value, node=node.label)
        return dict(reversed(list(found.items())))

    def on_every_input(self, node: Node) -> list[Field]:
        """The fields of a node on each input that it depends on."""
        found = []
        for name in self.program.inputs:
            source = self.program.nodes[name]
            axes = self.axes if source is self.source else default_axes(self.program, source)
            field = field_of(node, self.traces[node.name], source, axes)
            if field is not None:
                found.append(field)
        return found


def traced(
    program: Program, *, input: str | None = None, axes: tuple[int, ...] | None = None
) -> Traced:
    """Follow every input of a program.

    Args:
        program: the captured model.
        input: which input fields refer to; the first by default.
        axes: which of its axes; see `default_axes`.
    """
    source = program.input(input)
    wanted = axes if axes is not None else default_axes(program, source)
    followed = {
        name: sorted(
            {*default_axes(program, program.nodes[name]), *(wanted if name == source.name else ())}
        )
        for name in program.inputs
    }
    return Traced(program, source, wanted, trace(program, followed))


def fields(
    program: Program, *, input: str | None = None, axes: tuple[int, ...] | None = None
) -> dict[str, Field]:
    """The field of every node that depends on the input, by node name (see `traced`)."""
    return traced(program, input=input, axes=axes).fields()


def default_axes(program: Program, source: Node) -> tuple[int, ...]:
    """The axes an input's field is told for: those along which its first sliding window moves.

    An operator that reads features whole by weights, as a linear layer does, leaves its other axes
    but the first; one that looks back along an axis (a recurrence) tells that axis. If nothing
    decides, all but the first two axes; an input of two axes is taken as (batch, position), one of
    one axis as positions.
    """
    # Per node that only rearranges the input: which input axis each of its axes is.
    places: dict[str, tuple[int | None, ...]] = {source.name: tuple(range(len(source.shape)))}
    fallback: tuple[int, ...] = ()
    for node in program.nodes.values():
        reads = [r for r in getattr(node.description, "reads", ()) if r.operand.name in places]
        if not reads:
            continue
        axes = _followed(reads[0], places[reads[0].operand.name])
        sized = [axes[k] for k in getattr(node.description, "sized", ())]
        if sized and None not in sized:
            # Adaptive pools and resizing are told lengths along axes of positions.
            return tuple(sorted(axis for axis in sized if axis is not None))
        if isinstance(node.description, Pointwise | Movement):
            places[node.name] = axes
            continue
        deciding = _deciding(node, reads[0], axes)
        if isinstance(node.description, Global) and node.description.along is not None:
            deciding, axes = set(node.description.along), places[reads[0].operand.name]
        found = {a for k in deciding if k < len(axes) and (a := axes[k]) is not None}
        if _normalises(node, reads[0]):
            # Over features or over positions: what follows tells.
            places[node.name] = axes
            fallback = fallback or _normalised(reads[0], axes)
        elif found:
            return tuple(sorted(found))
    return fallback or tuple(range(max(min(2, len(source.shape) - 1), 0), len(source.shape)))


def _normalises(node: Node, read: Read) -> bool:
    """Whether a node keeps every axis and reads some of them whole, without weights between
    positions."""
    relations = [link.relation for link in read.links if link is not None]
    return (
        isinstance(node.description, Global)
        and node.description.macs == 0
        and node.description.along is None
        and len(relations) == len(read.lengths)
        and read.split == read.merge
        and all(
            r.is_identity or (r.outputs == r.inputs and (r.is_constant or r.step == r.period > 1))
            for r in relations
        )
    )


def _normalised(read: Read, axes: tuple[int | None, ...]) -> tuple[int, ...]:
    """The axes of positions of a normalisation: those kept where it is over fewer, features; none
    are told where it is over all, channels among them."""
    kept: list[int] = []
    whole: list[int] = []
    for k, link in enumerate(read.links):
        own = axes[k] if k < len(axes) else None
        if link is not None and own:
            side = kept if link.relation.is_identity else whole if not link.relation.step else []
            side.append(own)
    if not kept:
        return ()
    return tuple(kept if len(kept) >= len(whole) else whole)


def _followed(read: Read, mine: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """Which input axis each axis of a result is; one that is cut goes on as its slowest factor."""
    inner = list(mine)
    if read.split is not None:
        inner = [
            None if k else a for a, f in zip(mine, read.split, strict=True) for k, _ in enumerate(f)
        ]
    axes = [None if link is None else inner[link.axis] for link in read.links]
    if read.merge is None:
        return tuple(axes)
    parts = iter(axes)
    merged = [[next(parts) for _ in factors] for factors in read.merge]
    return tuple(own[0] if own and all(a is None for a in own[1:]) else None for own in merged)


def _deciding(node: Node, read: Read, axes: tuple[int | None, ...]) -> set[int]:
    """The axes of a node along which its positions lie, as far as its operator tells.

    `axes` says which input axis each of them is.
    """
    if isinstance(node.description, Local):
        return set(node.description.windows)
    if not isinstance(node.description, Global) or node.call is None:
        return set()
    links = [(k, link.relation) for k, link in enumerate(read.links) if link is not None]
    looking_back = {k for k, r in links if not r.is_identity and r.step}
    if looking_back or not any(operand.is_constant for operand in node.call.operands):
        return looking_back
    return {k for k, r in links if r.is_identity and axes[k] != 0}


def field_of(node: Node, mine: Trace, source: Node, axes: tuple[int, ...]) -> Field | None:
    """The field of one node; None if it does not depend on the input."""
    found = []
    for axis in axes:
        key: Source = (source.name, axis)
        route = mine.united(key, node.label)
        if route is None:
            continue
        measured = measure(axis, route, node.shape)
        if measured.status == "global":
            local = mine.united(key, "", local=True)
            if local is not None:
                measured = replace(measured, local=measure(axis, local, node.shape))
        found.append(measured)
    return Field(node.label, source.name, tuple(found)) if found else None


def _hulls(lineage: Lineage, outputs: Ints) -> tuple[Ints, Ints]:
    """First and last input of outputs away from borders; at its own place for one that reads
    nothing there, but does so around an end, as after a roll that is cropped."""
    lo, hi = lineage.pattern.hulls(outputs)
    if lineage.status in ("exact", "bound") and (lo > hi).any():
        alive = np.ones(lineage.length, dtype=bool) if lineage.live is None else lineage.live
        for k in np.flatnonzero((lo > hi) & alive[outputs]):
            taps, _ = lineage.taps(int(outputs[k]))
            lo[k], hi[k] = taps[0], taps[-1]
    return lo, hi


def measure(axis: int, route: Route, shape: tuple[int, ...]) -> AxisField:
    """The numbers of one route of a value of some shape."""
    if len({digit.axis for digit in route.digits}) == 1:
        # Told for the positions of the axis, of which the route may hold but some digits.
        along = route.digits[0].axis
        route = on_whole_axis(route, along, shape[along])
    lineage = route.lineage
    pattern = lineage.pattern
    period = pattern.period if isinstance(pattern, Periodic) else lineage.length
    outputs = np.arange(min(period, lineage.length), dtype=np.int64)
    lo, hi = _hulls(lineage, outputs)
    reads = lo <= hi
    slow, fast = pattern.rates
    whole = lineage.status in ("global", "unknown")
    if whole and reads.any() and hi[reads].min() >= lineage.inputs - 1 and lo[reads].max() <= 0:
        slow = fast = Fraction(0)
    if not reads.any():
        return AxisField(
            axis, 0, (0, 0), fast, (slow, fast), 0, (0, 0), lineage.inputs,
            lineage.status, lineage.cause, lineage, route.digits, shape,
        )  # fmt: skip
    sizes = np.where(reads, hi - lo + 1, 0)
    own = outputs * fast.numerator // fast.denominator
    before, after = (own - lo)[reads].max(), (hi - own)[reads].max()
    if whole:
        # The axis itself is the limit of what is read.
        sizes = np.minimum(sizes, lineage.inputs)
        lo = np.maximum(lo, 1 - lineage.inputs)
        before, after = min(before, lineage.inputs - 1), min(after, lineage.inputs - 1)
    return AxisField(
        axis=axis,
        size=int(sizes.max()),
        sizes=(int(sizes.min()), int(sizes.max())),
        stride=fast,
        strides=(slow, fast),
        start=int(lo[reads][0]),
        reach=(int(before), int(after)),
        length=lineage.inputs,
        status=lineage.status,
        cause=lineage.cause,
        lineage=lineage,
        digits=route.digits,
        shape=shape,
    )

"""Measure an effective field: which output position, and the gradients added up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from operator import index

import numpy as np
import torch
from torch import Tensor

from atrous.analysis.coverage.adjoint import layout_for
from atrous.analysis.coverage.question import coverage
from atrous.analysis.effective.batches import Batch
from atrous.analysis.effective.effective import Convention, EffectiveField
from atrous.analysis.effective.probing import Mode, Probe
from atrous.analysis.effective.spread import Energy, Span, spreads
from atrous.analysis.fields.field import AxisField, Field, traced
from atrous.geometry.measures import spread
from atrous.graph.program import Node, Program

Progress = Callable[[int, int | None], None]
"""Told after each batch: how many are done, and of how many (None if not known)."""


_ROUNDING = 1e-6
"""A share of the energy that is no more than an algorithm of a convolution loses."""


@dataclass(frozen=True, eq=False)
class Aim:
    """What gradients are taken of and told for.

    Attributes:
        program: the captured model; None if it could not be.
        input: name of the input.
        target: the value.
        field: the receptive field of the value, or of the chosen channels; None if unknown.
        axes: the input axes that the effective field is told for.
        positions: the value's axes that have positions; the others are added up.
        channels: chosen channels and their axis; None for all.
    """

    program: Program | None
    input: str
    target: Node
    field: Field | None
    axes: tuple[int, ...]
    positions: tuple[int, ...]
    channels: tuple[int, tuple[int, ...]] | None

    def at(self, position: int | Sequence[int] | None) -> tuple[int, ...]:
        """An index for every axis with positions, by default the middle one.

        Of an axis that moves along one input axis, the middle is position `length // 2`, or, if a
        border clips its field, the nearest that none clips. Where several input axes lie on one
        axis, as with tokens, it is the one whose field lies nearest to the middle of the input.

        Raises:
            ValueError: if there are not as many indices as axes, they are no whole numbers, or
                there is no such position, or none at all.
        """
        if 0 in self.target.shape:
            raise ValueError(
                f"node must have a value, but {self.target.label!r} of shape {self.target.shape} "
                "is empty. Choose another with node= or output=."
            )
        if position is None:
            return tuple(self._middle(axis) for axis in self.positions)
        try:
            given = tuple(map(index, position if isinstance(position, Sequence) else (position,)))
        except TypeError:
            raise ValueError(
                f"at must be whole numbers, got {position!r}. Leave it out for the middle."
            ) from None
        shape = self.target.shape
        if len(given) != len(self.positions):
            raise ValueError(
                f"at must have one index for each of the axes {self.positions} of "
                f"{self.target.label!r} of shape {shape}, got {position!r}. Leave it out for the "
                "middle."
            )
        lengths = tuple(shape[axis] for axis in self.positions)
        if not all(-n <= k < n for k, n in zip(given, lengths, strict=True)):
            raise ValueError(
                f"at must lie inside {self.target.label!r} (lengths {lengths}), got {position!r}. "
                "Leave it out for the middle."
            )
        return tuple(k % n for k, n in zip(given, lengths, strict=True))

    def _middle(self, axis: int) -> int:
        length = self.target.shape[axis]
        fields = [_own(f) for f in self._fields() if axis in f.output_axes]
        known = [f for f in fields if f is not None and f.lineage.length == length]
        if len(known) == 1:
            start, stop = known[0].interior
            return min(max(length // 2, start), stop - 1) if start < stop else length // 2
        away = np.zeros(length)
        for each in known:
            lo, hi = each.lineage.pattern.hulls(np.arange(length, dtype=np.int64))
            away += ((lo + hi) / 2 - (each.length - 1) / 2) ** 2
        return int(away.argmin()) if known else length // 2

    def _fields(self) -> tuple[AxisField, ...]:
        return self.field.axes if self.field is not None else ()

    def spans(self, at: tuple[int, ...]) -> tuple[Span | None, ...]:
        """What the output at a position reads along each input axis; None where unknown."""
        by_axis = {f.axis: f for f in self._fields()}
        where = dict(zip(self.positions, at, strict=True))
        spans = tuple(_span(by_axis.get(axis), where) for axis in self.axes)
        return tuple(
            span and replace(span, expected_std=std)
            for span, std in zip(spans, self._expected(at, spans), strict=True)
        )

    def _expected(
        self, at: tuple[int, ...], spans: tuple[Span | None, ...]
    ) -> tuple[float | None, ...]:
        """The spread of path counts along each axis; None where one is global or unknown.

        Along one axis ways are counted for that axis alone, which in a network with branches is
        not their number in all dimensions: that is counted where channels are not told apart.
        """
        alone = tuple(None if span is None else span.expected_std for span in spans)
        if self.program is None or self.channels is not None or None in alone or len(alone) < 2:
            return alone
        counts = coverage(
            self.program, self.target, input=self.input, axes=self.axes, at=self._asked(at)
        ).counts
        return tuple(
            spread(
                np.arange(counts.shape[k], dtype=np.int64),
                counts.sum(axis=tuple(a for a in range(counts.ndim) if a != k)),
            )
            for k in range(counts.ndim)
        )

    def _asked(self, at: tuple[int, ...]) -> list[int | slice]:
        """The same outputs as path counts are asked for them: by all axes that hold positions.

        Those need not be the axes of the field: several input axes may lie on one, another input
        may move along one, and one may be drawn from a single place.
        """
        assert self.program is not None
        source = self.program.nodes[self.input]
        layout = layout_for(self.program, source, self.axes)[self.target.name]
        where = dict(zip(self.positions, at, strict=True))
        # Along an axis without an index gradients are added up.
        return [where.get(axis, slice(None)) for axis, holds in enumerate(layout) if holds]


def _own(field: AxisField) -> AxisField | None:
    """What moves with the output; None if that is not known."""
    if field.status in ("exact", "bound"):
        return field
    return field.local if field.status == "global" else None


def _span(field: AxisField | None, where: dict[int, int]) -> Span | None:
    if field is None or field.status == "unknown":
        return None
    if not all(axis in where for axis in field.output_axes):
        return None
    position = tuple(where[axis] for axis in field.output_axes)
    taps, counts = field.taps(position)
    if not len(taps):
        return None
    interior, expected = True, None
    if field.status in ("exact", "bound"):
        expected = spread(taps, counts)
        if len(position) == 1:
            start, stop = field.interior
            interior = start <= position[0] < stop
    return Span(int(taps[0]), int(taps[-1]) + 1, not interior, expected)


def aim(
    probe: Probe,
    *,
    axes: tuple[int, ...] | None,
    channels: tuple[int, Sequence[int]] | None,
    channel_axis: int,
) -> Aim | None:
    """What a probe is to measure; None if the value does not depend on the input.

    Args:
        probe: the model.
        axes: the input axes to tell; by default those of `receptive_field`, or all after the first
            two where the model has no program.
        channels: chosen channels: their axis and their positions on it; None for all.
        channel_axis: the axis that holds channels, where no program tells which have positions.
    """
    target, field = probe.target, None
    chosen = None if channels is None else (channels[0], tuple(channels[1]))
    if probe.program is not None:
        followed = traced(probe.program, input=probe.program.inputs[probe.input], axes=axes)
        axes = followed.axes
        if chosen is None:
            field = followed.field(target)
        else:
            field = followed.field(target, channels=chosen[1], channel_axis=chosen[0])
        if field is None:
            return None
    if axes is None:
        length = len(probe.input_shape)
        axes = tuple(range(max(min(2, length - 1), 0), length))
    count = len(target.shape)
    if field is not None and field.status != "unknown":
        moving = {axis for f in field.axes for axis in f.output_axes}
    else:
        moving = set(range(1, count)) - {channel_axis % count if count else 0}
    if chosen is not None:
        moving -= {chosen[0]}
    return Aim(probe.program, probe.input_name, target, field, axes, tuple(sorted(moving)), chosen)


def measured(
    probe: Probe,
    aim: Aim,
    at: tuple[int, ...],
    batches: Iterable[Batch],
    *,
    count: int | None,
    data: str,
    convention: Convention,
    mode: Mode,
    progress: Progress | None = None,
) -> EffectiveField:
    """Add up what counts of the gradients of one output position, and tell how it is spread.

    Raises:
        ValueError: if batches differ in the size of an axis that is told, there are none, or no
            gradient goes back to the input.
    """
    added: Energy | None = None
    samples = skipped = 0
    half = False
    if progress is not None:
        progress(0, count)
    for done, batch in enumerate(batches, 1):
        value, wanted = probe.value(batch)
        gradient = _gradient(probe, aim, at, value, wanted, convention)
        half = gradient.dtype in (torch.float16, torch.bfloat16)
        finite, of = gradient, 1
        if 0 not in aim.axes:
            fine = torch.isfinite(gradient).flatten(1).all(1)
            finite, of = gradient[fine], len(gradient)
            samples += len(finite)
            skipped += of - len(finite)
        elif bool(torch.isfinite(gradient).all()):
            samples += 1
        else:
            finite = torch.zeros_like(gradient)
            skipped += 1
        part = _counted(finite, convention, aim.axes)
        if added is None:
            added = part
        elif added.shape != part.shape:
            raise ValueError(
                f"data must have batches of one size along the axes {aim.axes}, got {added.shape} "
                f"and {part.shape}. Crop or resize them, or measure each size by itself."
            )
        else:
            added = added + part
        if progress is not None:
            progress(done, count)
    if added is None:
        raise ValueError(
            "data must hold at least one batch, got none. Give a tensor, a shape or a loader."
        )
    total = float(added.sum())
    note = "" if probe.reason is None else f"field unknown: {probe.reason}"
    theory, spans = aim.field, aim.spans(at)
    if total > 0:
        energy = added / total
        if mode == "current":
            beyond = _beyond(energy, spans)
            if beyond > _ROUNDING:
                # The theory is that of inference; this is another function.
                spans, theory = (None,) * len(spans), None
                note = (
                    f"field unknown in this mode: {beyond:.2%} of the energy lies outside that of "
                    "inference, as where batch normalisation in training reads its whole batch"
                )
    else:
        energy = np.zeros_like(added)
        note = _why_zero(samples, skipped, half)
    return EffectiveField(
        node=probe.node or aim.target.label,
        input=probe.input_name,
        at=at,
        channels=aim.channels and aim.channels[1],
        convention=convention,
        mode=mode,
        data=data,
        samples=samples,
        skipped=skipped,
        energy=energy,
        total=total / max(samples, 1),
        axes=spreads(energy, aim.axes, spans),
        theory=theory,
        note=note,
    )


def _beyond(energy: Energy, spans: tuple[Span | None, ...]) -> float:
    """The share of the energy outside what is read by the theory; 0 where that is unknown."""
    inside = tuple(slice(None) if s is None else slice(s.start, s.stop) for s in spans)
    return max(0.0, 1.0 - float(energy[inside].sum()))


def _why_zero(samples: int, skipped: int, half: bool) -> str:
    if samples == 0:
        return f"All {skipped} samples had gradients that are not finite. Try another precision."
    if half:
        return "Half precision may have rounded it to 0: try float32."
    return (
        "Weights of 0 and activations that are off, as of a dead ReLU, let nothing through: try "
        "other data, channels or another position with at=."
    )


def _gradient(
    probe: Probe,
    aim: Aim,
    at: tuple[int, ...],
    value: Tensor,
    wanted: Tensor,
    convention: Convention,
) -> Tensor:
    """The gradient of the chosen outputs' sum with respect to the input."""
    if len(value.shape) != len(aim.target.shape) or any(
        value.shape[axis] != aim.target.shape[axis] for axis in aim.positions
    ):
        raise ValueError(
            f"data must have batches of one size, got {tuple(value.shape)} at "
            f"{aim.target.label!r} after {aim.target.shape}. Crop or resize them, or measure each "
            "size by itself."
        )
    chosen: list[slice | int | Tensor] = [slice(None)] * value.dim()
    for axis, k in zip(aim.positions, at, strict=True):
        chosen[axis] = slice(k, k + 1)
    if aim.channels is not None:
        axis, positions = aim.channels
        chosen[axis] = torch.tensor(positions, device=value.device)
    weight = torch.zeros_like(value)
    weight[tuple(chosen)] = 1
    if convention == "replknet":
        weight = weight * (value > 0)
    found: Tensor | None = None
    if value.requires_grad:
        (found,) = torch.autograd.grad(value, wanted, weight, allow_unused=True)
    if found is None:
        raise ValueError(
            f"node must pass gradients back to {probe.input_name!r}, but {aim.target.label!r} has "
            "none: something between detaches, rounds or compares. Choose another with node= or "
            "output=."
        )
    return found.detach()


def _counted(gradient: Tensor, convention: Convention, axes: tuple[int, ...]) -> Energy:
    """What counts, added up over the axes that are not told."""
    if gradient.device.type == "mps":
        # No double precision there.
        gradient = gradient.cpu()
    if gradient.dtype != torch.float64:
        gradient = gradient.float()
    match convention:
        case "absolute":
            counted = gradient.abs()
        case "squared":
            counted = gradient.double().square()
        case _:
            counted = gradient.relu()
    others = [axis for axis in range(gradient.dim()) if axis not in axes]
    total = counted.sum(others, dtype=torch.float64) if others else counted.double()
    kept = sorted(axes)
    order = [kept.index(axis) for axis in axes]
    array: Energy = total.permute(order).cpu().numpy()
    return array

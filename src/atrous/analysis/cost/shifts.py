"""How far a model is from giving the same for a shifted input, shifted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import ceil, floor, prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

from atrous.analysis.fields.field import AxisField, Field

Forward = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class ShiftError:
    """What happens to the output when the input is shifted.

    Attributes:
        shift: by how many positions, along every axis of the field at once.
        error: mean absolute difference of f(shifted x) and f(x) shifted, over the mean absolute
            value of the latter; for outputs of whole numbers the share that differs. 0 is perfect.
        exact: whether the difference is no more than rounding.
        between: whether the shift falls between output positions: f(x) is then moved by the
            neighbouring whole number of positions that fits best.
        whole: whether the outputs read an axis whole, so that the border and the wrapped end take
            part, as in a classifier or behind image pooling.
        outputs: how many output positions are compared, batch and channels apart.
    """

    shift: int
    error: float
    exact: bool
    between: bool
    whole: bool
    outputs: int


@dataclass(frozen=True)
class _Moving:
    """One axis of the input along which the output moves.

    Attributes:
        axis: the input axis.
        output_axis: the output's.
        steps: output positions per shift; a fraction where the shift falls between.
        reads: where the outputs that can be compared lie: `[first, stop)` in the shifted result.
    """

    axis: int
    output_axis: int
    steps: Fraction
    reads: tuple[int, int]


def shift_error(forward: Forward, x: Tensor, field: Field, shift: int) -> ShiftError | None:
    """The error under one shift; None if no output can be compared.

    The input is moved by `shift` positions towards its start along every axis of the field, wrapped
    around its end; f of it is compared with f(x) moved by as many output positions. Only outputs
    count for which no border clips anything and that read nothing that was wrapped, in both. Of an
    axis that is read whole, as by image pooling, the field without that decides; where an output
    does not move with the input at all, as in a classifier, its values themselves are compared.

    Args:
        forward: the model; called twice.
        x: the input.
        field: the field of the output.
        shift: by how many positions.
    """
    moving: list[_Moving] = []
    for axis in field.axes:
        along = _moving(axis, shift)
        if along is None:
            return None
        moving += [along] if isinstance(along, _Moving) else []
    if any(ceil(m.steps) + m.reads[0] >= m.reads[1] for m in moving):
        return None
    axes = [axis.axis for axis in field.axes]
    with torch.no_grad():
        plain = forward(x)
        moved = forward(x.roll([-shift] * len(axes), axes))
    for m in moving:
        first, stop = m.reads
        moved = moved.narrow(m.output_axis, first, stop - first - ceil(m.steps))
    fits = [
        _compared(moved, _placed(plain, moving, steps))
        for steps in product(*({floor(m.steps), ceil(m.steps)} for m in moving))
    ]
    error, exact = min(fits, key=lambda fit: fit[0])
    return ShiftError(
        shift=shift,
        error=error,
        exact=exact,
        between=any(m.steps.denominator > 1 for m in moving),
        whole=any(axis.status == "global" for axis in field.axes),
        outputs=prod(moved.shape[m.output_axis] for m in moving),
    )


def _moving(axis: AxisField, shift: int) -> _Moving | tuple[()] | None:
    """How the output moves along one axis; () if not at all, None if nothing can be compared."""
    if not axis.output_axes:
        return ()
    own = axis if axis.status != "global" else axis.local
    if own is None or own.status == "unknown" or own.output_axis is None or not own.stride:
        return None
    if own.strides[0] != own.strides[1]:
        return None
    first, stop = own.interior
    _, last = own.lineage.pattern.hulls(np.arange(first, stop, dtype=np.int64))
    unwrapped = np.flatnonzero(last < own.length - shift)
    stop = first + (int(unwrapped[-1]) + 1 if len(unwrapped) else 0)
    # `stop` holds for the shifted result; where f(x) is read lies ahead of it by the steps.
    steps = Fraction(shift) / own.stride
    return _Moving(
        axis.axis, own.output_axis, steps, (first, min(stop + ceil(steps), own.interior[1]))
    )


def _placed(plain: Tensor, moving: Sequence[_Moving], steps: Sequence[int]) -> Tensor:
    for m, step in zip(moving, steps, strict=True):
        first, stop = m.reads
        plain = plain.narrow(m.output_axis, first + step, stop - first - ceil(m.steps))
    return plain


def _compared(moved: Tensor, plain: Tensor) -> tuple[float, bool]:
    if not plain.is_floating_point():
        share = float((moved != plain).double().mean())
        return share, share == 0
    wide, target = moved.double(), plain.double()
    size = float(target.abs().mean())
    apart = float((wide - target).abs().mean())
    error = apart / size if size else (0.0 if apart == 0 else float("inf"))
    # Sums are taken in another order where a position lies elsewhere in the tensor.
    return error, error <= 100 * torch.finfo(plain.dtype).eps


def drawn(shape: Sequence[int], dtype: torch.dtype, seed: int) -> Tensor:
    """A random input of a shape: standard normal, 0 or 1 for whole numbers; by seed."""
    generator = torch.Generator().manual_seed(seed)
    if dtype.is_floating_point:
        return torch.randn(tuple(shape), generator=generator).to(dtype)
    return torch.randint(0, 2, tuple(shape), generator=generator).to(dtype)


def shift_errors(
    forward: Callable[..., Any], x: Tensor, field: Field, shifts: Sequence[int]
) -> tuple[ShiftError | None, ...]:
    """The error under each of several shifts (see `shift_error`)."""
    return tuple(shift_error(forward, x, field, shift) for shift in shifts)

"""Sampling between positions: which of them a fractional place mixes, and with what weights."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.graph.region import Region

BILINEAR, NEAREST, BICUBIC = 0, 1, 2
ZEROS, BORDER, REFLECTION = 0, 1, 2
_CUBIC = -0.75


@dataclass(frozen=True)
class Sampler:
    """How places beyond and between positions are read, in the numbers that PyTorch gives them.

    Attributes:
        mode: `BILINEAR`, `NEAREST` or `BICUBIC`.
        padding: `ZEROS`, `BORDER` or `REFLECTION`.
        align_corners: whether -1 and 1 are the first and last position, or their outer edges.
    """

    mode: int
    padding: int
    align_corners: bool

    def places(self, coordinates: Tensor, length: int, axes: int) -> Tensor:
        """Normalized coordinates as places on an axis, rounded as PyTorch's kernels do."""
        if axes == 2:
            if self.align_corners:
                return (coordinates + 1) * ((length - 1) / 2)
            return (coordinates + 1) * (length / 2) - 0.5
        if self.align_corners:
            return (coordinates + 1) / 2 * (length - 1)
        return ((coordinates + 1) * length - 1) / 2

    def taps(self, place: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
        """Positions and weights that are mixed at each place; weight 0 outside the axis."""
        if self.mode == NEAREST:
            nearest = self._inside(place, length).round()
            return [_tap(nearest, torch.ones_like(place), length)]
        if self.mode == BILINEAR:
            place = self._inside(place, length)
            base = place.floor()
            share = place - base
            return [_tap(base, 1 - share, length), _tap(base + 1, share, length)]
        base = place.floor()
        return [
            _tap(self._inside(base + k, length), weight, length)
            for k, weight in zip(range(-1, 3), _cubic(place - base), strict=True)
        ]

    def _inside(self, place: Tensor, length: int) -> Tensor:
        if self.padding == ZEROS:
            return place
        if self.padding == REFLECTION:
            low, span = (0.0, length - 1.0) if self.align_corners else (-0.5, float(length))
            if span == 0:
                return torch.zeros_like(place)
            beyond = (place - low).abs() % (2 * span)
            place = torch.minimum(beyond, 2 * span - beyond) + low
        return place.clamp(0, length - 1)


def _tap(position: Tensor, weight: Tensor, length: int) -> tuple[Tensor, Tensor]:
    inside = (position >= 0) & (position <= length - 1)
    return position.clamp(0, length - 1).long(), torch.where(inside, weight, 0)


def _cubic(t: Tensor) -> list[Tensor]:
    """Weights of the four positions around a place at `t` behind the second of them."""

    def near(x: Tensor) -> Tensor:
        return ((_CUBIC + 2) * x - (_CUBIC + 3)) * x * x + 1

    def far(x: Tensor) -> Tensor:
        return ((_CUBIC * x - 5 * _CUBIC) * x + 8 * _CUBIC) * x - 4 * _CUBIC

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def mixed(region: Region, taps: Sequence[list[tuple[Tensor, Tensor]]]) -> Tensor:
    """Values sampled from `(batch, channels, *spatial)`: `(batch, channels, *places)`.

    Args:
        region: what is sampled.
        taps: per spatial axis what is mixed, each of shape `(batch, *places)`; positions of the
            whole axis.
    """
    first = taps[0][0][0]
    batch, channels = region.tensor.shape[:2]
    out = region.tensor.new_zeros(batch, *first.shape[1:], channels)
    if region.tensor.numel() == 0:
        return out.movedim(-1, 1)
    values = region.tensor.movedim(1, -1)
    item = torch.arange(batch).reshape(-1, *[1] * (first.dim() - 1))
    for combination in itertools.product(*taps):
        weight = torch.ones((), dtype=out.dtype)
        where = [item]
        for (position, share), (lo, hi) in zip(combination, region.box[2:], strict=True):
            # What the region does not hold has a weight of 0.
            where.append((position - lo).clamp(0, hi - lo - 1))
            weight = weight * share
        out += values[tuple(where)] * weight.unsqueeze(-1)
    return out.movedim(-1, 1)

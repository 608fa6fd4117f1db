"""Boxes of a value's indices, and tensors that hold just one box."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import torch.nn.functional as F
from torch import Tensor

Box = tuple[tuple[int, int], ...]
"""A rectangle of indices: one half-open interval per axis."""


def full_box(shape: tuple[int, ...]) -> Box:
    """The box that holds every index."""
    return tuple((0, length) for length in shape)


def box_shape(box: Box) -> tuple[int, ...]:
    """The lengths of a box's sides; an inverted side counts as empty."""
    return tuple(max(hi - lo, 0) for lo, hi in box)


def is_empty(box: Box) -> bool:
    """Whether a box holds no index."""
    return prod(box_shape(box)) == 0


def hull(first: Box, second: Box) -> Box:
    """The smallest box that holds both; an empty box adds nothing."""
    if is_empty(first):
        return second
    if is_empty(second):
        return first
    return tuple((min(a, c), max(b, d)) for (a, b), (c, d) in zip(first, second, strict=True))


@dataclass(frozen=True)
class Region:
    """The part of a value that lies in one box.

    Attributes:
        tensor: the values, of shape `box_shape(box)`.
        box: where they belong.
        shape: the shape of the whole value.
    """

    tensor: Tensor
    box: Box
    shape: tuple[int, ...]

    @classmethod
    def whole(cls, tensor: Tensor) -> Region:
        """A value held whole."""
        return cls(tensor, full_box(tuple(tensor.shape)), tuple(tensor.shape))

    def crop(self, box: Box) -> Region:
        """The part in a smaller box.

        Raises:
            ValueError: if this region does not hold the box.
        """
        if is_empty(box):
            empty = self.tensor.new_empty(box_shape(box))
            return Region(empty, tuple((lo, max(lo, hi)) for lo, hi in box), self.shape)
        for (lo, hi), (have_lo, have_hi) in zip(box, self.box, strict=True):
            if lo < have_lo or hi > have_hi:
                raise ValueError(f"box must lie inside {self.box}, got {box}.")
        slices = tuple(
            slice(lo - have, hi - have) for (lo, hi), (have, _) in zip(box, self.box, strict=True)
        )
        return Region(self.tensor[slices], box, self.shape)

    def padded_to(self, box: Box, value: float) -> Tensor:
        """The values in a box that may reach beyond this one, filled with `value` there."""
        if is_empty(self.box):
            return self.tensor.new_full(box_shape(box), value)
        amounts: list[int] = []
        for (lo, hi), (have_lo, have_hi) in reversed(list(zip(box, self.box, strict=True))):
            amounts += [have_lo - lo, hi - have_hi]
        if not any(amounts):
            return self.tensor
        out: Tensor = F.pad(self.tensor, amounts, value=value)
        return out

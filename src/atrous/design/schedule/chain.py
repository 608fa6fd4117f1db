"""A schedule as a value that knows what it reads."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, prod

import numpy as np
from torch import nn

from atrous.design.schedule.checks import whole
from atrous.geometry.coincidences import squared_variation
from atrous.geometry.measures import Uniformity, evenness, hole_free, spread
from atrous.geometry.padding import padding_share, reads_inside
from atrous.geometry.primitives import Window
from atrous.geometry.schedules import chain_counts, hdc_accepts
from atrous.geometry.taps import Counts, Ints
from atrous.shown import Shown, as_text

MOST_COUNTED = 2**24
"""The largest field whose routes are counted: larger ones take gigabytes."""


@dataclass(frozen=True)
class OnMap:
    """What one layer reads on a map of some length.

    Attributes:
        length: positions of the map that it slides over.
        share: share of its reads along one axis that fall on padding.
        dead: taps that read padding at every output.
    """

    length: int
    share: Fraction
    dead: int


@dataclass(frozen=True, eq=True)
class Schedule(Shown):
    """A chain of dilated convolutions along one axis, and all that follows from it.

    Attributes:
        kernels: kernel size of every layer, the first layer first.
        dilations: of every layer, in positions of its own input.
        strides: of every layer; 1 where not given.
        causal: whether every layer reads its own position and the past alone.
        name: what it is called; "" for one without a name.
        about: what should be known of it.

    Example:
        >>> one = Schedule((3, 3, 3), (1, 2, 5))
        >>> one.field, one.reach, len(one.holes), round(one.uniformity.cv, 2)
        (17, (8, 8), 0, 0.31)
    """

    kernels: tuple[int, ...]
    dilations: tuple[int, ...]
    strides: tuple[int, ...] = ()
    causal: bool = False
    name: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        if not self.strides:
            object.__setattr__(self, "strides", (1,) * len(self.kernels))
        lengths = {len(self.kernels), len(self.dilations), len(self.strides)}
        if lengths == {0} or len(lengths) != 1:
            raise ValueError(
                "kernels, dilations and strides must be as many as there are layers, got "
                f"{len(self.kernels)}, {len(self.dilations)} and {len(self.strides)}."
            )
        for name in ("kernels", "dilations", "strides"):
            numbers = tuple(whole(f"each of {name}", n, 1) for n in getattr(self, name))
            object.__setattr__(self, name, numbers)

    def __len__(self) -> int:
        return len(self.kernels)

    def __str__(self) -> str:
        return as_text(self)

    @property
    def scales(self) -> tuple[int, ...]:
        """Positions of the input from one position of each layer's own input to the next."""
        return tuple(prod(self.strides[:k]) for k in range(len(self)))

    @property
    def stride(self) -> int:
        """Positions of the input from one output to the next."""
        return prod(self.strides)

    @property
    def steps(self) -> tuple[int, ...]:
        """Positions of the input from one tap of each layer to the next."""
        return tuple(s * d for s, d in zip(self.scales, self.dilations, strict=True))

    @property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """(kernel size, step on the input) of every layer."""
        return tuple(zip(self.kernels, self.steps, strict=True))

    @property
    def field(self) -> int:
        """Positions from the first to the last that one output reads."""
        return 1 + sum((kernel - 1) * step for kernel, step in self.layers)

    @property
    def padding(self) -> tuple[tuple[int, int], ...]:
        """Positions to pad before and after every layer, so that the output lies in step.

        Causal layers pad before only. Others pad both sides alike; the odd position of an even
        kernel goes to the side that has had less so far, so that the whole stays in the middle.
        """
        found, lean = [], 0
        for kernel, dilation, scale in zip(self.kernels, self.dilations, self.scales, strict=True):
            span = (kernel - 1) * dilation
            before = span if self.causal else span // 2
            if not self.causal and span % 2 and lean < 0:
                before += 1
            found.append((before, span - before))
            lean += scale * (2 * before - span)
        return tuple(found)

    @property
    def reach(self) -> tuple[int, int]:
        """How far an output sees before its own position, and after it."""
        pads = self.padding
        sides = [sum(s * p[k] for s, p in zip(self.scales, pads, strict=True)) for k in range(2)]
        return sides[0], sides[1]

    @property
    def ways(self) -> int:
        """Routes from one output to the input, all positions together."""
        return prod(self.kernels)

    @property
    def is_countable(self) -> bool:
        """Whether the field is small enough to count the routes to every position."""
        return self.field <= MOST_COUNTED

    @cached_property
    def counts(self) -> Counts:
        """Routes to every position of the field, exact.

        Raises:
            ValueError: if the field has more than 2^24 positions.
        """
        if not self.is_countable:
            raise ValueError(
                f"field must be at most {MOST_COUNTED:,} to count routes to every position, got "
                f"{self.field:,}. Ask is_hole_free, reach or padding, which need no counts."
            )
        return chain_counts(self.layers)

    @cached_property
    def holes(self) -> Ints:
        """Positions inside the field that are not read, counted from its first.

        Raises:
            ValueError: if there are some in a field of more than 2^24 positions.
        """
        if not self.is_countable and self.is_hole_free:
            return np.zeros(0, dtype=np.int64)
        return np.flatnonzero(self.counts == 0).astype(np.int64)

    @property
    def is_hole_free(self) -> bool:
        """Whether every position of the field is read; exact, without counting."""
        return hole_free(self.layers)

    @property
    def density(self) -> float:
        """Share of the field that is read."""
        return 1 - len(self.holes) / self.field

    @cached_property
    def uniformity(self) -> Uniformity:
        """How evenly the routes are spread over the field."""
        return evenness(self.counts)

    @cached_property
    def squares(self) -> int:
        """Pairs of routes that end at the same position."""
        counts = self.counts if self.ways < 2**31 else self.counts.astype(object)
        return int((counts * counts).sum())

    @property
    def variation(self) -> Fraction:
        """The square of the coefficient of variation of the path counts, exact."""
        return squared_variation(self.ways, self.field, self.squares)

    @property
    def spread(self) -> float:
        """Standard deviation of the position that equal weights everywhere would look at."""
        return spread(np.arange(self.field, dtype=np.int64), self.counts)

    @property
    def gcd(self) -> int:
        """Greatest common divisor of all steps: above 1, the chain is so many nets apart."""
        return gcd(*(step for kernel, step in self.layers if kernel > 1))

    @property
    def hdc(self) -> bool | None:
        """What the published HDC rule says; None where it says nothing.

        It is made for layers of one kernel size at one resolution, and errs both ways:
        `is_hole_free` is exact.
        """
        if len(self) < 2 or len(set(self.kernels)) > 1 or self.stride > 1:
            return None
        return hdc_accepts(self.dilations, self.kernels[0])

    def on_map(self, length: int) -> tuple[OnMap, ...]:
        """What every layer reads on a map of `length` positions: how much of it is padding.

        Args:
            length: positions of the input along the axis.

        Raises:
            ValueError: if the length is less than 1.

        Example:
            >>> [(float(own.share), own.dead) for own in Schedule((3, 3), (7, 14)).on_map(14)]
            [(0.3333333333333333, 0), (0.6666666666666666, 2)]
        """
        if length < 1:
            raise ValueError(f"length must be at least 1, got {length}.")
        found = []
        for kernel, dilation, stride, (before, _) in zip(
            self.kernels, self.dilations, self.strides, self.padding, strict=True
        ):
            window = Window(kernel, stride, dilation, before)
            outputs = -(-length // stride)
            hits = reads_inside(window, length, outputs)
            share = padding_share(window, length, outputs)
            found.append(OnMap(length, share, hits.count(0)))
            length = outputs
        return tuple(found)

    def macs(self, channels: int = 1, dims: int = 1) -> int:
        """Multiply-adds per position of the output.

        Layers before a stride run at more positions than there are outputs.

        Args:
            channels: of every layer's input and output.
            dims: axes that hold positions, all with this schedule.
        """
        runs = [prod(self.strides[k + 1 :]) for k in range(len(self))]
        each = (_power(k * n, dims) for k, n in zip(self.kernels, runs, strict=True))
        return sum(each) * channels**2

    def parameters(self, channels: int = 1, dims: int = 1) -> int:
        """Weights, without biases."""
        return sum(_power(kernel, dims) for kernel in self.kernels) * channels**2

    def code(self, channels: int = 64, *, dims: int = 1, name: str = "context") -> str:
        """A PyTorch module of this schedule, as text that runs.

        Args:
            channels: of every layer.
            dims: 1, 2 or 3 axes, each with this schedule.
            name: what the function is called that makes the module.

        Raises:
            ValueError: if there are other axes, or a causal schedule has more than one.

        Example:
            >>> made = {}
            >>> exec(Schedule((3, 3), (1, 3)).code(), made)
            >>> len(made["context"](8))
            4
        """
        from atrous.design.schedule.code import code

        return code(self, channels, dims, name)

    def module(self, channels: int = 64, *, dims: int = 1) -> nn.Sequential:
        """The module that `code` makes.

        Raises:
            ValueError: if there are other axes than 1, 2 or 3, or a causal schedule has more than
                one.
        """
        from atrous.design.schedule.code import module

        return module(self, channels, dims)


def _power(base: int, exponent: int) -> int:
    """A whole number; exponents are dimensions."""
    return prod((base,) * exponent)

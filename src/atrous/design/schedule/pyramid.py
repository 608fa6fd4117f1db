"""Parallel branches of different rates: what they read together."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise, product
from math import prod

import numpy as np

from atrous.design.schedule.chain import OnMap, Schedule
from atrous.design.schedule.checks import whole
from atrous.geometry.taps import Counts
from atrous.shown import Shown, as_text


@dataclass(frozen=True)
class Pyramid(Shown):
    """Branches side by side on one input, as atrous spatial pyramid pooling (ASPP) has them.

    No chain: rates do not add up, and what lies between them is read by none.

    Attributes:
        kernel: kernel size of every branch.
        rates: dilation of every branch.
        pointwise: whether a 1x1 branch stands beside them.
        dims: axes that hold positions.
        name: what it is called.
        about: what should be known of it.

    Example:
        >>> one = Pyramid(3, (6, 12, 18))
        >>> one.field, one.read, f"{one.density:.1%}"
        (37, 25, '1.8%')
    """

    kernel: int
    rates: tuple[int, ...]
    pointwise: bool = True
    dims: int = 2
    name: str = ""
    about: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "kernel", whole("kernel", self.kernel, 1))
        rates = tuple(whole("each of rates", rate, 1) for rate in self.rates)
        object.__setattr__(self, "rates", rates)
        if not self.rates:
            raise ValueError("rates must hold one rate per branch, got none.")
        if self.dims not in (1, 2, 3):
            raise ValueError(f"dims must be 1, 2 or 3, got {self.dims!r}.")

    def __str__(self) -> str:
        return as_text(self)

    @property
    def field(self) -> int:
        """Positions along an axis from the first to the last that is read."""
        return 1 + (self.kernel - 1) * max(self.rates)

    @cached_property
    def taps(self) -> dict[tuple[int, ...], int]:
        """Offsets from the output's own position, and how many branches read each."""
        found: Counter[tuple[int, ...]] = Counter()
        for rate in self.rates:
            first = -((self.kernel - 1) * rate // 2)
            axis = [first + tap * rate for tap in range(self.kernel)]
            found.update(product(axis, repeat=self.dims))
        if self.pointwise:
            found[(0,) * self.dims] += 1
        return dict(found)

    @property
    def read(self) -> int:
        """Positions that any branch reads, all axes together."""
        return len(self.taps)

    @property
    def density(self) -> float:
        """Share of the field that is read, all axes together."""
        return self.read / prod((self.field,) * self.dims)

    @property
    def counts(self) -> Counts:
        """How many branches read each position of the field, of all its axes."""
        low = self.start
        found = np.zeros((self.field,) * self.dims, dtype=np.int64)
        for tap, count in self.taps.items():
            found[tuple(at - low for at in tap)] = count
        return found

    @property
    def start(self) -> int:
        """The first position read along each axis, counted from the output's own."""
        return min(tap[0] for tap in self.taps)

    def on_map(self, length: int) -> tuple[OnMap, ...]:
        """What every rate reads on a map of `length` positions: how much of it is padding.

        Args:
            length: positions of the map along an axis.

        Raises:
            ValueError: if the length is less than 1.

        Example:
            >>> [own.dead for own in Pyramid(3, (12, 24, 36)).on_map(33)]
            [0, 0, 2]
        """
        return tuple(Schedule((self.kernel,), (rate,)).on_map(length)[0] for rate in self.rates)

    def backbone(self) -> int:
        """The smallest field without holes of what is read that leaves no holes behind this.

        A backbone that reads so much of the input around each of its positions, at the resolution
        at which the rates are meant.

        Example:
            >>> Pyramid(3, (6, 12, 18)).backbone()
            6
        """
        at = sorted({tap[0] for tap in self.taps})
        return max((b - a for a, b in pairwise(at)), default=1)

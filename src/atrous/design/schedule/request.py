"""What is asked of a schedule, and the frames of layers that it leaves to choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.objective import Objective

Front = tuple[tuple[int, int, int], ...]
"""(kernel size, dilation, stride) of layers that are there already."""

MOST_FIELD = 2**22
"""The largest field whose schedules are looked through."""


@dataclass(frozen=True)
class Slot:
    """A layer whose dilation is to be chosen.

    Attributes:
        kernel: its kernel size.
        scale: positions of the input per position of what it reads.
        most: its largest dilation; None for any.
    """

    kernel: int
    scale: int
    most: int | None

    @property
    def weight(self) -> int:
        """What the field grows by per unit of dilation."""
        return (self.kernel - 1) * self.scale


@dataclass(frozen=True)
class Frame:
    """A schedule without its dilations.

    Attributes:
        front: layers whose dilations are given.
        slots: layers whose dilations are to be chosen.
        strides: of those.
        causal: whether they read the past alone.
    """

    front: Front
    slots: tuple[Slot, ...]
    strides: tuple[int, ...]
    causal: bool

    @property
    def fixed(self) -> tuple[tuple[int, int], ...]:
        """(kernel size, step on the input) of the front."""
        scale, found = 1, []
        for kernel, dilation, stride in self.front:
            if kernel > 1:
                found.append((kernel, scale * dilation))
            scale *= stride
        return tuple(found)

    @property
    def ways(self) -> int:
        """Routes from one output to the input."""
        return prod(k for k, _, _ in self.front) * prod(slot.kernel for slot in self.slots)

    @property
    def without_front(self) -> Schedule:
        """The layers to be chosen, all with a dilation of 1."""
        kernels = tuple(slot.kernel for slot in self.slots)
        return Schedule(kernels, (1,) * len(kernels), self.strides)

    def schedule(self, dilations: Sequence[int]) -> Schedule:
        """The schedule with these dilations of the slots."""
        return Schedule(
            (*(k for k, _, _ in self.front), *(slot.kernel for slot in self.slots)),
            (*(d for _, d, _ in self.front), *dilations),
            (*(s for _, _, s in self.front), *self.strides),
            self.causal,
        )


@dataclass(frozen=True)
class Request:
    """What is asked of a schedule; the arguments of `atrous.schedule`, normalised.

    Attributes:
        low: the smallest field.
        high: the largest field; None for any, of which the smallest is taken.
        kernels: kernel size of every layer, where each has its own.
        sizes: kernel sizes to choose from, one for all layers, otherwise.
        layers: how many; None for the fewest.
        max_dilation: the largest dilation.
        map_size: length of the map on which no tap may read padding alone.
        causal: whether layers read the past alone.
        reach: how far each output has to see to each side, or to the past.
        budget: the most multiply-adds per position of the output.
        parameters: the most weights, without biases.
        strides: of the layers, where given.
        front: layers that are there already.
        holes: whether holes are allowed.
        objective: what is best.
        channels: of every layer.
        dims: axes that hold positions.
        effort: how long to search, as a multiple of the usual.
    """

    low: int
    high: int | None
    kernels: tuple[int, ...]
    sizes: tuple[int, ...]
    layers: int | None
    max_dilation: int | None
    map_size: int | None
    causal: bool
    reach: int | None
    budget: int | None
    parameters: int | None
    strides: tuple[int, ...]
    front: Front
    holes: bool
    objective: Objective
    channels: int
    dims: int
    effort: float

    @property
    def least(self) -> int:
        """The smallest field that also has the reach."""
        if self.reach is None:
            return self.low
        return max(self.low, (1 if self.causal else 2) * self.reach + 1)

    @property
    def count(self) -> int | None:
        """How many layers there must be; None for the fewest."""
        if self.kernels:
            return len(self.kernels)
        return len(self.strides) or self.layers

    def frame(self, kernel: int | None, layers: int) -> Frame:
        """The layers without their dilations.

        Args:
            kernel: their size, where layers have no sizes of their own.
            layers: how many.
        """
        kernels = self.kernels or (kernel or 1,) * layers
        strides = self.strides or (1,) * layers
        scale, length = 1, self.map_size
        for _, _, stride in self.front:
            scale *= stride
            length = None if length is None else -(-length // stride)
        slots = []
        for size, stride in zip(kernels, strides, strict=True):
            most = self.max_dilation
            if length is not None:
                fits = most_on_map(size, stride, length, self.causal)
                most = fits if most is None else min(most, fits)
                length = -(-length // stride)
            slots.append(Slot(size, scale, most))
            scale *= stride
        return Frame(self.front, tuple(slots), strides, self.causal)

    def macs(self, frame: Frame) -> int:
        """Multiply-adds per position of the output, of the layers that are to be designed."""
        return frame.without_front.macs(self.channels, self.dims)

    def weights(self, frame: Frame) -> int:
        """Weights of the layers that are to be designed, without biases."""
        return frame.without_front.parameters(self.channels, self.dims)

    def within_budget(self, frame: Frame) -> bool:
        """Whether layers cost no more, and have no more weights, than they may."""
        cheap = self.budget is None or self.macs(frame) <= self.budget
        return cheap and (self.parameters is None or self.weights(frame) <= self.parameters)

    def changed(self, **given: Any) -> Request:
        """The same request with other values."""
        return replace(self, **given)

    def words(self) -> list[str]:
        """Every constraint in a few words."""
        found = []
        if self.high is None:
            found.append(f"the smallest field from {self.low:,} on" if self.low > 1 else "")
        elif self.low == self.high:
            found.append(f"field {self.low:,}")
        else:
            found.append(f"field {self.low:,} to {self.high:,}")
        if self.reach is not None:
            side = "to the past" if self.causal else "to each side"
            found.append(f"reach of at least {self.reach:,} {side}")
        if self.kernels:
            found.append(f"kernels {' '.join(map(str, self.kernels))}")
        elif len(self.sizes) == 1:
            found.append(f"kernel {self.sizes[0]}")
        else:
            found.append(f"kernel one of {', '.join(map(str, self.sizes))}")
        if self.layers is not None:
            found.append(f"{self.layers} layer{'s' * (self.layers != 1)}")
        if self.strides and max(self.strides) > 1:
            found.append(f"strides {' '.join(map(str, self.strides))}")
        if self.front:
            told = ", ".join(f"kernel {k} dilation {d} stride {s}" for k, d, s in self.front)
            found.append(f"behind {told}")
        if self.max_dilation is not None:
            found.append(f"dilation at most {self.max_dilation:,}")
        if self.map_size is not None:
            found.append(f"map of {self.map_size:,}")
        if self.budget is not None:
            found.append(f"at most {self.budget:,} multiply-adds")
        if self.parameters is not None:
            found.append(f"at most {self.parameters:,} weights")
        if self.causal:
            found.append("causal")
        found.append("holes allowed" if self.holes else "no holes")
        return [text for text in found if text]


def most_on_map(kernel: int, stride: int, length: int, causal: bool) -> int:
    """The largest dilation at which every tap reads the map at some output.

    >>> most_on_map(3, 1, 14, False), most_on_map(3, 1, 14, True), most_on_map(3, 2, 14, True)
    (13, 6, 6)
    """
    outputs = -(-length // stride)
    last = (outputs - 1) * stride
    if causal:
        # The first tap of the last output.
        return max(last // (kernel - 1), 0)
    low, high = 0, 2 * length
    while low < high:
        middle = (low + high + 1) // 2
        span = (kernel - 1) * middle
        # Whichever side the odd position goes to.
        side = -(-span // 2)
        fits = last - side >= 0 and side <= length - 1
        low, high = (middle, high) if fits else (low, middle - 1)
    return low

"""What is asked of a schedule, checked, and the frames of layers that it leaves to choose from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.objective import Objective

Front = tuple[tuple[int, int, int], ...]
"""(kernel size, dilation, stride) of layers that are there already."""


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
        kernels = tuple(slot.kernel for slot in frame.slots)
        own = Schedule(kernels, (1,) * len(kernels), frame.strides)
        return own.macs(self.channels, self.dims)

    def within_budget(self, frame: Frame) -> bool:
        """Whether layers cost no more than they may."""
        return self.budget is None or self.macs(frame) <= self.budget

    def changed(self, **given: Any) -> Request:
        """The same request with other values."""
        return replace(self, **given)

    def words(self) -> list[str]:
        """Every constraint in a few words."""
        found = []
        if self.high is None:
            found.append(f"field at least {self.low:,}" if self.low > 1 else "")
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


def request(
    field: int | tuple[int, int] | None,
    kernel: int | Iterable[int] | None,
    *,
    layers: int | None = None,
    max_dilation: int | None = None,
    map_size: int | None = None,
    causal: bool = False,
    reach: int | None = None,
    budget: int | None = None,
    strides: Sequence[int] | None = None,
    front: Sequence[Sequence[int]] = (),
    holes: bool = False,
    objective: str | Mapping[str, float] = "uniform",
    channels: int = 1,
    dims: int = 1,
    effort: float = 1.0,
) -> Request:
    """A request, checked; arguments as in `atrous.schedule`.

    Raises:
        ValueError: if an argument breaks its rule, or two contradict each other.
    """
    if field is None and reach is None:
        raise ValueError("field or reach must be given, got neither. Say how much is to be seen.")
    low, high = _range(field)
    kernels: tuple[int, ...] = ()
    sizes: tuple[int, ...]
    if kernel is None:
        sizes = (2, 3, 4, 5, 6, 7) if causal else (3, 5, 7)
    elif isinstance(kernel, set | frozenset):
        sizes = tuple(sorted(_whole("kernel", k, 2) for k in kernel))
        if not sizes:
            raise ValueError("kernel must name at least one size, got an empty set.")
    elif isinstance(kernel, Iterable):
        kernels, sizes = tuple(_whole("kernel", k, 2) for k in kernel), ()
        if not kernels:
            raise ValueError("kernel must hold one size per layer, got none.")
    else:
        sizes = (_whole("kernel", kernel, 2),)
    for name, value in (
        ("layers", layers), ("max_dilation", max_dilation), ("map_size", map_size),
        ("budget", budget), ("channels", channels),
    ):  # fmt: skip
        if value is not None:
            _whole(name, value, 1)
    if reach is not None:
        _whole("reach", reach, 0)
    if strides is not None and not isinstance(strides, Iterable):
        raise ValueError(f"strides must hold one stride per layer, got {strides!r}.")
    given = tuple(_whole("strides", s, 1) for s in strides) if strides is not None else ()
    counts = {n for n in (len(kernels), len(given), layers or 0) if n}
    if len(counts) > 1:
        raise ValueError(
            "kernel, strides and layers must agree on how many layers there are, got "
            f"{len(kernels) or 'any'}, {len(given) or 'any'} and {layers or 'any'}."
        )
    before = tuple(_front(row) for row in front)
    if dims not in (1, 2, 3):
        raise ValueError(f"dims must be 1, 2 or 3, got {dims!r}.")
    if causal and dims > 1:
        raise ValueError(f"dims must be 1 for a causal schedule, got {dims}. Plan the time axis.")
    if not effort > 0:
        raise ValueError(f"effort must be above 0, got {effort!r}. Use 1 for the usual search.")
    made = Request(
        low, high, kernels, sizes, layers, max_dilation, map_size, bool(causal), reach, budget,
        given, before, bool(holes), Objective.of(objective), channels, dims, float(effort),
    )  # fmt: skip
    strided = max((*given, *(row[2] for row in before)), default=1) > 1
    every = (*kernels, *sizes, *(row[0] for row in before))
    if reach is not None and not causal and strided and any(k % 2 == 0 for k in every):
        raise ValueError(
            f"reach must be given with odd kernels where strides are above 1, got {reach} with "
            f"kernels {sorted(set(every))}. Give field instead."
        )
    if high is not None and made.least > high:
        raise ValueError(
            f"field must have room for the reach, got at most {high} and a reach of {reach}: that "
            f"takes {made.least}. Raise the field or lower the reach."
        )
    return made


def _range(field: int | tuple[int, int] | None) -> tuple[int, int | None]:
    if field is None:
        return 1, None
    if isinstance(field, tuple | list):
        if len(field) != 2:
            raise ValueError(
                f"field must be a number or a pair of the smallest and the largest, got {field!r}."
            )
        low, high = (_whole("field", n, 1) for n in field)
        if low > high:
            raise ValueError(f"field must be a range upwards, got {field!r}. Turn it round.")
        return low, high
    return _whole("field", field, 1), None


def _front(row: Sequence[int]) -> tuple[int, int, int]:
    if isinstance(row, str) or not isinstance(row, Sequence) or not 1 <= len(row) <= 3:
        raise ValueError(
            "front must hold layers as (kernel, dilation, stride), dilation and stride 1 where "
            f"left out, got {row!r}."
        )
    kernel, dilation, stride = (*(_whole("front", n, 1) for n in row), 1, 1)[:3]
    return kernel, dilation, stride


def _whole(name: str, value: object, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return value

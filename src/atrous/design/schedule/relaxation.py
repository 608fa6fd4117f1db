"""What makes an impossible request possible: each constraint alone, and by how much."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count

from atrous.design.schedule.feasible import Option, all_fields, options
from atrous.design.schedule.request import Frame, Request

_TOLD_PAIRS = 4
_MOST_LAYERS = 512
_MOST_KERNEL = 64
_MOST_SIZE = 2**22


@dataclass(frozen=True)
class Relaxation:
    """One constraint that is to give way, all others as they are.

    Attributes:
        constraint: the argument.
        given: its value.
        needed: the nearest value at which there is a schedule.
    """

    constraint: str
    given: object
    needed: object

    def __str__(self) -> str:
        given, needed = _told(self.given), _told(self.needed)
        return f"{self.constraint}={needed} instead of {given}"


class ImpossibleScheduleError(ValueError):
    """No schedule meets a request: that is proven, and this says what to relax.

    Attributes:
        request: what was asked.
        relaxations: changes of one constraint each of which is enough, and the least of its kind.
        pairs: where there are none, changes of two constraints that are enough together; neither
            can be less with the other as it is.
    """

    def __init__(
        self,
        request: Request,
        relaxations: tuple[Relaxation, ...],
        pairs: tuple[tuple[Relaxation, Relaxation], ...] = (),
    ) -> None:
        self.request = request
        self.relaxations = relaxations
        self.pairs = pairs
        told = f"no schedule meets all of: {', '.join(request.words())}."
        if len(relaxations) == 1:
            told += f" Relax one constraint: {relaxations[0]}."
        elif relaxations:
            told += f" Relax one constraint: {'; or '.join(map(str, relaxations))}."
        elif pairs:
            both = "; or ".join(f"{one} with {other}" for one, other in pairs[:_TOLD_PAIRS])
            told += f" No change of one constraint alone is enough. Relax two: {both}."
        else:
            told += " No change of one or two constraints is enough. Relax more of them."
        super().__init__(told)


def relaxations(request: Request) -> tuple[Relaxation, ...]:
    """All least changes of one constraint that make a request possible."""
    return tuple(found for relax in _ALL for found in relax(request))


def pairs(request: Request) -> tuple[tuple[Relaxation, Relaxation], ...]:
    """Changes of two constraints that make a request possible where no change of one does.

    One is lifted to see how little of another is then enough, and then comes back as far as it
    can: so neither can be less with the other as it is.
    """
    found: dict[frozenset[str], tuple[Relaxation, Relaxation]] = {}
    for name, lifted, relax in _lifted(request):
        for second in relaxations(lifted):
            both = frozenset((name, second.constraint))
            if both in found:
                continue
            for first in relax(_relaxed(request, second)):
                if first.constraint == name and len(both) == 2:
                    found[both] = first, second
    # What was wanted gives way last, and before it that all of it be read.
    late = {"holes": 1, "field": 2, "reach": 2}
    return tuple(
        sorted(found.values(), key=lambda pair: max(late.get(c.constraint, 0) for c in pair))
    )


_Relax = Callable[[Request], Iterator[Relaxation]]


def _lifted(request: Request) -> Iterator[tuple[str, Request, _Relax]]:
    """One constraint each: its name, the request without it, and what puts it back."""
    if request.layers is not None and not request.kernels and not request.strides:
        yield "layers", request.changed(layers=None), _layers
    for name, relax in (
        ("max_dilation", _max_dilation), ("map_size", _map_size), ("budget", _budget),
        ("parameters", _parameters),
    ):  # fmt: skip
        if getattr(request, name) is not None:
            yield name, request.changed(**{name: None}), relax
    if not request.holes:
        yield "holes", request.changed(holes=True), _switches


def _relaxed(request: Request, change: Relaxation) -> Request:
    """The request with a change."""
    name, needed = change.constraint, change.needed
    if name == "field":
        return request.changed(low=needed, high=None if request.high is None else needed)
    if name == "kernel":
        return request.changed(sizes=(needed,))
    return request.changed(**{name: needed})


def _possible(request: Request) -> list[Option]:
    try:
        return options(request)
    except ValueError:
        # Not decided: nothing is said of it.
        return []


def _field(request: Request) -> Iterator[Relaxation]:
    """The nearest fields below and above, or the reach that they leave."""
    high = request.high
    free = request.changed(low=1, high=None, reach=None)
    try:
        lower = all_fields(free, request.least - 1) if request.least > 1 else set()
    except ValueError:
        return
    name, given = (
        ("field", _field_given(request)) if request.reach is None else ("reach", request.reach)
    )
    room = request.reach is not None and request.low < request.least
    if lower and (request.reach is None or request.high is None):
        nearest = max(lower)
        if request.reach is None:
            yield Relaxation(name, given, nearest)
        elif room and nearest >= request.low:
            yield Relaxation(name, given, (nearest - 1) // (1 if request.causal else 2))
    if high is not None and request.reach is None:
        above = _possible(request.changed(low=high + 1, high=None))
        if above:
            yield Relaxation(name, given, min(option.fields[0] for option in above))


def _field_given(request: Request) -> object:
    if request.high is None:
        return request.low
    return request.low if request.low == request.high else (request.low, request.high)


def _layers(request: Request) -> Iterator[Relaxation]:
    given = request.layers
    if given is None or request.kernels or request.strides:
        return
    for fewer in range(given - 1, 0, -1):
        if _possible(request.changed(layers=fewer)):
            yield Relaxation("layers", given, fewer)
            break
    fewest = _possible(request.changed(layers=None))
    counts = [len(option.frame.slots) for option in fewest]
    if counts and min(counts) > given:
        yield Relaxation("layers", given, min(counts))
        return
    if request.high is None or not fewest:
        return
    for more in range(given + 1, min(request.high, _MOST_LAYERS)):
        if _possible(request.changed(layers=more)):
            yield Relaxation("layers", given, more)
            return


def _kernel(request: Request) -> Iterator[Relaxation]:
    if request.kernels or len(request.sizes) != 1:
        return
    given = request.sizes[0]
    for step in (-1, 1):
        for kernel in count(given + step, step):
            if not 2 <= kernel <= max(_MOST_KERNEL, given):
                break
            if _even_reach(request, kernel):
                continue
            if _possible(request.changed(sizes=(kernel,))):
                yield Relaxation("kernel", given, kernel)
                break


def _even_reach(request: Request, kernel: int) -> bool:
    """Whether even kernels are no answer: they leave no middle to reach from at strides."""
    strided = max((*request.strides, *(s for _, _, s in request.front)), default=1) > 1
    return kernel % 2 == 0 and request.reach is not None and not request.causal and strided


def _max_dilation(request: Request) -> Iterator[Relaxation]:
    if request.max_dilation is not None:
        yield from _smallest(request, "max_dilation", request.max_dilation)


def _map_size(request: Request) -> Iterator[Relaxation]:
    if request.map_size is not None:
        yield from _smallest(request, "map_size", request.map_size)


def _smallest(request: Request, name: str, given: int) -> Iterator[Relaxation]:
    """The smallest larger value: what fits a smaller one fits all larger ones."""
    if not _possible(request.changed(**{name: _MOST_SIZE})):
        return
    low, high = given + 1, given + 1
    while not _possible(request.changed(**{name: high})):
        low, high = high + 1, 2 * high
    while low < high:
        middle = (low + high) // 2
        if _possible(request.changed(**{name: middle})):
            high = middle
        else:
            low = middle + 1
    yield Relaxation(name, given, high)


def _budget(request: Request) -> Iterator[Relaxation]:
    yield from _allowance(request, "budget", request.budget, request.macs)


def _parameters(request: Request) -> Iterator[Relaxation]:
    yield from _allowance(request, "parameters", request.parameters, request.weights)


def _allowance(
    request: Request, name: str, given: int | None, needed: Callable[[Frame], int]
) -> Iterator[Relaxation]:
    """The least that is needed of what is limited."""
    if given is None:
        return
    found = _possible(request.changed(**{name: None}))
    if found:
        yield Relaxation(name, given, min(needed(option.frame) for option in found))


def _switches(request: Request) -> Iterator[Relaxation]:
    """What is allowed or not, and strides."""
    if not request.holes and _possible(request.changed(holes=True)):
        yield Relaxation("holes", False, True)
    if request.causal and request.reach is None and _possible(request.changed(causal=False)):
        yield Relaxation("causal", True, False)
    if max(request.strides, default=1) > 1:
        ones = (1,) * len(request.strides)
        if _possible(request.changed(strides=ones)):
            yield Relaxation("strides", request.strides, ones)


_ALL: tuple[_Relax, ...] = (
    _field, _layers, _kernel, _max_dilation, _map_size, _budget, _parameters, _switches,
)  # fmt: skip


def _told(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)

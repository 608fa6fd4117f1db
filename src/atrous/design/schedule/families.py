"""Schedules that have names, as values that know their true properties."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import ceil, isfinite

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.checks import whole
from atrous.design.schedule.pyramid import Pyramid
from atrous.geometry.schedules import even_schedule

_HDC = "Wang et al. 2018, Understanding Convolution for Semantic Segmentation"


def constant(dilation: int = 2, layers: int = 4, kernel: int = 3) -> Schedule:
    """The same dilation in every layer: from 2 on as many nets side by side that never mix.

    Args:
        dilation: of every layer.
        layers: how many.
        kernel: size of every kernel.

    >>> constant(8, 4).gcd, round(constant(8, 4).density, 2)
    (8, 0.14)
    """
    about = "Steps of one size reach multiples of it alone; routes pile up in the middle."
    rates = (whole("dilation", dilation, 1),) * _layers(layers)
    return _chain("constant", about, rates, kernel)


def exponential(layers: int = 4, kernel: int = 3, base: int = 2, causal: bool = False) -> Schedule:
    """Every dilation the last times a base: 1, 2, 4, 8, ...

    Args:
        layers: how many.
        kernel: size of every kernel.
        base: from one dilation to the next; up to the kernel size there are no holes.
        causal: whether layers read the past alone.

    >>> exponential(10, kernel=2, causal=True).field
    1024
    """
    whole("base", base, 1)
    about = "Without holes up to a base of the kernel size, and perfectly even at just that."
    return _chain("exponential", about, [base**k for k in range(_layers(layers))], kernel, causal)


def wavenet(cycles: int = 3, layers: int = 10, kernel: int = 2) -> Schedule:
    """The schedule of WaveNet (van den Oord et al. 2016): 1, 2, 4, ..., 512, several times.

    Args:
        cycles: how many times.
        layers: of one cycle.
        kernel: size of every kernel.

    >>> wavenet().field, wavenet(cycles=1).field
    (3070, 1024)
    """
    about = "Doubling with kernels of 2: one route to each position."
    if cycles != 1:
        about = (
            "Further cycles make the net deeper, not much wider: they add their fields, while "
            "doubling on would multiply them."
        )
    rates = [2**k for k in range(_layers(layers))] * whole("cycles", cycles, 1)
    return _chain("wavenet", about, rates, kernel, causal=True)


def sawtooth(rates: Sequence[int] = (1, 2, 4, 8), cycles: int = 2, kernel: int = 3) -> Schedule:
    """A short schedule several times.

    Args:
        rates: the dilations of one cycle.
        cycles: how many times.
        kernel: size of every kernel.

    >>> round(sawtooth().uniformity.cv, 2)
    0.77
    """
    about = "Every cycle piles routes up in the middle once more; no order of layers changes that."
    return _chain("sawtooth", about, _rates(rates) * whole("cycles", cycles, 1), kernel)


def hdc(rates: Sequence[int] = (1, 2, 5), cycles: int = 1, kernel: int = 3) -> Schedule:
    """Hybrid dilated convolution: rates 1, 2, 5 (Wang et al. 2018).

    Args:
        rates: the dilations of one group.
        cycles: how many groups.
        kernel: size of every kernel.

    >>> len(hdc().holes), hdc((2, 2, 5, 9)).hdc, len(hdc((2, 2, 5, 9)).holes)
    (0, True, 4)
    """
    about = (
        f"The rule it comes from ({_HDC}) errs both ways: it accepts 2 2 5 9, which has 4 holes, "
        "and rejects 1 5 2, which has none."
    )
    return _chain("hdc", about, _rates(rates) * whole("cycles", cycles, 1), kernel)


def coprime(layers: int = 4, kernel: int = 3) -> Schedule:
    """Rates of which no two have a common divisor: 1, 2, 3, 5, 7, 11, ...

    Args:
        layers: how many.
        kernel: size of every kernel.

    >>> coprime(5).dilations
    (1, 2, 3, 5, 7)
    """
    about = (
        "That rates share no divisor is neither needed (1 2 4 has no holes) nor enough (2 3 has); "
        "these have none because each is at most 1 more than what the smaller ones reach."
    )
    rates, number = [1], 2
    while len(rates) < _layers(layers):
        if all(number % prime for prime in rates[1:]):
            rates.append(number)
        number += 1
    return _chain("coprime", about, rates, kernel)


def base_k(
    kernel: int = 3, layers: int | None = None, field: int | None = None, causal: bool = False
) -> Schedule:
    """The powers of the kernel size: every position of the field is read in exactly one way.

    Args:
        kernel: size of every kernel.
        layers: how many; 4 if no field is given.
        field: positions to read instead, at least; the last dilation is cut to the smallest field.
        causal: whether layers read the past alone.

    Raises:
        ValueError: if both layers and a field are given.

    >>> base_k(3, 4).field, base_k(3, 4).uniformity.cv, base_k(3, field=32).dilations
    (81, 0.0, (1, 3, 3, 9))
    """
    whole("kernel", kernel, 2)
    if layers is not None and field is not None:
        raise ValueError(
            f"layers and field must not both be given, got {layers} and {field}. Leave one out."
        )
    about = "The digits of a number in that base: one route to each position, none twice."
    if field is None:
        rates = tuple(kernel**k for k in range(_layers(4 if layers is None else layers)))
    else:
        span = _fitting(max(whole("field", field, 1), kernel), kernel)
        rates = tuple(sorted(even_schedule(span, kernel)))
        about += f" Cut to a field of {span:,}, some positions are read in several ways."
    return _chain("base_k", about, rates, kernel, causal)


def fibonacci(layers: int = 6, kernel: int = 3) -> Schedule:
    """The numbers of Fibonacci: 1, 2, 3, 5, 8, 13, ...

    Args:
        layers: how many.
        kernel: size of every kernel.

    >>> fibonacci(6).field, len(fibonacci(6).holes)
    (65, 0)
    """
    about = "Grows by 1.62 a layer where doubling grows by 2: deeper for the same field."
    rates = [1, 2]
    while len(rates) < _layers(layers):
        rates.append(rates[-1] + rates[-2])
    return _chain("fibonacci", about, rates[:layers], kernel)


def beat_synchronous(
    tempo: Sequence[float] = (60, 180),
    frame_rate: float = 100.0,
    count: int = 4,
    kernel: int = 3,
    front: Sequence[int] | None = None,
    causal: bool = False,
) -> Schedule:
    """Dilations of one beat each at several tempos, behind layers that fill what lies between.

    Args:
        tempo: the slowest and the fastest, in beats per minute; or one, or three and more, each of
            which gets a layer.
        frame_rate: positions per second.
        count: how many tempos, of a range; evenly spread by ratio. Those whose beats are as many
            positions count once.
        kernel: size of every kernel.
        front: dilations of the layers before; by default 1, 2, 4, ... as far as is needed.
        causal: whether layers read the past alone.

    Raises:
        ValueError: if a tempo, the rate or the count is out of range.

    >>> beat_synchronous((60, 90, 120, 180)).dilations
    (1, 1, 2, 4, 8, 33, 50, 67, 100)
    """
    given = (tempo,) if isinstance(tempo, int | float) else tuple(tempo)
    if not given or isinstance(tempo, str) or not all(map(_is_above_0, given)):
        raise ValueError(
            "tempo must be the slowest and the fastest in beats per minute, or several, got "
            f"{tempo!r}. Use (60, 180)."
        )
    if not _is_above_0(frame_rate):
        raise ValueError(f"frame_rate must be above 0 positions per second, got {frame_rate!r}.")
    tempos = sorted(map(float, given))
    if len(tempos) == 2:
        whole("count", count, 2)
        ratio = tempos[1] / tempos[0]
        tempos = [tempos[0] * ratio ** (k / (count - 1)) for k in range(count)]
    beats = sorted(max(1, round(60 * frame_rate / t)) for t in tempos)
    if len(given) == 2:
        beats = sorted(set(beats))
    lacks, reach = 0, 0
    for beat in beats:
        lacks = max(lacks, beat - 1 - reach)
        reach += (whole("kernel", kernel, 2) - 1) * beat
    if front is None:
        span = _fitting(lacks + 1, kernel)
        front = even_schedule(span, kernel, base=2)
    else:
        front = _rates(front, "front")
    told = ", ".join(f"{60 * frame_rate / beat:.3g}" for beat in beats)
    alone = Schedule((kernel,) * len(beats), tuple(beats))
    about = f"One beat at {told} beats per minute."
    if alone.is_countable and not alone.is_hole_free:
        own = "That layer alone reads" if len(beats) == 1 else f"Those {len(beats)} alone read"
        about += f" {own} {alone.field - len(alone.holes):,} of {alone.field:,} positions"
        together = Schedule((kernel,) * len((*front, *beats)), (*front, *beats))
        about += "; the front fills them." if together.is_hole_free else "."
    return _chain("beat_synchronous", about, (*front, *beats), kernel, causal)


def time_covering(
    seconds: float = 2.0,
    sample_rate: float = 16000.0,
    kernel: int = 2,
    base: int = 2,
    causal: bool = True,
) -> Schedule:
    """As many layers, each dilation the last times a base, as cover a time.

    Args:
        seconds: the time.
        sample_rate: positions per second.
        kernel: size of every kernel.
        base: from one dilation to the next.
        causal: whether layers read the past alone.

    Raises:
        ValueError: if the time, the rate or the base is out of range.

    >>> [(k, len(s), s.field) for k in (2, 3) for s in [time_covering(2, 16000, kernel=k)]]
    [(2, 15, 32768), (3, 14, 32767)]
    """
    for name, value in (("seconds", seconds), ("sample_rate", sample_rate)):
        if not _is_above_0(value):
            raise ValueError(f"{name} must be a number above 0, got {value!r}.")
    whole("kernel", kernel, 2)
    whole("base", base, 2)
    # 0.3 s at 10 Hz are 3 positions, not the 4 that rounding of floats would make of them.
    wanted = max(2, ceil(round(seconds * sample_rate, 6)))
    rates, field = [1], kernel
    while field < wanted:
        rates.append(rates[-1] * base)
        field += (kernel - 1) * rates[-1]
    about = f"Covers {seconds:g} s at {sample_rate:g} Hz: {wanted:,} positions."
    if base > kernel and len(rates) > 1:
        about = about.replace("Covers", "Spans")[:-1] + (
            ", but not all are read: a base above the kernel size leaves holes."
        )
    if base < kernel:
        fewer = len(even_schedule(_fitting(wanted, kernel), kernel))
        about += f" With a base of {kernel}, {fewer} layers would do."
    return _chain("time_covering", about, rates, kernel, causal)


def tcn(levels: int = 8, kernel: int = 8) -> Schedule:
    """The temporal convolutional network of Bai et al. 2018: two layers at each of 1, 2, 4, ...

    Args:
        levels: how many.
        kernel: size of every kernel.

    >>> tcn().field
    3571
    """
    about = "Two convolutions a level: the field is 1 + 2 (k - 1) (2^n - 1)."
    rates = [2**k for k in range(_layers(levels)) for _ in range(2)]
    return _chain("tcn", about, rates, kernel, causal=True)


def aspp(
    rates: Sequence[int] = (6, 12, 18), kernel: int = 3, pointwise: bool = True, dims: int = 2
) -> Pyramid:
    """Atrous spatial pyramid pooling (Chen et al. 2017): branches side by side, no chain.

    Args:
        rates: dilation of every branch.
        kernel: size of every kernel.
        pointwise: whether a 1x1 branch stands beside them.
        dims: axes that hold positions.

    >>> aspp().read, aspp().field
    (25, 37)
    """
    about = "Rates side by side do not add up: what lies between them the backbone has to read."
    return Pyramid(kernel, _rates(rates), pointwise, dims, "aspp", about)


FAMILIES: dict[str, Callable[..., Schedule | Pyramid]] = {
    family.__name__: family
    for family in (
        constant, exponential, sawtooth, hdc, coprime, base_k, fibonacci, wavenet, tcn, aspp,
        beat_synchronous, time_covering,
    )
}  # fmt: skip
"""All of them, by name."""


def _chain(
    name: str, about: str, rates: Sequence[int], kernel: int, causal: bool = False
) -> Schedule:
    return Schedule((kernel,) * len(rates), tuple(rates), causal=causal, name=name, about=about)


def _rates(rates: Sequence[int], name: str = "rates") -> tuple[int, ...]:
    if isinstance(rates, str | int | float):
        raise ValueError(f"{name} must be dilations as (1, 2, 5), got {rates!r}.")
    found = tuple(whole(f"each of {name}", rate, 1) for rate in rates)
    if not found and name == "rates":
        raise ValueError("rates must hold at least one, got none.")
    return found


def _is_above_0(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isfinite(value) and value > 0


def _fitting(field: int, kernel: int) -> int:
    """The smallest field from this on that kernels of one size can have."""
    return field + (1 - field) % (kernel - 1)


def _layers(layers: int) -> int:
    return whole("layers", layers, 1)

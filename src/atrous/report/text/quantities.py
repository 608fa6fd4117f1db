"""Numbers with units, and bars of text."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_LEVELS = "▁▂▃▄▅▆▇█"
_THOUSANDS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"))


def count(value: int) -> str:
    """A number in three digits: "589k"; "" for 0."""
    if value == 0:
        return ""
    for limit, unit in _THOUSANDS[1:]:
        if value >= limit:
            return f"{value / limit:.3g}{unit}"
    return str(value)


def number(value: int) -> str:
    """A number to the last digit where it is below ten million, else in four: "23.51M"."""
    if value < 10**7:
        return f"{value:,}"
    limit, unit = next(pair for pair in _THOUSANDS if value >= pair[0])
    return f"{value / limit:.4g}{unit}"


def counted(value: int, thing: str) -> str:
    """A number of things: "1 layer", "1,200 layers"."""
    return f"{value:,} {thing}{'' if value == 1 else 's'}"


def routes(value: int) -> str:
    """A number to the last digit where it is below a thousand million, else in three: "5.84e+188".

    >>> routes(786_432), routes(3**400)
    ('786,432', '7.06e+190')
    """
    return f"{value:,}" if value < 10**9 else f"{Decimal(int(value)):.2e}"


def size(value: int) -> str:
    """Bytes, in units of a thousand: "4.19 MB"."""
    for limit, unit in _THOUSANDS:
        if value >= limit:
            return f"{value / limit:.3g} {unit}B"
    return f"{value} B"


def seconds(value: float) -> str:
    """A time: "62.4 µs"."""
    for limit, unit in ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs")):
        if value >= limit:
            return f"{value / limit:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def ratio(value: float, reference: float) -> str:
    """How many times the reference: "4x", "0.0094x"; "" if that says nothing."""
    if not reference:
        return ""
    times = value / reference
    return f"{times:,.0f}x" if times >= 1000 else f"{times:.3g}x"


def share(value: float) -> str:
    """A share in per cent, to two digits below one per cent: "0.94 %", "55.6 %"."""
    if value in (0, 1):
        return f"{value:.0%}".replace("%", " %")
    per_cent = 100 * value
    return f"{per_cent:.2g} %" if per_cent < 1 else f"{per_cent:.3g} %"


def bar(value: float, largest: float, width: int) -> str:
    """A bar whose length is to `width` as `value` is to `largest`; at least a sliver above 0."""
    if not largest or value <= 0:
        return ""
    eighths = max(1, round(8 * width * value / largest))
    return _EIGHTHS[8] * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def profile(values: Sequence[float], width: int) -> str:
    """A row of columns, one per value or, of many, one per the largest of several that follow."""
    largest = max(values, default=0)
    if not largest:
        return ""
    columns = min(width, len(values))
    edges = [len(values) * k // columns for k in range(columns + 1)]
    tops = (max(values[a:b]) for a, b in pairwise(edges))
    return "".join(_LEVELS[min(7, int(8 * top / largest))] for top in tops)

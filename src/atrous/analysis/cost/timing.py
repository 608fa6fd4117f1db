"""Time of calls side by side, taken in turns so that what else the machine does hits all alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import quantiles
from time import perf_counter

_SHORTEST = 0.005
"""Seconds that one sample takes at least: calls are repeated within it."""


@dataclass(frozen=True)
class Timing:
    """Time of one call.

    Attributes:
        median: seconds, of the samples.
        low: their lower quartile.
        high: their upper quartile.
        samples: how many.
        calls: calls in each sample.
    """

    median: float
    low: float
    high: float
    samples: int
    calls: int


def timed_in_turns(
    calls: Sequence[Callable[[], object]],
    repeats: int,
    wait: Callable[[], object] = lambda: None,
    clock: Callable[[], float] = perf_counter,
) -> tuple[Timing, ...]:
    """The time of each of several calls: `repeats` rounds, in each of which each is sampled once.

    Args:
        calls: what to time; each is called once or twice before, to warm up and to see how often
            it must be called within a sample.
        repeats: rounds, at least 1.
        wait: waits until what was started is done, for devices that work on their own.
        clock: tells seconds.
    """

    def sample(call: Callable[[], object], times: int) -> float:
        wait()
        start = clock()
        for _ in range(times):
            call()
        wait()
        return (clock() - start) / times

    times = []
    for call in calls:
        sample(call, 1)
        times.append(max(1, min(1000, round(_SHORTEST / max(sample(call, 1), 1e-9)))))
    taken: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, own, count in zip(calls, taken, times, strict=True):
            own.append(sample(call, count))
    found = []
    for own, count in zip(taken, times, strict=True):
        low, middle, high = quantiles(own, n=4, method="inclusive") if len(own) > 1 else own * 3
        found.append(Timing(middle, low, high, len(own), count))
    return tuple(found)

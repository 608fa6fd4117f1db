"""How long an algorithm takes, roughly: enough to tell which is likely to be the fastest.

Seconds from what is multiplied and what is moved, at rates seen on one core of a server of 2023. A
machine that is faster in everything chooses the same. What is seen often is measured instead.
"""

from __future__ import annotations

from math import prod

import torch

from atrous.ops import flipped, phases, widened
from atrous.ops.algorithms import Algorithm
from atrous.ops.problem import Problem

_MOVED = 18e9
"""Bytes per second and thread, read and written."""
_CALL = 5e-6
"""Seconds to call one of PyTorch's operators."""


def seconds(algorithm: Algorithm, problem: Problem) -> float:
    """An estimate of the time that an algorithm takes."""
    if problem.is_empty:
        return _CALL
    estimate = {
        "aten": _aten, "loops": _loops, "flipped": _flipped, "products": _products,
        "phases": _phases, "shifts": _shifts, "widened": _widened,
    }[algorithm.name]  # fmt: skip
    return estimate(problem)


def _threads() -> int:
    return torch.get_num_threads()


def _bytes(problem: Problem) -> int:
    elements = prod(problem.input_shape) + prod(problem.output_shape)
    return elements * problem.dtype.itemsize


def _moved(problem: Problem, times: float = 1) -> float:
    return times * _bytes(problem) / _MOVED / _threads()


def _aten(problem: Problem) -> float:
    return 50e-6 + max(_moved(problem), problem.macs / _rate(problem) / _threads())


def _rate(problem: Problem) -> float:
    """Multiplications per second and thread of PyTorch's own."""
    dilated = any(d > 1 for d in problem.dilation)
    if problem.dtype == torch.float64:
        # Not by oneDNN; with dilation by a loop over items.
        return 3e9 if dilated and not problem.is_depthwise else 1e9
    if problem.is_depthwise and problem.channels[0] > 1:
        return 9e8 if dilated or problem.axes != 2 else 5e9
    few = min(problem.channels) / problem.groups
    rate = 55e9 * few / (few + 16)
    if problem.job == "input gradient":
        return rate / (4 if problem.axes > 1 and max(problem.dilation) >= 8 else 1.15)
    if problem.job == "weight gradient":
        return rate / (4 if problem.axes == 3 and dilated else 1.1)
    return rate


def _loops(problem: Problem) -> float:
    return 12e-6 + max(_moved(problem, 1.5), problem.macs / 15e9 / _threads())


def _flipped(problem: Problem) -> float:
    return 20e-6 + _aten(flipped.transposed(problem))


def _products(problem: Problem) -> float:
    taps = prod(problem.kernel)
    rate = 25e9 if problem.dtype != torch.float64 else 12e9
    few = min(problem.channels) / problem.groups
    by_tap = problem.macs / (rate * few / (few + 32)) / _threads() + _moved(problem, taps / 2)
    return _moved(problem, 3) + taps * problem.batch * 4 * _CALL + by_tap


def _phases(problem: Problem) -> float:
    inner = phases.undilated(problem)
    return 10 * _CALL + _moved(problem, 3) + _moved(inner, 2) + _aten(inner)


def _widened(problem: Problem) -> float:
    return 6 * _CALL + _moved(problem, 3) + _aten(widened.widened(problem))


def _shifts(problem: Problem) -> float:
    return prod(problem.kernel) * (3 * _CALL + _moved(problem, 1.6))

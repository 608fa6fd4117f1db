"""How long algorithms take on a problem, side by side."""

from __future__ import annotations

import time
from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

from atrous.ops.algorithms import Algorithm
from atrous.ops.problem import Problem

_ROUNDS = 7
_SHORTEST = 0.001
"""Seconds that are measured at a time, of as many calls as it takes."""
_HOPELESS = 3
"""Times as slow as the fastest: no round makes up for that."""


def measured(problem: Problem, algorithms: Sequence[Algorithm]) -> dict[str, float]:
    """The least time of a call, in seconds, of rounds in which each has its turn.

    What interferes only ever adds time. What is far slower than another is called but twice, and
    what fails is left out.
    """
    tensors = example(problem)
    times: dict[str, float] = {}
    for one in algorithms:
        try:
            # The first call may compile, and allocates.
            times[one.name] = min(_time(one, problem, tensors, 1) for _ in range(2))
        except (RuntimeError, MemoryError):
            continue
    within = _HOPELESS * min(times.values())
    hopeful = [one for one in algorithms if times.get(one.name, inf) <= within]
    calls = {one.name: max(1, round(_SHORTEST / times[one.name])) for one in hopeful}
    for _ in range(_ROUNDS if len(hopeful) > 1 else 0):
        for one in hopeful:
            taken = _time(one, problem, tensors, calls[one.name])
            times[one.name] = min(times[one.name], taken)
    return times


def example(problem: Problem) -> tuple[Tensor, ...]:
    """Tensors for a problem; the random numbers of the process are left as they are."""
    generator = torch.Generator(problem.device).manual_seed(0)

    def drawn(*shape: int) -> Tensor:
        numbers = torch.randn(shape, generator=generator, device=problem.device)
        return numbers.to(problem.dtype)

    def laid_out(shape: tuple[int, ...]) -> Tensor:
        numbers = drawn(*shape)
        return problem.empty(numbers, shape).copy_(numbers)

    weight = drawn(*problem.weight_shape)
    if problem.job == "forward":
        return laid_out(problem.input_shape), weight, drawn(problem.channels[1])
    if problem.job == "input gradient":
        return laid_out(problem.output_shape), weight
    return laid_out(problem.output_shape), laid_out(problem.input_shape)


def _time(one: Algorithm, problem: Problem, tensors: tuple[Tensor, ...], calls: int) -> float:
    with torch.no_grad():
        began = time.perf_counter()
        for _ in range(calls):
            one.run(problem, *tensors)
        return (time.perf_counter() - began) / calls

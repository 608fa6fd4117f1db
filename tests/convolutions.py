"""Random convolutions, and what they are to give."""

from __future__ import annotations

import random
from dataclasses import replace

import torch
from torch import Tensor

from atrous.ops import reference
from atrous.ops.problem import JOBS, Layout, Problem

TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 2e-2}
"""Of a sum of products of normal numbers, relative to its size."""


def draw_problem(
    rng: random.Random, dtype: torch.dtype = torch.float64, depthwise: bool = False
) -> Problem:
    """A forward convolution of any kind, most of them small."""
    while True:
        axes = rng.choice([1, 2, 3])
        groups = rng.choice([1, 1, 2, 3, 5])
        inside, outside = rng.choice([1, 1, 2, 3]), rng.choice([1, 1, 2, 3])
        if depthwise:
            groups, inside = rng.choice([1, 2, 3, 8, 17]), 1
        kernel = tuple(rng.randint(1, [11, 8, 4][axes - 1]) for _ in range(axes))
        dilation = tuple(rng.choice([1, 1, 2, 3, 5, 9, 40]) for _ in range(axes))
        stride = tuple(rng.choice([1, 1, 1, 2, 3]) for _ in range(axes))
        if rng.random() < 0.6:
            stride = (1,) * axes
        reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        most = 3 if rng.random() < 0.1 else 0
        padding = tuple((rng.randint(0, r + most), rng.randint(0, r + most)) for r in reach)
        if rng.random() < 0.3:
            padding = tuple((r // 2, r - r // 2) for r in reach)
        longest = [rng.choice([90, 90, 2500]), rng.choice([24, 70]), 9][axes - 1]
        lengths = tuple(rng.randint(1, longest) for _ in range(axes))
        layout: Layout = rng.choice(["channels first", "channels last"])
        channels = groups * inside, groups * outside
        problem = Problem(
            "forward", rng.choice([1, 1, 2, 3]), channels, groups, lengths, kernel, stride,
            padding, dilation, dtype, layout,
        )  # fmt: skip
        if all(n > 0 for n in problem.outputs) and problem.macs < 3_000_000:
            return problem


def jobs_of(problem: Problem) -> list[Problem]:
    """The convolution and its gradients."""
    return [replace(problem, job=job) for job in JOBS]


def draw_tensors(problem: Problem, seed: int) -> tuple[Tensor, ...]:
    """What is given: (x, weight, bias), (grad, weight) or (grad, x)."""
    generator = torch.Generator().manual_seed(seed)

    def drawn(shape: tuple[int, ...], laid_out: bool = True) -> Tensor:
        numbers = torch.randn(shape, generator=generator).to(problem.dtype)
        return problem.empty(numbers, shape).copy_(numbers) if laid_out else numbers

    weight = drawn(problem.weight_shape, laid_out=False)
    if problem.job == "forward":
        bias = drawn((problem.channels[1],), laid_out=False)
        return drawn(problem.input_shape), weight, bias
    if problem.job == "input gradient":
        return drawn(problem.output_shape), weight
    return drawn(problem.output_shape), drawn(problem.input_shape)


def expected(problem: Problem, tensors: tuple[Tensor, ...]) -> Tensor:
    """The result by definition, in double precision."""
    exact = replace(problem, dtype=torch.float64)
    wide = [tensor.double() for tensor in tensors]
    if problem.job == "forward":
        return reference.forward(exact, wide[0], wide[1], wide[2])
    if problem.job == "input gradient":
        return reference.input_gradient(exact, wide[0], wide[1])
    return reference.weight_gradient(exact, wide[0], wide[1])


def assert_near(made: Tensor, wanted: Tensor, problem: Problem) -> None:
    """Equal but for rounding, whose size is that of the largest sum."""
    assert made.shape == wanted.shape, problem
    if not wanted.numel():
        return
    error = (made.double() - wanted).abs().max().item()
    assert error <= TOLERANCE[problem.dtype] * max(1.0, wanted.abs().max().item()), (error, problem)

"""Every algorithm gives what the definition gives, for all that it says it can compute."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from atrous.ops import reference
from atrous.ops.algorithms import ALGORITHMS, runnable
from atrous.ops.problem import Problem
from convolutions import assert_near, draw_problem, draw_tensors, expected, jobs_of

OTHERS = [name for name in ALGORITHMS if name != "reference"]


@pytest.mark.parametrize("seed", range(4))
def test_the_reference_is_what_pytorch_and_its_gradients_give(seed: int) -> None:
    rng = random.Random(seed)
    for number in range(25):
        problem = draw_problem(rng)
        x, weight, bias = (t.requires_grad_() for t in draw_tensors(problem, number))
        sides = [side for pair in reversed(problem.padding) for side in pair]
        function = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[problem.axes]
        y = function(
            F.pad(x, sides), weight, bias, problem.stride, 0, problem.dilation, problem.groups
        )
        grad = torch.randn_like(y)
        found = torch.autograd.grad(y, (x, weight), grad)
        with torch.no_grad():
            assert_near(reference.forward(problem, x, weight, bias), y, problem)
            assert_near(reference.input_gradient(problem, grad, weight), found[0], problem)
            assert_near(reference.weight_gradient(problem, grad, x), found[1], problem)


def check(name: str, seed: int, count: int, dtype: torch.dtype) -> Counter[str]:
    """Compare an algorithm with the definition on random problems; the jobs it did."""
    rng, done = random.Random(seed), Counter[str]()
    for number in range(count):
        problem = draw_problem(rng, dtype, depthwise=number % 2 == 0)
        for job in jobs_of(problem):
            if not ALGORITHMS[name].can_run(job):
                tensors = draw_tensors(job, number)
                kept = [tensor.clone() for tensor in tensors]
                assert_near(ALGORITHMS[name].run(job, *tensors), expected(job, tensors), job)
                assert all(map(torch.equal, tensors, kept))
                done[job.job] += 1
    return done


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", OTHERS)
def test_it_gives_what_the_definition_gives(name: str, dtype: torch.dtype) -> None:
    done = check(name, 1, 60, dtype)
    narrow = dtype == torch.bfloat16
    jobs = {"forward", "input gradient", "weight gradient"}
    if name == "flipped":
        jobs = {"input gradient"}
    if (name == "shifts" and narrow) or (name == "widened" and not narrow):
        jobs = set()
    assert set(done) == jobs
    assert all(count >= 10 for count in done.values())


@pytest.mark.full
@pytest.mark.parametrize("part", range(10))
def test_ten_thousand_random_layers(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    dtypes = [torch.float32, torch.float64, torch.bfloat16]
    done = {name: check(name, 100 + part, 1000, dtypes[part % 3]) for name in OTHERS}
    record_property("summary", f"1000 random layers of {dtypes[part % 3]}: {done}")


def test_one_that_is_wrong_is_noticed() -> None:
    problem = Problem("forward", 1, (1, 1), 1, (9,), (3,), (1,), ((2, 2),), (2,), torch.float64)
    tensors = draw_tensors(problem, 0)
    moved = ALGORITHMS["aten"].run(problem, *tensors).roll(1, -1)
    with pytest.raises(AssertionError):
        assert_near(moved, expected(problem, tensors), problem)


def test_each_says_why_it_cannot() -> None:
    dense = Problem("forward", 1, (4, 4), 1, (9,), (3,), (1,), ((2, 2),), (2,))
    strided = replace(dense, job="input gradient", stride=(2,))
    assert [one.name for one in runnable(dense)] == ["aten", "products", "phases"]
    assert ALGORITHMS["loops"].can_run(dense) == (
        "every channel must be read by itself (groups = input channels)"
    )
    assert ALGORITHMS["flipped"].can_run(dense) == "does not compute the forward"
    assert ALGORITHMS["flipped"].can_run(strided) == "the stride must be 1"
    assert ALGORITHMS["phases"].can_run(replace(dense, dilation=(1,))) == (
        "without dilation there is one phase"
    )
    half = replace(dense, groups=4, dtype=torch.float16)
    assert ALGORITHMS["loops"].can_run(half) == "has no loops for torch.float16"
    empty = replace(dense, batch=0, groups=4)
    assert ALGORITHMS["loops"].can_run(empty) == "there is nothing to compute"

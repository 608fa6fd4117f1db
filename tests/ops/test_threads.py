"""Many threads, forks and fresh processes; with and without Numba."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from filtered import Filtered, layer


def test_sixteen_threads_compute_what_one_does() -> None:
    x, weight = torch.randn(8, 32, 3000), torch.randn(32, 1, 3)
    wanted = F.conv1d(F.pad(x, (8, 0)), weight, dilation=4, groups=32)
    many = torch.get_num_threads()
    torch.set_num_threads(2)

    def work(number: int) -> bool:
        for turn in range(30):
            one = x[(number + turn) % 8 : (number + turn) % 8 + 1]
            given = one.clone().requires_grad_()
            made = layer(given, weight)
            made.sum().backward()
            # PyTorch's own threads work beside.
            noise = torch.mm(x[0], x[1].t())
            same = torch.allclose(made, wanted[(number + turn) % 8], atol=1e-5)
            if not same or not noise.isfinite().all():
                return False
        return True

    try:
        with ThreadPoolExecutor(16) as pool:
            assert all(pool.map(work, range(16)))
    finally:
        torch.set_num_threads(many)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_workers_of_a_loader(method: str) -> None:
    layer(torch.randn(1, 32, 2000), torch.ones(32, 1, 3))
    loader: Any = DataLoader(
        Filtered(), batch_size=None, num_workers=2, multiprocessing_context=method, timeout=120
    )
    for index, made in enumerate(loader):
        assert made.shape == (32, 2000)
        assert (made[:, 8:] == 3 * index).all()


def test_a_child_of_a_fork_computes() -> None:
    # PyTorch's own convolutions wait forever here, for threads that the child does not have.
    many, weight, x = torch.get_num_threads(), torch.ones(32, 1, 3), torch.ones(1, 32, 20_000)
    torch.set_num_threads(2)
    layer(x, weight)
    child = os.fork()
    if not child:
        signal.alarm(20)
        made = layer(x, weight)
        os._exit(0 if (made[..., 8:].numpy() == 3).all() else 1)
    assert os.waitpid(child, 0)[1] == 0
    torch.set_num_threads(many)


WITHOUT_NUMBA = """
import importlib.util
import sys

find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name == "numba" else find(name, *rest)
sys.modules["numba"] = None

import torch
import torch.nn.functional as F
from atrous import ops
from atrous.ops.algorithms import ALGORITHMS
from atrous.ops.chooser import CHOOSER
from atrous.ops.problem import Problem

x, weight = torch.randn(2, 16, 300), torch.randn(16, 1, 3, requires_grad=True)
made = ops.conv1d(x, weight, padding=8, dilation=8, groups=16)
wanted = F.conv1d(x, weight, padding=8, dilation=8, groups=16)
torch.testing.assert_close(made, wanted)
(one,) = torch.autograd.grad(made.sum(), weight)
(other,) = torch.autograd.grad(wanted.sum(), weight)
torch.testing.assert_close(one, other)
problem = Problem("forward", 1, (256, 256), 256, (16000,), (3,), (1,), ((8, 8),), (8,))
print(ALGORITHMS["loops"].can_run(problem))
print(CHOOSER.explain(problem).algorithm)
"""


def run(code: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_without_numba_the_best_of_pytorch_is_chosen() -> None:
    why, chosen = run(WITHOUT_NUMBA)
    assert why == "Numba is not installed (pip install 'atrous[fast]')"
    assert chosen == "shifts"


def test_importing_compiles_nothing() -> None:
    (loaded,) = run("import sys, atrous, atrous.ops; print('numba' in sys.modules)")
    assert loaded == "False"

"""What does `atrous.accelerate` gain in whole networks, in training and in inference?

    python benchmarks/convolution_nets.py [--only TEXT ...] [--rounds N] [--save]

Every network of `nets`, in one run: in eager mode, accelerated, and compiled by torch.compile
(inference). A training step is forward, backward of the mean square of the output, and SGD. Outputs
and gradients are compared first; the rounds are interleaved; medians.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from rich.progress import track
from torch import Tensor, nn

import atrous
from measuring import save, show
from nets import NETS


def step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor) -> None:
    """One step of training."""
    optimizer.zero_grad()
    model(x).square().mean().backward()
    optimizer.step()


def gradients(model: nn.Module, x: Tensor) -> list[Tensor]:
    """Of all parameters, in inference mode: batch statistics do not enlarge rounding."""
    model.eval()
    return list(torch.autograd.grad(model(x).square().mean(), list(model.parameters())))


def difference(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest, as a share of the largest value of its tensor."""
    pairs = zip(one, other, strict=True)
    return max(((a - b).abs().max() / b.abs().max().clamp_min(1e-12)).item() for a, b in pairs)


def measured(name: str, rounds: int, compiled: bool) -> dict[str, Any]:
    """Times of one network."""
    make, shape, separable = NETS[name]
    torch.manual_seed(0)
    model, x = make(), torch.randn(shape)
    fast = atrous.accelerate(model, x)
    found = fast.acceleration
    wanted = gradients(copy.deepcopy(model).double(), x.double())
    errors = {
        "output": found.error,
        "gradients": difference(gradients(copy.deepcopy(fast), x), [w.float() for w in wanted]),
        "gradients, eager": difference(
            gradients(copy.deepcopy(model), x), [w.float() for w in wanted]
        ),
    }
    functions: dict[str, Callable[[], Any]] = {}
    for label, one in (("eager", model), ("atrous", fast)):
        trained = copy.deepcopy(one).train()
        optimizer = torch.optim.SGD(trained.parameters(), lr=1e-6)
        functions[f"training {label}"] = partial(step, trained, optimizer, x)
        functions[f"inference {label}"] = partial(copy.deepcopy(one).eval(), x)
    if compiled:
        torch._dynamo.reset()
        functions["inference torch.compile"] = partial(
            torch.compile(copy.deepcopy(model).eval()), x
        )
    times: dict[str, list[float]] = {label: [] for label in functions}
    for turn in range(rounds + 2):
        for label, function in functions.items():
            with torch.set_grad_enabled(label.startswith("training")):
                began = time.perf_counter()
                function()
                if turn >= 2:
                    times[label].append(time.perf_counter() - began)
    seconds = {label: statistics.median(taken) for label, taken in times.items()}
    spread = {label: (max(t) - min(t)) / statistics.median(t) for label, t in times.items()}
    changed = f"{len(found.changed)} of {len(found.layers)}"
    return {
        "net": name, "separable": separable, "changed": changed, "seconds": seconds,
        "spread": spread, "errors": errors,
    }  # fmt: skip


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table."""
    seconds = row["seconds"]
    inference = seconds["inference atrous"]
    return {
        "net": row["net"],
        "changed": row["changed"],
        "training / eager": seconds["training eager"] / seconds["training atrous"],
        "inference / eager": seconds["inference eager"] / inference,
        "inference / torch.compile": seconds.get("inference torch.compile", float("nan"))
        / inference,
        "training, ms": seconds["training atrous"] * 1e3,
        "inference, ms": inference * 1e3,
        "gradients differ by": row["errors"]["gradients"],
        "eager's": row["errors"]["gradients, eager"],
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    names = [n for n in NETS if any(text.lower() in n.lower() for text in options.only)]
    rows = [measured(n, options.rounds, not options.no_compile) for n in track(names, "networks")]
    show("Networks: how many times as fast", [shown(row) for row in rows])
    if options.save:
        save(
            "convolution_nets",
            {"threads": torch.get_num_threads(), "torch": torch.__version__, "nets": rows},
        )


if __name__ == "__main__":
    main()

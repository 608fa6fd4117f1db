"""How fast is each convolution of published architectures, beside PyTorch's and the limits?

    python benchmarks/convolution_layers.py [--only TEXT ...] [--rounds N] [--save]

Every layer of `layers`, in one run: PyTorch in eager mode, what `atrous` chooses, `clone()` of the
input (the limit where memory is), the same layer without dilation (its tax), and, forward, what
torch.compile, onnxruntime and openvino take, as far as they are installed. Everybody allocates
its result; the rounds are interleaved; medians of times, and the spread of the rounds. Outputs are
compared before anything is timed.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from rich.progress import track
from torch import Tensor

import runtimes
from atrous.ops.algorithms import ALGORITHMS
from atrous.ops.chooser import CHOOSER
from atrous.ops.measuring import example
from atrous.ops.problem import JOBS, Problem
from layers import LAYERS, Layer
from measuring import save, show

SLICE = 0.02
"""Seconds that a function is called for in every round."""

Functions = dict[str, Callable[[], Any]]


def functions_of(problem: Problem, *, forward: bool) -> Functions:
    """What is timed for one job: by name."""
    tensors = example(problem)
    choice = CHOOSER.measure(problem)
    chosen, aten = ALGORITHMS[choice.algorithm], ALGORITHMS["aten"]
    wanted = aten.run(problem, *tensors)
    found: Functions = {
        "eager": lambda: aten.run(problem, *tensors),
        "atrous": lambda: chosen.run(problem, *tensors),
    }
    for name, made in (("atrous", found["atrous"]()),):
        assert_near(name, made, wanted)
    if forward:
        found["clone"] = lambda: tensors[0].clone()
        for name, peer in runtimes.of(problem, *tensors).items():
            assert_near(name, peer(), wanted)
            found[name] = peer
    return found


def undilated(problem: Problem) -> Problem:
    """The same layer without dilation, and as many outputs."""
    padding = tuple(
        ((k - 1) // 2, k - 1 - (k - 1) // 2) if before == after else (k - 1, 0)
        for k, (before, after) in zip(problem.kernel, problem.padding, strict=True)
    )
    return replace(problem, dilation=(1,) * problem.axes, padding=padding)


def assert_near(name: str, made: Any, wanted: Tensor) -> None:
    """Outputs agree to rounding."""
    error = (torch.as_tensor(made).reshape(wanted.shape) - wanted).abs().max()
    assert error <= 1e-4 * wanted.abs().max(), (name, error)


def timed(functions: Functions, rounds: int) -> dict[str, list[float]]:
    """Seconds of a call, per round."""
    calls = {}
    for name, function in functions.items():
        for _ in range(3):
            began = time.perf_counter()
            function()
            taken = time.perf_counter() - began
        calls[name] = max(1, round(SLICE / taken))
    times: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            began = time.perf_counter()
            for _ in range(calls[name]):
                function()
            times[name].append((time.perf_counter() - began) / calls[name])
    return times


def measured(layer: Layer, rounds: int) -> dict[str, Any]:
    """Times of one layer, of all jobs."""
    row: dict[str, Any] = {"net": layer.net, "layer": layer.name, "kind": layer.kind}
    for job in JOBS:
        problem = replace(layer.problem, job=job)
        functions = functions_of(problem, forward=job == "forward")
        if max(problem.dilation) > 1:
            plain = undilated(problem)
            given, algorithm = example(plain), CHOOSER.measure(plain).algorithm
            functions["undilated"] = lambda p=plain, t=given, a=algorithm: ALGORITHMS[a].run(p, *t)
        times = timed(functions, rounds)
        row[job] = {
            "algorithm": CHOOSER.explain(problem).algorithm,
            "seconds": {name: statistics.median(taken) for name, taken in times.items()},
            "spread": {
                name: (max(taken) - min(taken)) / statistics.median(taken)
                for name, taken in times.items()
            },
        }
    return row


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table: ratios first."""
    forward, others = row["forward"]["seconds"], [row[job]["seconds"] for job in JOBS[1:]]
    peers = [forward[name] for name in forward if name not in ("atrous", "clone", "undilated")]
    training = sum(one["eager"] for one in (forward, *others))
    mine = sum(one["atrous"] for one in (forward, *others))
    return {
        "net": row["net"],
        "layer": row["layer"],
        "by": " ".join(row[job]["algorithm"] for job in JOBS),
        "forward / best peer": min(peers) / forward["atrous"],
        "forward / eager": forward["eager"] / forward["atrous"],
        "training / eager": training / mine,
        "times clone": forward["atrous"] / forward["clone"],
        "tax": forward["atrous"] / forward.get("undilated", forward["atrous"]),
        "forward, ms": forward["atrous"] * 1e3,
        "training, ms": mine * 1e3,
    }


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Geometric means by kind, and the worst."""
    found = []
    for kind in ("depthwise", "dense", "pointwise"):
        of_kind = [shown(row) for row in rows if row["kind"] == kind]
        if of_kind:
            told: dict[str, Any] = {"kind": kind, "layers": len(of_kind)}
            for key in ("forward / best peer", "forward / eager", "training / eager"):
                values = [row[key] for row in of_kind]
                told[key] = math.exp(statistics.fmean(map(math.log, values)))
                told[f"least {key}"] = min(values)
            told["largest tax"] = max(row["tax"] for row in of_kind)
            found.append(told)
    return found


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", default=[""], metavar="TEXT")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    chosen = [
        layer
        for layer in LAYERS
        if any(text.lower() in f"{layer.net} {layer.name}".lower() for text in options.only)
    ]
    rows = [measured(layer, options.rounds) for layer in track(chosen, "layers")]
    show("Convolutions: how many times as fast as others", [shown(row) for row in rows])
    show("By kind", summary(rows))
    if options.save:
        versions = {"torch": torch.__version__, **runtimes.versions()}
        save(
            "convolution_layers",
            {
                "threads": torch.get_num_threads(), "versions": versions,
                "summary": summary(rows), "layers": rows,
            },
        )  # fmt: skip


if __name__ == "__main__":
    main()

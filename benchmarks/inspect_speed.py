"""What fields cost beside the bare export, how the cost grows with depth, and what peers answer.

    python benchmarks/inspect_speed.py [--peers PYTHON] [--save]

Times are medians of interleaved repeats in one process; ratios come first. Peers run in an
environment of their own (`--peers`, a Python made by `benchmarks/peers/make_environment.sh`), on
the same models and inputs; their answers stand beside the true ones.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import time
import warnings
from typing import Any

import torch
from torch import nn

from atrous.analysis.fields.field import fields
from atrous.graph.capture import capture
from measuring import ROOT, interleaved, save, show
from peers.models import MODELS


def export(model: nn.Module, x: torch.Tensor) -> None:
    """What everybody must pay who wants a graph."""
    torch.export.export(model, (x,), strict=False)


def all_fields(model: nn.Module, x: torch.Tensor) -> None:
    """Capture and the field of every node."""
    fields(capture(model, x))


def against_export(repeats: int) -> list[dict[str, Any]]:
    """Capture and all fields over the bare export, for real models at their sizes."""
    import torchvision

    models = torchvision.models
    segmentation = models.segmentation
    cases: dict[str, tuple[nn.Module, int]] = {
        "deeplabv3_resnet101": (
            segmentation.deeplabv3_resnet101(weights=None, weights_backbone=None),
            513,
        ),
        "resnet50": (models.resnet50(), 224),
        "densenet121": (models.densenet121(), 224),
        "googlenet": (models.googlenet(init_weights=False), 224),
        "mobilenet_v2": (models.mobilenet_v2(), 224),
    }
    rows = []
    for name, (model, size) in cases.items():
        model.eval()
        x = torch.zeros(1, 3, size, size)
        functions = {
            "export": lambda m=model, x=x: export(m, x),
            "fields": lambda m=model, x=x: all_fields(m, x),
        }
        times = interleaved(functions, repeats)
        medians = {key: statistics.median(values) for key, values in times.items()}
        paired = [b / a for a, b in zip(times["export"], times["fields"], strict=True)]
        rows.append(
            {
                "model": name,
                "size": size,
                "ratio": statistics.median(paired),
                "ratio_of_medians": medians["fields"] / medians["export"],
                "export_s": medians["export"],
                "fields_s": medians["fields"],
                "spread": [min(paired), max(paired)],
            }
        )
    return rows


def against_depth(repeats: int) -> list[dict[str, Any]]:
    """Time of the fields alone (without export) for 1, 2, 4 and 8 times the layers."""
    rows = []
    programs = {}
    for factor in (1, 2, 4, 8):
        layers: list[nn.Module] = []
        for k in range(40 * factor):
            layers += [nn.Conv1d(4, 4, 3, padding=2 ** (k % 5), dilation=2 ** (k % 5)), nn.ReLU()]
        programs[factor] = capture(nn.Sequential(*layers), (1, 4, 4096))
    functions = {str(f): (lambda p=p: fields(p)) for f, p in programs.items()}
    times = interleaved(functions, 5 * repeats)
    first = statistics.median(times["1"])
    for factor in programs:
        seconds = statistics.median(times[str(factor)])
        rows.append({"layers": 40 * factor, "seconds": seconds, "ratio": seconds / first})
    return rows


def peers(python: str) -> list[dict[str, Any]]:
    """What the peers answer, each in a process of its own so that one cannot disturb the next."""
    rows = []
    for model, case in MODELS.items():
        ours = time.perf_counter()
        found = fields(capture(case.make().eval(), case.shape))
        seconds = time.perf_counter() - ours
        last = list(found.values())[-1]
        rows.append(
            {
                "model": model,
                "peer": "atrous",
                "answer": " x ".join(map(str, dict.fromkeys(last.size))),
                "stride": " x ".join(map(str, dict.fromkeys(last.stride))),
                "truth": case.truth,
                "seconds": seconds,
            }
        )
        command = [python, str(ROOT / "benchmarks" / "peers" / "run_peers.py"), model]
        done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        for line in done.stdout.splitlines():
            if line.startswith("{"):
                rows.append({"model": model, "truth": case.truth, **json.loads(line)})
    return rows


def main() -> None:
    """Run, print, and keep if asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--peers", help="a Python with the peers installed")
    parser.add_argument("--save", action="store_true", help="keep the result in the repository")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    result: dict[str, Any] = {"against_export": against_export(options.repeats)}
    show("capture and all fields / bare export (target 1.25)", result["against_export"])
    result["against_depth"] = against_depth(options.repeats)
    show("all fields, by depth", result["against_depth"])
    if options.peers:
        result["peers"] = peers(options.peers)
        show("answers of peers", result["peers"])
    if options.save:
        save("inspect_speed", result)


if __name__ == "__main__":
    main()

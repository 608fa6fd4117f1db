"""What path counts cost beside the gradient script that people use.

    python benchmarks/coverage_speed.py [--repeats N] [--save]

The script sets every weight to a positive constant, runs the real model forward and takes the
gradient of the central output; where it is not 0, it says, an input is read. Both answer for the
same output of the same model at the same size; times are medians of interleaved repeats in one
process, ratios come first, and the positions found are compared.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from atrous.analysis.coverage.question import coverage
from atrous.graph.capture import capture
from atrous.models import create
from measuring import interleaved, save, show


def gradient_script(model: nn.Module, x: Tensor) -> np.ndarray:
    """Where the gradient of the central output is not 0, with constant positive weights."""
    x = x.clone().requires_grad_(True)
    out = model(x)
    if isinstance(out, dict):
        out = out["out"]
    centre = tuple(n // 2 for n in out.shape[2:])
    out[(slice(None), slice(None), *centre)].sum().backward()
    assert x.grad is not None
    return x.grad.abs().sum(dim=(0, 1)).numpy()


def constant_weights(model: nn.Module) -> nn.Module:
    """The same model with every weight so small that sums stay finite, and all positive."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.modules.conv._ConvNd):
            nn.init.constant_(module.weight, 1 / module.weight[0].numel())
            if module.bias is not None:
                nn.init.zeros_(module.bias)
    return model.eval()


def wavenet() -> nn.Module:
    """30 layers of two taps, dilations 1 to 512 three times, residual."""

    class Residual(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            self.dilation = dilation
            self.conv = nn.Conv1d(32, 32, 2, dilation=dilation)

        def forward(self, x: Tensor) -> Tensor:
            return x + torch.relu(self.conv(nn.functional.pad(x, (self.dilation, 0))))

    layers = [Residual(2**k) for _ in range(3) for k in range(10)]
    return nn.Sequential(nn.Conv1d(1, 32, 1), *layers, nn.Conv1d(32, 1, 1))


def cases() -> dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]]:
    """Models and their inputs."""
    import torchvision

    segmentation = torchvision.models.segmentation

    def deeplab() -> nn.Module:
        return segmentation.deeplabv3_resnet101(weights=None, weights_backbone=None)

    def backbone() -> nn.Module:
        return nn.Sequential(*list(torchvision.models.resnet50().children())[:-2])

    return {
        "deeplabv3_resnet101": (deeplab, (1, 3, 1025, 1025)),
        "resnet50 without its head": (backbone, (1, 3, 512, 512)),
        "segmenter": (lambda: create("segmenter"), (1, 3, 513, 513)),
        "wavenet": (wavenet, (1, 1, 16000)),
    }


def measured(repeats: int) -> list[dict[str, Any]]:
    """One row per model."""
    rows = []
    for name, (make, shape) in cases().items():
        model = constant_weights(make())
        x = torch.ones(shape)
        program = capture(model, x)
        found = coverage(program, program.output())
        slope = gradient_script(model, x)
        functions: dict[str, Callable[[], Any]] = {
            "coverage": lambda p=program: coverage(p, p.output()),
            "with capture": lambda m=model, x=x: coverage((p := capture(m, x)), p.output()),
            "gradient": lambda m=model, x=x: gradient_script(m, x),
        }
        times = interleaved(functions, repeats)
        pairs = list(zip(times["gradient"], times["coverage"], strict=True))
        ratios = [a / b for a, b in pairs]
        medians = {key: statistics.median(values) for key, values in times.items()}
        rows.append(
            {
                "model": name,
                "size": " x ".join(map(str, shape[2:])),
                "ratio": statistics.median(ratios),
                "ratio_with_capture": medians["gradient"] / medians["with capture"],
                "coverage_s": medians["coverage"],
                "gradient_s": medians["gradient"],
                "spread": [min(ratios), max(ratios)],
                "read": int((found.counts != 0).sum()),
                "gradient_read": int((np.isfinite(slope) & (slope != 0)).sum()),
            }
        )
    return rows


def main() -> None:
    """Measure, show, and keep if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--save", action="store_true")
    options = parser.parse_args()
    rows = measured(options.repeats)
    show("time of the gradient script over coverage after capture", rows)
    if options.save:
        save("coverage_speed", {"against_the_gradient_script": rows})


if __name__ == "__main__":
    main()

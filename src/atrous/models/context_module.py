"""The context module of Yu and Koltun: the schedule that made dilation known."""

from __future__ import annotations

from torch import nn

from atrous.models.registry import model

DILATIONS = (1, 1, 2, 4, 8, 16, 1)


@model(
    "context_module",
    input_shape=(1, 19, 128, 128),
    source="Yu and Koltun, Multi-Scale Context Aggregation by Dilated Convolutions, ICLR 2016",
)
def context_module(classes: int = 19) -> nn.Module:
    """3x3 layers dilated 1, 1, 2, 4, 8, 16, 1 and a 1x1: field 67 at full resolution."""
    layers: list[nn.Module] = []
    for dilation in DILATIONS:
        layers += [
            nn.Conv2d(classes, classes, 3, padding=dilation, dilation=dilation),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.Conv2d(classes, classes, 1))

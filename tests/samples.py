"""Small networks and inputs that several tests need."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


def dilated(
    *dilations: int, kernel: int = 3, axes: int = 1, channels: int = 1, **options: Any
) -> nn.Sequential:
    """Convolutions in a row, one per dilation; those of odd kernels keep the length."""
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes]
    return nn.Sequential(
        *(
            kind(channels, channels, kernel, dilation=d, padding=(kernel - 1) * d // 2, **options)
            for d in dilations
        )
    )


def drawn(*shape: int, seed: int = 0) -> Tensor:
    """Normal numbers in float64, the same for every call."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


class Cut(nn.Module):
    """The end of a map cut off."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length

    def forward(self, x: Tensor) -> Tensor:
        return x[..., : -self.length]

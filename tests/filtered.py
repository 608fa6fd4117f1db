"""A data set that convolves: fresh processes import it by this name."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.utils.data import Dataset

from atrous import ops


def layer(x: Tensor, weight: Tensor) -> Tensor:
    """A causal depthwise layer."""
    return ops.conv1d(x, weight, padding="causal", dilation=4, groups=len(weight))


class Filtered(Dataset[Tensor]):
    """Items of equal numbers, each the sum of three."""

    def __len__(self) -> int:
        """How many."""
        return 4

    def __getitem__(self, index: int) -> Tensor:
        """(32, 2000) of three times the index, but at the beginning."""
        return layer(torch.full((1, 32, 2000), float(index)), torch.ones(32, 1, 3))[0]

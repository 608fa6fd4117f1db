"""A temporal convolutional network: causal, dilated, residual."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from atrous.models.registry import model


class Level(nn.Module):
    """Two causal convolutions of one dilation beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, kernel_size: int, dilation: int) -> None:
        super().__init__()
        self.past = (kernel_size - 1) * dilation
        self.first = nn.Conv1d(inputs, outputs, kernel_size, dilation=dilation)
        self.second = nn.Conv1d(outputs, outputs, kernel_size, dilation=dilation)
        self.shortcut = nn.Identity() if inputs == outputs else nn.Conv1d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The same length."""
        y = F.relu(self.first(F.pad(x, (self.past, 0))))
        y = F.relu(self.second(F.pad(y, (self.past, 0))))
        return F.relu(y + self.shortcut(x))


@model(
    "tcn",
    input_shape=(1, 1, 1000),
    source="Bai, Kolter and Koltun, An Empirical Evaluation of Generic Convolutional and Recurrent "
    "Networks for Sequence Modeling, 2018",
)
def tcn(levels: int = 8, kernel_size: int = 8, width: int = 24) -> nn.Module:
    """Eight causal levels of kernel 8, dilated 1 to 128: field 3,571."""
    sizes = [1, *[width] * levels]
    return nn.Sequential(
        *(Level(sizes[k], sizes[k + 1], kernel_size, 2**k) for k in range(levels)),
        nn.Conv1d(width, 1, 1),
    )

"""Whether exported models take other sizes, against running them at other sizes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from atrous.convert.exporting import export


class Placed(nn.Module):
    """Adds a weight per position: one length alone."""

    def __init__(self) -> None:
        super().__init__()
        self.place = nn.Parameter(torch.rand(64))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.place


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        (nn.Conv1d(3, 4, 3, 2, 1), True),
        (nn.Sequential(nn.Conv1d(3, 4, 3, 2, 1), nn.AvgPool1d(2)), True),
        # PyTorch holds the length that this pool reads, though the input's is a symbol.
        (nn.Sequential(nn.Conv1d(3, 4, 3, 2, 1), nn.MaxPool1d(2)), False),
        # The batch is free, the length is not.
        (Placed(), False),
    ],
)
def test_sizes_are_free_where_the_exported_model_runs_at_others(
    model: nn.Module, wanted: bool
) -> None:
    exported, free = export(model.eval(), (1, 3, 64), {0: (2,)})
    runs = []
    for length in (20, 33, 128):
        try:
            exported.module()(torch.rand(2, 3, length))
            runs.append(True)
        except (AssertionError, RuntimeError):
            runs.append(False)
    assert free == all(runs) == any(runs) == wanted

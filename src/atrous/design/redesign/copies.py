"""Copies of models."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from atrous.graph.shell import shell_copy


def copied(model: nn.Module) -> nn.Module:
    """A copy of a model with weights of its own, each module in its mode."""
    try:
        return copy.deepcopy(model)
    except RuntimeError:
        # Weights that hooks compute have a history, and cannot be copied as they are.
        made = shell_copy(model, _own)
        for module, before in zip(made.modules(), model.modules(), strict=True):
            module.training = before.training
        return made


def _own(tensor: Tensor) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(tensor)

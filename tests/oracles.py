"""Independent answers: what really changes when an input is perturbed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

BUMP = 1e40
"""Larger than any value in a random network, so that no maximum or ReLU hides it."""

SHARE = 1e-13
"""A smaller share of the bump is rounding, as the weight of a resize that lands on a sample."""


@torch.no_grad()
def perturbation_support(model: nn.Module, x: Tensor, axis: int) -> npt.NDArray[np.bool_]:
    """Which output elements change with each position of an input axis: `(positions, *output)`.

    All of the hyperplane at one position is raised at once.
    """
    base = model(x)
    rows = []
    for position in range(x.shape[axis]):
        raised = x.clone()
        raised.select(axis, position).add_(BUMP)
        rows.append(((model(raised) - base) > SHARE * BUMP).numpy())
    return np.stack(rows)


def rows_along(support: npt.NDArray[np.bool_], *axes: int) -> npt.NDArray[np.bool_]:
    """`(positions along output axes, ..., input positions)` from a perturbation support."""
    others = tuple(k for k in range(1, support.ndim) if k - 1 not in axes)
    return np.moveaxis(support.any(axis=others), 0, -1)

"""A copy of a model to trace on, so that the model itself stays as it is."""

from __future__ import annotations

import copy
from typing import Any

from torch import nn


class CaptureError(RuntimeError):
    """A model that could not be turned into a program; the message says where, why, what to do."""


def shell_copy(model: nn.Module) -> nn.Module:
    """A copy in inference mode that shares parameters and buffers and nothing else.

    Raises:
        CaptureError: if the model holds something that cannot be copied.
    """
    shared: dict[int, Any] = {
        id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())
    }
    try:
        shell = copy.deepcopy(model, shared)
    except Exception as error:
        raise CaptureError(
            f"model must be copyable, but {type(model).__name__} is not: {error}. "
            "Keep locks, files and non-leaf tensors out of its attributes."
        ) from error
    return shell.eval()

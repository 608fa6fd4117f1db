"""A model made faster: its convolutions computed in the fastest exact way."""

from __future__ import annotations

from typing import TypeVar, overload

from torch import nn
from torch.export import ExportedProgram

from atrous.convert.acceleration import accelerated, is_accelerated, undone
from atrous.graph.capture import Inputs
from atrous.report.text.progress import counting

Model = TypeVar("Model", bound=nn.Module)


@overload
def accelerate(model: Model, x: Inputs | None = ..., *, undo: bool = ...) -> Model: ...
@overload
def accelerate(
    model: ExportedProgram, x: Inputs | None = ..., *, undo: bool = ...
) -> nn.Module: ...
def accelerate(
    model: nn.Module | ExportedProgram, x: Inputs | None = None, *, undo: bool = False
) -> nn.Module:
    """A model with the same values and gradients in which each convolution is as fast as can be.

    The model is run once on `x`. Every convolution it computes, in modules or by plain calls, and
    both of its gradients, are measured at their sizes with every exact algorithm there is (times
    are kept on disk). Where PyTorch's own is not the fastest, the module computes by `atrous.ops`
    from then on, at other sizes too.

    Args:
        model: a module, or a program exported by `torch.export`. It stays as it is.
        x: an input, as in `receptive_field`, of the sizes and the kind of numbers to be fast at.
        undo: whether to take back what was done to a model, instead.

    Returns:
        A new model of the same class, with the same `state_dict` keys, for inference and training.
        Its `acceleration` holds what was changed and gained, and prints it.

    Raises:
        ValueError: if there is nothing to undo, or no input.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> layer = nn.Conv1d(64, 64, 3, dilation=64, padding=64, groups=64)
        >>> net, x = nn.Sequential(layer, nn.ReLU(), nn.Conv1d(64, 8, 1)), torch.randn(1, 64, 4000)
        >>> fast = accelerate(net, x)
        >>> fast.acceleration.error < 1e-5, len(fast.acceleration.layers)
        (True, 2)
        >>> bool(torch.allclose(fast(x), net(x), atol=1e-5))
        True
    """
    if undo:
        if isinstance(model, ExportedProgram) or not is_accelerated(model):
            raise ValueError("model must be one that `accelerate` made, to be undone.")
        plain = undone(model)
        plain.__dict__.pop("acceleration", None)
        return plain
    if x is None:
        raise ValueError("x must be an input of the model. Give one of the sizes to be fast at.")
    with counting("measuring convolutions") as told:
        made, found = accelerated(model, x, told)
    made.__dict__["acceleration"] = found
    return made

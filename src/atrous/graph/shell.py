"""A copy of a model to trace on, so that the model itself stays as it is."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from types import CellType, FunctionType
from typing import Any

import torch
from torch import Tensor, nn


class CaptureError(RuntimeError):
    """A model that could not be turned into a program; the message says where, why, what to do.

    Attributes:
        fitting_shape: a shape, batch included, on which the model runs; None if none is known.
    """

    fitting_shape: tuple[int, ...] | None = None


def shell_copy(
    model: nn.Module, stand_in: Callable[[Tensor], Tensor] = lambda tensor: tensor
) -> nn.Module:
    """A copy in inference mode that shares parameters and buffers and nothing else.

    Functions kept as attributes or hooks are copied with what they enclose.

    Args:
        model: what to copy.
        stand_in: what the copy holds for each parameter and buffer; by default the same tensor.

    Raises:
        CaptureError: if the model holds something that cannot be copied.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be a torch.nn.Module, got {type(model).__name__}.")
    if isinstance(model, torch.jit.ScriptModule):
        raise CaptureError(
            f"model must be an eager module, got a TorchScript one ({type(model).__name__}). "
            "Pass the module it was made from."
        )
    shared: dict[int, Any] = {
        id(tensor): stand_in(tensor) for tensor in (*model.parameters(), *model.buffers())
    }
    for tensor in _computed(model):
        # Computed tensors kept as attributes cannot be copied with their history.
        shared.setdefault(id(tensor), tensor.detach())
    try:
        _copy_closures(model, shared)
        shell = copy.deepcopy(model, shared)
    except Exception as error:
        raise CaptureError(
            f"model must be copyable, but {type(model).__name__} is not: {error}. "
            "Keep locks, files and non-leaf tensors out of its attributes."
        ) from error
    return shell.eval()


def _computed(model: nn.Module) -> Iterator[Tensor]:
    """Tensors with a gradient history among the modules' attributes, in containers too."""
    pending: list[Any] = [value for module in model.modules() for value in vars(module).values()]
    seen: set[int] = set()
    while pending:
        value = pending.pop()
        if isinstance(value, Tensor):
            if value.grad_fn is not None:
                yield value
        elif isinstance(value, dict | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            pending.extend(value.values() if isinstance(value, dict) else value)


def _closures(model: nn.Module) -> Iterator[FunctionType]:
    """Functions that enclose values, among the modules' attributes and hooks."""
    for module in model.modules():
        for value in vars(module).values():
            values = value.values() if isinstance(value, dict) else [value]
            for item in values:
                if isinstance(item, FunctionType) and item.__closure__:
                    yield item


def _copy_closures(model: nn.Module, memo: dict[int, Any]) -> None:
    """Enter into `memo` a copy of each function that encloses values, with copies of these."""
    functions = list(_closures(model))
    for function in functions:
        own = FunctionType(
            function.__code__,
            function.__globals__,
            function.__name__,
            function.__defaults__,
            tuple(CellType() for _ in function.__closure__ or ()),
        )
        own.__kwdefaults__ = function.__kwdefaults__
        own.__dict__.update(function.__dict__)
        memo[id(function)] = own
    # What they enclose may be the model itself, which holds the functions again.
    for function in functions:
        cells = memo[id(function)].__closure__
        for cell, theirs in zip(cells, function.__closure__ or (), strict=True):
            try:
                cell.cell_contents = copy.deepcopy(theirs.cell_contents, memo)
            except Exception:
                # What cannot be copied is shared.
                cell.cell_contents = theirs.cell_contents

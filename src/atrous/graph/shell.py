"""A copy of a model to trace on, so that the model itself stays as it is."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from types import CellType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


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

    Functions kept as attributes or hooks are copied with what they enclose, hooks also with the
    objects that they know by a default or as a global of their module.

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
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if is_lazy(tensor):
            owner = model.get_submodule(name.rpartition(".")[0])
            raise CaptureError(
                f"model must have all its parameters, but {name!r} of {type(owner).__name__} is "
                "not initialised. Call the model once on an input before."
            )
    shared: dict[int, Any] = {
        id(tensor): stand_in(tensor) for tensor in (*model.parameters(), *model.buffers())
    }
    for tensor in _computed(model):
        # Computed tensors kept as attributes cannot be copied with their history.
        shared.setdefault(id(tensor), tensor.detach())
    try:
        _copy_functions(model, shared)
        with warnings.catch_warnings():
            # Of PyTorch's own classes about their copies.
            warnings.simplefilter("ignore")
            shell = copy.deepcopy(model, shared)
    except Exception as error:
        raise CaptureError(
            f"model must be copyable, but {type(model).__name__} is not: {error}. "
            "Keep locks, files and non-leaf tensors out of its attributes."
        ) from error
    return shell.eval()


def own_copy(model: nn.Module) -> nn.Module:
    """A copy of a model with weights of its own, each module in its mode.

    Raises:
        CaptureError: if the model holds something that cannot be copied.
    """
    try:
        return copy.deepcopy(model)
    except Exception:
        # Weights that hooks compute have a history, and cannot be copied as they are.
        made = shell_copy(model, _own)
        for module, before in zip(made.modules(), model.modules(), strict=True):
            module.training = before.training
        return made


def _own(tensor: Tensor) -> Tensor:
    with torch.no_grad():
        return copy.deepcopy(tensor)


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


def _functions(model: nn.Module) -> Iterator[tuple[FunctionType, bool]]:
    """Functions that keep values among the modules' attributes and hooks; which are hooks."""
    for module in model.modules():
        for name, value in vars(module).items():
            is_hook = name.endswith("_hooks")
            for item in value.values() if isinstance(value, dict) else [value]:
                own = isinstance(item, FunctionType) and not item.__module__.startswith("torch.")
                if isinstance(item, FunctionType) and (item.__closure__ or (own and is_hook)):
                    yield item, own and is_hook


def _copy_functions(model: nn.Module, memo: dict[int, Any]) -> None:
    """Enter into `memo` a copy of each function that keeps values, with copies of these."""
    functions = dict(_functions(model))
    for function, is_hook in functions.items():
        own = FunctionType(
            function.__code__,
            dict(function.__globals__) if is_hook else function.__globals__,
            function.__name__,
            function.__defaults__,
            tuple(CellType() for _ in function.__closure__ or ()),
        )
        own.__kwdefaults__ = function.__kwdefaults__
        own.__dict__.update(function.__dict__)
        memo[id(function)] = own
    # What they keep may be the model itself, which holds the functions again.
    for function, is_hook in functions.items():
        copied = memo[id(function)]
        for cell, theirs in zip(copied.__closure__ or (), function.__closure__ or (), strict=True):
            cell.cell_contents = _copied(theirs.cell_contents, memo)
        if is_hook:
            for name in {*function.__code__.co_names} & function.__globals__.keys():
                copied.__globals__[name] = _copied(function.__globals__[name], memo)
            copied.__defaults__ = _copied(function.__defaults__, memo)
            copied.__kwdefaults__ = _copied(function.__kwdefaults__, memo)


def _copied(value: Any, memo: dict[int, Any]) -> Any:
    """A copy; the value itself where it cannot be copied, or is a module of Python."""
    if isinstance(value, ModuleType):
        return value
    try:
        return copy.deepcopy(value, memo)
    except Exception:
        return value

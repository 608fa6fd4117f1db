"""Hooks that only look on are left out while a model is traced; those that take part are run."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import _disable_current_modes


def without_onlookers(shell: nn.Module) -> nn.Module:
    """Let no hook of a copied model see tensors without data, if all it does is to look at them.

    A hook takes part if it returns something, or changes its module, what that is given or what it
    gives: such hooks (weight norms, pruning) run in every call. Which it is shows on zeros of the
    same shapes, before each call. Where a hook cannot run on these, it is run as it is.

    Args:
        shell: what `shell_copy` gave, whose hooks are copies too.

    Returns:
        The same module.
    """
    for module in shell.modules():
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key, hook in hooks.items():
                hooks[key] = _Asked(hook)
    return shell


class _Asked:
    """A hook that is run only if it takes part."""

    def __init__(self, hook: Any) -> None:
        self._hook = hook

    def __call__(self, module: nn.Module, *values: Any) -> Any:
        if _only_looks_on(self._hook, module, values):
            return None
        return self._hook(module, *values)


def _only_looks_on(hook: Any, module: nn.Module, values: tuple[Any, ...]) -> bool:
    with _disable_current_modes(), torch._C.DisableTorchFunction(), torch.random.fork_rng([]):
        try:
            zeros = pytree.tree_map(_zeros, values)
            before = _state(module, zeros)
            result = hook(module, *zeros)
        except Exception:
            return False
        return result is None and _state(module, zeros) == before


def _zeros(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    return torch.zeros([int(n) for n in value.shape], dtype=value.dtype, device=value.device)


def _state(module: nn.Module, values: Any) -> list[Any]:
    """What tells whether a module, or values, were changed."""
    told: list[Any] = []
    for held in (vars(module), module._parameters, module._buffers):
        told += [(name, id(value)) for name, value in held.items()]
        told += [v._version for v in held.values() if isinstance(v, Tensor)]
    leaves = pytree.tree_leaves(values)
    return [*told, *((id(v), v._version) for v in leaves if isinstance(v, Tensor))]

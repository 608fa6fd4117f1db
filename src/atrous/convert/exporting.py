"""Models exported with free sizes, where they have some."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, ExportedProgram
from torch.utils import _pytree as pytree

from atrous.graph.capture import (
    Inputs,
    arguments,
    floating_type,
    in_order,
    quiet,
    same_random_state,
)


def export(
    model: nn.Module, x: Inputs, axes: Mapping[int, Collection[int]]
) -> tuple[ExportedProgram, bool]:
    """A model's exported program, in inference mode; and whether its sizes are free.

    Where it cannot be exported for all sizes, it is for those of `x`.

    Args:
        model: the model, in inference mode.
        x: what it is called with.
        axes: by number of the tensor among these, its axes of positions; their lengths and that of
            the batch are to be free.
    """
    args, kwargs = arguments(x, floating_type(model))
    kwargs = in_order(model, kwargs)
    with quiet(), same_random_state():
        for batch in (True, False):
            try:
                found = _export(model, args, kwargs, axes, batch=batch)
            except Exception:
                break
            with _without_values() as mode:
                given = pytree.tree_map_only(torch.Tensor, mode.from_tensor, (args, kwargs))
                runs = _runs(found, *given)
            if runs:
                return found, is_free(found)
        return _export(model, args, kwargs, {}), False


def _export(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    axes: Mapping[int, Collection[int]],
    *,
    batch: bool = False,
) -> ExportedProgram:
    leaves, spec = pytree.tree_flatten((args, dict(kwargs)))
    numbers = [k for k, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    sizes: list[Any] = [None] * len(leaves)
    for number, k in enumerate(numbers):
        if number in axes:
            # A single item would be taken for the only batch there is.
            leaves[k] = torch.cat([leaves[k]] * 2) if batch and len(leaves[k]) == 1 else leaves[k]
            sizes[k] = dict.fromkeys((0, *axes[number]) if batch else axes[number], Dim.AUTO)
    args, kwargs = pytree.tree_unflatten(leaves, spec)
    shapes = pytree.tree_unflatten(sizes, spec)
    free = (*shapes[0], *shapes[1].values())
    return torch.export.export(model, args, dict(kwargs), dynamic_shapes=free, strict=False)


def is_free(exported: ExportedProgram) -> bool:
    """Whether an exported program takes positions of other lengths.

    A length that is a symbol may still be held by a guard, as behind `nn.MaxPool1d`: maps twice as
    long, without values, tell. The first axis is the batch.
    """
    names = exported.graph_signature.user_inputs
    values = [n.meta.get("val") for n in exported.graph.nodes if n.name in names]
    tensors = [value for value in values if isinstance(value, torch.Tensor)]
    if not any(isinstance(length, torch.SymInt) for t in tensors for length in t.shape[1:]):
        return False
    with quiet(), same_random_state(), _without_values():
        leaves = [_twice_as_long(v) if isinstance(v, torch.Tensor) else v for v in values]
        args, kwargs = pytree.tree_unflatten(leaves, exported.call_spec.in_spec)
        return _runs(exported, args, kwargs)


def _without_values() -> FakeTensorMode:
    return FakeTensorMode(allow_non_fake_inputs=True)


def _runs(exported: ExportedProgram, args: Any, kwargs: Mapping[str, Any]) -> bool:
    try:
        exported.module()(*args, **kwargs)
    except Exception:
        return False
    return True


def _twice_as_long(value: torch.Tensor) -> torch.Tensor:
    shape = [
        length if isinstance(length, int) else (2 if axis else 1) * int(length.node.hint)
        for axis, length in enumerate(value.shape)
    ]
    return torch.empty(shape, dtype=value.dtype)

"""Models exported with free sizes, where they have some."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn
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
        try:
            found = _export(model, args, kwargs, axes)
            return found, is_free(found)
        except Exception:
            return _export(model, args, kwargs, {}), False


def _export(
    model: nn.Module,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    axes: Mapping[int, Collection[int]],
) -> ExportedProgram:
    leaves, spec = pytree.tree_flatten((args, dict(kwargs)))
    numbers = [k for k, leaf in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    sizes: list[Any] = [None] * len(leaves)
    for number, k in enumerate(numbers):
        if number in axes:
            # A single item would be taken for the only batch there is.
            leaves[k] = torch.cat([leaves[k]] * 2) if len(leaves[k]) == 1 else leaves[k]
            sizes[k] = dict.fromkeys((0, *axes[number]), Dim.AUTO)
    args, kwargs = pytree.tree_unflatten(leaves, spec)
    shapes = pytree.tree_unflatten(sizes, spec)
    free = (*shapes[0], *shapes[1].values())
    return torch.export.export(model, args, dict(kwargs), dynamic_shapes=free, strict=False)


def is_free(exported: ExportedProgram) -> bool:
    """Whether an exported program takes inputs of several sizes."""
    names = exported.graph_signature.user_inputs
    values = [n.meta.get("val") for n in exported.graph.nodes if n.name in names]
    return any(
        isinstance(length, torch.SymInt)
        for value in values
        if isinstance(value, torch.Tensor)
        for length in value.shape
    )

"""The same network with one channel and every weight 1: its gradient counts routes."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from networks import AVG_POOL, CONVOLUTION, MAX_POOL, TRANSPOSED, RandomNetwork, apply

MIXING = {"chunk", "shuffle", "rearranged", "head"}
"""Steps that take channels apart: one channel cannot stand for all."""


def route_counts(network: RandomNetwork, at: tuple[int, ...]) -> Tensor:
    """The gradient of the output at a position, on an input of one channel."""
    x = torch.zeros(1, 1, *network.shape[2:], dtype=torch.float64, requires_grad=True)
    results = [x]
    for step in network.steps:
        results.append(_counted(step.kind, [results[r] for r in step.reads], step.settings))
    out = results[-1]
    if not out.requires_grad:
        return torch.zeros(network.shape[2:], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(out[(0, 0, *at)], x, allow_unused=True)
    if gradient is None:
        return torch.zeros(network.shape[2:], dtype=torch.float64)
    return gradient[0, 0]


def _counted(kind: str, values: list[Tensor], s: dict[str, Any]) -> Tensor:
    x = values[0]
    axes = x.dim() - 2
    if kind in ("act", "norm"):
        return x
    if kind in ("add", "maximum", "cat"):
        return x + values[1]
    if kind == "conv":
        one = torch.ones(1, 1, *s["w"].shape[2:], dtype=x.dtype)
        return CONVOLUTION[axes](x, one, None, s["stride"], s["padding"], s["dilation"])
    if kind == "transposed":
        one = torch.ones(1, 1, *s["w"].shape[2:], dtype=x.dtype)
        return TRANSPOSED[axes](
            x, one, None, s["stride"], s["padding"], s["extra"], 1, s["dilation"]
        )
    if kind in ("max", "avg"):
        return _window_sum(kind, x, s)
    if kind in ("mean", "gate"):
        return x + x.sum(dim=tuple(range(2, x.dim())), keepdim=True)
    if kind in ("resize", "resize_like", "adaptive"):
        return _separable(kind, values, s)
    return apply(kind, values, s)


def _window_sum(kind: str, x: Tensor, s: dict[str, Any]) -> Tensor:
    axes = x.dim() - 2
    if kind == "max":
        pooled = MAX_POOL[axes](
            x, s["kernel"], s["stride"], s["padding"], s["dilation"], s["ceil_mode"]
        )
        dilation = s["dilation"]
    else:
        pooled = AVG_POOL[axes](x, s["kernel"], s["stride"], s["padding"], s["ceil_mode"])
        dilation = (1,) * axes
    room = [n for p, k in zip(reversed(s["padding"]), reversed(s["kernel"]), strict=True)
            for n in (p, p + 20 * k)]  # fmt: skip
    one = torch.ones(1, 1, *s["kernel"], dtype=x.dtype)
    total = CONVOLUTION[axes](F.pad(x, room), one, None, s["stride"], 0, dilation)
    return total[(slice(None), slice(None), *(slice(0, n) for n in pooled.shape[2:]))]


def _separable(kind: str, values: list[Tensor], s: dict[str, Any]) -> Tensor:
    """An axis at a time: which inputs the operator reads, from what it does to unit vectors."""
    x = values[0]
    meta = [torch.empty(v.shape, device="meta", dtype=v.dtype) for v in values]
    target = apply(kind, meta, s).shape[2:]
    for axis, length in enumerate(x.shape[2:]):
        units = torch.eye(length, dtype=x.dtype)
        units = units.reshape(
            [length, 1, *[length if a == axis else 1 for a in range(len(target))]]
        )
        # Unit vectors stay constant along the other axes.
        operand = units.expand(length, 1, *values[0].shape[2:]).contiguous()
        seen = apply(kind, [operand, *values[1:]], s)
        read = seen[
            (slice(None), 0, *[slice(None) if a == axis else 0 for a in range(len(target))])
        ]
        matrix = (read.abs() > 1e-12).to(x.dtype)
        x = torch.tensordot(x, matrix, ([2 + axis], [0])).movedim(-1, 2 + axis)
    assert x.shape[2:] == target
    return x

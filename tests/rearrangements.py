"""Monotone ways to move, repeat, mix and write values, for random networks: every local family
beside convolutions and pools."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor


def _index(x: Tensor) -> Tensor:
    """Positions in no order, some twice, some never."""
    n = x.shape[-1]
    return torch.tensor([*((5 * k + 3) % n for k in range(n)), 0], device=x.device)


def backwards(x: Tensor) -> Tensor:
    return x.index_select(2, torch.arange(x.shape[2] - 1, -1, -2, device=x.device))


def unshuffled(x: Tensor) -> Tensor:
    if x.dim() != 4:
        raise ValueError("pixel_unshuffle takes batches of images")
    return F.pixel_unshuffle(x, 2)


def index_add(x: Tensor) -> Tensor:
    n = x.shape[-1] // 2
    return x.index_add(x.dim() - 1, torch.arange(n, device=x.device) * 2, x[..., :n])


def written(x: Tensor) -> Tensor:
    y = x.clone()
    y[..., 1::2] = x[..., : x.shape[-1] // 2]
    return y


def put(x: Tensor) -> Tensor:
    if x.shape[-1] < 3:
        raise ValueError("put needs three positions")
    y = x.clone()
    y[..., torch.tensor([0, x.shape[-1] - 1], device=x.device)] = x[..., 1:3]
    return y


def blocks(x: Tensor) -> Tensor:
    """Every second position, then the others: a view, a permutation, a view."""
    return x.unflatten(-1, (-1, 2)).transpose(-1, -2).flatten(-2)


def windows(x: Tensor) -> Tensor:
    """Partition into windows of 2, something inside each, and back."""
    y = x.unflatten(-1, (-1, 2))
    return (y + y.flip(-1)).flatten(-2)


def joined(x: Tensor) -> Tensor:
    first, second = x.tensor_split(2, dim=-1)
    return torch.cat([second, first, x[..., :1]], dim=-1)


REARRANGEMENTS: dict[str, Callable[[Tensor], Tensor]] = {
    "roll": lambda x: torch.roll(x, (3, -1), (-1, 2)),
    "repeat": lambda x: x.repeat(1, 1, *[1] * (x.dim() - 3), 2),
    "repeat_interleave": lambda x: x.repeat_interleave(2, dim=2),
    "stack": lambda x: torch.stack([x, x.flip(2)], dim=-1).flatten(-2),
    "unbind": lambda x: torch.stack(x.unbind(-1)[::-1], dim=-1),
    "unfold": lambda x: x.unfold(2, 3, 2).mean(-1),
    "frames": lambda x: x.unfold(-1, 2, 2).flatten(-2),
    "im2col": lambda x: F.fold(F.unfold(x, (2, 3), padding=1), x.shape[2:], (2, 3), padding=1),
    "pixel_shuffle": lambda x: F.pixel_shuffle(x.repeat(1, 4, 1, 1), 2),
    "pixel_unshuffle": unshuffled,
    "channel_shuffle": lambda x: torch.channel_shuffle(x, 2),
    "index": lambda x: x[..., _index(x)],
    "index_select": lambda x: x.index_select(
        2, torch.arange(x.shape[2] - 1, -1, -2, device=x.device)
    ),
    "index_add": index_add,
    "written": written,
    "put": put,
    "blocks": blocks,
    "windows": windows,
    "joined": joined,
    "tril": lambda x: x.tril(1),
    "diagonal": lambda x: x.diagonal(0, 2, 3),
    "movedim": lambda x: x.movedim(-1, 2),
    "lp_pool": lambda x: F.lp_pool1d(x, 2.0, 2),
    "area": lambda x: F.interpolate(x, scale_factor=0.6, mode="area"),
    "einsum": lambda x: torch.einsum("bc...,dc->bd...", x, torch.ones(2, x.shape[1]).to(x)),
    "cumsum": lambda x: x.cumsum(-1),
    "amax": lambda x: x + x.amax(2, keepdim=True),
    "banded": lambda x: x @ torch.ones(x.shape[-1], 3).to(x),
}

"""Which inputs an output reads, by autograd alone: the oracle of the table of redesigns."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

_LARGE, _SMALL = 1e30, 0.01
"""What gradients are scaled by, and what is put in: gates must not saturate."""

Read = npt.NDArray[np.bool_]

_ASIDE = ("norm", "dropout")
_GATES = ("squeezeexcit", "semodule")
"""Parts of names of classes that stand aside: they scale values, by what all positions hold too."""


class _Detached(nn.Module):
    """What reads a map whole passes no gradient on."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.inner(x).detach()
        return found


class _Leaf(nn.Module):
    """Numbers in place of embedded tokens, that a gradient can be taken by."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.width = width
        self.value: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.value = torch.full((*x.shape, self.width), _SMALL, requires_grad=True)
        return self.value


class _Mean(nn.Module):
    """A mean in place of a maximum, so that every position of a window counts."""

    def __init__(self, pool: Any) -> None:
        super().__init__()
        kinds: Any = {nn.MaxPool1d: nn.AvgPool1d, nn.MaxPool2d: nn.AvgPool2d}
        if pool.dilation not in (1, (1,), (1, 1)):
            raise ValueError("dilation must be 1 in a pool that is measured.")
        self.pool = kinds[type(pool)](pool.kernel_size, pool.stride, pool.padding, pool.ceil_mode)

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.pool(x)
        return found


def opened(model: nn.Module) -> nn.Module:
    """A copy with positive weights: no gradient is 0 but where no way leads."""
    made = copy.deepcopy(model).float().eval()
    torch.manual_seed(0)
    every = [(path, m) for path, m in made.named_modules() if ".parametrizations" not in path]
    for path, module in every:
        kind = type(module).__name__.lower()
        other: nn.Module | None = None
        slides = any(isinstance(m, nn.Conv1d | nn.Conv2d) for m in module.modules())
        if any(part in kind for part in (_GATES if slides else _ASIDE)):
            other = nn.Identity()
        elif isinstance(module, nn.AdaptiveAvgPool1d | nn.AdaptiveAvgPool2d):
            other = _Detached(module)
        elif isinstance(module, nn.MaxPool1d | nn.MaxPool2d):
            other = _Mean(module)
        elif isinstance(module, nn.Embedding):
            other = _Leaf(module.embedding_dim)
        if hasattr(module, "inplace"):
            module.inplace = False
        if other is not None and path:
            made.set_submodule(path, other)
    with torch.no_grad():
        for module in made.modules():
            for name, own in module.named_parameters(recurse=False):
                # Means of positive numbers, so that values stay as small as what is put in.
                size = own[0].numel() if own.dim() > 1 and name != "bias" else 1
                scale = 0.0 if name == "bias" else 1 / size
                if name == "original0":
                    # A weight norm: of a row of equal numbers, that whose sum is 1.
                    scale = module.original1[0].numel() ** -0.5
                own.copy_((0.5 + torch.rand_like(own)) * scale)
    return made


def results(
    model: nn.Module, inputs: Sequence[Tensor], judged: str = ""
) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """The value that is judged, the leaf of its gradients, and the leaf's axes with positions.

    Args:
        model: an `opened` model.
        inputs: what it takes; the first is replaced by one number.
        judged: the module whose result is taken; "" for the model's own.
    """
    own = [x * _SMALL if x.is_floating_point() else x for x in inputs]
    leaf: Tensor | None = None
    if own[0].is_floating_point():
        leaf = own[0] = torch.full_like(own[0], _SMALL).requires_grad_()
    kept: list[Any] = []
    hook = model.get_submodule(judged).register_forward_hook(lambda *told: kept.append(told[2]))
    model(*own)
    hook.remove()
    out = kept[-1]
    out = next(iter(out.values())) if isinstance(out, dict) else out
    if leaf is not None:
        first = 1 if leaf.dim() == 2 else 2
        return out, leaf, tuple(range(first, leaf.dim()))
    embedded = next(m.value for m in model.modules() if isinstance(m, _Leaf))
    assert embedded is not None
    return out, embedded, (1,)


def read_by(out: Tensor, leaf: Tensor, axes: Sequence[int], at: Sequence[int]) -> Read:
    """Which positions the output at some place reads."""
    index = (0,) * (out.dim() - len(at)) + tuple(at)
    # Far ends have small shares of it; none may vanish.
    (gradient,) = torch.autograd.grad(out[index] * _LARGE, leaf, retain_graph=True)
    others = tuple(axis for axis in range(leaf.dim()) if axis not in axes)
    return (gradient != 0).sum(others).numpy() > 0


def span(read: Read) -> tuple[slice, ...]:
    """From the first to the last position read, per axis."""
    found = np.argwhere(read)
    if not len(found):
        return (slice(0, 0),) * read.ndim
    return tuple(slice(int(a), int(b) + 1) for a, b in zip(found.min(0), found.max(0), strict=True))


def holes(read: Read) -> int:
    """Positions of the span that are not read."""
    return int((~read[span(read)]).sum())

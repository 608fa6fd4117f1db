"""Recurrent networks in a rehearsal: a few steps are run, and their memory carried on to all.

PyTorch runs a recurrent network step by step, every step taking the same memory. On tensors without
data long sequences would take minutes, so a few are run at three lengths; where what they take
grows evenly, so it does for the whole length.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

from atrous.graph.recurrences import sequence_axis

_LENGTHS = (8, 12, 16)
"""Steps that are run; sequences up to the last are run whole."""


class Watching(Protocol):
    """A meter of storages, active while it is entered."""

    def __enter__(self) -> Any: ...

    def __exit__(self, *_: Any) -> Any: ...

    def level(self, left_out: set[int | None]) -> tuple[int, int]:
        """Bytes that are held now, and the most since this was last asked."""

    def serial(self, tensor: Tensor) -> int | None:
        """The number of a tensor's storage; None if it is not counted."""

    def size(self, serials: Collection[int | None]) -> int:
        """Bytes of some storages by their numbers."""


@dataclass(frozen=True)
class _Taken:
    """What a call takes, in bytes, besides what it is given, its results and all gradients.

    Attributes:
        saved: storages of its own that it saves for the backward pass.
        forward: what more it takes at one time in the forward pass; negative where its results
            come late.
        backward: what more it takes at one time in the backward pass than was there at its start,
            likewise.
        saves: of what it is given, then of its results, whether their storages are saved.
    """

    saved: int
    forward: int
    backward: int
    saves: tuple[bool, ...]

    def carried_on(self, later: _Taken, steps: int) -> _Taken | None:
        """What `steps` more than the later's would take; None if they save others."""
        gap = _LENGTHS[-1] - _LENGTHS[0]
        if self.saves != later.saves:
            return None

        def at(a: int, b: int) -> int:
            return b + (b - a) * steps // gap

        return _Taken(
            at(self.saved, later.saved),
            at(self.forward, later.forward),
            at(self.backward, later.backward),
            self.saves,
        )


class EvenSteps(TorchFunctionMode):
    """While it is active, long recurrent calls take the memory of their steps without taking them.

    Args:
        meter: gives a new meter.
    """

    def __init__(self, meter: Callable[[], Watching]) -> None:
        super().__init__()
        self._meter = meter

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        axis = sequence_axis(func, args, kwargs or {})
        if axis is None or args[0].shape[axis] <= _LENGTHS[-1]:
            return func(*args, **(kwargs or {}))
        steps = args[0].shape[axis]
        first, middle, last = (_taken(func, args, axis, length, self._meter) for length in _LENGTHS)
        whole = first.carried_on(last, steps - _LENGTHS[-1])
        if whole is None or first.carried_on(last, _LENGTHS[1] - _LENGTHS[-1]) != middle:
            return func(*args, **(kwargs or {}))
        leaves, tree = pytree.tree_flatten(args)
        return _Steps.apply(func, axis, whole, tree, *leaves)  # type: ignore[no-untyped-call]


def _shortened(args: Sequence[Any], axis: int, length: int) -> list[Any]:
    """The arguments of a call on as many steps, apart from the graph around it."""
    x = args[0].detach()
    shape = list(x.shape)
    shape[axis] = length
    # Laid out as the whole: what is not contiguous is copied.
    if x.is_contiguous():
        short = x.new_empty(shape)
    else:
        short = x.new_empty([shape[1], shape[0], *shape[2:]]).transpose(0, 1)
    short.requires_grad_(args[0].requires_grad)
    others = pytree.tree_map_only(
        Tensor, lambda t: t.detach().requires_grad_(t.requires_grad), list(args[1:])
    )
    return [short, *others]


def _taken(
    func: Any,
    args: Sequence[Any],
    axis: int,
    length: int,
    new_meter: Callable[[], Watching],
) -> _Taken:
    """What a call on some steps takes."""
    meter = new_meter()
    saved: set[int | None] = set()

    def pack(tensor: Tensor) -> Tensor:
        saved.add(meter.serial(tensor))
        return tensor.detach()

    with meter:
        short = _shortened(args, axis, length)
        given = [leaf for leaf in pytree.tree_leaves(short) if isinstance(leaf, Tensor)]
        there = {meter.serial(tensor) for tensor in (args[0], *given)}
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            results = list(func(*short))
        known = [meter.serial(tensor) for tensor in (*given, *results)]
        own = meter.size(saved.difference(known))
        forward = meter.level(there)[1] - own - meter.size(set(known) - there)
        backward = 0
        outputs = [result for result in results if result.requires_grad]
        if outputs:
            gradients = [torch.empty_like(result) for result in outputs]
            held, _ = meter.level(there)
            torch.autograd.backward(outputs, gradients)
            ends = [(meter.serial(t), meter.serial(t.grad)) for t in given if t.grad is not None]
            kept = {own for leaf, own in ends if leaf is None}
            passed_on = {own for leaf, own in ends if leaf is not None}
            backward = meter.level(there | kept)[1] - held - meter.size(passed_on)
    return _Taken(own, forward, backward, tuple(s is not None and s in saved for s in known))


class _Steps(torch.autograd.Function):
    """A recurrent call that takes memory and computes nothing."""

    @staticmethod
    def forward(
        ctx: Any, func: Any, axis: int, whole: _Taken, tree: Any, *leaves: Any
    ) -> tuple[Tensor, ...]:
        args = pytree.tree_unflatten(leaves, tree)
        x = args[0]
        hold = x.new_empty(whole.saved, dtype=torch.uint8)
        _passing = x.new_empty(max(whole.forward, 0), dtype=torch.uint8)
        out, *states = func(*_shortened(args, axis, 1))
        rows = out.shape[1 - axis]
        full = out.new_empty(x.shape[axis], rows, out.shape[2])
        results = (full.transpose(0, 1) if axis else full, *(state.clone() for state in states))
        known = (*(leaf for leaf in leaves if isinstance(leaf, Tensor)), *results)
        kept = [t for t, is_saved in zip(known, whole.saves, strict=True) if is_saved]
        ctx.save_for_backward(hold, *kept)
        ctx.whole = whole
        ctx.wanted = [(leaf.shape, leaf.dtype) if isinstance(leaf, Tensor) else None
                      for leaf in leaves]  # fmt: skip
        return results

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        like = next(gradient for gradient in gradients if gradient is not None)
        found = [
            like.new_empty(form[0], dtype=form[1]) if form is not None and needed else None
            for form, needed in zip(ctx.wanted, ctx.needs_input_grad[4:], strict=True)
        ]
        _passing = like.new_empty(max(ctx.whole.backward, 0), dtype=torch.uint8)
        return (None, None, None, None, *found)

"""Modules made to run on inputs that are denser than those they were made for.

An input is dense by `r` along an axis if the values the module was made for stand at every r-th
position, the first at 0. Of `n` such values a dense axis has between `r * (n - 1) + 1` and `r * n`
positions, so that `n` is known from its length. What a module computes at every position of its
dense result that belongs to one of its own is then what it computed before, to the last border.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import keystr, tree_map_only, tree_map_with_path

from atrous.nn.mixing import Mixin, mix

_max: Callable[[int, int], int] = torch.sym_max
_min: Callable[[int, int], int] = torch.sym_min
_is_tracing: Callable[[], bool] = vars(torch.jit)["is_tracing"]
_CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@dataclass(frozen=True)
class Density:
    """How a module's inputs and results lie.

    Attributes:
        before: density of the inputs, per axis of positions.
        after: density of the results; all 1 where only the first phase is wanted.
        stride: dense input positions per dense result position.
        reads: the inputs' axes of positions, counted from the end.
        gives: those of the results.
        weights: tensors among the arguments that hold no positions, by their places in them.
        batch: the axis of all tensors along which phases are laid.
    """

    before: tuple[int, ...]
    after: tuple[int, ...]
    stride: tuple[Fraction, ...]
    reads: tuple[int, ...]
    gives: tuple[int, ...]
    weights: frozenset[str] = frozenset()
    batch: int = 0

    def __str__(self) -> str:
        sides = ("x".join(map(str, side)) for side in (self.before, self.after))
        return "->".join(sides)


def dense_length(length: int, stride: Fraction | int, coarse: int, density: int) -> int:
    """The length of a dense result: that of the input over the stride, as far as is allowed.

    Args:
        length: of the dense input.
        stride: dense input positions per dense result position.
        coarse: how many of the values computed before the result holds.
        density: of the result.

    Example:
        >>> dense_length(97, 1, 49, 2), dense_length(97, 1, 48, 2)
        (97, 96)
    """
    step = Fraction(stride)
    wanted = -(-length * step.denominator // step.numerator)
    # These also take lengths that are symbols, while a model is exported.
    least = _max(density * (coarse - 1) + 1, 0)
    return _min(_max(wanted, least), density * coarse)


class InPhases(Mixin):
    """Mixed into a module's class by `in_phases`."""

    _density: Density

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own forward on all phases, as items of one batch."""
        density = self._density
        lengths: list[tuple[int, ...]] = []

        def cut(place: Any, tensor: Any) -> Any:
            if not isinstance(tensor, Tensor) or keystr(place) in density.weights:
                return tensor
            if isinstance(self, nn.RNNBase) and lengths:
                # The state that a recurrence begins with.
                return torch.cat([tensor] * prod(density.after), -2)
            lengths.append(tuple(_shape(tensor)[axis] for axis in density.reads))
            return _phases(tensor, density)

        def joined(tensor: Tensor) -> Tensor:
            return _joined(tensor, lengths[0], density)

        args, kwargs = tree_map_with_path(cut, (args, kwargs))
        result = super().forward(*args, **kwargs)
        if prod(density.after) == 1:
            return result
        if isinstance(self, nn.RNNBase | nn.MultiheadAttention):
            values, rest = result
            axis = -2 if isinstance(self, nn.RNNBase) else 0
            return joined(values), tree_map_only(
                Tensor, lambda tensor: _first_phase(tensor, axis, density), rest
            )
        return tree_map_only(Tensor, joined, result)

    def extra_repr(self) -> str:
        """The module's own settings, and the densities."""
        own = super().extra_repr()
        return f"{own}, dense={self._density}" if own else f"dense={self._density}"


def in_phases(
    module: nn.Module,
    before: Sequence[int],
    after: Sequence[int],
    *,
    stride: Sequence[Fraction | int] | None = None,
    reads: Sequence[int] | None = None,
    gives: Sequence[int] | None = None,
    weights: Collection[str] = (),
) -> None:
    """Make a module run as it is on every phase of a dense input, in place.

    A phase is what remains of the input if it begins at one position and keeps every r-th. What a
    phase gives is what the module gives of an input shifted by so much; the results of all phases,
    side by side, are the dense result. The module's parameters and their names stay.

    Args:
        module: any whose tensors all lie at the given densities, batch first unless its own
            `batch_first` says otherwise. The state of a recurrence, and the weights of an
            attention, are those of the first phase.
        before: density of the inputs, per axis.
        after: density of the results, per axis; all 1 where only the first phase is wanted.
        stride: dense input positions per dense result position; by default 1.
        reads: the inputs' axes of positions, counted from the end; by default the last ones.
        gives: those of the results.
        weights: tensors among the arguments that hold no positions, by their places in (positional
            arguments, keyword arguments), as "[0][1]".

    Example:
        >>> pool, x = nn.MaxPool1d(3, stride=2, ceil_mode=True), torch.rand(1, 1, 8)
        >>> coarse = pool(x)
        >>> in_phases(pool, before=(1,), after=(2,))
        >>> bool((pool(x)[..., ::2] == coarse).all()), pool(x).shape[-1]
        (True, 8)
    """
    last = tuple(range(-len(before), 0))
    density = Density(
        tuple(before),
        tuple(after),
        tuple(map(Fraction, stride or (1,) * len(before))),
        tuple(reads or last),
        tuple(gives or last),
        frozenset(weights),
        batch_axis(module),
    )
    mix(InPhases, module)
    module.__dict__["_density"] = density


def batch_axis(module: nn.Module) -> int:
    """The axis of a module's tensors along which the items of a batch lie.

    Example:
        >>> batch_axis(nn.GRU(2, 2)), batch_axis(nn.GRU(2, 2, batch_first=True))
        (1, 0)
    """
    # A layer of a transformer keeps the setting in its attention.
    return 0 if getattr(getattr(module, "self_attn", module), "batch_first", True) else 1


class OnDense(Mixin):
    """Mixed into a convolution's class by `on_dense`."""

    _density: Density

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The convolution with borders that reach as far as the dense result needs."""
        conv: Any = self
        count = len(conv.kernel_size)
        left, right = _sides(conv)
        room: list[int] = []
        strides: list[int] = []
        dilations: list[int] = []
        for k in range(count):
            length, before, after = _shape(input)[k - count], *_both(self._density, k)
            reach = conv.dilation[k] * (conv.kernel_size[k] - 1)
            coarse = (-(-length // before) + left[k] + right[k] - reach - 1) // conv.stride[k] + 1
            stride = before * conv.stride[k] // after
            wanted = dense_length(length, stride, coarse, after)
            start = left[k] * before
            end = (wanted - 1) * stride + before * reach + 1 - start - length
            room = [start, end, *room]
            strides.append(stride)
            dilations.append(conv.dilation[k] * before)
        padded = _padded(input, room)
        made: Tensor = _CONVOLUTIONS[count](
            padded, weight, bias, strides, 0, dilations, conv.groups
        )
        return made

    def extra_repr(self) -> str:
        """The module's own settings, and the densities."""
        return f"{super().extra_repr()}, dense={self._density}"


def on_dense(conv: nn.Module, before: Sequence[int], after: Sequence[int]) -> None:
    """Make a convolution read a dense input and give a dense result, in place.

    Its dilation grows by the density of its input; what is lost of its stride, the result is denser
    by. Zeros are added, or positions left out, at the end, so that every value computed before is
    among the results and their length stays as near to the input's as it may. Parameters, their
    names and the convolution's own settings stay.

    Args:
        conv: an `nn.Conv1d`, `nn.Conv2d` or `nn.Conv3d` padded with zeros.
        before: density of the input, per axis.
        after: density of the result, per axis; divides that of the input times the stride.

    Example:
        >>> conv, x = nn.Conv1d(1, 1, 2, stride=2), torch.rand(1, 1, 9)
        >>> coarse = conv(x)
        >>> on_dense(conv, before=(1,), after=(2,))
        >>> bool(torch.allclose(conv(x)[..., ::2], coarse)), conv(x).shape[-1]
        (True, 8)
    """
    last = tuple(range(-len(before), 0))
    density = Density(tuple(before), tuple(after), (Fraction(1),) * len(last), last, last)
    mix(OnDense, conv)
    conv.__dict__["_density"] = density


def _both(density: Density, axis: int) -> tuple[int, int]:
    return density.before[axis], density.after[axis]


def _sides(conv: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Zeros before and after, per axis."""
    if conv.padding == "valid":
        return ((0,) * len(conv.kernel_size),) * 2
    if conv.padding != "same":
        return conv.padding, conv.padding
    reaches = [d * (k - 1) for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
    return tuple(r // 2 for r in reaches), tuple(r - r // 2 for r in reaches)


def _phases(tensor: Tensor, density: Density) -> Tensor:
    """Every phase of a tensor that the result needs, along the batch."""
    axes = density.reads
    shape = _shape(tensor)
    counts = [-(-shape[axis] // r) for axis, r in zip(axes, density.before, strict=True)]
    # A phase begins where the next dense position of the result lies.
    begins = [
        [int(phase * stride) for phase in range(phases)]
        for stride, phases in zip(density.stride, density.after, strict=True)
    ]
    room = [0] * (2 * tensor.dim())
    for axis, n, r, begin in zip(axes, counts, density.before, begins, strict=True):
        room[2 * (-axis - 1) + 1] = _max(r * (n - 1) + begin[-1] + 1 - shape[axis], 0)
    padded = _padded(tensor, room)
    found = []
    for starts in itertools.product(*begins):
        index: list[Any] = [slice(None)] * tensor.dim()
        for axis, start, n, r in zip(axes, starts, counts, density.before, strict=True):
            index[axis] = slice(start, start + r * (n - 1) + 1, r)
        found.append(padded[tuple(index)])
    return found[0] if len(found) == 1 else torch.cat(found, density.batch)


def _padded(tensor: Tensor, room: list[int]) -> Tensor:
    # A symbol may be 0 or not.
    needed = any(not isinstance(length, int) or length != 0 for length in room)
    return F.pad(tensor, room) if needed else tensor


def _joined(tensor: Tensor, lengths: tuple[int, ...], density: Density) -> Tensor:
    """The phases along the batch side by side, cut to the length of a dense result."""
    axes, after, batch = density.gives, density.after, density.batch
    own, count, dim = _shape(tensor), len(density.gives), tensor.dim()
    order: list[int] = []
    shape: list[int] = []
    for axis in range(dim):
        order.append(axis if axis < batch else axis + count)
        shape.append(own[axis] if axis != batch else own[axis] // prod(after))
        if axis - dim in axes:
            which = axes.index(axis - dim)
            order.append(batch + which)
            shape[-1] *= after[which]
    parts = tensor.reshape(*own[:batch], *after, shape[batch], *own[batch + 1 :])
    joined = parts.permute(order).reshape(shape)
    for axis, length, stride, r in zip(axes, lengths, density.stride, after, strict=True):
        joined = _cut(joined, axis, dense_length(length, stride, own[axis], r))
    return joined


def _first_phase(tensor: Tensor, batch: int, density: Density) -> Tensor:
    """What is of no position, as the state of a recurrence: that of the first phase."""
    return tensor.narrow(batch, 0, _shape(tensor)[batch] // prod(density.after))


def _shape(tensor: Tensor) -> tuple[int, ...]:
    # A trace holds for the lengths it is made at: there they are tensors.
    return tuple(map(int, tensor.shape)) if _is_tracing() else tuple(tensor.shape)


def _cut(tensor: Tensor, axis: int, length: int) -> Tensor:
    """The first positions along an axis."""
    if isinstance(length, int):
        return tensor.narrow(axis, 0, length)
    # Of a symbol nothing must be asked, or an exported model would take such lengths alone.
    return tensor.index_select(axis, torch.arange(length, device=tensor.device))

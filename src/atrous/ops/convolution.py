"""`conv1d`, `conv2d`, `conv3d`: PyTorch's functions, each computed in the fastest exact way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from atrous.ops.chooser import CHOOSER
from atrous.ops.operators import layout_of, problem_of
from atrous.ops.problem import JOBS, Layout, Problem

Word = Literal["valid", "same", "causal"]
Padding = Word | int | Sequence[Word | int | tuple[int, int]]
"""A word or a number for all axes; or for each a word, a number, or two: before and after."""

_is_tracing: Callable[[], bool] = vars(torch.jit)["is_tracing"]
_FUNCTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def conv1d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
    padding: Padding = 0, dilation: int | Sequence[int] = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """A convolution along one axis: `torch.nn.functional.conv1d`, and causal padding.

    Args:
        input: what is read.
        weight: the kernel.
        bias: is added to every output channel.
        stride: positions read from one output to the next.
        padding: zeros on both sides, or before and after as `[(before, after)]`. `"same"`: as many
            outputs as inputs; `"causal"`: all `dilation * (kernel - 1)` of them in front, so that
            no output sees what comes after it, without a padded copy of the input.
        dilation: positions between taps.
        groups: parts that the channels are cut into, each read by itself.

    Shape:
        input (N, C, L) or (C, L), weight (C_out, C / groups, K), bias (C_out,); (N, C_out, L_out)
        or (C_out, L_out).

    Raises:
        ValueError: sizes that do not fit together.

    >>> x, w = torch.arange(1.0, 6.0).view(1, 1, 5), torch.ones(1, 1, 2)
    >>> conv1d(x, w, dilation=2, padding="causal")
    tensor([[[1., 2., 4., 6., 8.]]])
    """
    return _convolution(1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
    padding: Padding = 0, dilation: int | Sequence[int] = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """A convolution along two axes: `torch.nn.functional.conv2d`, and causal padding.

    As `conv1d`. Words can be given per axis: `padding=("causal", "same")` for time and frequency.

    Shape:
        input (N, C, H, W) or (C, H, W), weight (C_out, C / groups, K_H, K_W), bias (C_out,); (N,
        C_out, H_out, W_out) or (C_out, H_out, W_out).

    Raises:
        ValueError: sizes that do not fit together.

    >>> x, w = torch.ones(1, 4, 9, 9), torch.ones(4, 1, 3, 3)
    >>> conv2d(x, w, dilation=2, padding="same", groups=4).amax().item()
    9.0
    """
    return _convolution(2, input, weight, bias, stride, padding, dilation, groups)


def conv3d(
    input: Tensor, weight: Tensor, bias: Tensor | None = None, stride: int | Sequence[int] = 1,
    padding: Padding = 0, dilation: int | Sequence[int] = 1, groups: int = 1,
) -> Tensor:  # fmt: skip
    """A convolution along three axes: `torch.nn.functional.conv3d`, and causal padding.

    As `conv1d`. Words can be given per axis: `padding=("causal", "same", "same")` for video.

    Shape:
        input (N, C, D, H, W) or (C, D, H, W), weight (C_out, C / groups, K_D, K_H, K_W), bias
        (C_out,); (N, C_out, D_out, H_out, W_out) or (C_out, D_out, H_out, W_out).

    Raises:
        ValueError: sizes that do not fit together.

    >>> x, w = torch.ones(1, 2, 5, 5, 5), torch.ones(3, 2, 3, 1, 1)
    >>> conv3d(x, w, dilation=(2, 1, 1), padding=("causal", 0, 0))[0, 0, :, 0, 0]
    tensor([2., 2., 4., 4., 6.])
    """
    return _convolution(3, input, weight, bias, stride, padding, dilation, groups)


def problems(
    axes: int, input: Tensor, weight: Tensor, bias: Tensor | None = None,
    stride: int | Sequence[int] = 1, padding: Padding = 0, dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> tuple[Problem, Problem, Problem]:  # fmt: skip
    """What a call computes: the convolution, the gradient of its input, that of its weights."""
    whole = input if input.dim() == axes + 2 else input.unsqueeze(0)
    forward, by_input, by_weight = _plan(
        axes, whole.shape, weight.shape, None if bias is None else bias.shape, _fixed(stride),
        _fixed(padding), _fixed(dilation), groups,
        (whole.dtype, layout_of(whole), whole.device.type),
    ).problems  # fmt: skip
    return forward, by_input, by_weight


@dataclass(frozen=True)
class _Plan:
    """A call without its data, checked."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    problems: tuple[Problem, ...]
    """The convolution and its gradients; none where sizes are symbols."""
    gains: dict[tuple[int, int, bool, bool, bool], bool] = field(default_factory=dict)
    """Whether the operator computes it, by what was asked, threads, and what is needed."""


def _convolution(
    axes: int, x: Tensor, weight: Tensor, bias: Tensor | None, stride: int | Sequence[int],
    padding: Padding, dilation: int | Sequence[int], groups: int,
) -> Tensor:  # fmt: skip
    if x.dim() == axes + 1:
        whole = x.unsqueeze(0)
        made = _convolution(axes, whole, weight, bias, stride, padding, dilation, groups)
        return made.squeeze(0)
    kind = x.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        dtype = torch.get_autocast_dtype(kind)
        x, weight = _cast(x, dtype), _cast(weight, dtype)
        bias = None if bias is None else _cast(bias, dtype)
    tracing = torch.compiler.is_compiling() or _is_tracing()
    plain = not tracing and type(x) is Tensor
    plan = (_plan if plain else _plan.__wrapped__)(
        axes, x.shape, weight.shape, None if bias is None else bias.shape, _fixed(stride),
        _fixed(padding), _fixed(dilation), groups,
        (x.dtype, layout_of(x), kind) if plain else None,
    )  # fmt: skip
    how = plan.stride, plan.padding, plan.dilation, groups
    if _is_foreign(x, weight, bias, tracing):
        return _plain(axes, x, weight, bias, *how)
    if not plain:
        # Sizes may be symbols, which no measurement fits; and compilers fuse what they know.
        gains = groups == x.shape[1] and groups > 1 and kind == "cpu"
        return _operator(x, weight, bias, *how) if gains else _plain(axes, x, weight, bias, *how)
    learns = torch.is_grad_enabled()
    needed = True, learns and x.requires_grad, learns and weight.requires_grad
    # What is saved for gradients must not change while a model runs: only what is asked for, as by
    # `accelerate`, changes the way once it is taken.
    key = (CHOOSER.asked, torch.get_num_threads(), *needed)
    if key not in plan.gains:
        pairs = zip(plan.problems, needed, strict=True)
        plan.gains[key] = any(wanted and CHOOSER.algorithm(p).name != "aten" for p, wanted in pairs)
    gains = plan.gains[key]
    return _operator(x, weight, bias, *how) if gains else _plain(axes, x, weight, bias, *how)


def _cast(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    can = tensor.is_floating_point() and tensor.dtype != torch.float64
    return tensor.to(dtype) if can else tensor


def _is_foreign(x: Tensor, weight: Tensor, bias: Tensor | None, tracing: bool) -> bool:
    """Whether PyTorch's own function has to compute: by forward-mode or `torch.func`, or as numbers
    are of another kind, or of several (which it refuses)."""
    if not x.is_floating_point() or x.layout != torch.strided:
        return True
    for other in (weight, bias):
        if other is not None and (other.dtype != x.dtype or other.device != x.device):
            return True
    if tracing:
        return False
    within = torch._C._are_functorch_transforms_active()
    return bool(within or torch.autograd.forward_ad._current_level >= 0)


def _operator(x: Tensor, weight: Tensor, bias: Tensor | None, *how: Any) -> Tensor:
    made: Tensor = torch.ops.atrous.convolution(x, weight, bias, *how)
    return made


def _plain(
    axes: int, x: Tensor, weight: Tensor, bias: Tensor | None, stride: tuple[int, ...],
    padding: tuple[int, ...], dilation: tuple[int, ...], groups: int,
) -> Tensor:  # fmt: skip
    """PyTorch's own function."""
    before = padding[::2]
    if before != padding[1::2]:
        pairs = [padding[2 * axis + end] for axis in reversed(range(axes)) for end in (0, 1)]
        x, before = F.pad(x, pairs), (0,) * axes
    made: Tensor = _FUNCTIONS[axes](x, weight, bias, stride, before, dilation, groups)
    return made


@lru_cache(maxsize=4096)
def _plan(
    axes: int, shape: Sequence[int], kernel: Sequence[int], bias: Sequence[int] | None,
    stride: int | tuple[int, ...], padding: Any, dilation: int | tuple[int, ...], groups: int,
    kind: tuple[torch.dtype, Layout, str] | None,
) -> _Plan:  # fmt: skip
    steps, gaps = _numbers("stride", stride, axes), _numbers("dilation", dilation, axes)
    if len(shape) != axes + 2 or len(kernel) != axes + 2:
        raise ValueError(
            f"input must have {axes + 2} axes, or {axes + 1} without a batch, and weight "
            f"{axes + 2}, got {_times(shape)} and {_times(kernel)}."
        )
    sides = _sides(padding, axes, kernel[2:], steps, gaps)
    _check(axes, shape, kernel, bias, sides, gaps, groups)
    problems: tuple[Problem, ...] = ()
    if kind is not None:
        sizes = shape[0], shape[1], tuple(kernel), tuple(shape[2:]), steps, sides, gaps, groups
        problems = tuple(problem_of(job, *sizes, *kind) for job in JOBS)
    return _Plan(steps, sides, gaps, problems)


def _fixed(given: Any) -> Any:
    """The same as a value that cannot change."""
    return tuple(map(_fixed, given)) if isinstance(given, (list, tuple)) else given


def _numbers(name: str, given: int | Sequence[int], axes: int) -> tuple[int, ...]:
    numbers = (given,) * axes if isinstance(given, int) else tuple(given)
    if len(numbers) == 1:
        numbers *= axes
    if len(numbers) != axes or any(number < 1 for number in numbers):
        each = f", or {axes} such numbers" if axes > 1 else ""
        raise ValueError(f"{name} must be at least 1{each}, got {given!r}.")
    return numbers


def _sides(
    padding: Padding, axes: int, kernel: Sequence[int], stride: tuple[int, ...],
    dilation: tuple[int, ...],
) -> tuple[int, ...]:  # fmt: skip
    """What stands before and after, axis by axis."""
    alone = isinstance(padding, (int, str))
    each: list[Any] = [padding] * axes if alone else list(padding)  # type: ignore[arg-type]
    if len(each) == 1:
        each *= axes
    if len(each) != axes:
        raise ValueError(f"padding must be told once or for {axes} axes, got {padding!r}.")
    sides: list[int] = []
    for one, k, s, d in zip(each, kernel, stride, dilation, strict=True):
        reach = d * (k - 1)
        if one == "same" and s != 1:
            raise ValueError(
                f"padding must not be 'same' with a stride of {s}: no padding gives as many "
                "outputs. Use 'causal' or a number."
            )
        if isinstance(one, str):
            words = {
                "valid": (0, 0),
                "same": (reach // 2, reach - reach // 2),
                "causal": (reach, 0),
            }
            if one not in words:
                raise ValueError(f"padding must be a number, {', '.join(words)}, got {one!r}.")
            sides += words[one]
        elif isinstance(one, int):
            sides += (one, one)
        else:
            sides += one
    if any(side < 0 for side in sides):
        raise ValueError(f"padding must not be negative, got {padding!r}. Cut the input instead.")
    return tuple(sides)


def _check(
    axes: int, shape: Sequence[int], kernel: Sequence[int], bias: Sequence[int] | None,
    sides: tuple[int, ...], dilation: tuple[int, ...], groups: int,
) -> None:  # fmt: skip
    if groups < 1 or kernel[0] % groups or kernel[1] * groups != shape[1]:
        raise ValueError(
            f"weight must have shape (outputs, {shape[1]} / groups, ...) with outputs a multiple "
            f"of groups={groups}, for an input of {shape[1]} channels, got {_times(kernel)}."
        )
    if bias is not None and tuple(bias) != (kernel[0],):
        raise ValueError(f"bias must have shape ({kernel[0]},), got {_times(bias)}.")
    if any(length < 1 for length in kernel[2:]):
        raise ValueError(f"weight must have kernels of at least one tap, got {_times(kernel)}.")
    for axis in range(axes):
        room = shape[2 + axis] + sides[2 * axis] + sides[2 * axis + 1]
        span = dilation[axis] * (kernel[2 + axis] - 1) + 1
        if room < span:
            raise ValueError(
                f"input must be at least as long as the kernel, {span} positions, on axis "
                f"{2 + axis}, got {room} with its padding."
            )


def _times(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))

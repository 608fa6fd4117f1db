"""The convolutions as operators of PyTorch: fake kernels, gradients of any order, costs.

`atrous::convolution` and its two gradients are closed under differentiation: the gradients of each
are the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from atrous.ops.chooser import CHOOSER
from atrous.ops.problem import Job, Layout, Problem

_HOW = "SymInt[] stride, SymInt[] padding, SymInt[] dilation, SymInt groups"
_SCHEMAS = {
    "convolution": f"(Tensor x, Tensor weight, Tensor? bias, {_HOW}) -> Tensor",
    "convolution_input_gradient": (
        f"(Tensor grad, Tensor weight, SymInt[] lengths, {_HOW}) -> Tensor"
    ),
    "convolution_weight_gradient": f"(Tensor grad, Tensor x, SymInt[] kernel, {_HOW}) -> Tensor",
}
"""`padding` has two numbers per axis, before and after."""

Sizes = Sequence[int]


def layout_of(tensor: Tensor) -> Layout:
    """Which axis of (N, C, ...) lies densest in memory."""
    if tensor.is_contiguous() or not tensor.movedim(1, -1).is_contiguous():
        return "channels first"
    return "channels last"


@lru_cache(maxsize=4096)
def problem_of(
    job: Job, batch: int, channels: int, weight: tuple[int, ...], lengths: tuple[int, ...],
    stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...], groups: int,
    dtype: torch.dtype, layout: Layout, device: str,
) -> Problem:  # fmt: skip
    """The problem of a call."""
    pairs = tuple(zip(padding[::2], padding[1::2], strict=True))
    return Problem(
        job, batch, (channels, weight[0]), groups, lengths, weight[2:], stride, pairs, dilation,
        dtype, layout, device,
    )  # fmt: skip


def compute(problem: Problem, *tensors: Tensor | None) -> Tensor:
    """The result, by the algorithm that is chosen, laid out as the problem says."""
    for tensor in tensors:
        if tensor is not None and tensor.dtype != problem.dtype:
            raise TypeError(
                f"tensors of a convolution must be of one kind, got {problem.dtype} and "
                f"{tensor.dtype}. Convert one of them."
            )
        if tensor is not None and tensor.device.type != problem.device:
            raise TypeError(
                f"tensors of a convolution must be on one device, got {problem.device} and "
                f"{tensor.device.type}. Move one of them."
            )
    CHOOSER.seen(problem)
    made = CHOOSER.algorithm(problem).run(problem, *tensors)
    if problem.job == "weight gradient":
        return made.contiguous()
    if layout_of(made) == problem.layout:
        return made if problem.layout == "channels last" else made.contiguous()
    return problem.empty(made, tuple(made.shape)).copy_(made)


def _forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Sizes, padding: Sizes,
    dilation: Sizes, groups: int,
) -> Tensor:  # fmt: skip
    problem = problem_of(
        "forward", x.shape[0], x.shape[1], tuple(weight.shape), tuple(x.shape[2:]), tuple(stride),
        tuple(padding), tuple(dilation), groups, x.dtype, layout_of(x), x.device.type,
    )  # fmt: skip
    return compute(problem, x, weight, bias)


def _input_gradient(
    grad: Tensor, weight: Tensor, lengths: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
    groups: int,
) -> Tensor:  # fmt: skip
    problem = problem_of(
        "input gradient", grad.shape[0], weight.shape[1] * groups, tuple(weight.shape),
        tuple(lengths), tuple(stride), tuple(padding), tuple(dilation), groups, grad.dtype,
        layout_of(grad), grad.device.type,
    )  # fmt: skip
    return compute(problem, grad, weight)


def _weight_gradient(
    grad: Tensor, x: Tensor, kernel: Sizes, stride: Sizes, padding: Sizes, dilation: Sizes,
    groups: int,
) -> Tensor:  # fmt: skip
    problem = problem_of(
        "weight gradient", x.shape[0], x.shape[1],
        (grad.shape[1], x.shape[1] // groups, *kernel), tuple(x.shape[2:]), tuple(stride),
        tuple(padding), tuple(dilation), groups, x.dtype, layout_of(x), x.device.type,
    )  # fmt: skip
    return compute(problem, grad, x)


def _fake_like(tensor: Tensor, shape: Sequence[Any]) -> Tensor:
    if layout_of(tensor) == "channels last":
        return tensor.new_empty((shape[0], *shape[2:], shape[1])).movedim(-1, 1)
    return tensor.new_empty(tuple(shape))


def _fake_forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, dilation: Any,
    groups: Any,
) -> Tensor:  # fmt: skip
    lengths = [
        (n + before + after - d * (k - 1) - 1) // s + 1
        for n, before, after, d, k, s in zip(
            x.shape[2:], padding[::2], padding[1::2], dilation, weight.shape[2:], stride,
            strict=True,
        )
    ]  # fmt: skip
    return _fake_like(x, [x.shape[0], weight.shape[0], *lengths])


def _fake_input_gradient(
    grad: Tensor, weight: Tensor, lengths: Any, stride: Any, padding: Any, dilation: Any,
    groups: Any,
) -> Tensor:  # fmt: skip
    return _fake_like(grad, [grad.shape[0], weight.shape[1] * groups, *lengths])


def _fake_weight_gradient(
    grad: Tensor, x: Tensor, kernel: Any, stride: Any, padding: Any, dilation: Any, groups: Any
) -> Tensor:
    return grad.new_empty((grad.shape[1], x.shape[1] // groups, *kernel))


def _how(ctx: Any) -> tuple[Any, ...]:
    how: tuple[Any, ...] = ctx.how
    return how


def _forward_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    x, weight, bias, *how = inputs
    ctx.save_for_backward(x, weight)
    ctx.how, ctx.has_bias = tuple(how), bias is not None


def _forward_backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
    x, weight = ctx.saved_tensors
    made: list[Tensor | None] = [None, None, None]
    if ctx.needs_input_grad[0]:
        made[0] = _OPS.convolution_input_gradient(grad, weight, x.shape[2:], *_how(ctx))
    if ctx.needs_input_grad[1]:
        made[1] = _OPS.convolution_weight_gradient(grad, x, weight.shape[2:], *_how(ctx))
    if ctx.has_bias and ctx.needs_input_grad[2]:
        made[2] = grad.sum((0, *range(2, grad.dim())))
    return (*made, None, None, None, None)


def _gradient_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    grad, other, _, *how = inputs
    ctx.save_for_backward(grad, other)
    ctx.how = tuple(how)


def _input_gradient_backward(ctx: Any, given: Tensor) -> tuple[Any, ...]:
    grad, weight = ctx.saved_tensors
    made: list[Tensor | None] = [None, None]
    if ctx.needs_input_grad[0]:
        made[0] = _OPS.convolution(given, weight, None, *_how(ctx))
    if ctx.needs_input_grad[1]:
        made[1] = _OPS.convolution_weight_gradient(grad, given, weight.shape[2:], *_how(ctx))
    return (*made, None, None, None, None, None)


def _weight_gradient_backward(ctx: Any, given: Tensor) -> tuple[Any, ...]:
    grad, x = ctx.saved_tensors
    made: list[Tensor | None] = [None, None]
    if ctx.needs_input_grad[0]:
        made[0] = _OPS.convolution(x, given, None, *_how(ctx))
    if ctx.needs_input_grad[1]:
        made[1] = _OPS.convolution_input_gradient(grad, given, x.shape[2:], *_how(ctx))
    return (*made, None, None, None, None, None)


def _register() -> Any:
    kernels: dict[str, tuple[Any, ...]] = {
        "convolution": (_forward, _fake_forward, _forward_backward, _forward_context),
        "convolution_input_gradient": (
            _input_gradient, _fake_input_gradient, _input_gradient_backward, _gradient_context,
        ),
        "convolution_weight_gradient": (
            _weight_gradient, _fake_weight_gradient, _weight_gradient_backward, _gradient_context,
        ),
    }  # fmt: skip
    for name, (kernel, fake, backward, context) in kernels.items():
        full = f"atrous::{name}"
        torch.library.define(full, _SCHEMAS[name], tags=(torch.Tag.pt2_compliant_tag,))
        torch.library.impl(full, "CompositeExplicitAutograd")(kernel)
        torch.library.register_fake(full, fake)
        torch.library.register_autograd(full, backward, setup_context=context)
    ops = torch.ops.atrous
    register_flop_formula(ops.convolution)(_forward_flops)
    register_flop_formula(ops.convolution_input_gradient)(_input_gradient_flops)
    register_flop_formula(ops.convolution_weight_gradient)(_weight_gradient_flops)
    return ops


def _forward_flops(x: Any, weight: Any, *rest: Any, out_shape: Any, **_: Any) -> int:
    return int(2 * prod(out_shape) * prod(weight[1:]))


def _input_gradient_flops(grad: Any, weight: Any, *rest: Any, **_: Any) -> int:
    return int(2 * prod(grad) * prod(weight[1:]))


def _weight_gradient_flops(grad: Any, x: Any, *rest: Any, out_shape: Any, **_: Any) -> int:
    return int(2 * prod(grad) * prod(out_shape[1:]))


_OPS = _register()

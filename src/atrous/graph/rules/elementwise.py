"""Operators that work on each position by itself, broadcasting where shapes differ."""

from __future__ import annotations

from typing import Any

import torch

from atrous.graph.example import Draw, Example
from atrous.graph.rule import (
    Call,
    Description,
    Link,
    Pointwise,
    Read,
    broadcast,
    identity_links,
    replay,
    rule,
)

_UNARY = """
abs acos acosh alias asin asinh atan atanh bitwise_not ceil celu clone contiguous cos cosh deg2rad
detach dropout elu erf erfc exp exp2 expm1 feature_dropout alpha_dropout feature_alpha_dropout
floor frac gelu hardshrink hardsigmoid hardswish hardtanh isfinite isinf isnan leaky_relu lgamma
lift_fresh lift_fresh_copy log log10 log1p log2 log_sigmoid logical_not logit mish nan_to_num neg
negative positive rad2deg reciprocal relu relu6 round rrelu rsqrt selu sgn sigmoid sign signbit
silu sin sinc sinh softplus softshrink sqrt square tan tanh threshold to type_as trunc _to_copy
""".split()
_BINARY = """
add atan2 bitwise_and bitwise_or bitwise_xor clamp_max clamp_min copysign div divide eq
floor_divide fmax fmin fmod ge greater greater_equal gt heaviside hypot le less less_equal
logaddexp logaddexp2 logical_and logical_or logical_xor lt maximum minimum mul multiply ne
not_equal pow prelu remainder rsub sub subtract true_divide xlogy
""".split()
_MORE = """
addcdiv addcmul clamp clip lerp masked_fill where
""".split()

_INTEGER = {"bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"}
_EXTRA: dict[str, tuple[Any, ...]] = {
    "dropout": (0.5, False),
    "feature_dropout": (0.5, False),
    "alpha_dropout": (0.5, False),
    "feature_alpha_dropout": (0.5, False),
    "threshold": (0.7, 0.1),
    "to": (torch.float32,),
}
_OVERLOADS = {"to": "dtype", "clamp": "Tensor", "clip": "Tensor", "rrelu": "default"}


def _examples(draw: Draw, op: str) -> Example:
    name = op.removeprefix("aten.")
    packet = getattr(torch.ops.aten, name)
    shape = [2, *draw.lengths(2, 1, 4)]
    full = draw.tensor(*shape)
    small = draw.tensor(*draw.some([shape[1:], shape[2:], [1, shape[2]], [2, 1, 1], shape]))
    if name in _INTEGER:
        full, small = (full * 3).long(), (small * 3).long()
    overloads = packet.overloads()
    if name in _UNARY:
        overload = _OVERLOADS.get(name, "default")
        if name == "type_as":
            return Example(overload, (full, small.float()))
        return Example(overload, (full, *_EXTRA.get(name, ())))
    if name in _MORE:
        third = draw.tensor(*shape[1:])
        if name == "masked_fill":
            return Example("Scalar", (full, small > 1.0, 3.5), data=(0,))
        if name == "where":
            return Example("self", (small > 1.0, full, third), data=(1, 2))
        if name in ("clamp", "clip"):
            return Example("Tensor", (full, small - 1, None), data=(0,))
        overload = "Tensor" if name == "lerp" else "default"
        return Example(overload, (full, small, third), data=(0, 1, 2))
    if name == "prelu":
        if draw.random() < 0.3:
            return Example("default", (full[0, 0] - 1, draw.tensor(1)), data=(0, 1))
        weight = draw.some([draw.tensor(shape[1]), draw.tensor(1), draw.tensor()])
        return Example("default", (full - 1, weight), data=(0, 1))
    if name == "pow":
        return Example("Tensor_Tensor", (full, small), data=(0, 1))
    overload = "Tensor" if "Tensor" in overloads else "default"
    order = draw.some([(full, small), (small, full)])
    if name == "copysign":
        order = (full - 1.0, small - 1.0)
    if name == "heaviside":
        order = (full * 0, small)
    return Example(overload, order, data=(0, 1))


@rule(*(f"aten.{name}" for name in (*_UNARY, *_BINARY, *_MORE)), examples=_examples)
def pointwise(call: Call) -> Description:
    """Each output position reads the same position of every operand."""
    if call.op == "aten.prelu":
        return _prelu(call)
    # Whatever lends only its type is no data.
    lends = call.op in ("aten.type_as", "aten.to")
    operands = call.operands[:1] if lends else call.operands
    reads = tuple(Read(operand, identity_links(operand, call.shape)) for operand in operands)
    return Pointwise(reads, replay(call))


def _prelu(call: Call) -> Description:
    """The weight lies along axis 1, or is one number."""
    x, weight = call.operand("self"), call.operand("weight")
    links: list[Link | None] = [None] * len(call.shape)
    if weight.shape and len(call.shape) > 1:
        links[1] = Link(0, broadcast(call.shape[1], weight.shape[0]))
    reads = Read(x, identity_links(x, call.shape)), Read(weight, tuple(links))
    return Pointwise(reads, replay(call))


@rule(
    *(f"aten.{kind}_like" for kind in ("zeros", "ones", "full", "empty")),
    *(f"aten.new_{kind}" for kind in ("zeros", "ones", "full", "empty")),
    "aten.zero",
)
def filled(call: Call) -> Description:
    """Values that depend on no input, whatever tensor lends its shape or type."""
    return Pointwise((), replay(call))

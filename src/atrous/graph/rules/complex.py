"""Complex values: put together, taken apart and conjugated, position by position."""

from __future__ import annotations

import torch
from torch import Tensor

from atrous.graph.example import Draw, Example
from atrous.graph.region import Box
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Pointwise,
    Read,
    identity_links,
    replay,
    rule,
)


def _examples(draw: Draw, op: str) -> Example:
    shape = draw.lengths(2, 1, 4)
    values = torch.complex(draw.tensor(*shape), draw.tensor(*shape))
    real = op.endswith("neg_view") or (draw.random() < 0.3 and not op.endswith(("_conj", "imag")))
    return Example("default", (values.real if real else values,))


@rule(
    *(f"aten.{name}" for name in ("real", "imag", "angle", "conj", "_conj", "conj_physical")),
    *(f"aten.{name}" for name in ("_conj_physical", "resolve_conj", "resolve_neg", "_neg_view")),
    examples=_examples,
)
def part(call: Call) -> Description:
    """A part of each value, or its conjugate."""
    x = call.operand("self")
    return Pointwise((Read(x, identity_links(x, call.shape)),), replay(call))


def _pair_examples(draw: Draw, op: str) -> Example:
    shape = draw.lengths(2, 1, 4)
    second = draw.tensor(*draw.some([shape, shape[1:]]))
    return Example("default", (draw.tensor(*shape), second), (0, 1))


@rule("aten.complex", "aten.polar", examples=_pair_examples)
def pair(call: Call) -> Description:
    """A complex value from two real ones."""
    reads = tuple(Read(o, identity_links(o, call.shape)) for o in call.operands)
    return Pointwise(reads, replay(call))


def _view_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(2, 1, 4), 2)
    return Example("default", (torch.view_as_complex(x) if op.endswith("real") else x,))


@rule("aten.view_as_real", examples=_view_examples)
def view_as_real(call: Call) -> Description:
    """A new last axis holds the real and the imaginary part."""
    x = call.operand("self")

    def run(args: Arguments, box: Box) -> Tensor:
        return torch.view_as_real(args["self"].tensor.resolve_conj())[..., slice(*box[-1])]

    return Pointwise((Read(x, (*identity_links(x, x.shape), None)),), run)


@rule("aten.view_as_complex", examples=_view_examples)
def view_as_complex(call: Call) -> Description:
    """The last axis, of length 2, becomes the parts of one value."""
    x = call.operand("self")

    def run(args: Arguments, box: Box) -> Tensor:
        return torch.view_as_complex(args["self"].tensor.contiguous())

    return Pointwise((Read(x, identity_links(x, x.shape)[:-1]),), run)

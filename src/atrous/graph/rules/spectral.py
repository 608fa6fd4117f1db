"""Fourier transforms: every output reads the transformed axes whole."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from atrous.geometry.lineage import Status
from atrous.geometry.primitives import rolled
from atrous.geometry.relation import Relation
from atrous.geometry.taps import Taps
from atrous.graph.example import Draw, Example
from atrous.graph.movement import mover
from atrous.graph.region import Box
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Movement,
    Read,
    call_overload,
    identity_links,
    rule,
)

_HALVED = {"irfft", "hfft", "irfft2", "irfftn", "hfft2", "hfftn"}
"""Transforms that read only the half of the spectrum that is not told by the other half."""
_KINDS = ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft")


def _examples(draw: Draw, op: str) -> Example:
    name = op.removeprefix("aten.fft_")
    x = draw.tensor(*draw.lengths(3, 2, 4))
    real = name.startswith(("rfft", "ihfft"))
    if not real and (name in _HALVED or draw.random() < 0.6):
        x = torch.complex(x, draw.tensor(*x.shape))
    norm = draw.some([None, "ortho", "forward"])
    if name[-1] not in "2n":
        return Example("default", (x, draw.some([None, 2, 3, 6]), draw.some([1, 2, -1]), norm))
    sizes = draw.some([None, [3, 2], [2, 5], [-1, 4]])
    dims: list[int] | None = draw.some([[1, 2], [0, 2], [-1, 0]])
    if name[-1] == "n" and draw.random() < 0.5:
        dims = None
    elif name[-1] == "n" and draw.random() < 0.5:
        sizes, dims = draw.some([None, [4]]), [draw.some([0, -1])]
    return Example("default", (x, sizes, dims, norm))


@rule(*(f"aten.fft_{kind}{axes}" for kind in _KINDS for axes in ("", "2", "n")), examples=_examples)
def transform(call: Call) -> Description:
    """Along the named axes all is read, but for what `n` or `s` cuts off."""
    x, name = call.operand("self"), call.op.removeprefix("aten.fft_")
    axes = len(x.shape)
    if name[-1] in "2n":
        sizes, dims = call.args["s"], call.args["dim"]
        if dims is None:
            dims = range(axes) if sizes is None else range(axes - len(sizes), axes)
    else:
        sizes = None if call.args["n"] is None else [call.args["n"]]
        dims = [call.args["dim"]]
    dims = [d % axes for d in dims]
    sizes = sizes or [-1] * len(dims)
    lengths = {d: x.shape[d] if n == -1 else n for d, n in zip(dims, sizes, strict=True)}
    if name in _HALVED and sizes[-1] == -1:
        lengths[dims[-1]] = 2 * (x.shape[dims[-1]] - 1)
    counts = dict(lengths)
    if name in _HALVED:
        counts[dims[-1]] = lengths[dims[-1]] // 2 + 1
    given: Arguments = (
        {"s": list(lengths.values()), "dim": dims} if name[-1] in "2n"
        else {"n": lengths[dims[0]], "dim": dims[0]}
    )  # fmt: skip
    return _over(call, counts, given)


def _primitive_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 2, 4))
    dims, norm = draw.some([[2], [1, 2], [0, 1]]), draw.some([0, 1, 2])
    if op.endswith("r2c"):
        return Example("default", (x, dims, norm, draw.some([False, True])))
    x = torch.complex(x, draw.tensor(*x.shape))
    if op.endswith("c2r"):
        last = 2 * (x.shape[dims[-1]] - 1) + draw.some([0, 1])
        return Example("default", (x, dims, norm, last))
    return Example("default", (x, dims, norm, draw.some([False, True])))


@rule("aten._fft_r2c", "aten._fft_c2c", "aten._fft_c2r", examples=_primitive_examples)
def primitive_transform(call: Call) -> Description:
    """What the public transforms are made of."""
    x = call.operand("self")
    dims = [d % len(x.shape) for d in call.args["dim"]]
    counts = {d: x.shape[d] for d in dims}
    if call.op.endswith("c2r"):
        counts[dims[-1]] = call.args["last_dim_size"] // 2 + 1
    return _over(call, counts, {})


def _over(call: Call, counts: dict[int, int], given: Arguments) -> Description:
    """A transform that reads the first `counts` positions of these axes at every output.

    Args:
        call: the call.
        counts: axis -> how many positions matter, or would if there were as many.
        given: arguments for the transform of a crop.
    """
    x = call.operand("self")
    # A spectrum of real values has weights that vanish.
    halves = not x.dtype.is_complex and not call.dtype.is_complex
    links = list(identity_links(x, x.shape))
    for axis, count in counts.items():
        first = np.arange(min(count, x.shape[axis]), dtype=np.int64)
        relation = Relation(call.shape[axis], x.shape[axis], 0, Taps.single(first))
        status: Status = "bound" if halves else "global" if len(first) > 1 else "exact"
        links[axis] = Link(axis, relation, status)

    def run(args: Arguments, box: Box) -> Tensor:
        out: Tensor = call_overload(call.target, {**args, **given})
        for axis in counts:
            lo, hi = box[axis]
            out = out.narrow(axis, lo, hi - lo)
        return out

    return Global((Read(x, tuple(links)),), run)


def _shift_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 1, 5))
    return Example("default", (x, draw.some([None, [1], [-1, 1]])))


@rule("aten.fft_fftshift", "aten.fft_ifftshift", examples=_shift_examples)
def shift(call: Call) -> Description:
    """The zero frequency moved to the middle, or back."""
    x = call.operand("self")
    axes = len(x.shape)
    dims = range(axes) if call.args["dim"] is None else [d % axes for d in call.args["dim"]]
    links = list(identity_links(x, x.shape))
    for axis in dims:
        n = x.shape[axis]
        by = n // 2 if call.op.endswith("fft_fftshift") else (n + 1) // 2
        links[axis] = Link(axis, rolled(n, by))
    read = Read(x, tuple(links))
    return Movement((read,), mover(read, "self"))

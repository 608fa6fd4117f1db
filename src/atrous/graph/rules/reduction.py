"""Reductions over whole axes: sums, extremes, statistics, norms."""

from __future__ import annotations

from math import prod
from typing import Any

import torch

from atrous.graph.example import Draw, Example
from atrous.graph.rule import (
    Call,
    Description,
    Global,
    Link,
    Operand,
    Pointwise,
    Read,
    identity_links,
    replay,
    rule,
    whole,
)

_REDUCTIONS = """
all amax amin aminmax any argmax argmin count_nonzero kthvalue linalg_norm linalg_vector_norm
logsumexp max mean median min mode nanmean nanmedian nansum norm prod special_logsumexp std
std_mean sum var var_mean
""".split()
_POSITIONS = {"argmax", "argmin"}
_WITH_POSITIONS = {"max", "min", "median", "nanmedian", "mode", "kthvalue", "sort", "topk"}
_ORDERED = {"median", "nanmedian", "mode", "kthvalue"}
"""Those that need all elements at once."""
_VARIANCES = {"var", "std", "var_mean", "std_mean"}

_SETTINGS: dict[str, list[Any]] = {
    "keepdim": [False, True],
    "unbiased": [False, True],
    "correction": [None, 0, 1, 0.5, 2],
    "p": [2, 1, 3.0, float("inf"), float("-inf"), 0],
    "ord": [2, 1, 3.0, float("inf"), float("-inf"), 0],
    "dtype": [torch.float64],
    "largest": [False, True],
    "descending": [False, True],
    "sorted": [True],
    "stable": [False, True],
    "interpolation": ["linear", "lower", "higher", "nearest", "midpoint"],
    "q": [0.0, 0.3, 0.5, 1.0],
}


def drawn_call(draw: Draw, op: str) -> Example:
    """A call of any overload, its settings drawn by the names of its schema."""
    packet = getattr(torch.ops.aten, op.removeprefix("aten."))
    overload = draw.some([name for name in packet.overloads() if _is_drawn(packet, name)])
    x = draw.tensor(*draw.lengths(draw.randint(0, 3), 1, 4))
    if op == "aten.any":
        x = x * 0  # else no single element decides
    args: list[Any] = [x]
    for argument in getattr(packet, overload)._schema.arguments[1:]:
        args.append(_setting(draw, op, argument.name, str(argument.type), args))
    return Example(overload, tuple(args), (0, 1) if overload == "other" else (0,))


def _is_drawn(packet: Any, overload: str) -> bool:
    schema = getattr(packet, overload)._schema
    return str(schema.arguments[0].type) == "Tensor" and not any(
        a.alias_info is not None or (a.name in ("dim", "ord") and "str" in str(a.type))
        for a in schema.arguments
    )


def _setting(draw: Draw, op: str, name: str, kind: str, args: list[Any]) -> Any:
    x = args[0]
    axes = max(x.dim(), 1)
    if name == "other":
        return draw.tensor(*x.shape[1:])
    if name == "q" and kind == "Tensor":
        return draw.some([torch.tensor(0.3), torch.tensor([0.0, 0.4, 1.0])]).double()
    if name == "k":
        return draw.randint(1, min(x.shape, default=1))
    if name == "ord" and "linalg_norm" in op:
        return None
    if name != "dim":
        return draw.some(_SETTINGS[name])
    if "List" not in kind:
        dim = draw.randrange(-axes, axes)
        return draw.some([dim, None]) if "Optional" in kind else dim
    dims = draw.sample(range(axes), draw.randint(1, min(axes, 2) if "linalg" in op else axes))
    dims = [d - draw.some([0, axes]) for d in dims]
    choices: list[Any] = [dims, dims]
    choices += [[]] if "linalg_norm" not in op and "logsumexp" not in op else []
    choices += [None] if "Optional" in kind else []
    return draw.some(choices)


def reduced_axes(call: Call) -> set[int]:
    """The axes of `self` that the call reduces."""
    x = call.operand("self")
    axes = len(x.shape)
    dims = call.args.get("dim")
    if dims is None:
        return set(range(axes))
    if isinstance(dims, int):
        dims = [dims]
    if any(isinstance(d, str) for d in dims):
        raise NotImplementedError("named axes")
    if not dims:
        # Most operators take no axis for all axes, some for none: the shape tells.
        return set() if call.shape == x.shape else set(range(axes))
    return {d % axes for d in dims} if axes else set()


def reduced_links(x: Operand, reduced: set[int], keepdim: bool) -> tuple[Link | None, ...]:
    """Links of a result that reads the reduced axes whole, and keeps them if `keepdim`."""
    identity = identity_links(x, x.shape)
    links: list[Link | None] = []
    for axis, length in enumerate(x.shape):
        if axis not in reduced:
            links.append(identity[axis])
        elif keepdim:
            links.append(whole(axis, 1, length))
    return tuple(links)


def constant(call: Call) -> Description:
    """The same result whatever the operands hold."""
    return Pointwise((), replay(call, cut=range(len(call.shape))))


def tells_positions(call: Call) -> bool:
    """Whether the result is positions along the axis rather than values."""
    name = call.op.removeprefix("aten.")
    return name in _POSITIONS or (name in _WITH_POSITIONS and call.output == 1)


@rule(*(f"aten.{name}" for name in _REDUCTIONS), examples=drawn_call)
def reduction(call: Call) -> Description:
    """Every output reads the reduced axes whole.

    What is the same for every input reads nothing: the position of a single element, and its
    variance where the divisor is zero.
    """
    x = call.operand("self")
    if "other" in call.args:
        both = (x, call.operand("other"))
        return Pointwise(tuple(Read(o, identity_links(o, call.shape)) for o in both), replay(call))
    reduced = reduced_axes(call)
    if prod(x.shape[axis] for axis in reduced) == 1 and (
        tells_positions(call) or _has_no_variance(call)
    ):
        return constant(call)
    links = reduced_links(x, reduced, bool(call.args.get("keepdim", False)))
    gathers = call.op.removeprefix("aten.") not in _ORDERED
    return Global((Read(x, links),), replay(call), gathers=gathers)


def _has_no_variance(call: Call) -> bool:
    """Whether the variance of one element is zero by zero, for all that the element holds."""
    if call.op.removeprefix("aten.") not in _VARIANCES or call.output == 1:
        return False
    correction = call.args.get("correction", int(call.args.get("unbiased", True)))
    return bool(correction is None or correction >= 1)

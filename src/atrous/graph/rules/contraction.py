"""Products that sum over whole axes: linear layers, matrix products, einsum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from string import ascii_lowercase
from typing import Any

from torch import Tensor

from atrous.graph.example import Draw, Example
from atrous.graph.region import Box, Region
from atrous.graph.rule import (
    Arguments,
    Call,
    Description,
    Global,
    Link,
    Operand,
    Read,
    broadcast,
    replay,
    rule,
)

Labels = Sequence[str]
"""One name per axis; axes of one name are one."""


def _linear_examples(draw: Draw, op: str) -> Example:
    inputs, outputs = draw.lengths(2, 1, 5)
    x = draw.tensor(*draw.lengths(draw.randint(1, 3), 1, 3), inputs)
    bias = draw.some([None, draw.tensor(outputs)])
    if draw.random() < 0.2:
        return Example("default", (x, draw.tensor(inputs), None))
    data = draw.some([(0,), (0, 1)])
    return Example("default", (x, draw.tensor(outputs, inputs), bias), data)


def _product_examples(draw: Draw, op: str) -> Example:
    n, k, m, b = draw.lengths(4, 1, 4)
    name = op.removeprefix("aten.")
    shapes: dict[str, tuple[tuple[int, ...], ...]] = {
        "bmm": ((b, n, k), (b, k, m)),
        "mm": ((n, k), (k, m)),
        "mv": ((n, k), (k,)),
        "dot": ((k,), (k,)),
        "vdot": ((k,), (k,)),
        "outer": ((n,), (m,)),
        "ger": ((n,), (m,)),
        "addmm": (draw.some([(n, m), (m,)]), (n, k), (k, m)),
        "addmv": ((n,), (n, k), (k,)),
        "addr": ((n, m), (n,), (m,)),
        "baddbmm": (draw.some([(b, n, m), (1, 1, m)]), (b, n, k), (b, k, m)),
        "addbmm": ((n, m), (b, n, k), (b, k, m)),
        "cdist": ((n, k), (m, k)),
    }
    if name == "matmul":
        left = draw.some([(k,), (n, k), (b, n, k), (b, 1, n, k)])
        shapes[name] = left, draw.some([(k,), (k, m), (b, k, m)])
    tensors = tuple(draw.tensor(*shape) for shape in shapes[name])
    data = tuple(range(len(tensors)))
    return Example("default", (*tensors, *((2.0,) if name == "cdist" else ())), data)


def _einsum_examples(draw: Draw, op: str) -> Example:
    sizes = {letter: draw.randint(1, 3) for letter in "abcd"}
    equation = draw.some(["ab,bc->ac", "abc,acd->bd", "abc->ca", "ab,b,bc", "...a,ab->...b",
                          "ab->", "abc,bd->abcd"])  # fmt: skip
    terms = equation.partition("->")[0].split(",")
    tensors = [
        draw.tensor(*(sizes[letter] for letter in term.replace("...", "cd"))) for term in terms
    ]
    return Example("default", (equation, tensors), (1,))


@rule("aten.linear", examples=_linear_examples)
def linear(call: Call) -> Description:
    """The last axis is contracted whole; every other position stands by itself."""
    *lead, _ = (f"n{k}" for k in range(len(call.operand("input").shape)))
    out = ["out"] if len(call.operand("weight").shape) == 2 else []
    terms = {"input": [*lead, "in"], "weight": [*out, "in"], "bias": out}
    return contraction(call, terms, [*lead, *out])


_EQUATIONS = {
    "mm": {"self": "nk", "mat2": "km"},
    "bmm": {"self": "bnk", "mat2": "bkm"},
    "mv": {"self": "nk", "vec": "k"},
    "dot": {"self": "k", "tensor": "k"},
    "vdot": {"self": "k", "other": "k"},
    "outer": {"self": "n", "vec2": "m"},
    "ger": {"self": "n", "vec2": "m"},
    "addmm": {"self": "nm", "mat1": "nk", "mat2": "km"},
    "addmv": {"self": "n", "mat": "nk", "vec": "k"},
    "addr": {"self": "nm", "vec1": "n", "vec2": "m"},
    "baddbmm": {"self": "bnm", "batch1": "bnk", "batch2": "bkm"},
    "addbmm": {"self": "nm", "batch1": "bnk", "batch2": "bkm"},
}
_RESULTS = {"mv": "n", "addmv": "n", "dot": "", "vdot": "", "bmm": "bnm", "baddbmm": "bnm"}


@rule(*(f"aten.{name}" for name in _EQUATIONS), examples=_product_examples)
def product(call: Call) -> Description:
    """Products of matrices and vectors, and what is added to them."""
    name = call.op.removeprefix("aten.")
    return contraction(call, _EQUATIONS[name], _RESULTS.get(name, "nm"))


@rule("aten.matmul", examples=_product_examples)
def matmul(call: Call) -> Description:
    """Rows of the first times columns of the second; leading axes are broadcast."""
    left, right = len(call.operand("self").shape), len(call.operand("other").shape)
    rows, columns = ["row"] * (left > 1), ["column"] * (right > 1)
    lead = [f"n{k}" for k in range(len(call.shape) - len(rows) - len(columns))]
    first = [*lead[len(lead) - max(left - 2, 0) :], *rows, "in"]
    second = [*lead[len(lead) - max(right - 2, 0) :], "in", *columns]
    return contraction(call, {"self": first, "other": second}, [*lead, *rows, *columns])


@rule("aten.cdist", examples=_product_examples)
def cdist(call: Call) -> Description:
    """Distances of all pairs of rows."""
    lead = [f"n{k}" for k in range(len(call.shape) - 2)]
    if any(len(o.shape) != len(call.shape) for o in call.operands):
        raise NotImplementedError("operands of different rank")
    terms = {"x1": [*lead, "row", "in"], "x2": [*lead, "column", "in"]}
    return contraction(call, terms, [*lead, "row", "column"], multiplies=False)


@rule("aten.einsum", examples=_einsum_examples)
def einsum(call: Call) -> Description:
    """The equation says which axes meet and which are summed."""
    equation: str = call.args["equation"].replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    operands: list[Operand] = call.args["tensors"]
    extra = max(
        len(o.shape) - len(t.replace("...", "")) for t, o in zip(terms, operands, strict=True)
    )
    dots = [f"n{k}" for k in range(extra)]

    def labels(term: str, rank: int) -> list[str]:
        head, found, tail = term.partition("...")
        mine = rank - len(head) - len(tail) if found else 0
        return [*head, *dots[len(dots) - mine :], *tail]

    named = [labels(t, len(o.shape)) for t, o in zip(terms, operands, strict=True)]
    if arrow:
        out = labels(right, len(call.shape))
    else:
        letters = [c for c in left if c in ascii_lowercase or c.isupper()]
        once = sorted(c for c in set(letters) if letters.count(c) == 1)
        out = [*(dots if "..." in left else []), *once]
    found = contraction(call, {"tensors": named}, out)
    lengths = [dict(zip(own, o.shape, strict=True)) for own, o in zip(named, operands, strict=True)]
    return replace(found, macs=_pairwise_macs(lengths, set(out)))


def _pairwise_macs(terms: Sequence[Mapping[str, int]], result: set[str]) -> int:
    """Multiply-accumulates from left to right, two terms at a time.

    Axes that no other term and not the result has are summed before they are multiplied; a single
    term is not multiplied at all.
    """
    total, left = 0, dict(terms[0])
    for k, right in enumerate(terms[1:], start=1):
        later = result.union(*terms[k + 1 :])
        names = {
            name for name in {*left, *right} if name in later or (name in left and name in right)
        }
        total += prod(max(left.get(name, 1), right.get(name, 1)) for name in names)
        left = {name: max(left.get(name, 1), right.get(name, 1)) for name in names & later}
    return total


def contraction(
    call: Call,
    terms: Mapping[str, Labels | Sequence[Labels]],
    result: Labels,
    *,
    multiplies: bool = True,
) -> Description:
    """An operator whose axes are named: those of the result stay, all others are read whole.

    Args:
        call: the call.
        terms: the names of each tensor argument's axes; a list of names for a list of tensors.
        result: the names of the result's axes.
        multiplies: whether it multiplies and adds.
    """
    reads: list[Read] = []
    named: list[list[str]] = []
    lengths: dict[str, int] = {}
    for argument, labels in terms.items():
        value = call.args.get(argument)
        pairs = zip(value, labels, strict=True) if isinstance(value, list) else [(value, labels)]
        for operand, mine in pairs:
            if not isinstance(operand, Operand):
                continue
            own = [str(name) for name in mine][len(mine) - len(operand.shape) :]
            if len(set(own)) < len(own):
                raise NotImplementedError("the diagonal of an operand")
            named.append(own)
            for label, length in zip(own, operand.shape, strict=True):
                # What is broadcast has length 1; an axis of length 0 stays empty.
                if lengths.get(label, 1) == 1:
                    lengths[label] = length
            reads.append(_named_read(call, operand, own, result))
    whole = replay(call)

    def run(args: Arguments, box: Box) -> Tensor:
        sides = dict(zip(result, box, strict=True))
        queue = iter(named)

        def crop(value: Any) -> Any:
            if isinstance(value, list):
                return [crop(v) for v in value]
            if not isinstance(value, Region):
                return value
            wanted = tuple(
                (0, 1) if n == 1 else sides.get(label, (0, n))
                for label, n in zip(next(queue), value.shape, strict=True)
            )
            return value.crop(wanted)

        return whole({name: crop(value) for name, value in args.items()}, box)

    cost = prod(lengths.values()) if multiplies else 0
    data = [read for read in reads if not read.operand.is_constant]
    return Global(tuple(reads), run, cost, gathers=multiplies and len(data) < 2)


def _named_read(call: Call, operand: Operand, labels: list[str], result: Labels) -> Read:
    links: list[Link | None] = []
    for name, length in zip(result, call.shape, strict=True):
        if name in labels:
            axis = labels.index(name)
            links.append(Link(axis, broadcast(length, operand.shape[axis])))
        else:
            links.append(None)
    return Read(operand, tuple(links))

"""Views that re-bracket, reorder, add or drop axes."""

from __future__ import annotations

from collections.abc import Sequence

from atrous.geometry.relation import Relation
from atrous.graph.example import Draw, Example
from atrous.graph.factors import common_factors, joined
from atrous.graph.movement import mover, reshaped
from atrous.graph.rule import (
    Call,
    Description,
    Link,
    Movement,
    Operand,
    Read,
    identity_links,
    rule,
    unlinked_read,
)


def _view_examples(draw: Draw, op: str) -> Example:
    a, b, c = draw.lengths(3, 1, 4)
    x = draw.tensor(a * b, c, 2)
    if op.endswith("unflatten"):
        return Example("int", (x, 0, [a, b]))
    if op.endswith("flatten"):
        return Example("using_ints", (x, draw.some([0, 1]), draw.some([-1, 1])))
    if op.endswith("_as"):
        return Example("default", (x, draw.tensor(a, b * c * 2)))
    if op.endswith("ravel"):
        return Example("default", (x,))
    target = draw.some(
        [[a, b, c, 2], [a, b * c * 2], [a * b * c, 2], [2, c, a * b] if c == 1 else [-1]]
    )
    return Example("default", (x, target))


def _permute_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(*draw.lengths(3, 1, 4))
    if op.endswith("permute"):
        return Example("default", (x, draw.sample([0, 1, 2], 3)))
    if op.endswith(".t"):
        return Example("default", (x[0],))
    if op.endswith(("mT", "mH", "adjoint", "numpy_T")):
        return Example("default", (x,))
    if op.endswith(("movedim", "moveaxis")):
        if draw.random() < 0.5:
            return Example("int", (x, draw.some([0, 1, -1]), draw.some([2, -2])))
        return Example("intlist", (x, [0, 2], draw.some([[1, 0], [2, 1], [-1, 0]])))
    overload = "default" if op.endswith(("swapaxes", "swapdims")) else "int"
    return Example(overload, (x, draw.some([0, 1, -1]), draw.some([2, -2])))


def _squeeze_examples(draw: Draw, op: str) -> Example:
    x = draw.tensor(2, 1, draw.randint(1, 3), 1)
    if op.endswith("unsqueeze"):
        return Example("default", (x, draw.some([0, 1, -1, 4])))
    overload, args = draw.some(
        [("default", ()), ("dim", (draw.some([1, 2, -1]),)), ("dims", ([1, -1],))]
    )
    return Example(overload, (x, *args))


def _expand_examples(draw: Draw, op: str) -> Example:
    n = draw.randint(1, 3)
    if op.endswith("expand_as"):
        return Example("default", (draw.tensor(n, 1, 2), draw.tensor(3, n, 2, 2)))
    return Example(
        "default", (draw.tensor(n, 1, 2), draw.some([[n, 4, 2], [3, n, 2, 2], [-1, 3, -1]]))
    )


@rule(
    "aten.view",
    "aten.reshape",
    "aten._unsafe_view",
    "aten.flatten",
    "aten.unflatten",
    "aten.view_as",
    "aten.reshape_as",
    "aten.ravel",
    examples=_view_examples,
)
def view(call: Call) -> Description:
    """The same elements in the same order under another shape."""
    x = call.operand("self")
    return Movement(
        (_same_elements(x, call.shape),), lambda args, box: reshaped(args["self"], box, call.shape)
    )


def _same_elements(x: Operand, shape: tuple[int, ...]) -> Read:
    try:
        split, merge = common_factors(x.shape, shape)
    except ValueError:
        # Which input an axis position reads depends on the other positions.
        return unlinked_read(x, len(shape), "bound")
    links = tuple(Link(k, Relation.identity(n)) for k, n in enumerate(joined(split)))
    return Read(x, links, split=split, merge=merge)


@rule(
    "aten.permute",
    "aten.transpose",
    "aten.swapaxes",
    "aten.swapdims",
    "aten.t",
    "aten.numpy_T",
    "aten.mT",
    "aten.mH",
    "aten.adjoint",
    "aten.movedim",
    "aten.moveaxis",
    examples=_permute_examples,
)
def permute(call: Call) -> Description:
    """Axes in another order."""
    x = call.operand("self")
    axes = len(x.shape)
    order = list(range(axes))
    if call.op == "aten.permute":
        order = [d % axes for d in call.args["dims"]]
    elif call.op in ("aten.movedim", "aten.moveaxis"):
        order = _moved(axes, call.args["source"], call.args["destination"])
    elif call.op == "aten.numpy_T":
        order.reverse()
    elif axes > 1:
        # Without numbers the last two change places.
        a = call.args.get("dim0", call.args.get("axis0", -2)) % axes
        b = call.args.get("dim1", call.args.get("axis1", -1)) % axes
        order[a], order[b] = order[b], order[a]
    return _axes(call, order)


def _moved(axes: int, source: int | Sequence[int], destination: int | Sequence[int]) -> list[int]:
    pairs = zip(_list(source), _list(destination), strict=True)
    places = {d % axes: s % axes for s, d in pairs}
    others = iter(axis for axis in range(axes) if axis not in places.values())
    return [places[axis] if axis in places else next(others) for axis in range(axes)]


def _list(value: int | Sequence[int]) -> Sequence[int]:
    return [value] if isinstance(value, int) else value


@rule("aten.squeeze", "aten.unsqueeze", examples=_squeeze_examples)
def squeeze(call: Call) -> Description:
    """Axes of length 1 dropped or added."""
    x = call.operand("self")
    axes = len(x.shape)
    if call.op == "aten.unsqueeze":
        at = call.args["dim"] % (axes + 1)
        return _axes(call, [*range(at), None, *range(at, axes)])
    dims = call.args.get("dim", range(axes))
    chosen = {d % axes for d in (dims if isinstance(dims, list | tuple | range) else [dims])}
    return _axes(call, [a for a in range(axes) if not (a in chosen and x.shape[a] == 1)])


def _axes(call: Call, order: list[int | None] | list[int]) -> Description:
    """Output axis k is operand axis `order[k]`, or new."""
    x = call.operand("self")
    identity = identity_links(x, x.shape)
    read = Read(x, tuple(None if axis is None else identity[axis] for axis in order))
    return Movement((read,), mover(read, "self"))


@rule("aten.expand", "aten.expand_as", "aten.broadcast_to", examples=_expand_examples)
def expand(call: Call) -> Description:
    """Axes of length 1 repeated, without copying."""
    x = call.operand("self")
    read = Read(x, identity_links(x, call.shape))
    return Movement((read,), mover(read, "self"))

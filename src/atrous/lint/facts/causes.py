"""Why a field is as it is, in sentences: the node that makes it so, and what would change it."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

from atrous.analysis.fields.field import AxisField, Traced
from atrous.geometry.primitives import Window
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local, Movement, Pointwise


def ancestors(program: Program, target: Node) -> list[Node]:
    """A node and all that it descends from, in order of computation."""
    wanted = {target.name}
    for node in reversed(list(program.nodes.values())):
        if node.name in wanted:
            wanted.update(operand.name for operand in node.operands)
    return [node for name, node in program.nodes.items() if name in wanted]


def named(node: Node) -> str:
    """A node by its module and the line of its call."""
    source = node.place.source
    return f"{node.label!r}" + (f" ({source})" if source else "")


def why_size(followed: Traced, target: Node, axis: AxisField, wanted: int) -> str:
    """Which nodes give a field its size, and on a chain a dilation that gives the wanted one."""
    grown = []
    for node in ancestors(followed.program, target):
        mine = _local(followed, node, axis.axis)
        before = [_local(followed, n, axis.axis) for n in _read(followed.program, node)]
        sizes = [b.size for b in before if b is not None]
        if mine is not None and sizes and mine.size > max(sizes):
            grown.append((mine.size - max(sizes), node))
    if not grown:
        return ""
    most = sorted(grown, key=lambda item: -item[0])[:3]
    told = ", ".join(f"{node.label!r} +{more}" for more, node in most)
    return f"\n  Nodes that add most: {told}.{_other_dilation(followed, target, axis, wanted)}"


def why_stride(followed: Traced, target: Node, axis: int) -> str:
    """Which nodes give a field its stride."""
    told: list[str] = []
    last = None
    for node in ancestors(followed.program, target):
        mine = _local(followed, node, axis)
        if mine is not None and mine.stride != last:
            if last is not None:
                told.append(f"{mine.stride} from {named(node)} on")
            last = mine.stride
    return f"\n  It is {', '.join(told)}." if told else ""


def why_holes(followed: Traced, target: Node) -> str:
    """The node that the holes come from, and the largest dilation that leaves none there."""
    for axis in followed.axes:
        holey: dict[str, AxisField] = {}
        for node in ancestors(followed.program, target):
            mine = _local(followed, node, axis)
            if mine is not None and mine.status == "exact" and mine.density < 1:
                holey[node.name] = mine
        origin = _origin(followed.program, target, holey)
        if origin is not None:
            spacing = _spacing(followed, origin, holey[origin.name])
            return f"\n  The holes come from {named(origin)}{spacing}"
    return "\n  Along no single axis: what is missed lies apart in several dimensions."


def why_future(followed: Traced, target: Node, delay: int) -> str:
    """The node that reads the future first, and the padding that mends it.

    Args:
        followed: traced along the one axis that is asked for.
        target: what reads the future.
        delay: how much of it may be read.
    """
    ahead: dict[str, AxisField] = {}
    for node in ancestors(followed.program, target):
        field = followed.field(node)
        # Padding on the left looks back only until the window it is for has been applied.
        pads = isinstance(node.description, Movement) and prod(node.shape) > max(
            prod(operand.shape) for operand in node.operands
        )
        still = pads and any(operand.name in ahead for operand in node.operands)
        if field is not None and (still or field.axes[0].reach[1] > delay):
            ahead[node.name] = field.axes[0]
    origin = _origin(followed.program, target, ahead)
    if origin is None:
        return ""
    told = f"\n  The first to read the future is {named(origin)}."
    axis = ahead[origin.name]
    window = _window(origin, axis)
    if window is None:
        return told + (f" It reads all because of {axis.cause}." if axis.cause else "")
    left = window.span - 1
    last = axis.output_axis == len(origin.shape) - 1
    call = f": nn.functional.pad(x, ({left}, 0)) before it, and padding=0" if last else ""
    instead = f" instead of padding={window.left}" if last and window.left else ""
    return f"{told}\n  Pad {left} positions on the left alone{call}{instead}."


def _origin(program: Program, target: Node, wrong: Mapping[str, object]) -> Node | None:
    """Of the nodes that something is wrong with, the one it comes from; None if the target is fine.

    A later layer can make good what an earlier one did: asked for is the last that is wrong while
    nothing that it reads is.
    """
    if target.name not in wrong:
        return None
    found = target
    for node in ancestors(program, target):
        if node.name in wrong and not any(o.name in wrong for o in node.operands):
            found = node
    return found


def _read(program: Program, node: Node) -> list[Node]:
    return [program.nodes[operand.name] for operand in node.operands]


def _local(followed: Traced, node: Node, axis: int) -> AxisField | None:
    """A node's field on one input axis, without the ways that read it whole."""
    field = followed.field(node)
    for found in field.axes if field is not None else ():
        if found.axis == axis and found.status != "unknown":
            return found.local if found.status == "global" else found
    return None


def _window(node: Node, axis: AxisField) -> Window | None:
    """The window of a node that slides along the axis that moves along an input axis."""
    if not isinstance(node.description, Local) or axis.output_axis is None:
        return None
    return node.description.windows.get(axis.output_axis)


def _other_dilation(followed: Traced, target: Node, axis: AxisField, wanted: int) -> str:
    """A dilation that gives the wanted size; "" if it is not sure that one does.

    On a chain of windows the size is 1 + the sum of (k - 1) d j, with j the product of the strides
    before: one layer's dilation changes it by (k - 1) j a step (Dumoulin and Visin, 2016,
    arXiv:1603.07285, for the sizes of single layers).
    """
    size, jump, found = 1, 1, ""
    for node in ancestors(followed.program, target):
        if node.call is None or isinstance(node.description, Pointwise):
            continue
        mine = _local(followed, node, axis.axis)
        window = None if mine is None else _window(node, mine)
        if window is None or len(node.operands) != 1:
            return ""
        step = (window.kernel_size - 1) * jump
        size += step * window.dilation
        jump *= window.stride
        more = wanted - axis.size
        if step and more % step == 0 and window.dilation + more // step >= 1:
            new = window.dilation + more // step
            before, after = f"dilation={window.dilation}", f"dilation={new}"
            if window.left and window.left % window.dilation == 0:
                before += f", padding={window.left}"
                after += f", padding={window.left // window.dilation * new}"
            found = f"\n  Use {after} instead of {before} at {node.label!r}."
    return found if size == axis.size else ""


def _spacing(followed: Traced, node: Node, axis: AxisField) -> str:
    """How far a window's taps lie apart, and how far they might.

    Each tap of a window sees what its operand sees: `size` inputs without holes. Taps that lie no
    further apart than that leave no hole, taps that lie further apart do.
    """
    window = _window(node, axis)
    before = [_local(followed, n, axis.axis) for n in _read(followed.program, node)]
    operand = before[0] if len(before) == 1 else None
    if window is None or operand is None or operand.strides[0] != operand.strides[1]:
        return "."
    apart = window.dilation * operand.stride
    told = f", whose taps lie {apart} apart where each reads {operand.size}."
    most = int(operand.size // operand.stride)
    if not 1 <= most < window.dilation:
        return told
    return f"{told}\n  Use a dilation of at most {most} there instead of {window.dilation}."

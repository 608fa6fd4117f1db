"""Why a field is as it is, in sentences: the node that makes it so, and what would change it."""

from __future__ import annotations

from atrous.analysis.fields.field import AxisField, Traced
from atrous.graph.program import Node, Program
from atrous.graph.rule import Pointwise
from atrous.lint.facts.along import local, on_axis, window_along


def located(node: Node) -> str:
    """A node by its module and the line of its call."""
    source = node.place.source
    return f"{node.label!r}" + (f" ({source})" if source else "")


def why_size(followed: Traced, target: Node, axis: AxisField, wanted: int) -> str:
    """Which nodes give a field its size, and on a chain a dilation that gives the wanted one."""
    grown = []
    for node in followed.program.behind(target):
        mine = local(on_axis(followed.field(node), axis.axis))
        before = [
            local(on_axis(followed.field(n), axis.axis)) for n in _read(followed.program, node)
        ]
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
    for node in followed.program.behind(target):
        mine = local(on_axis(followed.field(node), axis))
        if mine is not None and mine.stride != last:
            if last is not None:
                told.append(f"{mine.stride} from {located(node)} on")
            last = mine.stride
    return f"\n  It is {', '.join(told)}." if told else ""


def _read(program: Program, node: Node) -> list[Node]:
    return [program.nodes[operand.name] for operand in node.operands]


def _other_dilation(followed: Traced, target: Node, axis: AxisField, wanted: int) -> str:
    """A dilation that gives the wanted size; "" if it is not sure that one does.

    On a chain of windows the size is 1 + the sum of (k - 1) d j, with j the product of the strides
    before: one layer's dilation changes it by (k - 1) j a step (Dumoulin and Visin, 2016,
    arXiv:1603.07285, for the sizes of single layers).
    """
    size, jump, found = 1, 1, ""
    for node in followed.program.behind(target):
        if node.call is None or isinstance(node.description, Pointwise):
            continue
        mine = local(on_axis(followed.field(node), axis.axis))
        window = window_along(node, mine)
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

"""What lies around layers: in the program, and in the block they are in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from atrous.design.redesign.layers import Layer
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local


def alike(layers: Sequence[Layer], layer: Layer, block: str) -> tuple[Layer, ...]:
    """The layers of a block that have the windows of one of them."""
    return tuple(
        own for own in layers if own.path.startswith(f"{block}.") and own.windows == layer.windows
    )


def read_shape(program: Program, name: str) -> tuple[int, ...]:
    """The shape of what the module of a node reads, before it pads that by a call of its own."""
    node = program.nodes[name]
    read = program.nodes[node.reads[0].operand.name]
    while read.call is not None and read.place.calls == node.place.calls and read.reads:
        read = program.nodes[read.reads[0].operand.name]
    return read.shape


def slides(node: Node) -> bool:
    """Whether it reads more than one position by a window."""
    return isinstance(node.description, Local) and any(
        window.kernel_size > 1 for window in node.description.windows.values()
    )


def near(program: Program, node: Node) -> Iterator[Node]:
    """What comes just before a node and just behind it, up to the next layers."""
    before, behind = [node], [node]
    for _ in range(6):
        before = [program.nodes[o.name] for n in before for o in n.operands]
        before = [n for n in before if n.call is not None and not slides(n)]
        yield from before
    for _ in range(6):
        behind = [n for b in behind for n, _ in program.readers.get(b.name, ())]
        behind = [n for n in behind if not slides(n)]
        yield from behind

"""How much memory the values of a program take while it is computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from atrous.graph.program import Program


@dataclass(frozen=True)
class Liveness:
    """The memory held at each node.

    Attributes:
        live: bytes held while the node is computed: its result, what it reads, and all that is
            read later; by node name, in order of computation.
        peak: the most of these.
        at: the node at which it is held; "" for an empty program.
    """

    live: Mapping[str, int]
    peak: int
    at: str


def liveness(program: Program) -> Liveness:
    """Walk a program in order of computation and add up what is alive.

    A value comes into being with its node and is freed after the last node that reads it, or reads
    a view of it. Inputs are there from the start and stay, for they are the caller's; so do outputs
    once computed. Views and values that overwrite others in the model take no memory of their own.
    Parameters, buffers, what is computed from these alone and what an operator needs inside itself
    are not counted.

    Example:
        >>> from torch import nn
        >>> from atrous.graph.capture import capture
        >>> net = nn.Sequential(nn.Conv1d(1, 4, 1), nn.ReLU(), nn.Conv1d(4, 1, 1))
        >>> found = liveness(capture(net, (1, 1, 100)))
        >>> list(found.live.values()), found.at  # 400 bytes in, 1,600 between, 400 out
        ([400, 2000, 3600, 2400], 'relu')
    """
    nodes = program.nodes
    last: dict[str, str] = {}
    for node in nodes.values():
        last[node.memory] = node.name
        for operand in node.call.operands if node.call else ():
            if operand.name in nodes:
                last[nodes[operand.name].memory] = node.name
    kept = {nodes[name].memory for name in (*program.inputs, *program.outputs.values())}
    ends: dict[str, list[str]] = {}
    for memory, name in last.items():
        if memory not in kept:
            ends.setdefault(name, []).append(memory)
    sizes = {node.memory: 0 for node in nodes.values()}
    held = sum(nodes[name].allocated for name in program.inputs)
    live: dict[str, int] = {}
    for node in nodes.values():
        sizes[node.memory] += node.allocated
        held += node.allocated if node.call is not None else 0
        live[node.name] = held
        held -= sum(sizes[memory] for memory in ends.get(node.name, ()))
    at = max(live, key=lambda name: live[name], default="")
    return Liveness(live, live.get(at, 0), at)

"""Places where branches meet: what lies on the branches, what becomes of the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from atrous.analysis.stretches import between, dominators
from atrous.graph.program import Node, Program
from atrous.graph.rule import Movement, Pointwise
from atrous.lint.facts.along import readers
from atrous.lint.subject import Subject

T = TypeVar("T")


def since_parted(subject: Subject, node: Node) -> Program:
    """What lies between the last value that all ways to a node share, and the node."""
    program = subject.program
    gates = dominators(program, node)
    parted = program.nodes[gates[-2] if len(gates) > 1 else program.inputs[0]]
    return between(program, parted, node)


def are_mixed(subject: Subject, node: Node) -> bool:
    """Whether anything brings together what meets at a node.

    What is joined side by side and only moved or changed value by value from there to the output,
    as the bands of a transform, is not.
    """
    if isinstance(node.description, Pointwise):
        return True
    reading = readers(subject.program)
    pending, seen = [node], {node.name}
    while pending:
        for reader in reading[pending.pop().name]:
            apart = isinstance(reader.description, Movement | Pointwise)
            if not apart or len(reader.operands) > 1:
                return True
            if reader.name not in seen:
                seen.add(reader.name)
                pending.append(reader)
    return False


def by_cause(subject: Subject, found: Iterable[T], node_of: Callable[[T], Node]) -> list[list[T]]:
    """What is said of meetings, put together where one cause is likely: the same line of code, or
    branches that have layers in common.

    Args:
        subject: the model.
        found: what is said.
        node_of: the meeting it is said of.
    """
    groups: list[tuple[set[str], set[str], list[T]]] = []
    for item in found:
        node = node_of(item)
        inner = since_parted(subject, node)
        layers = set(inner.nodes) - {node.name, *inner.inputs}
        lines = {node.place.source} - {""}
        mine = [group for group in groups if group[0] & layers or group[1] & lines]
        items = [other for group in mine for other in group[2]]
        groups = [group for group in groups if group not in mine]
        layers |= {name for group in mine for name in group[0]}
        lines |= {line for group in mine for line in group[1]}
        groups.append((layers, lines, [*items, item]))
    order = {name: k for k, name in enumerate(subject.program.nodes)}
    told = [sorted(items, key=lambda item: order[node_of(item).name]) for _, _, items in groups]
    return sorted(told, key=lambda items: order[node_of(items[0]).name])

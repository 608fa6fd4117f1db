"""The last values on the way to an output that still have positions of their own."""

from __future__ import annotations

from collections.abc import Mapping

from atrous.analysis.fields.field import Field
from atrous.graph.program import Node, Program


def ends(program: Program, fields: Mapping[str, Field], target: Node) -> tuple[Node, ...]:
    """The target itself, but for what ends in something that reads all: of a classifier what is
    pooled, of an encoder with a class token the tokens.

    Args:
        program: the captured model.
        fields: the field of every node that depends on the input.
        target: the value that is asked about.

    Raises:
        ValueError: if an operator on the way has no rule.
    """
    found: dict[str, Node] = {}
    pending, seen = [target], {target.name}
    while pending:
        node = pending.pop()
        if _has_positions(fields.get(node.name)):
            found[node.name] = node
            continue
        for operand in node.operands:
            if operand.name not in seen:
                seen.add(operand.name)
                pending.append(program.nodes[operand.name])
    return tuple(node for name, node in program.nodes.items() if name in found)


def _has_positions(field: Field | None) -> bool:
    axes = [a.local or a for a in field.axes] if field is not None else []
    for axis in axes:
        axis.check_known()
    return any(axis.status in ("exact", "bound") and axis.output_axes for axis in axes)

"""Which values become denser, and by how much, for an output of a smaller stride."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from atrous.convert.strides import Along, Strides, axis_links
from atrous.graph.program import Node, Program

Densities = tuple[int, ...]
"""Of a value's axes, dense positions per position; 1 for an axis that holds none."""


class DensifyError(ValueError):
    """A model that cannot be made dense as asked; the message says where, why and what to do."""


def densities(
    program: Program,
    strides: Mapping[str, Strides],
    wanted: Mapping[int, int],
    targets: Sequence[Node],
) -> dict[str, Densities]:
    """Of every value, how much denser its positions are to lie.

    What the targets are computed from is to lie at the wanted stride, where it lies further apart,
    up to what does not. What is computed of them besides is as it was: it reads the grid.

    Args:
        program: the captured model.
        strides: of every value, the strides of its axes.
        wanted: the largest stride along each axis of positions, counted from the end.
        targets: the values that are to have it.

    Raises:
        DensifyError: if a stride on the way is no multiple of the wanted one.
    """
    needed = _needed(program, strides, wanted, targets)
    found = {}
    for name, node in program.nodes.items():
        found[name] = tuple(
            _density(own, wanted, node) if own is not None and (name, own.axis) in needed else 1
            for own in strides[name]
        )
        _check_steps(program, node, found, strides, wanted)
    return found


def _needed(
    program: Program,
    strides: Mapping[str, Strides],
    wanted: Mapping[int, int],
    targets: Sequence[Node],
) -> set[tuple[str, int]]:
    """The values, and the axes of the input, along which targets need them denser.

    What lies close enough already needs nothing of what it is made of.
    """
    far = {
        name: {own.axis for own in mine if own is not None and own.too_far(wanted)}
        for name, mine in strides.items()
    }
    needed: dict[str, set[int]] = {target.name: {*far[target.name]} for target in targets}
    for name, node in reversed(list(program.nodes.items())):
        for operand in node.operands:
            needed.setdefault(operand.name, set()).update(
                needed.get(name, set()) & far[operand.name]
            )
    return {(name, axis) for name, axes in needed.items() for axis in axes}


def _check_steps(
    program: Program,
    node: Node,
    found: Mapping[str, Densities],
    strides: Mapping[str, Strides],
    wanted: Mapping[int, int],
) -> None:
    """That dense positions stand where there are positions to compute them from."""
    for read in node.reads:
        for axis, other, _ in axis_links(read, len(node.shape)):
            before, after = strides[read.operand.name][other], strides[node.name][axis]
            if before is None or after is None or found[node.name][axis] == 1:
                continue
            near = before.stride / found[read.operand.name][other]
            if (wanted[after.axis] / near).denominator != 1:
                label = program.nodes[read.operand.name].label
                raise DensifyError(
                    f"output_stride must be a multiple of the strides below it, got "
                    f"{wanted[after.axis]}, but the positions of {label!r} lie {near} apart. "
                    f"Choose a multiple or a divisor of {near.numerator}."
                )


def _density(own: Along, wanted: Mapping[int, int], node: Node) -> int:
    density = own.stride / wanted[own.axis]
    if density.denominator != 1:
        raise DensifyError(
            f"output_stride must divide every larger stride of the model, got {wanted[own.axis]}, "
            f"but the positions of {node.label!r} lie {own.stride} apart. Choose a divisor of "
            f"{own.stride.numerator}."
        )
    return int(density)


def last_positions(program: Program, strides: Mapping[str, Strides], output: Node) -> Node:
    """The output if it holds positions along all axes that hold some, or else the last value
    behind it that does, before anything brings maps to a size of its own."""
    count = max(sum(s is not None for s in own) for own in strides.values())
    sized: set[str] = set()
    found = None
    for node in program.behind(output):
        own = strides[node.name]
        if any(own[k] is not None for k in getattr(node.description, "sized", ())) or any(
            operand.name in sized for operand in node.operands
        ):
            sized.add(node.name)
        if sum(s is not None for s in strides[node.name]) == count:
            if node is output:
                return node
            if node.name not in sized:
                found = node
    if found is None:
        raise DensifyError("the model must have a value that holds positions, and has none.")
    return found

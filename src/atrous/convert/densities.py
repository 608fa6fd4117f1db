"""Which values become denser, and by how much, for an output of a smaller stride."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from atrous.convert.parts import Parts
from atrous.convert.strides import Strides, axis_links
from atrous.graph.program import Node, Program

Densities = tuple[int, ...]
"""Of a value's axes, dense positions per position; 1 for an axis that holds none."""


class DensifyError(ValueError):
    """A model that cannot be made dense as asked; the message says where, why and what to do."""


def densities(
    program: Program,
    strides: Mapping[str, Strides],
    lying: Mapping[str, Sequence[Parts]],
    wanted: Mapping[int, int],
    targets: Sequence[Node],
) -> tuple[dict[str, Densities], dict[str, str]]:
    """Of every value, how much denser its positions are to lie, and what fits no grid.

    What the targets are computed from is to lie at the wanted stride, where it lies further apart,
    up to what does not. What is computed of them besides is as it was: it reads the grid. Of values
    whose stride is no multiple of the wanted one it is told why they cannot become denser by
    themselves; a module around them may run as it is on every phase.

    Args:
        program: the captured model.
        strides: of every value, the strides of its axes.
        lying: of every value, how its axes lie, in parts.
        wanted: the largest stride along each axis of positions, counted from the end.
        targets: the values that are to have it.

    Raises:
        DensifyError: if a target's stride is no multiple of the wanted one.
    """
    needed = _needed(program, lying, wanted, targets)
    found: dict[str, Densities] = {}
    unfit: dict[str, str] = {}
    for name, node in program.nodes.items():
        density = [1] * len(node.shape)
        for axis, own in enumerate(strides[name]):
            if own is None or (name, own.axis) not in needed:
                continue
            ratio = own.stride / wanted[own.axis]
            if ratio.denominator == 1:
                density[axis] = int(ratio)
            else:
                unfit[name] = _unfit_stride(node, own.stride, wanted[own.axis])
        found[name] = tuple(density)
        why = _unfit_step(program, node, found, strides, wanted)
        if why:
            unfit.setdefault(name, why)
    for target in targets:
        if target.name in unfit:
            raise DensifyError(unfit[target.name])
    return found, unfit


def _needed(
    program: Program,
    lying: Mapping[str, Sequence[Parts]],
    wanted: Mapping[int, int],
    targets: Sequence[Node],
) -> set[tuple[str, int]]:
    """The values, and the axes of the input, along which targets need them denser.

    What lies close enough already needs nothing of what it is made of. What is cut into windows
    needs what it was cut from.
    """
    far = {
        name: {
            part.along.axis
            for parts in mine
            for part in parts
            if part.along is not None and part.along.too_far(wanted)
        }
        for name, mine in lying.items()
    }
    needed: dict[str, set[int]] = {target.name: {*far[target.name]} for target in targets}
    for name, node in reversed(list(program.nodes.items())):
        for operand in node.operands:
            needed.setdefault(operand.name, set()).update(
                needed.get(name, set()) & far[operand.name]
            )
    return {(name, axis) for name, axes in needed.items() for axis in axes}


def _unfit_stride(node: Node, stride: Fraction, wanted: int) -> str:
    todo = (
        f"Choose a divisor of {stride}"
        if stride.denominator == 1
        else "The model resizes a map on the way: take an x of a size at which it does not"
    )
    return (
        f"output_stride must divide every larger stride of the model, got {wanted}, but the "
        f"positions of {node.label!r} lie {stride} apart. {todo}."
    )


def _unfit_step(
    program: Program,
    node: Node,
    found: Mapping[str, Densities],
    strides: Mapping[str, Strides],
    wanted: Mapping[int, int],
) -> str:
    """Why dense positions stand where there are none to compute them from; "" if they do not."""
    for read in node.reads:
        for axis, other, _ in axis_links(read, len(node.shape)):
            before, after = strides[read.operand.name][other], strides[node.name][axis]
            if before is None or after is None or found[node.name][axis] == 1:
                continue
            near = before.stride / found[read.operand.name][other]
            if (wanted[after.axis] / near).denominator != 1:
                label = program.nodes[read.operand.name].label
                return (
                    f"output_stride must be a multiple of the strides below it, got "
                    f"{wanted[after.axis]}, but the positions of {label!r} lie {near} apart. "
                    f"Choose a multiple or a divisor of {near.numerator}."
                )
    return ""


def last_positions(program: Program, strides: Mapping[str, Strides], output: Node) -> Node:
    """The output if it holds positions along all axes that hold some, or else the last value
    behind it that does, before anything brings maps to a size of its own for good: windows make
    some bring maps to a multiple of their length, and back."""
    count = max(len(_axes(own)) for own in strides.values())
    sized: dict[str, Strides] = {}
    found = None
    for node in program.behind(output):
        own = strides[node.name]
        is_sized = any(own[k] is not None for k in getattr(node.description, "sized", ()))
        for operand in node.operands:
            if operand.name in sized:
                if not is_sized or sized[operand.name] != own:
                    sized[node.name] = sized[operand.name]
            elif is_sized:
                sized[node.name] = strides[operand.name]
        if len(_axes(own)) == count == sum(along is not None for along in own):
            if node is output:
                return node
            if node.name not in sized:
                found = node
    if found is None:
        raise DensifyError("the model must have a value that holds positions, and has none.")
    return found


def _axes(strides: Strides) -> set[int]:
    """The axes of the input that a value's positions lie along."""
    return {along.axis for along in strides if along is not None}

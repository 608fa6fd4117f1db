"""The region engine: compute exactly one box of any value, from the boxes it needs upstream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import torch
from torch import Tensor

from atrous.graph.factors import merge_box, split_box
from atrous.graph.program import Node, Program
from atrous.graph.region import Box, Region, box_shape, hull, is_empty
from atrous.graph.rule import Call, Description, Operand, Read, Unknown


def run_box(program: Program, inputs: Mapping[str, Tensor], name: str, box: Box) -> Tensor:
    """The values of node `name` in one box, computed from no more than they need.

    Args:
        program: the captured model.
        inputs: the whole inputs by name; only parts are read.
        name: which node.
        box: half-open intervals, one per axis of the node.

    Raises:
        ValueError: if the box does not lie in the node, or an operator on the way has no rule.
    """
    target = program.nodes[name]
    if len(box) != len(target.shape) or any(
        not 0 <= lo <= hi <= length for (lo, hi), length in zip(box, target.shape, strict=True)
    ):
        raise ValueError(f"box must lie inside {target.shape}, got {box}.")
    boxes = needed_boxes(program, name, box)
    regions: dict[str, Region] = {}
    for node_name, node_box in boxes.items():
        node = program.nodes[node_name]
        if node.call is None:
            regions[node_name] = Region.whole(inputs[node_name]).crop(node_box)
        else:
            if is_empty(node_box):
                device = next(iter(inputs.values())).device
                values = torch.empty(box_shape(node_box), dtype=node.dtype, device=device)
            else:
                values = _run(program, node, node_box, regions)
            regions[node_name] = Region(values, node_box, node.shape)
    return regions[name].tensor


def needed_boxes(program: Program, name: str, box: Box) -> dict[str, Box]:
    """The box of every node that one box of node `name` needs, in order of computation."""
    boxes: dict[str, Box] = {name: box}
    for node in reversed(list(program.nodes.values())):
        mine = boxes.get(node.name)
        if mine is None or node.description is None or is_empty(mine):
            continue
        for read in node.description.reads:
            if read.operand.is_constant:
                continue
            part = read_box(read, mine)
            known = boxes.get(read.operand.name)
            boxes[read.operand.name] = part if known is None else hull(known, part)
    return {n: boxes[n] for n in program.nodes if n in boxes}


def read_box(read: Read, box: Box) -> Box:
    """The box of the operand that one box of the result reads."""
    if read.merge is not None:
        box = split_box(read.merge, box)
    sides = [(0, 0)] * len(read.lengths)
    for link, (lo, hi) in zip(read.links, box, strict=True):
        if link is not None:
            sides[link.axis] = link.relation.inputs_of(lo, hi)
    for link in read.unlinked:
        sides[link.axis] = link.relation.inputs_of(0, 1)
    return tuple(sides) if read.split is None else merge_box(read.split, tuple(sides))


def _run(program: Program, node: Node, box: Box, regions: Mapping[str, Region]) -> Tensor:
    description, call = node.description, node.call
    assert description is not None and call is not None
    if isinstance(description, Unknown):
        raise ValueError(
            f"every operator must have a rule, got {description.reason} at "
            f"{node.label!r}. Teach it with atrous.rule."
        )

    def region(operand: Operand) -> Region:
        if operand.name in regions:
            return regions[operand.name]
        if operand.is_constant:
            return Region.whole(program.constant(operand.name))
        # Data that lends no more than its shape and type.
        return Region.whole(torch.zeros((), dtype=operand.dtype).expand(operand.shape))

    return description.run(cropped_arguments(call, description, box, region), box)


def cropped_arguments(
    call: Call, description: Description, box: Box, region: Callable[[Operand], Region]
) -> dict[str, Any]:
    """The arguments that `run` gets for one box: operands cropped to what the box reads.

    An operand that no read mentions stays whole. One that occurs as often as it is read is cropped
    by each read in turn, else to the smallest box that holds all of them.
    """
    occurrences = Counter(operand.name for operand in call.operands)
    reads: dict[str, list[Read]] = {}
    for read in description.reads:
        reads.setdefault(read.operand.name, []).append(read)

    def argument(value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [argument(v) for v in value]
        if not isinstance(value, Operand):
            return value
        own = reads.get(value.name)
        if not own:
            return region(value)
        if len(own) > 1 and len(own) == occurrences[value.name]:
            wanted = read_box(own.pop(0), box)
            occurrences[value.name] -= 1
        else:
            wanted = reduce(hull, (read_box(read, box) for read in own))
        return region(value).crop(wanted)

    return {key: argument(value) for key, value in call.args.items()}

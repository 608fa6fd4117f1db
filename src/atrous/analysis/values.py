"""The values of nodes, computed operator by operator on a real input."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from atrous.graph.program import Program
from atrous.graph.region import Region
from atrous.graph.rule import Operand, call_overload


def node_values(
    program: Program, inputs: Mapping[str, Tensor], wanted: Collection[str]
) -> dict[str, Tensor]:
    """The whole values of some nodes.

    Args:
        program: the captured model.
        inputs: the inputs by name.
        wanted: names of nodes.

    Raises:
        KeyError: if an input is missing.
    """
    last: dict[str, str] = {}
    for node in program.nodes.values():
        for operand in node.call.operands if node.call else ():
            last[operand.name] = node.name
    held: dict[str, Tensor] = {}

    def argument(item: Any) -> Any:
        if isinstance(item, Operand):
            if item.name in held:
                return Region.whole(held[item.name])
            if item.is_constant:
                return Region.whole(program.constant(item.name))
            # Data that lends no more than its shape and type.
            return Region.whole(torch.zeros((), dtype=item.dtype).expand(item.shape))
        if isinstance(item, list | tuple):
            return [argument(value) for value in item]
        return item

    missing = set(wanted)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for node in program.nodes.values():
            if not missing:
                break
            if node.call is None:
                held[node.name] = inputs[node.name]
            else:
                arguments = {key: argument(value) for key, value in node.call.args.items()}
                result = call_overload(node.call.target, arguments)
                held[node.name] = result if isinstance(result, Tensor) else result[node.call.output]
                for operand in node.call.operands:
                    if last[operand.name] == node.name and operand.name not in wanted:
                        held.pop(operand.name, None)
            missing.discard(node.name)
    return {name: held[name] for name in wanted}

"""The whole values of a program's nodes, as tensors that gradients pass through."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor

from atrous.graph.program import Node, Program
from atrous.graph.region import Region
from atrous.graph.rule import Call, Operand, call_overload


def evaluate(
    program: Program, inputs: Mapping[str, Tensor], names: Collection[str]
) -> dict[str, Tensor]:
    """The values of nodes, computed operator by operator as the exported program has it.

    Args:
        program: the captured model.
        inputs: values of the program's inputs by name, of the shapes it was captured for.
        names: which nodes.

    Returns:
        By name, a tensor of the node's shape. Where an input wants a gradient, it passes one back;
        the model's parameters want none.

    Raises:
        NotImplementedError: if an operator on the way cannot be called by itself.

    Example:
        >>> from atrous.graph.capture import capture
        >>> net = torch.nn.Sequential(torch.nn.Conv1d(1, 1, 3), torch.nn.ReLU())
        >>> x = torch.randn(1, 1, 8)
        >>> program = capture(net, x)
        >>> last = program.output().name
        >>> values = evaluate(program, {program.inputs[0]: x}, [last])
        >>> bool(torch.equal(values[last], net(x)))
        True
    """
    needed = _needed(program, names)
    last_use: dict[str, str] = {}
    for node in needed:
        last_use.update((o.name, node.name) for o in _operands(node))
    values, device = dict(inputs), next(iter(inputs.values())).device

    def argument(item: object) -> object:
        if isinstance(item, Operand):
            if not item.is_constant:
                return Region.whole(values[item.name])
            # An exported program may lie elsewhere than its inputs.
            constant = program.constant(item.name)
            return Region.whole(constant.to(device) if constant.dim() else constant)
        if isinstance(item, list | tuple):
            return [argument(value) for value in item]
        return item

    for node in needed:
        if node.call is None:
            continue
        if not _can_be_called(node.call):
            raise NotImplementedError(
                f"every operator before {', '.join(map(repr, names))} must be callable by itself, "
                f"got {node.call.op} at {node.label!r}."
            )
        arguments: dict[str, Any] = {k: argument(v) for k, v in node.call.args.items()}
        result = _with_derivative(node.call.target)(arguments)
        values[node.name] = result if isinstance(result, Tensor) else result[node.call.output]
        for operand in _operands(node):
            if last_use[operand.name] == node.name and operand.name not in names:
                values.pop(operand.name, None)
    return {name: values[name] for name in names}


def _can_be_called(call: Call) -> bool:
    """Whether a call has all the arguments of its operator by name; one that writes into several
    of its own has not."""
    schema = getattr(call.target, "_schema", None)
    return schema is not None and all(a.name in call.args for a in schema.arguments)


def _with_derivative(target: Callable[..., Any]) -> Callable[[dict[str, Any]], Any]:
    """The operator, or one of equal values that passes gradients back."""
    if target is torch.ops.aten.copy.default:
        # The functional twin of `copy_` is the one that PyTorch has no derivative of.
        return lambda args: args["self"].tensor.clone().copy_(args["src"].tensor)
    return partial(call_overload, target)


def _operands(node: Node) -> tuple[Operand, ...]:
    """The data an operator is called with, that of which it reads only the shape too."""
    if node.call is None:
        return ()
    return tuple(operand for operand in node.call.operands if not operand.is_constant)


def _needed(program: Program, names: Collection[str]) -> list[Node]:
    """The nodes that some are computed from, and these, in order of computation."""
    wanted = set(names)
    for node in reversed(list(program.nodes.values())):
        if node.name in wanted:
            wanted.update(operand.name for operand in _operands(node))
    return [node for node in program.nodes.values() if node.name in wanted]

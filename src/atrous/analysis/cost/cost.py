"""What a model costs: parameters, multiply-accumulates, memory; by node and by module."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis.cost.memory import liveness
from atrous.analysis.cost.metering import TrainingMemory, inference_memory, training_memory
from atrous.graph.capture import Inputs
from atrous.graph.program import Node, Program
from atrous.graph.rule import Call, describe
from atrous.graph.shell import CaptureError


@dataclass(frozen=True)
class NodeCost:
    """What one node costs.

    Attributes:
        name: unique name of the node.
        label: the module it belongs to, "path@2" in its second call, or its own name.
        calls: the modules around it, outermost first, labelled likewise.
        kind: the operator, as "conv2d".
        shape: shape of its value.
        dtype: type of its value, as "float32".
        parameters: elements of the parameters that it is the first to read.
        weight_bytes: bytes of these.
        macs: multiply-accumulate operations.
        allocated: bytes of memory that come into being with it; 0 for views and values that
            overwrite others in the model.
        live: bytes of activations held while it is computed.
    """

    name: str
    label: str
    calls: tuple[str, ...]
    kind: str
    shape: tuple[int, ...]
    dtype: str
    parameters: int
    weight_bytes: int
    macs: int
    allocated: int
    live: int


@dataclass(frozen=True)
class ModuleCost:
    """What the nodes of one module cost together.

    Attributes:
        path: the module, "path@2" in its second call; "" for what lies outside all, and inputs.
        nodes: how many.
        parameters: elements of their parameters, each counted where it is read first.
        weight_bytes: bytes of these.
        macs: multiply-accumulate operations.
        allocated: bytes of the activations that come into being here.
        live: the most bytes of activations held at one time while it is computed.
        saved: of what training keeps for the backward pass, the bytes that come into being here;
            None if that is not known.
    """

    path: str
    nodes: int
    parameters: int
    weight_bytes: int
    macs: int
    allocated: int
    live: int
    saved: int | None


@dataclass(frozen=True)
class Costs:
    """What a model costs on an input.

    Conventions: a multiply-accumulate (MAC) is one product that is added up in a convolution, a
    matrix product or an attention; padding counts as if it were data, as it is in every library;
    biases, normalisation, activations, pooling and resizing count 0. What masks of attention hide
    counts too. Memory is that of activations, in bytes of their own types: no parameters, no
    buffers, and nothing that an operator needs inside itself. Recurrent networks count without the
    reserves of fused kernels (see `atrous.analysis.cost.metering.training_memory`).

    Attributes:
        model: class name of the model.
        input_shapes: shapes of its inputs, by name.
        parameters: elements of the model's parameters, each counted once, read or not.
        biases: of these, the elements of biases: parameters whose own name is or starts with
            "bias", or ends in "_bias".
        weight_bytes: bytes of the parameters.
        macs: multiply-accumulate operations of what depends on the input.
        constant_macs: those of what depends on parameters alone, as tables of positions made by a
            small network; not in `macs`.
        inference: the most bytes needed at one time in inference, where every value is freed after
            its last reader (see `atrous.analysis.memory.liveness`).
        widest: label of the node at which they are needed.
        eager: the most bytes that an eager call in inference mode holds, where values live as long
            as Python names them; None for exported programs, and for models that do not run on
            tensors without data.
        training: the memory of a step of training; None if it is not known.
        untrainable: why `training` is not known; "" if it is.
        nodes: every node that depends on an input, in order of computation.
        unknown: labels of nodes whose operator has no rule: `macs` leaves them out.
    """

    model: str
    input_shapes: Mapping[str, tuple[int, ...]]
    parameters: int
    biases: int
    weight_bytes: int
    macs: int
    constant_macs: int
    inference: int
    widest: str
    eager: int | None
    training: TrainingMemory | None
    untrainable: str
    nodes: tuple[NodeCost, ...] = field(repr=False)
    unknown: tuple[str, ...]

    @property
    def weights(self) -> int:
        """Parameters without biases."""
        return self.parameters - self.biases

    def modules(self, depth: int = 1) -> tuple[ModuleCost, ...]:
        """The nodes added up by module path cut at `depth`, in order of computation.

        Raises:
            ValueError: if `depth` is below 1.
        """
        if depth < 1:
            raise ValueError(f"depth must be at least 1, got {depth}. Use 1 for a row per child.")
        groups: dict[str, list[NodeCost]] = {}
        for node in self.nodes:
            groups.setdefault(_group(node.calls, depth), []).append(node)
        saved: dict[str, int] = {}
        for calls, size in (self.training.by_module if self.training else {}).items():
            # A module without a node of its own, as one whose work all became constant.
            path = _group(calls, depth)
            groups.setdefault(path, [])
            saved[path] = saved.get(path, 0) + size
        return tuple(
            ModuleCost(
                path=path,
                nodes=len(rows),
                parameters=sum(row.parameters for row in rows),
                weight_bytes=sum(row.weight_bytes for row in rows),
                macs=sum(row.macs for row in rows),
                allocated=sum(row.allocated for row in rows),
                live=max((row.live for row in rows), default=0),
                saved=None if self.training is None else saved.get(path, 0),
            )
            for path, rows in groups.items()
        )


def _group(calls: tuple[str, ...], depth: int) -> str:
    return calls[:depth][-1] if calls else ""


def costs(program: Program, model: nn.Module | ExportedProgram, x: Inputs) -> Costs:
    """What a captured model costs; memory of eager calls and of training where `model` is a module.

    Args:
        program: the captured model.
        model: the model.
        x: the input it was captured on.
    """
    eager, training, untrainable = None, None, "an exported program is in inference mode"
    if isinstance(model, nn.Module):
        eager, untrainable = inference_memory(model, x), ""
        try:
            training = training_memory(model, x)
        except CaptureError as error:
            untrainable = str(error)
    alive = liveness(program)
    nodes = tuple(
        _node_cost(program, node, alive.live[node.name]) for node in program.nodes.values()
    )
    return Costs(
        model=type(model).__name__,
        input_shapes={name: program.nodes[name].shape for name in program.inputs},
        parameters=sum(program.parameters.values()),
        biases=sum(n for name, n in program.parameters.items() if _is_bias(name)),
        weight_bytes=sum(program.parameter_bytes.values()),
        macs=sum(node.macs for node in nodes),
        constant_macs=_constant_macs(program),
        inference=alive.peak,
        widest=program.nodes[alive.at].label if alive.at else "",
        eager=eager,
        training=training,
        untrainable=untrainable,
        nodes=nodes,
        unknown=tuple(node.label for node in program.unknown),
    )


def _is_bias(name: str) -> bool:
    own = name.rpartition(".")[2]
    return own == "bias" or own.startswith("bias_") or own.endswith("_bias")


def _node_cost(program: Program, node: Node, live: int) -> NodeCost:
    own = program.first_read[node.name]
    return NodeCost(
        name=node.name,
        label=node.label,
        calls=node.place.calls,
        kind=node.kind,
        shape=node.shape,
        dtype=str(node.dtype).removeprefix("torch."),
        parameters=sum(program.parameters[name] for name in own),
        weight_bytes=sum(program.parameter_bytes[name] for name in own),
        macs=node.description.macs if node.description else 0,
        allocated=node.allocated,
        live=live,
    )


def _constant_macs(program: Program) -> int:
    """Multiply-accumulates of the constants that nodes read, directly or through others."""
    pending = [node.call for node in program.nodes.values() if node.call is not None]
    seen: set[str] = set()
    total = 0
    for call in pending:
        for name in _constants(call):
            value = program.constants.get(name)
            if name not in seen and isinstance(value, Call):
                seen.add(name)
                pending.append(value)
                total += describe(value).macs if value.output == 0 else 0
    return total


def _constants(call: Call) -> Iterable[str]:
    return (operand.name for operand in call.operands if operand.is_constant)

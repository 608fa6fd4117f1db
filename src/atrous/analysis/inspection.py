"""Everything about every node: place, shape, field, growth and cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from atrous.analysis.cost.memory import liveness
from atrous.analysis.fields.alignment import Misalignment, misalignments
from atrous.analysis.fields.field import AxisField, Field, fields, traced
from atrous.graph.program import Node, Program
from atrous.shown import Shown


@dataclass(frozen=True)
class NodeRow:
    """One node of a model.

    Attributes:
        name: unique name of the node.
        label: what to call it: the module, "path@2" in its second call, or its own name.
        module: path of the module it belongs to; "" for the model itself.
        calls: the modules around it, outermost first, labelled likewise.
        module_type: that module's class.
        kind: the operator, as "conv2d".
        reads: names of the nodes it reads.
        source: `file:line` in the user's code.
        shape: shape of its value.
        field: its receptive field; None if it does not depend on the chosen input.
        growth: per axis of the field, how much larger it is than the largest it reads; without
            the ways on which all is read, and 0 where there are no others.
        parameters: elements of the parameters it is the first to read.
        macs: multiply-accumulate operations of convolutions and matrix products.
        allocated: bytes of memory that come into being with it; 0 for views and values that
            overwrite others in the model.
    """

    name: str
    label: str
    module: str
    calls: tuple[str, ...]
    module_type: str
    kind: str
    reads: tuple[str, ...]
    source: str
    shape: tuple[int, ...]
    field: Field | None
    growth: tuple[int, ...]
    parameters: int
    macs: int
    allocated: int = 0


@dataclass(frozen=True)
class Inspection:
    """What `atrous.inspect` found.

    Attributes:
        model: class name of the model.
        input: name of the input that fields refer to.
        input_shape: its shape.
        inputs: names of all inputs.
        axes: the input axes that fields are told for.
        rows: every node that depends on an input, in order of computation.
        outputs: label -> node name.
        output_fields: for every output and every input it depends on, the label and the field.
        parameters: elements of the model's parameters, each counted once.
        macs: multiply-accumulate operations in all.
        activations: the most bytes of activations needed at one time in inference (see
            `atrous.analysis.memory.liveness`).
        misalignments: branches that meet out of step.
        unknown: nodes whose operator has no rule, and the reason.
    """

    model: str
    input: str
    input_shape: tuple[int, ...]
    inputs: tuple[str, ...]
    axes: tuple[int, ...]
    rows: tuple[NodeRow, ...]
    outputs: Mapping[str, str]
    output_fields: tuple[tuple[str, Field], ...]
    parameters: int
    macs: int
    activations: int
    misalignments: tuple[Misalignment, ...]
    unknown: tuple[tuple[str, str], ...]

    def row(self, name: str) -> NodeRow:
        """The row of a node."""
        return next(row for row in self.rows if row.name == name)


def inspection(
    program: Program,
    model: str,
    *,
    input: str | None = None,
    axes: tuple[int, ...] | None = None,
) -> Inspection:
    """Inspect every node of a program."""
    followed = traced(program, input=input, axes=axes)
    source, found = followed.source, followed.fields()
    rows = tuple(_row(program, node, found) for node in program.nodes.values())
    return Inspection(
        model=model,
        input=source.name,
        input_shape=source.shape,
        inputs=program.inputs,
        axes=followed.axes,
        rows=rows,
        outputs=dict(program.outputs),
        output_fields=tuple(
            (label, field)
            for label, name in program.outputs.items()
            for field in followed.on_every_input(program.nodes[name])
        ),
        parameters=sum(program.parameters.values()),
        macs=sum(row.macs for row in rows),
        activations=liveness(program).peak,
        misalignments=tuple(misalignments(program, found)),
        unknown=tuple(
            (node.label, getattr(node.description, "reason", "")) for node in program.unknown
        ),
    )


def _row(program: Program, node: Node, found: Mapping[str, Field]) -> NodeRow:
    field = found.get(node.name)
    return NodeRow(
        name=node.name,
        label=node.label,
        module=node.place.module,
        calls=node.place.calls,
        module_type=node.place.module_type,
        kind=node.kind,
        reads=tuple(dict.fromkeys(operand.name for operand in node.operands)),
        source=node.place.source,
        shape=node.shape,
        field=field,
        growth=_growth(node, field, found),
        parameters=sum(program.parameters[name] for name in program.first_read[node.name]),
        macs=node.description.macs if node.description else 0,
        allocated=node.allocated,
    )


def _growth(node: Node, field: Field | None, found: Mapping[str, Field]) -> tuple[int, ...]:
    if field is None:
        return ()
    before = [
        {axis.axis: _local_size(axis) for axis in found[o.name].axes}
        for o in node.operands
        if o.name in found
    ]
    return tuple(
        _local_size(axis)
        - max((sizes.get(axis.axis, 0) for sizes in before), default=_local_size(axis))
        if axis.status != "global" or axis.local
        else 0
        for axis in field.axes
    )


def _local_size(axis: AxisField) -> int:
    return axis.size if axis.local is None else axis.local.size


class Branches(tuple[Field, ...], Shown):
    """The fields of branches that meet, in order; a tuple that shows itself as a table."""

    __slots__ = ()

    def __str__(self) -> str:
        return "\n".join(map(str, self)) or "no branches meet"


def branches(
    program: Program,
    node: str,
    *,
    input: str | None = None,
    axes: tuple[int, ...] | None = None,
) -> Branches:
    """The fields of the branches that meet last before a node; empty if none meet."""
    found = fields(program, input=input, axes=axes)
    at = program.nodes[node]
    while len(at.operands) == 1:
        at = program.nodes[at.operands[0].name]
    names = dict.fromkeys(operand.name for operand in at.operands)
    return Branches(found[name] for name in names if name in found)


def as_number(value: Fraction) -> int | float:
    """A whole number where it is one, for display and JSON."""
    return value.numerator if value.denominator == 1 else float(value)

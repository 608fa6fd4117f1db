"""What several rules ask of a model: the axis they speak of, its order, its sliding layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from atrous.analysis.fields.field import AxisField, Field
from atrous.geometry.primitives import Window
from atrous.graph.program import Node, Program
from atrous.graph.rule import Link, Local
from atrous.lint.facts.layers import listed
from atrous.lint.subject import Subject


def declared_axis(subject: Subject) -> int:
    """The axis of the input that declarations speak of.

    Raises:
        ValueError: if an axis is declared that the input does not have.
    """
    told, source = subject.declared.axis, subject.traced.source
    if told is None:
        return subject.traced.axes[-1]
    count = len(source.shape)
    if not -count <= told < count or told % count not in subject.traced.axes:
        raise ValueError(
            f"axis must be one along which positions lie, {subject.traced.axes} of {source.name!r} "
            f"(shape {source.shape}), got {told}."
        )
    return told % count


def on_axis(field: Field | None, axis: int) -> AxisField | None:
    """A field along one input axis; None if there is none."""
    return next((a for a in field.axes if a.axis == axis), None) if field else None


def is_beside(subject: Subject, axis: int) -> bool:
    """Whether the output has no positions along an axis and another one has: the last state of a
    recurrence, say, that is given back beside the answer."""
    names = subject.program.outputs.values()
    placed = [
        name for name in names if (f := on_axis(subject.fields.get(name), axis)) and f.output_axes
    ]
    return bool(placed) and subject.target.name not in placed


def local(field: AxisField | None) -> AxisField | None:
    """The field along the ways that read nothing whole; None if there are none."""
    if field is None or field.status == "unknown":
        return None
    return field.local if field.status == "global" else field


def readers(program: Program) -> dict[str, list[Node]]:
    """Which nodes read each value."""
    return {
        name: list({node.name: node for node, _ in program.readers.get(name, ())}.values())
        for name in program.nodes
    }


@dataclass(frozen=True)
class Layer:
    """A convolution: a sliding window with weights.

    Attributes:
        node: the node.
        windows: the window along each axis of the node that it slides along.
        channels: of the input and of the output.
        groups: runs of channels that are kept apart.
        bias: whether it adds one.
    """

    node: Node
    windows: Mapping[int, Window]
    channels: tuple[int, int]
    groups: int
    bias: bool


def layer_of(node: Node) -> Layer | None:
    """The node as a convolution; None if it is none."""
    description = node.description
    if not isinstance(description, Local) or not description.windows or not description.macs:
        return None
    channel = min(description.windows) - 1
    data = node.operands[0]
    if channel < 0:
        return None
    link = node.reads[0].links[channel]
    inside = data.shape[channel]
    # Every output reads one group, which is the whole where there is one.
    own = len(link.relation.row(0)) if isinstance(link, Link) and link.relation.outputs else inside
    return Layer(
        node,
        description.windows,
        (inside, node.shape[channel]),
        inside // max(own, 1),
        not node.parameters or any(name.rpartition(".")[2] == "bias" for name in node.parameters),
    )


def layers(nodes: Iterable[Node]) -> Iterator[Layer]:
    """The convolutions among nodes."""
    for node in nodes:
        layer = layer_of(node)
        if layer is not None:
            yield layer


def window_along(node: Node, field: AxisField | None) -> Window | None:
    """The window of a node along the axis on which an input axis lies; None if there is none."""
    if field is None or not isinstance(node.description, Local) or field.output_axis is None:
        return None
    return node.description.windows.get(field.output_axis)


def macs(nodes: Iterable[Node]) -> int:
    """Multiply-accumulate operations of nodes together."""
    return sum(node.description.macs for node in nodes if node.description is not None)


def named(nodes: Iterable[Node]) -> str:
    """The labels of nodes in a sentence, the first few of many."""
    return listed(f"'{label}'" for label in dict.fromkeys(node.label for node in nodes))

"""What several rules ask of a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import floor, log10

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.question import coverage
from atrous.analysis.stretches import Stretch
from atrous.geometry.primitives import Window
from atrous.geometry.relation import Relation
from atrous.geometry.schedules import even_schedule
from atrous.graph.program import Node
from atrous.graph.rule import Local, Read
from atrous.lint.subject import Subject


def windows(node: Node) -> Mapping[int, Window]:
    """The sliding windows of a node by its axes; empty if it has none."""
    return node.description.windows if isinstance(node.description, Local) else {}


def has_weights(node: Node) -> bool:
    """Whether a node is a local sum with weights, zero outside: a convolution of any kind."""
    description = node.description
    return isinstance(description, Local) and description.macs > 0 and description.border == 0.0


def moving(subject: Subject, node: Node) -> Iterator[tuple[Read, dict[int, tuple[int, Relation]]]]:
    """What a node reads along axes that hold positions: of each operand, by the node's axes, the
    operand's axis and the relation. Reads through views, which cut axes up, are left out."""
    if node.description is None:
        return
    mine = subject.layout[node.name]
    for read in node.description.reads:
        if read.operand.is_constant or read.split is not None or read.merge is not None:
            continue
        theirs = subject.layout[read.operand.name]
        yield (
            read,
            {
                axis: (link.axis, link.relation)
                for axis, link in enumerate(read.links)
                if link is not None and mine[axis] and theirs[link.axis]
            },
        )


def input_axis(subject: Subject, name: str, axis: int) -> int | None:
    """The input axis that an axis of a value moves along; None if none does or several do, as along
    tokens of a flattened picture."""
    field = subject.fields.get(name)
    own = [a.local or a for a in (field.axes if field is not None else ())]
    along = [a for a in own if axis in a.output_axes]
    return along[0].axis if len(along) == 1 and along[0].output_axis == axis else None


def listed(items: Iterable[object], *, most: int = 4) -> str:
    """Items in a sentence: "a, b and c", or "a, b, c and 4 more".

    >>> listed("abc"), listed("abcdefg")
    ('a, b and c', 'a, b, c and 4 more')
    """
    text = [str(item) for item in items]
    if len(text) > most:
        text = [*text[: most - 1], f"{len(text) - most + 1} more"]
    return " and ".join([", ".join(text[:-1]), text[-1]] if len(text) > 1 else text)


def quoted(labels: Iterable[str], *, most: int = 4) -> str:
    """Module paths in a sentence, each once.

    >>> quoted(["layer1.0", "layer1.1", "layer1.0"])
    "'layer1.0' and 'layer1.1'"
    """
    return listed((f"'{label}'" for label in dict.fromkeys(labels)), most=most)


def named_axes(axes: Sequence[int]) -> str:
    """Axes in a sentence.

    >>> named_axes([2]), named_axes([2, 3])
    ('axis 2', 'axes 2 and 3')
    """
    return f"{'axis' if len(axes) == 1 else 'axes'} {listed(axes)}"


def short(values: Iterable[object]) -> str:
    """One entry per axis, said once where all are the same.

    >>> short((3, 3)), short((3, 5))
    ('3', '3 x 5')
    """
    text = [str(value) for value in values]
    return text[0] if len(set(text)) == 1 else " x ".join(text)


def percent(share: float) -> str:
    """A share with two digits that count, never rounded up to all or down to nothing.

    >>> percent(0.5), percent(0.00123), percent(0.9996), percent(1)
    ('50%', '0.12%', '99.960%', '100%')
    """
    off = min(share, 1 - share)
    digits = 0 if off <= 0 or off >= 0.1 else 1 - floor(log10(off * 100))
    return f"{share:.{max(digits, 0)}%}"


def dilated_stretches(subject: Subject) -> Iterator[tuple[Stretch, Node, Coverage]]:
    """The stretches with two dilated layers or more, the first of these, and what the central
    output of the stretch reads of the value it begins with."""
    for stretch in subject.stretches:
        dilated = [
            node
            for node, own in stretch.windows
            if any(w is not None and w.kernel_size > 1 < w.dilation for w in own)
        ]
        if len(dilated) > 1:
            cover = coverage(
                stretch.program,
                stretch.program.nodes[stretch.last.name],
                axes=stretch.axes,
                local=True,
            )
            yield stretch, dilated[0], cover


def even_dilations(stretch: Stretch, axis: int) -> tuple[int, int, tuple[int, ...]] | None:
    """The kernel of a chain, its field, and dilations that read it evenly; None for anything but a
    chain of one kernel size without ways around."""
    schedule = stretch.schedule(axis)
    kernels = {kernel for kernel, _ in schedule}
    nodes = stretch.program.nodes.values()
    plain = all(len({operand.name for operand in node.operands}) < 2 for node in nodes)
    if len(kernels) != 1 or not plain:
        return None
    kernel = kernels.pop()
    span = 1 + (kernel - 1) * sum(dilation for _, dilation in schedule)
    return kernel, span, even_schedule(span, kernel)

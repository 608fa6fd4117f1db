"""The nodes at which a model is looked into along its depth."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from math import prod

from atrous.analysis.inspection import Inspection, NodeRow

Signature = tuple[tuple[int, tuple[int, int], tuple[Fraction, Fraction]], ...]


def stages(found: Inspection, *, output: str | None = None, most: int = 12) -> tuple[str, ...]:
    """Nodes on the ways to an output at which the field is larger than ever before, and the output.

    Of nodes that follow with an equal field it is the one that ends the outermost module, else the
    last: the end of a block rather than its last convolution. Fields are those of the ways on which
    nothing is read whole. Where there are more than wanted they are evenly chosen along the depth.

    Args:
        found: the inspection.
        output: name of the output's node; by default the first output that depends on the input.
        most: how many nodes at most; the last one is always among them.

    Returns:
        Names of nodes in order of computation; none if no node reads more than its own position.

    Example:
        >>> import atrous
        >>> from torch import nn
        >>> layers = [(nn.Conv1d(1, 1, 3), nn.ReLU()) for _ in range(6)]
        >>> report = atrous.inspect(nn.Sequential(*sum(layers, ())), (1, 1, 32))
        >>> [report.inspection.row(name).label for name in stages(report.inspection, most=3)]
        ['1', '5', '11']
    """
    by_name = {row.name: row for row in found.rows}
    if output is None:
        reading = (name for name in found.outputs.values() if by_name[name].field is not None)
        output = next(reading, None)
    if output is None:
        return ()
    leading = _ancestors(output, by_name)
    ends = _ends(found)
    names: list[str] = []
    largest, told = 1, None
    for row in found.rows:
        signature = _signature(row) if row.name in leading else None
        if signature is None:
            continue
        size = prod(high for _, (_, high), _ in signature)
        if signature == told and names:
            if row.name == output or ends[row.name][0] <= ends[names[-1]][0]:
                names[-1] = row.name
        elif size > largest or row.name == output:
            names.append(row.name)
            largest, told = max(size, largest), signature
    if len(names) <= most:
        return tuple(names)
    if most == 1:
        return (names[-1],)
    return tuple(names[round(k * (len(names) - 1) / (most - 1))] for k in range(most))


def stage_label(found: Inspection, name: str) -> str:
    """What to call a node: the outermost module that ends with it, else its module and operator.

    >>> import atrous
    >>> from torch import nn
    >>> net = nn.Sequential(nn.Sequential(nn.Conv1d(1, 1, 3), nn.ReLU()), nn.Sigmoid())
    >>> found = atrous.inspect(net, (1, 1, 8)).inspection
    >>> [stage_label(found, row.name) for row in found.rows]
    ['input', '0.0', '0', '1']
    """
    row = found.row(name)
    _, ended = _ends(found)[name]
    if ended:
        return ended
    return f"{row.label}, {row.kind}" if row.calls else row.name


def _ends(found: Inspection) -> dict[str, tuple[int, str]]:
    """The outermost module that ends with each node: its depth and name; (1000, "") for none."""
    last = {call: row.name for row in found.rows for call in row.calls}
    return {
        row.name: next(
            ((k, call) for k, call in enumerate(row.calls) if last[call] == row.name), (1000, "")
        )
        for row in found.rows
    }


def _ancestors(name: str, by_name: Mapping[str, NodeRow]) -> set[str]:
    found, pending = {name}, [name]
    while pending:
        for other in by_name[pending.pop()].reads:
            if other in by_name and other not in found:
                found.add(other)
                pending.append(other)
    return found


def _signature(row: NodeRow) -> Signature | None:
    """What tells one field from another; None where nothing bounded is read."""
    if row.field is None or row.kind == "input":
        return None
    own = [axis.local if axis.status == "global" else axis for axis in row.field.axes]
    known = [axis for axis in own if axis is not None and axis.status in ("exact", "bound")]
    if not known:
        return None
    return tuple((axis.axis, axis.sizes, axis.strides) for axis in known)

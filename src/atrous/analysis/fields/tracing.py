"""Traces of every node of a program: rules' reads applied to segments and strands.

Concatenation and slicing move segments, grouped operators keep them apart, dense ones unite them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np

from atrous.analysis.fields.factoring import merge_trace, split_trace
from atrous.analysis.fields.labelling import separated
from atrous.analysis.fields.members import Members, bits, combined
from atrous.analysis.fields.strands import (
    Digit,
    Route,
    Segment,
    Strand,
    Trace,
    collapsed,
    gather,
    on_whole_axis,
    tidy,
)
from atrous.geometry.digits import lift
from atrous.geometry.fitting import indexed
from atrous.geometry.lineage import Edge, Lineage, Status
from atrous.geometry.relation import Flags, Relation
from atrous.graph.factors import joined
from atrous.graph.program import Node, Program
from atrous.graph.rule import Link, Operand, Read, Unknown


def trace(program: Program, axes: Mapping[str, Iterable[int]]) -> dict[str, Trace]:
    """The trace of every node.

    Args:
        program: the captured model.
        axes: per input the axes to follow. Leaving out an axis along which something reads only
            padding can make the others say more than is read.
    """
    traces: dict[str, Trace] = {}
    for name, node in program.nodes.items():
        if node.call is None:
            traces[name] = _of_input(node, axes.get(name, ()))
        else:
            traces[name] = _of_node(node, traces)
    return traces


def _of_input(node: Node, axes: Iterable[int]) -> Trace:
    routes = {
        axis: Route((Digit(axis, 1, node.shape[axis]),), Lineage.input(node.shape[axis]))
        for axis in axes
    }
    labels = np.zeros((1,) * len(node.shape), dtype=np.int64)
    return Trace(node.shape, labels, ((Strand(node.name, routes),) if routes else (),))


def _of_node(node: Node, traces: Mapping[str, Trace]) -> Trace:
    assert node.description is not None
    reads = node.reads
    if len(reads) == 1 and _changes_nothing(reads[0], node):
        return traces[reads[0].operand.name]
    where = node.label
    if isinstance(node.description, Unknown):
        where = f"{where} ({node.description.reason})"
        parts = [_unknown_part(node, traces[read.operand.name], where) for read in reads]
        return _combine(node.shape, parts)
    memo: _Memo = {}
    parts = [_through(read, traces[read.operand.name], where, memo) for read in reads]
    return _combine(node.shape, parts)


def picked(node: Node, trace: Trace, axis: int, positions: Sequence[int]) -> Trace:
    """The trace of some positions of a value along one of its axes."""
    links = [Link(a, Relation.identity(length)) for a, length in enumerate(node.shape)]
    table = indexed(node.shape[axis], np.array(positions, dtype=np.int64))
    links[axis] = Link(axis, table)
    operand = Operand(node.name, node.shape, node.dtype, is_constant=False)
    part = _through(Read(operand, tuple(links)), trace, node.label, {})
    shape = (*node.shape[:axis], len(positions), *node.shape[axis + 1 :])
    return _combine(shape, [part])


def _changes_nothing(read: Read, node: Node) -> bool:
    return (
        read.segment is None
        and read.split is read.merge is None
        and read.operand.shape == node.shape
        and all(
            link is not None and link.axis == axis and link.relation.is_identity
            for axis, link in enumerate(read.links)
        )
    )


@dataclass(frozen=True, eq=False)
class _Part:
    """What one operand contributes: per position a set of its segments."""

    members: Members
    segments: tuple[Segment, ...]


_Memo = dict[tuple[Lineage, Relation, Status], Lineage]
"""What a lineage became on its way through a node: equal ways stay one object."""


def _through(read: Read, operand: Trace, where: str, memo: _Memo) -> _Part:
    if read.split is not None:
        operand = split_trace(operand, read.split)
    moving = {
        link.axis: link.relation.inputs
        for link in (*read.links, *read.unlinked)
        if link is not None and not link.relation.is_identity and not _is_whole(link.relation)
    }
    cut = None if read.segment is None else read.links[read.segment.axis]
    if cut is not None:
        moving[cut.axis] = cut.relation.inputs
    operand = separated(operand, moving)
    members = _members_through(read, Members.of(operand.labels, len(operand.segments)))

    def moved(strand: Strand, mask: Flags) -> Strand:
        routes = {}
        for axis, route in strand.routes.items():
            crossed = any(digit.axis in moving for digit in route.digits)
            own = strand.told(axis) if crossed else route
            for moved_axis, length in moving.items():
                # An operator along an axis knows its positions, not the digits these are made of.
                own = on_whole_axis(own, moved_axis, length)
            # Where segments change along the axis, each is read at its own positions only.
            own = own.restricted(mask)
            routes[axis] = _route(own, read, where, memo)
        rows = _rows_through(read, strand)
        if not rows and not strand.rows and all(routes[a] is r for a, r in strand.routes.items()):
            return strand
        return Strand(strand.input, routes, rows)

    fixed = tuple(axis for axis in range(operand.labels.ndim) if axis not in moving)

    def through(number: int, segment: Segment) -> Segment:
        wholes = (operand.mask([number], strand) for strand in segment)
        told = (np.asarray(mask.any(axis=fixed, keepdims=True)) for mask in wholes)
        return tuple(map(moved, segment, told))

    parts = [through(number, segment) for number, segment in enumerate(operand.segments)]
    part = _Part(members, tuple(parts))
    if read.merge is None:
        return part
    merged = merge_trace(_combine(joined(read.merge), [part]), read.merge)
    return _Part(Members.of(merged.labels, len(merged.segments)), merged.segments)


def _is_whole(relation: Relation) -> bool:
    """Whether every output reads every input."""
    return (
        relation.step == 0
        and relation.period == 1
        and len(relation.taps.offsets) == relation.inputs
        and len(relation.exceptional) == 0
    )


def _unknown_part(node: Node, operand: Trace, where: str) -> _Part:
    """Without a rule every position may read everything."""
    strands = tuple(
        Strand(
            strand.input,
            {axis: collapsed(route, "unknown", where) for axis, route in strand.routes.items()},
        )
        for segment in operand.segments
        for strand in segment
    )
    labels = np.zeros((1,) * len(node.shape), dtype=np.int64)
    return _Part(Members.of(labels, 1), (strands,))


def _rows_through(read: Read, strand: Strand) -> dict[int, Flags]:
    """Which positions read anything, on axes of the result where no input axis lies."""
    lying = {digit.axis for route in strand.routes.values() for digit in route.digits}
    rows: dict[int, Flags] = {}
    for axis, link in enumerate(read.links):
        if link is None or link.axis in lying:
            continue
        if _is_segment(read, axis) and link.axis not in strand.rows:
            # Labels tell where it is read.
            continue
        flags = link.relation.readers(strand.rows.get(link.axis))
        if flags is not None:
            rows[axis] = flags
    for link in read.unlinked:
        if link.axis in strand.rows:
            flags = link.relation.readers(strand.rows[link.axis])
            if flags is not None:
                # Nothing is read at all: any axis tells so.
                rows[0] = np.zeros(1, dtype=bool)
    return rows


def _is_segment(read: Read, axis: int) -> bool:
    return read.segment is not None and read.segment.axis == axis


def _members_through(read: Read, members: Members) -> Members:
    """Which segments of the operand each position of the result reads."""
    for link in (*read.links, *read.unlinked):
        if link is not None and members.codes.shape[link.axis] != 1:
            members = members.through(link.axis, link.relation)
    members = members.at([None if link is None else link.axis for link in read.links])
    return members if read.segment is None else members.where(read.segment.axis, read.segment.reads)


def _route(route: Route, read: Read, where: str, memo: _Memo) -> Route:
    """One route of the operand as the result sees it."""
    links: dict[int, tuple[int | None, Link]] = {
        link.axis: (axis, link) for axis, link in enumerate(read.links) if link is not None
    }
    links |= {link.axis: (None, link) for link in read.unlinked}
    digits = list(route.digits)
    lineage = route.lineage
    for position, digit in enumerate(route.digits):
        axis, link = links[digit.axis]
        relation = link.relation
        segment = read.segment if read.segment is not None and read.segment.axis == axis else None
        if relation.is_identity and axis is not None and segment is None:
            digits[position] = Digit(axis, digit.divisor, digit.length)
            continue
        if digit.length != relation.inputs:
            # The axis is made of several digits, and read whole: so is each of them.
            assert _is_whole(relation), "other relations act on axes told as a whole"
            relation = Relation.whole(1, digit.length)
            link = Link(digit.axis, relation, link.status if digit.length > 1 else "exact")
            axis, segment = None, None
        slower = prod(d.length for d in digits[:position])
        faster = prod(d.length for d in digits[position + 1 :])
        key = lineage, relation, link.status
        known = memo.get(key) if slower == faster == 1 and segment is None else None
        if known is None:
            status: Status = link.status
            if status == "global" and slower * faster > 1:
                # All of one digit is but a part of the input axis.
                status = "exact"
            positions = None
            if segment is not None:
                positions = np.tile(np.repeat(segment.reads, faster), slower)
            edge = Edge(
                lift(relation, slower, faster),
                lineage,
                status,
                where if status != "exact" else "",
                positions,
            )
            known = Lineage(edge.relation.outputs, [edge])
            if slower == faster == 1 and segment is None:
                memo[key] = known
        lineage = known
        digits[position] = Digit(-1 if axis is None else axis, 1, relation.outputs)
    kept = tuple(digit for digit in digits if digit.axis >= 0)
    same = lineage is route.lineage and kept == route.digits
    return route if same else Route(kept, lineage)


def _combine(shape: tuple[int, ...], parts: list[_Part]) -> Trace:
    """The trace of a value that reads several operands position by position."""
    if not parts:
        return Trace(shape, np.full((1,) * len(shape), -1), ())
    labels, keys = combined([part.members for part in parts])
    segments = []
    for key in keys:
        strands = [
            strand
            for part, mask in zip(parts, key, strict=True)
            for number in bits(mask)
            for strand in part.segments[number]
        ]
        segments.append(gather(strands))
    return tidy(shape, labels, segments)

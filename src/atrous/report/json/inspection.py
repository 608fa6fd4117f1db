"""Findings as plain data, for JSON."""

from __future__ import annotations

from typing import Any

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.fields.field import AxisField, Field
from atrous.analysis.inspection import Inspection, NodeRow, as_number

SCHEMA = "atrous.inspect/2"


def to_dict(found: Inspection) -> dict[str, Any]:
    """An inspection as lists, strings and numbers."""
    return {
        "schema": SCHEMA,
        "model": found.model,
        "input": {"name": found.input, "shape": list(found.input_shape), "axes": list(found.axes)},
        "outputs": dict(found.outputs),
        "output_fields": [
            {"output": label, **field_to_dict(field)} for label, field in found.output_fields
        ],
        "parameters": found.parameters,
        "macs": found.macs,
        "activation_bytes": found.activations,
        "nodes": [row_to_dict(row) for row in found.rows],
        "misalignments": [
            {
                "node": m.node,
                "source": m.source,
                "axis": m.axis,
                "first": m.first,
                "second": m.second,
                "offset": as_number(m.offset),
                "drift": as_number(m.drift),
            }
            for m in found.misalignments
        ],
        "unknown": [{"node": node, "reason": reason} for node, reason in found.unknown],
    }


def row_to_dict(row: NodeRow) -> dict[str, Any]:
    """One node."""
    return {
        "name": row.name,
        "label": row.label,
        "module": row.module,
        "module_type": row.module_type,
        "kind": row.kind,
        "reads": list(row.reads),
        "source": row.source,
        "shape": list(row.shape),
        "parameters": row.parameters,
        "macs": row.macs,
        "allocated_bytes": row.allocated,
        "field": None if row.field is None else field_to_dict(row.field, row.growth),
    }


def field_to_dict(field: Field, growth: tuple[int, ...] = ()) -> dict[str, Any]:
    """One field; growth is added where known."""
    axes = [axis_to_dict(axis) for axis in field.axes]
    for axis, more in zip(axes, growth, strict=False):
        axis["growth"] = more
    told: dict[str, Any] = {"node": field.node, "input": field.input}
    if field.channels is not None:
        told["channels"] = list(field.channels)
    return told | {"status": field.status, "axes": axes}


def axis_to_dict(axis: AxisField) -> dict[str, Any]:
    """One axis of a field; every size is a number."""
    return {
        "axis": axis.axis,
        "output_axes": list(axis.output_axes),
        "size": axis.size,
        "size_min": axis.sizes[0],
        "stride": as_number(axis.stride),
        "stride_min": as_number(axis.strides[0]),
        "start": axis.start,
        "reach_before": axis.reach[0],
        "reach_after": axis.reach[1],
        "interior": list(axis.interior),
        "length": axis.length,
        "status": axis.status,
        "cause": axis.cause,
        "local": None if axis.local is None else axis_to_dict(axis.local),
    }


def coverage_to_dict(cover: Coverage) -> dict[str, Any]:
    """One coverage, with its counts as nested lists over the span."""
    empty = not cover.counts.size
    return {
        "node": cover.node,
        "input": cover.input,
        "at": [list(own) for own in cover.at],
        "axes": list(cover.axes),
        "length": list(cover.shape),
        "start": list(cover.start),
        "span": list(cover.span),
        "holes": len(cover.holes),
        "density": cover.density,
        "variation": None if empty else cover.uniformity.cv,
        "factor": list(cover.factor),
        "status": cover.status,
        "cause": cover.cause,
        "counts": cover.counts.tolist(),
    }

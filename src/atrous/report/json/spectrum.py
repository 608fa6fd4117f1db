"""Spectra as plain data."""

from __future__ import annotations

from math import isfinite
from typing import Any

from atrous.analysis.inspection import as_number
from atrous.analysis.spectrum.folding import Folding
from atrous.analysis.spectrum.spectrum import AxisSpectrum, LayerSpectrum, Spectrum

SCHEMA = "atrous.spectrum/1"


def spectrum_to_dict(found: Spectrum) -> dict[str, Any]:
    """What layers pass, with a schema version."""
    return {
        "schema": SCHEMA,
        "model": found.model,
        "input": found.input,
        "layers": [layer_to_dict(row) for row in found.rows],
        "left_out": [{"node": n, "reason": why} for n, why in found.left_out],
    }


def folding_to_dict(found: Folding) -> dict[str, Any]:
    """What strides fold, with a schema version."""
    return {
        "schema": "atrous.aliasing/1",
        "model": found.model,
        "spectrum": found.spectrum,
        "layers": [
            {
                "name": row.name,
                "label": row.label,
                "kind": row.kind,
                "axes": list(row.axes),
                "stride": list(row.stride),
                "is_linear": row.is_linear,
                "through": row.through,
                "lowest": list(row.lowest),
                "aliased": None if row.energy is None else _number(row.energy.fraction),
                "reason": row.reason,
            }
            for row in found.rows
        ],
    }


def layer_to_dict(row: LayerSpectrum) -> dict[str, Any]:
    """One layer."""
    return {
        "name": row.name,
        "label": row.label,
        "kind": row.kind,
        "outputs": row.channels[0],
        "inputs_per_group": row.channels[1],
        "groups": row.groups,
        "axes": [_axis_to_dict(axis) for axis in row.axes],
    }


def _axis_to_dict(axis: AxisSpectrum) -> dict[str, Any]:
    return {
        "axis": axis.axis,
        "taps": axis.taps,
        "dilation": axis.dilation,
        "stride": axis.stride,
        "upsampling": axis.upsampling,
        "images": axis.images,
        "input_steps": None if axis.rate is None else as_number(axis.rate),
        "kind": axis.kind,
        "cutoff": axis.cutoff,
        "bands": [list(band) for band in axis.bands],
        "input_bands": (
            None if axis.input_bands is None else [list(band) for band in axis.input_bands]
        ),
        "gain_at_0": _number(axis.dc),
        "gain_at_pi": _number(axis.nyquist),
        "filters": dict(axis.filters),
    }


def _number(value: float) -> float | None:
    return value if isfinite(value) else None

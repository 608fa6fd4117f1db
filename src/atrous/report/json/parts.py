"""What a report holds besides the inspection, as plain data for JSON."""

from __future__ import annotations

from math import isfinite
from typing import Any

from atrous.analysis.effective.effective import EffectiveField
from atrous.analysis.kernels import KernelUse
from atrous.lint.finding import Finding
from atrous.report.json.cost import costs_to_dict
from atrous.report.json.inspection import coverage_to_dict
from atrous.report.json.spectrum import layer_to_dict
from atrous.report.parts import Parts, Stage
from atrous.report.views.cells import cells
from atrous.report.views.cells import plain as cells_to_dict


def parts_to_dict(parts: Parts) -> dict[str, Any]:
    """Parts as lists, strings and numbers; None for one that could not be told."""
    judged, costs, passed = parts.judgement, parts.costs, parts.spectrum
    return {
        "findings": None if judged is None else [finding_to_dict(f) for f in judged.findings],
        "cost": None if costs is None else costs_to_dict(costs),
        "stages": [stage_to_dict(stage) for stage in parts.stages],
        "spectrum": None if passed is None else [layer_to_dict(row) for row in passed.rows],
        "kernels": [_kernel_to_dict(use) for use in parts.kernels],
        "missing": dict(parts.missing),
    }


def finding_to_dict(found: Finding) -> dict[str, Any]:
    """One finding."""
    return {**vars(found), "numbers": dict(found.numbers)}


def stage_to_dict(stage: Stage) -> dict[str, Any]:
    """One node along the depth: what its central output reads, as numbers and as maps."""
    counted = coverage_to_dict(stage.coverage)
    del counted["counts"]  # they are in the maps
    return {
        "node": stage.name,
        "label": stage.label,
        "coverage": {**counted, "routes": stage.coverage.total},
        "effective": None if stage.effective is None else effective_to_dict(stage.effective),
        "maps": [cells_to_dict(view) for view in cells(stage.coverage, stage.effective)],
    }


def effective_to_dict(found: EffectiveField) -> dict[str, Any]:
    """The numbers of an effective field, without its map."""
    return {
        "at": list(found.at),
        "samples": found.samples,
        "data": found.data,
        "convention": found.convention,
        "total": found.total if isfinite(found.total) else None,
        "centre": [value if isfinite(value) else None for value in found.centre],
        "std": [value if isfinite(value) else None for value in found.std],
        "area_95": found.area(),
        "radius_95": found.radius(),
        "share_of_field_95": found.share_of_field(),
    }


def _kernel_to_dict(use: KernelUse) -> dict[str, Any]:
    return {
        "kind": use.kind,
        "kernel_size": list(use.kernel_size),
        "dilation": list(use.dilation),
        "stride": list(use.stride),
        "upsampling": list(use.upsampling),
        "layers": list(use.layers),
    }

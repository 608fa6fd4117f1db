"""What a report holds besides the inspection, as plain data for JSON."""

from __future__ import annotations

import json
from math import isfinite
from typing import Any

from atrous.analysis.effective.effective import EffectiveField
from atrous.analysis.kernels import KernelUse
from atrous.lint.finding import Finding
from atrous.report.cells import cells
from atrous.report.cells import plain as cells_to_dict
from atrous.report.cost import costs_to_dict
from atrous.report.parts import Parts, Stage
from atrous.report.plain import coverage_to_dict
from atrous.report.spectrum_text import SpectrumReport


def parts_to_dict(parts: Parts) -> dict[str, Any]:
    """Parts as lists, strings and numbers; None for one that could not be told."""
    judged, costs, passed = parts.judgement, parts.costs, parts.spectrum
    return {
        "findings": None if judged is None else [finding_to_dict(f) for f in judged.findings],
        "cost": None if costs is None else costs_to_dict(costs),
        "stages": [stage_to_dict(stage) for stage in parts.stages],
        "spectrum": None if passed is None else SpectrumReport(passed).to_dict()["layers"],
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
        "centre": list(found.centre),
        "std": list(found.std),
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
        "layers": list(use.layers),
    }


def as_json(value: Any, indent: str = "") -> str:
    """JSON with a line per entry, but lists of numbers and texts on a line of their own.

    >>> print(as_json({"shape": [1, 2], "rows": [[1, 2], [3, 4]]}))
    {
      "shape": [1, 2],
      "rows": [
        [1, 2],
        [3, 4]
      ]
    }
    """
    deeper = indent + "  "
    if isinstance(value, dict) and value:
        told = [f"{json.dumps(str(k))}: {as_json(v, deeper)}" for k, v in value.items()]
    elif isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        told = [as_json(item, deeper) for item in value]
    else:
        return json.dumps(value)
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n{deeper}" + f",\n{deeper}".join(told) + f"\n{indent}{last}"

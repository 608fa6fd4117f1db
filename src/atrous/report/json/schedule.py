"""Plans and schedules as plain data for JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.plan import Plan
from atrous.design.schedule.pyramid import Pyramid
from atrous.design.schedule.relaxation import ImpossibleScheduleError, Relaxation
from atrous.design.schedule.request import Request

SCHEMA = "atrous.schedule/1"


def schedule_to_dict(own: Schedule, map_size: int | None = None) -> dict[str, Any]:
    """A schedule with what it reads; what falls on padding, where a map is named.

    What is too wide to be counted is null.
    """
    known = own.is_countable or own.is_hole_free
    found: dict[str, Any] = {
        "name": own.name,
        "kernels": list(own.kernels),
        "dilations": list(own.dilations),
        "strides": list(own.strides),
        "causal": own.causal,
        "field": own.field,
        "reach": list(own.reach),
        "stride": own.stride,
        "hole_free": own.is_hole_free,
        "holes": len(own.holes) if known else None,
        "density": own.density if known else None,
        "ways": own.ways,
        "variation": own.uniformity.cv if own.is_countable else None,
        "gcd": own.gcd,
        "hdc": own.hdc,
        "padding": [list(sides) for sides in own.padding],
    }
    return found | _on_map(own, map_size)


def _on_map(own: Schedule | Pyramid, map_size: int | None) -> dict[str, Any]:
    if map_size is None:
        return {}
    return {
        "on_map": [
            {"length": one.length, "padding_share": float(one.share), "dead_taps": one.dead}
            for one in own.on_map(map_size)
        ]
    }


def pyramid_to_dict(own: Pyramid, map_size: int | None = None) -> dict[str, Any]:
    """Branches side by side, with what they read; what falls on padding, where a map is named."""
    return {
        "name": own.name,
        "kernel": own.kernel,
        "rates": list(own.rates),
        "pointwise": own.pointwise,
        "dims": own.dims,
        "field": own.field,
        "read": own.read,
        "density": own.density,
        "backbone": own.backbone(),
        **_on_map(own, map_size),
    }


def families_to_dict(found: Iterable[Schedule | Pyramid]) -> dict[str, Any]:
    """All named schedules, with a schema version."""
    rows = [
        {"pyramid": pyramid_to_dict(own), "about": own.about}
        if isinstance(own, Pyramid)
        else {"schedule": schedule_to_dict(own), "about": own.about}
        for own in found
    ]
    return {"schema": SCHEMA, "families": rows}


def family_to_dict(own: Schedule | Pyramid, map_size: int | None = None) -> dict[str, Any]:
    """A named schedule, with a schema version."""
    if isinstance(own, Pyramid):
        return {"schema": SCHEMA, "pyramid": pyramid_to_dict(own, map_size)}
    return {"schema": SCHEMA, "schedule": schedule_to_dict(own, map_size)}


def plan_to_dict(plan: Plan) -> dict[str, Any]:
    """A plan with its proof and what comes next."""
    return {
        "schema": SCHEMA,
        "possible": True,
        "request": request_to_dict(plan.request),
        "dilations": list(plan.dilations),
        "schedule": schedule_to_dict(plan.schedule, plan.request.map_size),
        "macs": plan.macs,
        "parameters": plan.parameters,
        "optimal": plan.is_optimal,
        "proven_by": plan.proof.by or None,
        "key": [float(value) for value in plan.key],
        "bound": [float(value) for value in plan.proof.bound],
        "runners_up": [schedule_to_dict(own) for own in plan.runners_up],
    }


def impossible_to_dict(error: ImpossibleScheduleError) -> dict[str, Any]:
    """A request that nothing meets, with what to relax."""
    return {
        "schema": SCHEMA,
        "possible": False,
        "request": request_to_dict(error.request),
        "relaxations": [_relaxation_to_dict(own) for own in error.relaxations],
        "pairs": [[_relaxation_to_dict(own) for own in both] for both in error.pairs],
        "message": str(error),
    }


def _relaxation_to_dict(own: Relaxation) -> dict[str, Any]:
    return {"constraint": own.constraint, "given": own.given, "needed": own.needed}


def request_to_dict(request: Request) -> dict[str, Any]:
    """What was asked."""
    objective = request.objective
    return {
        "field": [request.low, request.high],
        "kernels": list(request.kernels) or None,
        "kernel_sizes": list(request.sizes),
        "layers": request.count,
        "max_dilation": request.max_dilation,
        "map_size": request.map_size,
        "causal": request.causal,
        "reach": request.reach,
        "budget": request.budget,
        "parameters": request.parameters,
        "strides": list(request.strides) or None,
        "front": [list(layer) for layer in request.front],
        "holes": request.holes,
        "objective": dict(objective.weights) if objective.weights else objective.name,
        "channels": request.channels,
        "dims": request.dims,
    }

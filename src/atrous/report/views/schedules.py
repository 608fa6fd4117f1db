"""What schedules read, as every kind of picture shows it: offsets from the output's own place."""

from __future__ import annotations

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.pyramid import Pyramid
from atrous.report.views.projection import Projection


def of_schedule(schedule: Schedule) -> Projection:
    """The path counts of a chain along its axis."""
    return Projection((0,), schedule.counts, (-schedule.reach[0],), ((0,),), "")


def of_pyramid(pyramid: Pyramid) -> Projection:
    """How many branches read each offset, along at most two axes."""
    counts, dims = pyramid.counts, min(pyramid.dims, 2)
    note = ""
    if pyramid.dims > 2:
        counts, note = counts.sum(axis=0), "axis 0 added up"
    return Projection(
        tuple(range(pyramid.dims - dims, pyramid.dims)), counts, (pyramid.start,) * dims,
        ((0,),) * dims, note,
    )  # fmt: skip

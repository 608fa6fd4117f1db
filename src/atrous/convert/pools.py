"""The variant without pools: those that would lose their stride left out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod
from typing import Any, Literal

from torch import nn
from torch.nn.modules import pooling

from atrous.analysis.fields.field import traced
from atrous.convert.certificate import Certificate, Fields
from atrous.convert.densities import DensifyError
from atrous.convert.study import Study
from atrous.graph.capture import Inputs, capture
from atrous.graph.shell import own_copy

Pools = Literal["keep", "drop"]

_POOLS = (pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._LPPoolNd)
_STEPS = {"1d": nn.MaxPool1d, "2d": nn.MaxPool2d, "3d": nn.MaxPool3d}


def without_pools(model: nn.Module, found: Study) -> tuple[nn.Module, dict[str, str]]:
    """A copy in which pools that are to lose their stride only step; their classes by path.

    What such a step becomes when it is made dense passes its input on as it is.

    Raises:
        DensifyError: if there are none.
    """
    pools = {
        change.path: type(model.get_submodule(change.path)).__name__
        for change in found.plan.changes
        if isinstance(model.get_submodule(change.path), _POOLS)
        and prod(change.after) > prod(change.before)
    }
    if not pools:
        raise DensifyError(
            "pools can be dropped only where a pooling module loses its stride, and none does. "
            'Use pools="keep".'
        )
    made = own_copy(model)
    for path, kind in pools.items():
        pool: Any = made.get_submodule(path)
        _set(made, path, _STEPS[kind[-2:]](1, stride=pool.stride))
    return made, pools


def told_pools(
    made: nn.Module, x: Inputs, given: Study, pools: Mapping[str, str], certificate: Certificate
) -> Certificate:
    """Take the steps out of the dense model, in place, and tell what that does to the field.

    Args:
        made: the dense model, in which pools only step.
        x: the input that the model was captured at.
        given: the model as it was.
        pools: their classes by path.
        certificate: what was compared.
    """
    for path in pools:
        _set(made, path, nn.Identity())
    changes = tuple(
        replace(change, kind=pools[change.path], how="left out", settings="")
        if change.path in pools
        else change
        for change in certificate.changes
    )
    program = capture(made, x)
    before, after = traced(given.program), traced(program)
    fields = []
    for point in given.points:
        here = program.output(point.label) if point.path is None else program.find(point.label)
        with_pools, without = before.field(point.node), after.field(here)
        if with_pools is not None and without is not None:
            fields.append(Fields(point.label, with_pools.size, without.size))
    return replace(certificate, changes=changes, fields=tuple(fields))


def _set(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)

"""Backbones to dense predictors: the strides of a model removed, its values kept on the grid."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from atrous.analysis.fields.field import default_axes
from atrous.convert.certificate import Certificate, compare, shaken
from atrous.convert.densities import DensifyError, densities, last_positions
from atrous.convert.plan import Change, Plan, Planner
from atrous.convert.strides import axis_strides
from atrous.graph.program import Node, Program
from atrous.nn.dense import in_phases, on_dense

Pooling = Literal["grid", "all"]

_SIZES: dict[int, tuple[int, ...]] = {1: (1009,), 2: (97, 105), 3: (33, 37, 41)}
"""Lengths to try, by number of axes: odd, so that borders of all kinds occur."""


@dataclass(frozen=True)
class Densified:
    """What became of a model.

    Attributes:
        model: the dense model.
        plan: what was changed in it.
        certificate: what was compared, and how far it differs.
    """

    model: nn.Module
    plan: Plan
    certificate: Certificate


def densified(
    program: Program,
    model: nn.Module,
    output_stride: int | Sequence[int],
    *,
    target: Node | None = None,
    pooling: Pooling = "grid",
    sizes: Sequence[int] | None = None,
) -> Densified:
    """Make a model dense, and compare it with what it was made of.

    Args:
        program: the captured model.
        model: the model; stays as it is.
        output_stride: the stride wanted, one for all axes of positions or one for each.
        target: the value that is to have it; by default every output, or where one holds no
            positions, the last value behind it that does.
        pooling: whether what reads all positions reads those of the grid only.
        sizes: lengths of the axes of positions to compare at.

    Raises:
        DensifyError: if it cannot be done.
    """
    source = program.input()
    axes = {name: default_axes(program, program.nodes[name]) for name in program.inputs}
    strides = axis_strides(program, axes)
    wanted = _per_axis(output_stride, axes[source.name])
    outputs = [program.nodes[name] for name in program.outputs.values()]
    wished = (
        [target]
        if target is not None
        else [last_positions(program, strides, output) for output in outputs]
    )
    targets = list({node.name: node for node in wished}.values())
    density = densities(program, strides, wanted, targets)
    plan = Planner(program, model, strides, density).plan(pool_grid=pooling == "grid")
    if plan.stuck:
        raise DensifyError(_stuck(plan.stuck))
    tried = shaken(model)
    certificate = compare(
        tried,
        _changed(tried, plan),
        _inputs(program, axes, sizes),
        strides=strides,
        densities=density,
        targets=targets,
        program=program,
    )
    return Densified(_changed(model, plan), plan, certificate)


def _per_axis(wanted: int | Sequence[int], axes: Sequence[int]) -> dict[int, int]:
    given = (wanted,) * len(axes) if isinstance(wanted, int) else tuple(wanted)
    if len(given) != len(axes) or any(not isinstance(s, int) or s < 1 for s in given):
        raise ValueError(
            f"output_stride must be a whole number from 1 on, or one for each of the {len(axes)} "
            f"axes of positions, got {wanted!r}."
        )
    return dict(zip(axes, given, strict=True))


def _stuck(nodes: Sequence[Node]) -> str:
    told = "; ".join(f"{n.kind} at {n.place.source}: {n.place.code}" for n in nodes)
    return (
        f"every stride must lie in a module that can be changed, but these are plain calls of the "
        f"model itself: {told}. Put them into modules, as nn.MaxPool2d for F.max_pool2d."
    )


def _inputs(
    program: Program, axes: Mapping[str, tuple[int, ...]], sizes: Sequence[int] | None
) -> list[Tensor]:
    """Random inputs of small odd sizes, or of those asked for."""
    generator = torch.Generator().manual_seed(0)
    made = []
    for name in program.inputs:
        node = program.nodes[name]
        shape = list(node.shape)
        lengths = sizes if sizes is not None else _SIZES.get(len(axes[name]), ())
        for axis, length in zip(axes[name], lengths, strict=False):
            shape[axis] = length
        if node.dtype.is_floating_point:
            made.append(torch.randn(shape, generator=generator, dtype=torch.float64))
        else:
            made.append(torch.randint(0, 2, shape, generator=generator, dtype=node.dtype))
    return made


def _changed(model: nn.Module, plan: Plan) -> nn.Module:
    made = copy.deepcopy(model)
    for change in plan.changes:
        _change(made.get_submodule(change.path), change)
    return made


def _change(module: Any, change: Change) -> None:
    if change.how in ("phases", "grid"):
        reads, gives = change.axes
        in_phases(
            module, change.before, change.after, stride=change.stride, reads=reads, gives=gives
        )
    elif change.how == "borders":
        on_dense(module, change.before, change.after)
    else:
        _set(module, change)


def _set(module: Any, change: Change) -> None:
    """A convolution or pool whose padding keeps the map, by its own settings."""
    module.stride = tuple(map(int, change.stride))
    dense = [w.dilated(r) for w, r in zip(change.windows, change.before, strict=True)]
    module.dilation = tuple(window.dilation for window in dense)
    if isinstance(module.padding, str):
        return
    module.padding = tuple(window.left for window in dense)
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        # What padding modes other than zeros read instead.
        module._reversed_padding_repeated_twice = [
            p for p in reversed(module.padding) for _ in range(2)
        ]

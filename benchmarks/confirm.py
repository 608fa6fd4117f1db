"""Asking a real network whether its fields are true: far inputs by perturbation, near ones by
gradients."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from atrous.analysis.fields.field import Field, default_axes, fields
from atrous.graph.capture import capture
from atrous.graph.program import Program


def _first_tensor(value: Any) -> Tensor:
    if isinstance(value, Tensor):
        return value
    items = value.values() if isinstance(value, dict) else value
    return next(_first_tensor(item) for item in items)


def _prepared(model: nn.Module) -> nn.Module:
    """In float64, without parameters that start at 0 and so hide what they scale."""
    own = copy.deepcopy(model).double().eval()
    generator = torch.Generator().manual_seed(0)
    for module in own.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if float(parameter.detach().abs().max()) < 1e-3 and "bias" not in name:
                with torch.no_grad():
                    parameter.copy_(torch.rand(parameter.shape, generator=generator) + 0.5)
    return own


def _floating(inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return tuple(x.double() if x.is_floating_point() else x for x in inputs)


@torch.no_grad()
def confirm_global(model: nn.Module, inputs: tuple[Tensor, ...]) -> str:
    """Whether both ends of every axis said to be read whole change the output."""
    program = capture(model, inputs)
    found = fields(program).get(program.output().name)
    if found is None or found.status != "global":
        return "output not global"
    own, x = _prepared(model), _floating(inputs)
    base = _first_tensor(own(*x))
    said = []
    for axis in found.axes:
        if axis.status != "global":
            continue
        for end in (0, -1):
            moved = x[0].clone()
            if moved.is_floating_point():
                moved.select(axis.axis, end).add_(3.0)
            else:
                moved.select(axis.axis, end).add_(1)
            change = (_first_tensor(own(moved, *x[1:])) - base).abs().max()
            said.append(bool(change > 0))
    return "confirmed" if all(said) else f"NOT confirmed: {said}"


def confirm_exact(model: nn.Module, inputs: tuple[Tensor, ...]) -> str:
    """Whether the gradient of a middle position reaches just the positions that its field names,
    at the deepest module whose exact field is smaller than the input."""
    program = capture(model, inputs)
    chosen = _deepest(program, fields(program), model)
    if chosen is None:
        return "no window"
    if not inputs[0].is_floating_point():
        return "no gradient"
    path, field = chosen
    axes = default_axes(program, program.input())
    own = _positive(model)
    said = {axis.axis: axis for axis in field.axes}
    reached: dict[int, set[int]] = {axis: set() for axis in axes}
    kept: list[Tensor] = []
    for module in own.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.register_forward_hook(_with_contiguous_gradient)
    hook = own.get_submodule(path).register_forward_hook(lambda m, a, y: kept.append(y))
    middle: dict[int, int] = {}
    for trial in range(4):
        generator = torch.Generator().manual_seed(trial)
        x = torch.rand(inputs[0].shape, generator=generator, dtype=torch.float64) + 0.5
        x.requires_grad_()
        kept.clear()
        own(x, *_floating(inputs[1:]))
        value = _first_tensor(kept[-1])
        for axis in axes:
            place = said[axis].output_axis
            assert place is not None
            middle[place] = value.shape[place] // 2
        for place, position in middle.items():
            value = value.narrow(place, position, 1)
        (gradient,) = torch.autograd.grad(value.sum(), x)
        for axis in axes:
            others = [a for a in range(x.dim()) if a != axis]
            rows = gradient.abs().amax(others).nonzero().flatten()
            reached[axis] |= set(rows.tolist())
    hook.remove()
    for axis in axes:
        place = said[axis].output_axis
        assert place is not None
        taps = set(said[axis].taps(middle[place])[0].tolist())
        if reached[axis] - taps:
            return f"NOT confirmed at {path}: {sorted(reached[axis] - taps)[:5]} beyond the field"
        if {min(taps), max(taps)} - reached[axis]:
            return f"NOT confirmed at {path}: ends {min(taps)}, {max(taps)} not reached"
    return f"confirmed at {path}: {' x '.join(map(str, field.size))}"


def _with_contiguous_gradient(module: nn.Module, args: Any, value: Tensor) -> None:
    """Batch norm of PyTorch 2.13 on CPUs spreads a gradient of other strides over all positions."""
    if value.requires_grad:
        value.register_hook(lambda gradient: gradient.contiguous())


def _positive(model: nn.Module) -> nn.Module:
    """In float64 with positive weights, small enough that values stay finite: no unit is dead."""
    own = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        for module in own.modules():
            for name, parameter in module.named_parameters(recurse=False):
                if parameter.dim() > 1:
                    fan = parameter[0].numel() if parameter.dim() > 1 else 1
                    parameter.copy_(parameter.abs() + 0.1 * parameter.abs().mean() + 1e-6)
                    parameter.mul_(1 / max(float(parameter.mean()) * fan, 1e-30))
                elif "bias" in name:
                    parameter.zero_()
                else:
                    parameter.fill_(1.0)
    return own


def _deepest(
    program: Program, found: dict[str, Field], model: nn.Module
) -> tuple[str, Field] | None:
    """The module whose last value has the largest exact field that leaves room in the input."""
    modules = {name for name, _ in model.named_modules()}
    best: tuple[int, str, Field] | None = None
    for path in modules - {""}:
        try:
            node = program.find(path)
        except KeyError:
            continue
        field = found.get(node.name)
        if field is None or field.status != "exact" or node.place.module != path:
            continue
        if any(other.label == f"{path}@2" for other in program.nodes.values()):
            # A module that is called again has several values.
            continue
        if any(axis.output_axis is None or axis.size >= 0.9 * axis.length for axis in field.axes):
            continue
        size = min(field.size)
        if size > 2 and (best is None or size > best[0]):
            best = size, path, field
    return best and (best[1], best[2])

"""A dense model against the one it was made of, run on the same input."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from atrous.convert.certificate import Compared
from atrous.convert.densities import Densities
from atrous.convert.strides import Strides
from atrous.graph.build import labelled_leaves
from atrous.graph.program import Node, Program
from atrous.graph.shell import shell_copy


@dataclass(frozen=True)
class Point:
    """Where to take a value of both models.

    Attributes:
        node: the value in the captured model.
        path: the module whose result it is; None for an output of the model.
        call: which call of it, from 0.
        label: what to call it; of an output, its label.
        axes: its axes of positions, counted from the end.
        density: dense positions per position along these.
    """

    node: Node
    path: str | None
    call: int
    label: str
    axes: tuple[int, ...]
    density: Densities


def points(
    program: Program,
    targets: Sequence[Node],
    strides: Mapping[str, Strides],
    densities: Mapping[str, Densities],
) -> list[Point]:
    """Where to take the values of targets: outputs, or results of modules.

    In place of a value that is neither, those it is computed of are taken.
    """
    results = _results(program)
    labels = {name: label for label, name in program.outputs.items()}
    found: dict[str, Point] = {}
    seen: set[str] = set()
    waiting = list(targets)
    while waiting:
        node = waiting.pop(0)
        own = strides[node.name]
        if node.name in seen or node.call is None or all(along is None for along in own):
            continue
        seen.add(node.name)
        axes = tuple(k - len(own) for k, along in enumerate(own) if along is not None)
        density = tuple(densities[node.name][k] for k in axes)
        if node.name in labels:
            found[node.name] = Point(node, None, 0, labels[node.name], axes, density)
        elif node.name in results:
            path, _, call = results[node.name].partition("@")
            found[node.name] = Point(
                node, path, int(call or 1) - 1, results[node.name], axes, density
            )
        else:
            waiting += [program.nodes[operand.name] for operand in node.operands]
    return list(found.values())


def _results(program: Program) -> dict[str, str]:
    """By value that is all that leaves a call of a module, the outermost such call."""
    leaving: dict[str, set[str]] = {}
    outputs = set(program.outputs.values())
    for name, node in program.nodes.items():
        readers = [reader for reader, _ in program.readers.get(name, ())]
        for call in node.place.calls:
            if name in outputs or any(call not in reader.place.calls for reader in readers):
                leaving.setdefault(call, set()).add(name)
    found: dict[str, str] = {}
    for call, names in leaving.items():
        if call and len(names) == 1:
            (name,) = names
            found[name] = min(found.get(name, call), call, key=lambda c: c.count("."))
    return found


@dataclass(frozen=True)
class Run:
    """What a model gave on an input.

    Attributes:
        values: by point (module and call), the tensors of its result.
        outputs: the model's outputs by label.
    """

    values: Mapping[tuple[str, int], list[Tensor]]
    outputs: Mapping[str, Tensor]

    def at(self, point: Point) -> list[Tensor]:
        """The tensors that may be the value at a point."""
        if point.path is None:
            return [self.outputs[point.label]] if point.label in self.outputs else []
        return self.values.get((point.path, point.call), [])


def run(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], wanted: Sequence[Point]
) -> Run:
    """Run a model once and keep its outputs and the values at some points."""
    values: dict[tuple[str, int], list[Tensor]] = {}
    handles = []
    for path in {point.path for point in wanted if point.path is not None}:

        def keep(_: nn.Module, __: Any, result: Any, path: str = path) -> None:
            leaves = [leaf for leaf in pytree.tree_leaves(result) if isinstance(leaf, Tensor)]
            values[path, sum(p == path for p, _ in values)] = leaves

        handles.append(model.get_submodule(path).register_forward_hook(keep))
    try:
        with torch.no_grad():
            result = model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()
    return Run(values, {k: v for k, v in labelled_leaves(result) if isinstance(v, Tensor)})


def compare(point: Point, before: Run, after: Run) -> Compared:
    """The values of both models at a point; infinitely different where they do not match."""
    pairs = list(zip(before.at(point), after.at(point), strict=False))
    found = []
    for coarse, dense in pairs:
        if coarse.dim() != len(point.node.shape) or dense.dim() != coarse.dim():
            continue
        grid = dense
        for axis, r in zip(point.axes, point.density, strict=True):
            grid = grid[(slice(None),) * (axis + grid.dim()) + (slice(None, None, r),)]
        lengths = [tuple(t.shape[axis] for axis in point.axes) for t in (coarse, dense)]
        error = share(grid, coarse)
        blank = coarse.numel() > 0 and not coarse.any()
        found.append(Compared(point.label, lengths[0], lengths[1], point.density, error, blank))
    # Of several tensors that a module gives, the one whose grid has the same lengths.
    fitting = [entry for entry in found if entry.error < inf]
    if fitting:
        return max(fitting, key=lambda entry: entry.error)
    return found[0] if found else Compared(point.label, (), (), point.density, inf)


def share(found: Tensor, wanted: Tensor) -> float:
    """The largest difference as a share of the largest value; infinite if not comparable."""
    if found.shape != wanted.shape:
        return inf
    if wanted.numel() == 0 or torch.equal(found, wanted):
        return 0.0
    scale = float(wanted.abs().max()) or 1.0
    error = float((found - wanted).abs().max()) / scale
    return error if error == error else inf


def shaken(model: nn.Module) -> nn.Module:
    """A copy in double precision in which no weight is zero.

    Branches that begin at zero, as residual ones often do, would hide what is wrong in them.
    """
    made = shell_copy(model, _double)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*made.named_parameters(), *made.named_buffers()]:
            if not tensor.is_floating_point() or tensor.numel() == 0:
                continue
            noise = torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
            if name.endswith("running_var"):
                tensor.copy_(noise + 0.5)
            else:
                tensor.add_((noise - 0.5) * (0.2 * tensor.abs().mean() + 0.05))
    return made


def _double(tensor: Tensor) -> Tensor:
    values = tensor.detach().clone()
    made = values.double() if values.is_floating_point() else values
    if isinstance(tensor, nn.Parameter):
        return nn.Parameter(made, requires_grad=False)
    return made

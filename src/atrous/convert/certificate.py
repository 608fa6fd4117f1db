"""Whether a dense model computes on its grid what the model it was made of computes."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from atrous.convert.densities import Densities
from atrous.convert.strides import Strides
from atrous.graph.capture import capture
from atrous.graph.evaluation import evaluate
from atrous.graph.program import Node, Program


@dataclass(frozen=True)
class Compared:
    """One value of both models.

    Attributes:
        node: the module (or node) whose value it is.
        coarse: its lengths along the axes of positions, in the original.
        dense: those in the dense model.
        density: dense positions per position, per axis.
        error: largest difference on the grid, as a share of the largest value.
    """

    node: str
    coarse: tuple[int, ...]
    dense: tuple[int, ...]
    density: Densities
    error: float

    def __str__(self) -> str:
        sizes = (" x ".join(map(str, lengths)) for lengths in (self.coarse, self.dense))
        return f"{self.node}: {' -> '.join(sizes)}, differs by {self.error:.1e} on the grid"


@dataclass(frozen=True)
class Certificate:
    """What was compared, with weights of which none is zero, and how far it differs.

    Attributes:
        shapes: of the random inputs.
        compared: one entry per value that was to become dense.
        outputs: by label of an output without positions, the largest difference as a share.
    """

    shapes: tuple[tuple[int, ...], ...]
    compared: tuple[Compared, ...]
    outputs: Mapping[str, float]

    @property
    def error(self) -> float:
        """The largest difference on the grid, as a share of the largest value."""
        return max(entry.error for entry in self.compared)

    def __str__(self) -> str:
        shapes = ", ".join("x".join(map(str, shape)) for shape in self.shapes)
        lines = [f"random input {shapes} in float64", *map(str, self.compared)]
        lines += [f"output {label!r} differs by {e:.1e}" for label, e in self.outputs.items()]
        return "\n".join(lines)


def compare(
    original: nn.Module,
    dense: nn.Module,
    inputs: Sequence[Tensor],
    *,
    strides: Mapping[str, Strides],
    densities: Mapping[str, Densities],
    targets: Sequence[Node],
    program: Program,
) -> Certificate:
    """Compare both models on an input.

    Args:
        original: the model.
        dense: what was made of it.
        inputs: what both are run on.
        strides: of every value of the program, the strides of its axes.
        densities: of every value of the program, its densities.
        targets: the values that were to become dense.
        program: the captured original, at any size.
    """
    own, other = (capture(model, tuple(inputs)) for model in (original, dense))
    pairs = []
    for target in targets:
        mine = twin(program, target, own)
        pairs.append((target, mine, twin(own, mine, other)))
    plain = [
        label
        for label, name in program.outputs.items()
        if not any(along is not None for along in strides[name])
    ]
    ends = [(own.output(label), other.output(label)) for label in plain]
    before, after = (
        evaluate(
            one,
            dict(zip(one.inputs, inputs, strict=True)),
            {pair[side + 1].name for pair in pairs} | {end[side].name for end in ends},
        )
        for side, one in enumerate((own, other))
    )
    compared = []
    for target, mine, theirs in pairs:
        axes = [k for k, along in enumerate(strides[target.name]) if along is not None]
        density = tuple(densities[target.name][k] for k in axes)
        coarse, made = before[mine.name], after[theirs.name]
        grid = made
        for axis, r in zip(axes, density, strict=True):
            grid = grid[(slice(None),) * axis + (slice(None, None, r),)]
        compared.append(
            Compared(
                target.label,
                tuple(coarse.shape[k] for k in axes),
                tuple(made.shape[k] for k in axes),
                density,
                _share(grid, coarse),
            )
        )
    outputs = {
        label: _share(after[b.name], before[a.name])
        for label, (a, b) in zip(plain, ends, strict=True)
    }
    return Certificate(tuple(tuple(x.shape) for x in inputs), tuple(compared), outputs)


def _share(found: Tensor, wanted: Tensor) -> float:
    if found.shape != wanted.shape:
        return float("inf")
    if wanted.numel() == 0:
        return 0.0
    scale = float(wanted.abs().max())
    return float((found - wanted).abs().max()) / (scale or 1.0)


def shaken(model: nn.Module) -> nn.Module:
    """A copy in double precision in which no weight is zero.

    Branches that begin at zero, as residual ones often do, would hide what is wrong in them.
    """
    made = copy.deepcopy(model).double().eval()
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


def twin(program: Program, node: Node, other: Program) -> Node:
    """The node of another program that stands where this one does: the last of the same module, or
    as many of its kind before the end of it."""
    label = node.place.label
    if label and program.find(label).name == node.name:
        return other.find(label)
    alike, theirs = (
        [n for n in p.nodes.values() if (n.place.label, n.kind) == (label, node.kind)]
        for p in (program, other)
    )
    return theirs[len(theirs) - (len(alike) - alike.index(node))]

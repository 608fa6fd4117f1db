"""The alias energy of every stride of a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from atrous.analysis.spectrum.aliasing import (
    AliasEnergy,
    covariance,
    energy_on_grid,
    periodogram,
)
from atrous.analysis.spectrum.falling import PowerLaw, energy_of_law
from atrous.analysis.spectrum.spectrum import kernel_of
from atrous.graph.evaluation import evaluate
from atrous.graph.kernel import Kernel
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local, Pointwise


@dataclass(frozen=True)
class FoldedRow:
    """What one stride folds.

    Attributes:
        name: the node.
        label: its module path, or its name.
        kind: the operator, as "conv2d".
        axes: the axes it slides along.
        stride: per axis.
        is_linear: whether it is told with its own weights; a maximum has none, and is told as
            taking every stride-th position of what it reads.
        through: the layer whose weights shape what such a maximum reads; "" if there is none.
        lowest: per axis, the lowest frequency of a `1 / f^a` input, in radians per position of what
            the weights read; empty for other inputs.
        energy: what is folded; None where it cannot be told.
        reason: why not.
    """

    name: str
    label: str
    kind: str
    axes: tuple[int, ...]
    stride: tuple[int, ...]
    is_linear: bool
    through: str
    lowest: tuple[float, ...]
    energy: AliasEnergy | None
    reason: str = ""


@dataclass(frozen=True)
class Folding:
    """What the strides of a model fold.

    Attributes:
        model: class name of the model.
        spectrum: what each strided layer was given: "white", "1/f^2", or "measured".
        rows: one per strided layer, in order of computation.
    """

    model: str
    spectrum: str
    rows: tuple[FoldedRow, ...]


def folding(
    program: Program,
    model: str,
    *,
    exponent: float = 0.0,
    lowest: float | None = None,
    inputs: Mapping[str, Tensor] | None = None,
) -> Folding:
    """The alias energy of every strided layer.

    Args:
        program: the captured model.
        model: what to call it.
        exponent: power `1 / |w|^exponent` at each strided layer's own input, white for 0, its
            channels uncorrelated.
        lowest: the lowest frequency that such an input holds, in radians per position; by default
            that of one wave over the length of each axis.
        inputs: the model's inputs by name: the values that reach each layer are measured instead.
    """
    strided = [(node, steps) for node in program.nodes.values() if (steps := _strides(node))]
    values: dict[str, Tensor] = {}
    if inputs is not None:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            values = evaluate(program, inputs, {node.operands[0].name for node, _ in strided})
    rows = []
    for node, steps in strided:
        kernel = kernel_of(node)
        before = None if kernel is not None else _before(program, node, tuple(steps))
        energy, reason, law = None, "", None
        try:
            if inputs is not None:
                energy = _measured(values[node.operands[0].name], kernel, steps)
            else:
                if exponent:
                    source = node if before is None else before
                    shape = program.nodes[source.operands[0].name].shape
                    law = PowerLaw.fitting(exponent, [shape[axis] for axis in steps], lowest)
                energy = _given(kernel, before, tuple(steps.values()), law)
        except (NotImplementedError, ValueError) as error:
            reason = str(error)
        rows.append(
            FoldedRow(
                node.name,
                node.label,
                node.kind,
                tuple(steps),
                tuple(steps.values()),
                kernel is not None,
                before.label if before is not None and inputs is None else "",
                law.lowest if law is not None else (),
                energy,
                reason,
            )
        )
    name = "measured" if inputs is not None else f"1/f^{exponent:g}" if exponent else "white"
    return Folding(model, name, tuple(rows))


def _strides(node: Node) -> dict[int, int]:
    """Per axis that a layer slides along the stride; empty if every stride is 1."""
    description = node.description
    if not isinstance(description, Local) or not node.dtype.is_floating_point:
        return {}
    if description.kernel is not None:
        found = dict(zip(description.kernel.axes, description.kernel.stride, strict=True))
    else:
        found = {axis: description.windows[axis].stride for axis in sorted(description.windows)}
    # Spectra are taken along the last axes.
    trailing = list(found) == list(range(len(node.shape) - len(found), len(node.shape)))
    strides = max(found.values(), default=1) > 1
    return found if strides and trailing and len(node.operands) == 1 else {}


def _before(program: Program, node: Node, axes: tuple[int, ...]) -> Node | None:
    """The linear layer along `axes` that a node follows with only pointwise operators between."""
    at = program.nodes[node.operands[0].name]
    while isinstance(at.description, Pointwise) and len(at.operands) == 1:
        at = program.nodes[at.operands[0].name]
    kernel = kernel_of(at)
    if kernel is None or kernel.axes != axes or max(kernel.upsampling) > 1:
        return None
    return at


def _given(
    kernel: Kernel | None, before: Node | None, strides: tuple[int, ...], law: PowerLaw | None
) -> AliasEnergy:
    """What strides fold of an input with a power law, of white noise if there is none."""
    first = kernel
    earlier = (1,) * len(strides)
    if before is not None:
        first = kernel_of(before)
        assert first is not None
        earlier = first.stride
    weights = torch.ones((1,) * (2 + len(strides))) if first is None else first.weights()
    found = covariance(weights, earlier if first is None else first.dilation)
    if law is None:
        return found.kept(earlier).energy(strides)
    return energy_of_law(law, found, strides, earlier)


def _measured(values: Tensor, kernel: Kernel | None, steps: Mapping[int, int]) -> AliasEnergy:
    axes = len(steps)
    signal = values.detach().cpu().float()
    if kernel is not None:
        taps = kernel.weights().shape[2:]
        spans = [(k - 1) * d + 1 for k, d in zip(taps, kernel.dilation, strict=True)]
        if any(n < s + 1 for n, s in zip(signal.shape[-axes:], spans, strict=True)):
            raise ValueError(
                f"the input must be longer than the kernel to be measured, got "
                f"{tuple(signal.shape[-axes:])} for spans {tuple(spans)}."
            )
        # Only what no border touches: padding would add frequencies of its own.
        signal = kernel.applied(signal)
    return energy_on_grid(periodogram(signal, axes), tuple(steps.values()))

"""Perturbations that an output cannot see."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atrous.analysis.coverage import blind as _blind
from atrous.analysis.coverage.blind import BlindPerturbation
from atrous.analysis.coverage.positions import Position
from atrous.analysis.coverage.question import coverage
from atrous.api.arguments import checked_axes, chosen_node
from atrous.graph.capture import Inputs, capture, given_values
from atrous.run.regions import run_box


def hidden_perturbation(
    model: nn.Module,
    x: Inputs,
    *,
    at: Position | Sequence[Position] | None = None,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    axes: int | tuple[int, ...] | None = None,
    amplitude: float = 1.0,
    seed: int = 0,
) -> BlindPerturbation:
    """A change of the input that an output cannot see, with the proof.

    Noise is put into the holes of the output's field and nowhere else; the captured model is then
    run with and without it, by direct summation: without the algorithms that mix neighbours, as
    Winograd's does, and let rounding through. The output does not change by a bit, and its gradient
    in the holes is exactly 0. Other outputs do change, unless a stride leaves the holes to none.

    Args:
        model: a module; it is not changed.
        x: an input, as in `receptive_field`; where shapes are given, values are drawn from the
            normal distribution.
        at: the output, or several, as in `coverage`.
        node: a module path or node name; by default an output of the model.
        input: the name of the input to change; by default the first.
        output: the label of an output; by default the first.
        axes: which axes of the input, as in `receptive_field`.
        amplitude: largest change of a value.
        seed: of the noise.

    Raises:
        KeyError: if there is no such node or output.
        ValueError: if the output reads all of its span, or nothing; if `at` does not fit; or if the
            input is no floating-point tensor, or too large for the amplitude to change it.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 4, 3, dilation=2, padding=2), nn.ReLU())
        >>> found = hidden_perturbation(net, torch.zeros(1, 1, 32))
        >>> found.is_unseen, found.positions
        (True, 2)
    """
    program = capture(model, x)
    target = chosen_node(program, node, output)
    source = program.input(input)
    cover = coverage(
        program, target, input=input, axes=checked_axes(axes, len(source.shape)), at=at
    )
    generator = torch.Generator().manual_seed(seed)
    values = given_values(program, model, x)
    for name in program.inputs:
        if name not in values:
            given = program.nodes[name]
            values[name] = torch.randn(given.shape, generator=generator).to(given.dtype)
    if not values[source.name].is_floating_point():
        raise ValueError(
            f"x must be of a floating-point type to be changed a little, got "
            f"{values[source.name].dtype} for {source.name!r}. Name another with input=."
        )
    whole = tuple((0, length) for length in target.shape)

    def run(value: Tensor) -> Tensor:
        return run_box(program, {**values, source.name: value}, target.name, whole)

    with warnings.catch_warnings():
        # Torch's own, on setting any flag of oneDNN.
        warnings.filterwarnings("ignore", message=".*TF32 acceleration.*")
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
            return _blind.hidden(cover, run, values[source.name], amplitude=amplitude, seed=seed)

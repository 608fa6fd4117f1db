"""Perturbations that an output cannot see."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from atrous.analysis.coverage import blind as _blind
from atrous.analysis.coverage.blind import BlindPerturbation
from atrous.analysis.coverage.coverage import Position, coverage
from atrous.api.arguments import checked_axes, chosen_node
from atrous.graph.capture import capture
from atrous.run.regions import run_box


def hidden_perturbation(
    model: nn.Module,
    x: Tensor,
    *,
    at: Position | Sequence[Position] | None = None,
    node: str | None = None,
    output: str | None = None,
    axes: int | tuple[int, ...] | None = None,
    amplitude: float = 1.0,
    seed: int = 0,
) -> BlindPerturbation:
    """A change of the input that an output cannot see, with the proof.

    Noise is put into the holes of the output's field and nowhere else; the captured model is then
    run with and without it, by direct summation: without the algorithms that mix neighbours, as
    Winograd's does, and let rounding through. The output does not change by a bit, and its gradient
    in the holes is exactly 0. Other outputs do change.

    Args:
        model: a module; it is not changed.
        x: the input.
        at: the output, or several, as in `coverage`.
        node: a module path or node name; by default an output of the model.
        output: the label of an output; by default the first.
        axes: which axes of the input, as in `receptive_field`.
        amplitude: largest change of a value.
        seed: of the noise.

    Raises:
        KeyError: if there is no such node or output.
        ValueError: if the output reads all of its span, or `at` does not fit.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 4, 3, dilation=2, padding=2), nn.ReLU())
        >>> found = hidden_perturbation(net, torch.zeros(1, 1, 32))
        >>> found.is_unseen, found.positions
        (True, 2)
    """
    program = capture(model, x)
    target = chosen_node(program, node, output)
    cover = coverage(program, target, axes=checked_axes(axes, x.dim()), at=at)
    whole = tuple((0, length) for length in target.shape)

    def run(value: Tensor) -> Tensor:
        return run_box(program, {program.inputs[0]: value}, target.name, whole)

    with warnings.catch_warnings():
        # Torch's own, on setting any flag of oneDNN.
        warnings.filterwarnings("ignore", message=".*TF32 acceleration.*")
        with torch.backends.mkldnn.flags(enabled=False), torch.backends.nnpack.flags(enabled=False):
            return _blind.hidden(cover, run, x, amplitude=amplitude, seed=seed)

"""What strides fold onto other frequencies, and which stride folds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, pi
from typing import Literal

from torch import Tensor, nn
from torch.export import ExportedProgram

from atrous.analysis.spectrum import aliasing as _aliasing
from atrous.analysis.spectrum import folding as _folding
from atrous.analysis.spectrum import limits as _limits
from atrous.analysis.spectrum.aliasing import AliasEnergy, StrideAdvice
from atrous.analysis.spectrum.limits import Limit
from atrous.api.arguments import chosen_node, per_axis
from atrous.graph.capture import Inputs, capture, given_values
from atrous.graph.program import Program
from atrous.report.results.spectrum import FoldingReport


def alias_energy(
    weight: Tensor,
    *,
    stride: int | Sequence[int],
    dilation: int | Sequence[int] = 1,
    power: Tensor | None = None,
) -> AliasEnergy:
    """How much of a convolution's output its stride folds onto other frequencies.

    Args:
        weight: of shape (outputs, inputs of a group, *taps), as a convolution holds it.
        stride: for all axes or for each.
        dilation: from one tap to the next, for all axes or for each.
        power: the power spectrum of the input, the same for all its channels and these
            uncorrelated, on the frequencies of a DFT (`torch.fft.fftfreq`), one axis per axis of
            taps; white noise of power 1 by default.

    Returns:
        The mean power of an output at stride 1, the part at frequencies up to `pi / stride` on
        every axis, and the rest. Exact: in closed form for white noise, on the grid for `power`.

    Raises:
        ValueError: if the weight has no taps, a stride or dilation is below 1, or `power` does not
            fit.

    Example:
        >>> import torch
        >>> one = torch.ones(1, 1, 1)
        >>> alias_energy(one, stride=2).fraction  # of white noise half lies beyond
        0.5
        >>> alias_energy(torch.ones(1, 1, 2) / 2, stride=2).fraction < 0.19  # 1/2 - 1/pi
        True
    """
    axes = weight.dim() - 2
    if axes < 1:
        raise ValueError(
            "weight must have shape (outputs, inputs, *taps), got "
            f"{tuple(weight.shape)}. Give the weight of a convolution."
        )
    strides = per_axis("stride", stride, axes)
    found = _aliasing.covariance(weight, per_axis("dilation", dilation, axes))
    if power is None:
        return found.energy(strides)
    if power.dim() != axes or bool((power < 0).any()):
        raise ValueError(
            f"power must be at least 0 and have {axes} axes, one per axis of taps, got shape "
            f"{tuple(power.shape)}. Leave it out for white noise."
        )
    given = power.detach().cpu().double().numpy()
    return _aliasing.energy_on_grid(given * _aliasing.power_on_grid(found, given.shape), strides)


def aliasing(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    spectrum: Literal["white", "measured"] | float = "white",
    lowest: float | None = None,
) -> FoldingReport:
    """How much of what each strided layer of a model computes folds onto other frequencies.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input as for `receptive_field`; for "measured" tensors with real values.
        spectrum: what each strided layer is given. "white": white noise at its own input. A
            number a: power `1 / f^a` there, f the length of the vector of frequencies. Images have
            about 2, which is an amplitude of 1 / f; a single row of an image has 1. "measured":
            what reaches it from `x`, all non-linearities included, convolved at stride 1 and
            averaged over batch and channels; the constant part of a channel does not count.
        lowest: with a number as `spectrum`, the lowest frequency that the input of each strided
            layer holds, in radians per position: `1 / f^a` grows without end towards 0, so the
            folded share depends on it. Waves below it on every axis are left out. By default one
            wave over the length of each axis, `2 * pi / length`; the report tells it. Give one
            to compare inputs of different lengths.

    Returns:
        One row per convolution, average or maximum with a stride. A maximum has no response: it is
        told as taking every stride-th position of what the layer before passes.

    Raises:
        ValueError: if `spectrum` is none of these, "measured" lacks values, or `lowest` is out of
            its range or given with another spectrum.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 1, 1), nn.MaxPool1d(4), nn.AvgPool1d(2))
        >>> print(aliasing(net, (1, 1, 64)))
        Sequential: power beyond the new Nyquist frequency, white input
        layer  kind         stride  aliased
        1      max_pool1d        4    75.0%  not linear: told as its stride behind 0
        2      avg_pool1d        2    18.2%

    Source: Field, Relations between the statistics of natural images and the response properties of
    cortical cells, JOSA A 1987, for the spectrum of images.
    """
    measured = spectrum == "measured"
    exponent = 0.0
    if not isinstance(spectrum, str):
        exponent = float(spectrum)
    if not isfinite(exponent) or (
        isinstance(spectrum, str) and spectrum not in ("white", "measured")
    ):
        raise ValueError(
            f'spectrum must be "white", "measured" or an exponent, got {spectrum!r}. '
            "Give 2.0 for images."
        )
    if lowest is not None and (not exponent or not 0 < lowest < pi):
        raise ValueError(
            f"lowest must be above 0 and below pi, with a number as spectrum, got {lowest} with "
            f"{spectrum!r}. Give radians per position, or leave it out for one wave per length."
        )
    program = capture(model, x)
    values = _measured_values(program, model, x) if measured else None
    name = type(model).__name__
    found = _folding.folding(program, name, exponent=exponent, lowest=lowest, inputs=values)
    return FoldingReport(found)


def safe_stride(cutoff: float, dilation: int = 1, *, band: float = pi) -> StrideAdvice:
    """The stride that a rule of thumb allows behind a dilated low-pass, and when it is true.

    The rule: dilation d brings the cut-off from w_c to `w_c / d`, so a stride up to `pi d / w_c`
    folds nothing. But the response is a comb: unless the input holds nothing from
    `(2 pi - w_c) / d` on, the next image of the passband passes it.

    Args:
        cutoff: w_c of the filter undilated, in radians, in (0, pi].
        dilation: from one tap to the next.
        band: the input's highest frequency in radians per position, in (0, pi].

    Raises:
        ValueError: if an argument is out of its range.

    Example:
        >>> advice = safe_stride(pi / 2, 4)
        >>> advice.stride, advice.holds, advice.safe
        (8, False, 1)
        >>> safe_stride(pi / 2, 4, band=0.3 * pi).safe  # below (2 pi - pi / 2) / 4 = 0.375 pi
        8
        >>> import torch  # the counterexample: one tap passes all, w_c is pi
        >>> alias_energy(torch.ones(1, 1, 1), stride=safe_stride(pi, 4).stride).fraction
        0.75
    """
    for name, value in (("cutoff", cutoff), ("band", band)):
        if not 0 < value <= pi * (1 + 1e-12):
            raise ValueError(
                f"{name} must be above 0 and at most pi, got {value}. Give radians per position."
            )
    if dilation < 1:
        raise ValueError(
            f"dilation must be at least 1, got {dilation}. Use 1 for an ordinary convolution."
        )
    return _aliasing.stride_advice(cutoff, dilation, band)


def limiting_branch(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    node: str | None = None,
    output: str | None = None,
    band: float = pi,
) -> Limit:
    """What limits a stride behind the branches that meet last before an output, or a node.

    Not the branch of the smallest rate: every dilated filter passes images up to the top of the
    spectrum, and a 1x1 branch passes all, so the input's band does.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input as for `receptive_field`; its values do not matter.
        node: a module path or node name; by default an output of the model.
        output: the label of an output; by default the first.
        band: the input's highest frequency at the fork, in radians per position.

    Returns:
        Per branch what it passes, which passes the highest frequency, and the largest stride that
        folds nothing passed.

    Raises:
        KeyError: if there is no such node or output.
        ValueError: if no branches meet, or the band is out of its range.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from atrous.models import create
        >>> found = limiting_branch(create("segmenter"), (1, 3, 257, 257), node="head.project")
        >>> found.limiting, found.by_input, found.stride
        ('head.branches.0.1', True, 1)
    """
    if not 0 < band <= pi * (1 + 1e-12):
        raise ValueError(
            f"band must be above 0 and at most pi, got {band}. Give radians per position."
        )
    program = capture(model, x)
    return _limits.limiting_branch(program, chosen_node(program, node, output), band=band)


def _measured_values(
    program: Program, model: nn.Module | ExportedProgram, x: Inputs
) -> dict[str, Tensor]:
    """The inputs by name; all must be given."""
    values = given_values(program, model, x)
    if missing := [name for name in program.inputs if name not in values]:
        raise ValueError(
            f"x must hold a tensor for each of {', '.join(map(repr, program.inputs))} to be "
            f"measured, got none for {', '.join(map(repr, missing))}. Give real values."
        )
    return values

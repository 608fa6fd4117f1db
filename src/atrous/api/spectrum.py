"""Models in the frequency domain: responses, images, alias energy, limits."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, pi
from typing import Literal

from torch import Tensor, nn
from torch.export import ExportedProgram

from atrous.analysis.spectrum import aliasing as _aliasing
from atrous.analysis.spectrum import chains as _chains
from atrous.analysis.spectrum import folding as _folding
from atrous.analysis.spectrum import limits as _limits
from atrous.analysis.spectrum import spectrum as _spectrum
from atrous.analysis.spectrum.aliasing import AliasEnergy, StrideAdvice
from atrous.analysis.spectrum.limits import Limit
from atrous.api.arguments import chosen_node
from atrous.graph.capture import Inputs, capture, given_values
from atrous.graph.program import Node, Program
from atrous.report.spectrum_text import FoldingReport, SpectrumReport

Frequencies = Tensor | Sequence[Tensor]


def frequency_response(
    weight: Tensor, frequencies: Frequencies, *, dilation: int | Sequence[int] = 1
) -> Tensor:
    """The response of every filter at its dilation: `sum over a of w[a] exp(-1j d a f)`.

    With dilation d it is that of the taps side by side at `d * f`: it repeats every `2 * pi / d`,
    so each passband has d images.

    Args:
        weight: filters, of shape (*filters, *taps).
        frequencies: in radians per position; a tensor for each axis of taps, one alone for one.
        dilation: from one tap to the next, for all axes or for each.

    Returns:
        Complex values of shape (*filters, *numbers of frequencies). A layer of PyTorch correlates:
        it multiplies a wave `exp(1j f n)` by the complex conjugate.

    Raises:
        ValueError: if there are more axes of frequencies than the weight has, or a dilation below
            1.

    Example:
        >>> import torch
        >>> box = torch.ones(3) / 3
        >>> at = torch.tensor([0.0, 0.5, 1.0]) * pi
        >>> frequency_response(box, at).abs()
        tensor([1.0000, 0.3333, 0.3333], dtype=torch.float64)
        >>> frequency_response(box, at, dilation=2).abs()  # at pi all of it is back
        tensor([1.0000, 0.3333, 1.0000], dtype=torch.float64)
    """
    grids = _grids(frequencies)
    if not 1 <= len(grids) <= weight.dim():
        raise ValueError(
            f"frequencies must be one tensor per axis of taps, got {len(grids)} for a weight of "
            f"shape {tuple(weight.shape)}."
        )
    return _spectrum.frequency_response(weight, grids, _per_axis("dilation", dilation, len(grids)))


def spectrum(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    node: str | None = None,
    input: str | None = None,
) -> SpectrumReport:
    """What every convolution and average of a model passes, from its real weights.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input as for `receptive_field`; its values do not matter.
        node: only what lies in this module, or this node.
        input: the input whose positions strides are counted in; by default the first.

    Returns:
        One row per layer with weights, each with one entry per axis: taps, dilation, images, the
        passbands at half power, gains at 0 and pi, for depthwise convolutions how many filters
        pass what. It prints as a table and has `.rows`, `.row(name)`, `.to_dict()`.

        An axis is told for waves that vary along it alone. Gains are roots of the mean output
        power for input channels that are uncorrelated and have power 1.

    Raises:
        KeyError: if there is no such node or input.
        ValueError: if nothing in `node` slides with constant weights.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> net = nn.Conv1d(1, 1, 3, dilation=4, bias=False)
        >>> _ = nn.init.constant_(net.weight, 1 / 3)
        >>> axis = spectrum(net, (1, 1, 64)).rows[0].axes[0]
        >>> axis.kind, axis.images, round(axis.cutoff / pi, 3)
        ('low-pass', 4, 0.311)
        >>> [(round(a / pi, 3), round(b / pi, 3)) for a, b in axis.bands]
        [(0.0, 0.078), (0.422, 0.578), (0.922, 1.0)]
    """
    program = capture(model, x)
    chosen = None
    if node is not None:
        program.find(node)
        chosen = _inside(program, node)
        if all(_spectrum.kernel_of(n) is None for n in chosen):
            raise ValueError(
                f"node must hold a convolution or an average with constant weights, got {node!r}. "
                "Choose another."
            )
    program.input(input)
    name = type(model).__name__
    return SpectrumReport(_spectrum.spectrum(program, name, nodes=chosen, input=input))


def chain_response(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    frequencies: Frequencies,
    *,
    node: str | None = None,
    start: str | None = None,
) -> Tensor:
    """What layers in a row make of waves: the product of their matrices over channels.

    Non-linear operators count as the identity and biases as 0; a batch norm in inference scales.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input as for `receptive_field`; its values do not matter.
        frequencies: in radians per position of the chain's first input; a tensor for each axis
            that the layers slide along, one alone for all of them.
        node: the last node of the chain; by default the first output.
        start: the node that the chain reads; by default as far back as each node reads one.

    Returns:
        Complex values of shape (*numbers of frequencies, output channels, input channels). A wave
        `exp(1j f n)` becomes this times `exp(1j f r o)` at output o, with r the chain's stride:
        behind a stride frequencies `2 * pi / r` apart look the same.

    Raises:
        KeyError: if there is no such node.
        ValueError: if no chain ends at `node`, or `start` is not on it.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.AvgPool1d(2, 1), nn.AvgPool1d(2, 1), nn.AvgPool1d(2, 2))
        >>> chain_response(net, (1, 1, 32), torch.tensor([0.0, pi / 2])).abs().flatten()
        tensor([1.0000, 0.3536], dtype=torch.float64)
    """
    program = capture(model, x)
    end = chosen_node(program, node, None)
    first = None if start is None else program.find(start).name
    found = _chains.chain(program, end, first)
    count = len(found.kernels[0].stride)
    grids = _grids(frequencies)
    if isinstance(frequencies, Tensor):
        grids = grids * count
    if len(grids) != count:
        raise ValueError(
            f"frequencies must be one tensor per axis, got {len(grids)} for layers that slide "
            f"along {count}."
        )
    return found.response(grids)


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
    strides = _per_axis("stride", stride, axes)
    found = _aliasing.covariance(weight, _per_axis("dilation", dilation, axes))
    if power is None:
        return found.energy(strides)
    if power.dim() != axes or bool((power < 0).any()):
        raise ValueError(
            f"power must be at least 0 and have {axes} axes, one per axis of taps, got shape "
            f"{tuple(power.shape)}."
        )
    given = power.detach().cpu().double().numpy()
    return _aliasing.energy_on_grid(given * _aliasing.power_on_grid(found, given.shape), strides)


def aliasing(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    spectrum: Literal["white", "measured"] | float = "white",
) -> FoldingReport:
    """How much of what each strided layer of a model computes folds onto other frequencies.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input as for `receptive_field`; for "measured" tensors with real values.
        spectrum: what each strided layer is given. "white": white noise at its own input. A
            number a: power `1 / f^a` there (images have about 2). "measured": what reaches it from
            `x`, all non-linearities included, convolved at stride 1 and averaged over batch and
            channels; the constant part of a channel does not count.

    Returns:
        One row per convolution, average or maximum with a stride. A maximum has no response: it is
        told as taking every stride-th position of what the layer before passes.

    Raises:
        ValueError: if `spectrum` is none of these, or "measured" lacks values.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> net = nn.Sequential(nn.Conv1d(1, 1, 1), nn.MaxPool1d(4), nn.AvgPool1d(2))
        >>> print(aliasing(net, (1, 1, 64)))
        Sequential: power beyond the new Nyquist frequency, white input
        layer  kind         stride  aliased
        1      max_pool1d        4    75.0%  not linear: told as its stride behind 0
        2      avg_pool1d        2    18.2%
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
    program = capture(model, x)
    values = _measured_values(program, model, x) if measured else None
    name = type(model).__name__
    return FoldingReport(_folding.folding(program, name, exponent=exponent, inputs=values))


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
        raise ValueError(f"dilation must be at least 1, got {dilation}.")
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
        raise ValueError(f"band must be above 0 and at most pi, got {band}.")
    program = capture(model, x)
    return _limits.limiting_branch(program, chosen_node(program, node, output), band=band)


def _grids(frequencies: Frequencies) -> list[Tensor]:
    return [frequencies] if isinstance(frequencies, Tensor) else list(frequencies)


def _per_axis(name: str, value: int | Sequence[int], axes: int) -> tuple[int, ...]:
    values = (value,) * axes if isinstance(value, int) else tuple(value)
    if len(values) != axes or min(values) < 1:
        raise ValueError(
            f"{name} must be a whole number from 1, or {axes} of them, one per axis, got {value}."
        )
    return values


def _inside(program: Program, name: str) -> list[Node]:
    """The nodes of a module, or a node."""
    found = [n for n in program.nodes.values() if name in (*n.place.calls, n.name)]
    return found or [program.find(name)]


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

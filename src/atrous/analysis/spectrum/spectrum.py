"""The frequency response of every layer's real weights, at its dilation and its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from math import pi

import numpy as np
import torch
from torch import Tensor

from atrous.analysis.fields.field import Field, fields
from atrous.analysis.spectrum.passband import (
    Bands,
    Floats,
    Kind,
    Profile,
    autocorrelation,
    comb,
    kinds,
    summed_autocorrelation,
)
from atrous.graph.kernel import Kernel
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local

_GRID = 129


def frequency_response(
    weight: Tensor, frequencies: Sequence[Tensor], dilation: Sequence[int]
) -> Tensor:
    """The response of every filter: `sum over a of weight[a] * exp(-1j * w * dilation * a)`.

    The discrete-time Fourier transform of the taps, first tap at position 0 (Oppenheim and Schafer,
    Discrete-Time Signal Processing). A layer of PyTorch correlates, so it multiplies a wave
    `exp(1j * w * n)` by the complex conjugate; the gain is the same.

    Args:
        weight: filters, of shape (*filters, *taps) with one axis of taps per set of frequencies.
        frequencies: per axis of taps, frequencies in radians per position.
        dilation: per axis of taps, from one tap to the next.

    Returns:
        Complex values of shape (*filters, *numbers of frequencies).
    """
    out = weight.detach().cpu().to(torch.complex128)
    axes = len(frequencies)
    for k, (at, step) in enumerate(zip(frequencies, dilation, strict=True)):
        taps = torch.arange(weight.shape[weight.dim() - axes + k], dtype=torch.float64) * step
        waves = torch.exp(-1j * torch.outer(taps, at.detach().cpu().double()))
        # The first axis of taps that is left goes, its frequencies come last.
        out = torch.tensordot(out, waves, dims=([weight.dim() - axes], [0]))
    return out


@dataclass(frozen=True)
class AxisSpectrum:
    """What a layer passes of waves that vary along one axis and are constant along the others.

    Gains are roots of the power of an output, on average over the output channels, where the input
    channels are uncorrelated and have power 1: `mean over c of sum over i of |H[c, i](w)|^2`.

    Attributes:
        axis: the layer's axis.
        taps: number of taps.
        dilation: d, from one tap to the next.
        stride: from one output to the next.
        upsampling: what a transposed convolution spreads its input by: so many images of the input
            come before the kernel, which works at the rate of the output.
        rate: positions of the model's input per position that the kernel steps over; None where
            this does not move along one axis of the input.
        length: positions of the layer's input.
        profile: the power with the taps side by side; at frequency w the layer has that at `d * w`.
        filters: what the filters pass one by one, kind -> how many, where the convolution is
            depthwise; else empty.
    """

    axis: int
    taps: int
    dilation: int
    stride: int
    upsampling: int
    rate: Fraction | None
    length: int
    profile: Profile = field(repr=False)
    filters: Mapping[Kind, int] = field(default_factory=dict)

    @property
    def images(self) -> int:
        """How often the passband appears over the whole circle: d, once for a single tap."""
        return self.dilation if self.taps > 1 else 1

    @property
    def kind(self) -> Kind:
        """What the taps side by side pass."""
        return self.profile.kind

    @property
    def cutoff(self) -> float | None:
        """w_c of the taps side by side, in radians; the layer's first edge is at `w_c / d`."""
        return self.profile.cutoff

    @cached_property
    def bands(self) -> Bands:
        """What is passed of the frequencies [0, pi] at the layer, radians per its own position."""
        return comb(self.profile.bands, self.dilation)

    @cached_property
    def input_bands(self) -> Bands | None:
        """The same over the frequencies of the model's input, radians per input position.

        Behind strides a wave of frequency w arrives as one of `w * rate`; None if that is unknown.
        """
        if self.rate is None or self.rate <= 0:
            return None
        return comb(self.profile.bands, self.dilation * self.rate)

    def gain(self, frequency: float) -> float:
        """The gain at a frequency in radians per position of the layer."""
        return self.profile.gain(self.dilation * frequency)

    @property
    def dc(self) -> float:
        """The gain of a constant input."""
        return self.gain(0.0)

    @property
    def nyquist(self) -> float:
        """The gain at pi, where neighbours alternate; the same as `dc` if d is even."""
        return self.gain(pi)

    def curve(self, points: int) -> Floats:
        """The gain over [0, pi] as the root of the mean power in so many equal cells."""
        fine = 16
        edges = (np.arange(points * fine) + 0.5) * pi / (points * fine)
        power = self.profile.power(self.dilation * edges).reshape(points, fine)
        curve: Floats = np.sqrt(power.mean(axis=1))
        return curve


@dataclass(frozen=True)
class LayerSpectrum:
    """The spectrum of one linear layer.

    Attributes:
        name: the node.
        label: its module path, or its name.
        kind: the operator, as "conv2d".
        channels: output channels, and input channels of a group.
        groups: runs of channels that are kept apart.
        axes: what is passed along each axis.
    """

    name: str
    label: str
    kind: str
    channels: tuple[int, int]
    groups: int
    axes: tuple[AxisSpectrum, ...]


@dataclass(frozen=True)
class Spectrum:
    """The layers of a model in the frequency domain.

    Attributes:
        model: class name of the model.
        input: name of the input that rates refer to.
        rows: one per convolution or average, in order of computation.
        left_out: layers whose weights could not be told, and why.
    """

    model: str
    input: str
    rows: tuple[LayerSpectrum, ...]
    left_out: tuple[tuple[str, str], ...] = ()

    def row(self, name: str) -> LayerSpectrum:
        """The first row of a module path or a node.

        Raises:
            KeyError: if there is none.
        """
        for row in self.rows:
            if name in (row.name, row.label):
                return row
        raise KeyError(f"name must be a row's name or label, got {name!r}. See .rows.")


def kernel_of(node: Node) -> Kernel | None:
    """The weights of a node that is linear and slides."""
    return node.description.kernel if isinstance(node.description, Local) else None


def spectrum(
    program: Program, model: str, *, nodes: Sequence[Node] | None = None, input: str | None = None
) -> Spectrum:
    """The response of every layer that is linear with constant weights and slides.

    Args:
        program: the captured model.
        model: what to call it.
        nodes: only these.
        input: the input that rates refer to; the first by default.
    """
    found = fields(program, input=input)
    rows: list[LayerSpectrum] = []
    left_out: list[tuple[str, str]] = []
    for node in program.nodes.values() if nodes is None else nodes:
        kernel = kernel_of(node)
        if kernel is None:
            continue
        try:
            weights = kernel.weights().detach().cpu().double().numpy()
        except NotImplementedError as error:
            left_out.append((node.label, str(error)))
            continue
        rows.append(_row(node, kernel, weights, found))
    return Spectrum(model, program.input(input).name, tuple(rows), tuple(left_out))


def _row(node: Node, kernel: Kernel, weights: Floats, found: Mapping[str, Field]) -> LayerSpectrum:
    data = node.operands[0]
    outputs, inputs, *taps = weights.shape
    if not np.isfinite(weights).all():
        weights = np.full_like(weights, np.nan)
    axes = tuple(
        AxisSpectrum(
            axis,
            taps[k],
            kernel.dilation[k],
            kernel.stride[k],
            kernel.upsampling[k],
            rate_of(found.get(data.name), axis, kernel.upsampling[k]),
            data.shape[axis],
            layer_profile(weights, k),
            _singly(weights, k) if inputs == 1 < outputs else {},
        )
        for k, axis in enumerate(kernel.axes)
    )
    return LayerSpectrum(node.name, node.label, node.kind, (outputs, inputs), kernel.groups, axes)


def rate_of(field: Field | None, axis: int, upsampling: int) -> Fraction | None:
    """Input positions per position along an axis of a value, once it is spread by `upsampling`."""
    if field is None:
        return None
    # Beside what is read whole, the ways on which positions move along.
    moving = [a.local or a for a in field.axes]
    along = [a for a in moving if a.output_axis == axis and a.status in ("exact", "bound")]
    if len(along) != 1 or along[0].strides[0] != along[0].strides[1]:
        return None
    return along[0].stride / upsampling or None


def cut(weights: Floats, axis: int) -> Floats:
    """The taps that a wave along one axis of taps meets: summed over the others, that axis last."""
    others = tuple(2 + k for k in range(weights.ndim - 2) if k != axis)
    return weights.sum(axis=others) if others else weights


def layer_profile(weights: Floats, axis: int) -> Profile:
    """The power along one axis of taps, summed over inputs, on average over outputs."""
    outputs = weights.shape[0]
    scale = float((weights * weights).sum()) / outputs
    return Profile(summed_autocorrelation(cut(weights, axis)) / outputs, scale)


def _singly(weights: Floats, axis: int) -> dict[Kind, int]:
    series = autocorrelation(cut(weights, axis)[:, 0])
    grid = np.linspace(0.0, pi, max(_GRID, 4 * series.shape[1] + 1))
    waves = 2 * np.cos(np.outer(np.arange(series.shape[1]), grid))
    waves[0] = 1.0
    scale = float((weights * weights).sum()) / len(weights)
    return dict(Counter(kinds(series @ waves, scale)).most_common())

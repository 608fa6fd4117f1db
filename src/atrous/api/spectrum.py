"""Models in the frequency domain: what layers, and layers in a row, pass."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.export import ExportedProgram

from atrous.analysis.spectrum import chains as _chains
from atrous.analysis.spectrum import spectrum as _spectrum
from atrous.api.arguments import chosen_node, one_of_both, per_axis
from atrous.graph.capture import Inputs, capture
from atrous.graph.program import Node, Program
from atrous.report.results.spectrum import SpectrumReport

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
        >>> from math import pi
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
            f"shape {tuple(weight.shape)}. Give a list of tensors."
        )
    return _spectrum.frequency_response(weight, grids, per_axis("dilation", dilation, len(grids)))


def spectrum(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
) -> SpectrumReport:
    """What every convolution and average of a model passes, from its real weights.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input as for `receptive_field`; its values do not matter.
        node: only what lies in this module, or this node.
        input: the input whose positions strides are counted in; by default the first.
        output: the label of an output: only what it is computed from.

    Returns:
        One row per layer with weights, each with one entry per axis: taps, dilation, images, the
        passbands at half power, gains at 0 and pi, for depthwise convolutions how many filters
        pass what. It prints as a table and has `.rows`, `.row(name)`, `.to_dict()`.

        An axis is told for waves that vary along it alone. Gains are roots of the mean output
        power for input channels that are uncorrelated and have power 1.

    Raises:
        KeyError: if there is no such node, input or output.
        ValueError: if nothing in `node`, or behind `output`, slides with constant weights, or both
            are given.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from math import pi
        >>> net = nn.Conv1d(1, 1, 3, dilation=4, bias=False)
        >>> _ = nn.init.constant_(net.weight, 1 / 3)
        >>> axis = spectrum(net, (1, 1, 64)).rows[0].axes[0]
        >>> axis.kind, axis.images, round(axis.cutoff / pi, 3)
        ('low-pass', 4, 0.311)
        >>> [(round(a / pi, 3), round(b / pi, 3)) for a, b in axis.bands]
        [(0.0, 0.078), (0.422, 0.578), (0.922, 1.0)]
    """
    one_of_both(node, output)
    program = capture(model, x)
    chosen = None
    if node is not None:
        program.find(node)
        chosen = _inside(program, node)
    elif output is not None:
        chosen = program.behind(program.output(output))
    if chosen is not None and all(_spectrum.kernel_of(n) is None for n in chosen):
        raise ValueError(
            f"{'output' if node is None else 'node'} must hold a convolution or an average with "
            f"constant weights, got {node or output!r}. Choose another."
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
    output: str | None = None,
    start: str | None = None,
) -> Tensor:
    """What layers in a row make of waves: the product of their matrices over channels.

    Non-linear operators count as the identity and biases as 0; a batch norm in inference scales.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input as for `receptive_field`; its values do not matter.
        frequencies: in radians per position of the chain's first input; a tensor for each axis
            that the layers slide along, one alone for all of them.
        node: the last node of the chain; by default an output of the model.
        output: the label of an output; by default the first.
        start: the node that the chain reads; by default as far back as each node reads one.

    Returns:
        Complex values of shape (*numbers of frequencies, output channels, input channels). A wave
        `exp(1j f n)` becomes this times `exp(1j f r o)` at output o, with r the chain's stride:
        behind a stride frequencies `2 * pi / r` apart look the same.

    Raises:
        KeyError: if there is no such node or output.
        ValueError: if no chain ends there, `start` is not on it, or frequencies do not fit.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> import torch
        >>> from math import pi
        >>> net = nn.Sequential(nn.AvgPool1d(2, 1), nn.AvgPool1d(2, 1), nn.AvgPool1d(2, 2))
        >>> chain_response(net, (1, 1, 32), torch.tensor([0.0, pi / 2])).abs().flatten()
        tensor([1.0000, 0.3536], dtype=torch.float64)
    """
    program = capture(model, x)
    end = chosen_node(program, node, output)
    first = None if start is None else program.find(start).name
    found = _chains.chain(program, end, first)
    count = len(found.kernels[0].stride)
    grids = _grids(frequencies)
    if isinstance(frequencies, Tensor):
        grids = grids * count
    if len(grids) != count:
        raise ValueError(
            f"frequencies must be one tensor per axis, got {len(grids)} for layers that slide "
            f"along {count}. Give a list of tensors."
        )
    return found.response(grids)


def _grids(frequencies: Frequencies) -> list[Tensor]:
    return [frequencies] if isinstance(frequencies, Tensor) else list(frequencies)


def _inside(program: Program, name: str) -> list[Node]:
    """The nodes of a module, or a node."""
    found = [n for n in program.nodes.values() if name in (*n.place.calls, n.name)]
    return found or [program.find(name)]

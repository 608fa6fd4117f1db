"""The distinct kernels of a model: where their taps lie, and which layers have them."""

from __future__ import annotations

from dataclasses import dataclass

from atrous.graph.program import Program
from atrous.graph.rule import Local

_Taps = tuple[tuple[int, int, int, int], ...]


@dataclass(frozen=True)
class KernelUse:
    """One arrangement of taps and the layers that have it.

    Attributes:
        kind: the operator, as "conv2d".
        kernel_size: taps along each axis.
        dilation: from one tap to the next, along each axis.
        stride: from one output to the next, along each axis.
        upsampling: what the input is spread by first, along each axis, zeros between: the stride
            of a transposed convolution.
        layers: labels of the layers, in order of computation.
    """

    kind: str
    kernel_size: tuple[int, ...]
    dilation: tuple[int, ...]
    stride: tuple[int, ...]
    upsampling: tuple[int, ...]
    layers: tuple[str, ...]


def kernels(program: Program) -> tuple[KernelUse, ...]:
    """The distinct sliding windows of a program, in the order in which they come first.

    A window is told by its taps, dilation and stride; padding does not make another of it.

    Example:
        >>> from torch import nn
        >>> from atrous.graph.capture import capture
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d) for d in (1, 2, 2)))
        >>> [(use.dilation, use.layers) for use in kernels(capture(net, (1, 1, 32)))]
        [((1,), ('0',)), ((2,), ('1', '2'))]
    """
    found: dict[tuple[str, _Taps], list[str]] = {}
    for node in program.nodes.values():
        taps = _taps(node.description) if isinstance(node.description, Local) else ()
        if taps:
            found.setdefault((node.kind, taps), []).append(node.label)
    return tuple(
        KernelUse(
            kind,
            tuple(size for size, _, _, _ in taps),
            tuple(dilation for _, dilation, _, _ in taps),
            tuple(stride for _, _, stride, _ in taps),
            tuple(upsampling for _, _, _, upsampling in taps),
            tuple(layers),
        )
        for (kind, taps), layers in found.items()
    )


def _taps(description: Local) -> _Taps:
    """Size, dilation, stride and upsampling per axis; () of what does not slide."""
    if description.windows:
        windows = (window for _, window in sorted(description.windows.items()))
        return tuple((w.kernel_size, w.dilation, w.stride, 1) for w in windows)
    kernel = description.kernel
    if kernel is None:
        return ()
    sizes = kernel.weights().shape[2:]
    return tuple(zip(sizes, kernel.dilation, kernel.stride, kernel.upsampling, strict=True))

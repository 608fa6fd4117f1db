"""A transposed convolution gives some outputs more inputs than their neighbours.

What it finds
    Convolutions that upsample, and whose outputs of different phases read different numbers of
    inputs away from every border: transposed convolutions whose kernel is not divisible by their
    stride. With kernel 3 and stride 2 even outputs read one input and odd ones two; in two
    dimensions 1, 2 or 4. With a kernel smaller than the stride some outputs read none and hold the
    bias alone.

Why it matters
    Where all weights are alike the output is a checkerboard, and a network has to learn weights
    that cancel it. The pattern returns in the gradient of the layer's input
    (Odena et al. 2016, "Deconvolution and Checkerboard Artifacts").

Example
    Kernel 3 at stride 2::

        nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1)

Use instead
    The next kernel that the stride divides, or resizing and a convolution::

        nn.ConvTranspose2d(8, 8, 4, stride=2, padding=1)
        nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(8, 8, 3, padding=1))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import gcd, prod
from typing import Any

from torch import nn

from atrous.graph.program import Node
from atrous.lint.facts.layers import has_weights, moving, quoted, short
from atrous.lint.facts.modules import constructor, convolution_of
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject

_Phases = tuple[tuple[int, ...], ...]


def _decoder(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 8, 3, stride=4, padding=1), *layers)


def _bad() -> Iterator[Case]:
    yield Case(
        _decoder(nn.ConvTranspose2d(8, 4, 3, stride=2, padding=1, output_padding=1)),
        (1, 3, 32, 32),
        path="1",
    )
    yield Case(_decoder(nn.ConvTranspose2d(8, 4, 2, stride=3)), (1, 3, 32, 32), path="1")
    yield Case(
        _decoder(nn.ConvTranspose2d(8, 4, 4, stride=2, dilation=2)), (1, 3, 32, 32), path="1"
    )
    yield Case(nn.Sequential(nn.ConvTranspose1d(2, 2, 5, stride=4)), (1, 2, 16), path="0")


def _good() -> Iterator[Case]:
    yield Case(_decoder(nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)), (1, 3, 32, 32))
    yield Case(_decoder(nn.ConvTranspose2d(8, 4, 2, stride=2)), (1, 3, 32, 32))
    yield Case(_decoder(nn.ConvTranspose2d(8, 4, 3, padding=1)), (1, 3, 32, 32))
    yield Case(_decoder(nn.Upsample(scale_factor=2), nn.Conv2d(8, 4, 3, padding=1)), (1, 3, 32, 32))
    yield Case(
        _decoder(nn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True)),
        (1, 3, 32, 32),
    )


@lint_rule(
    "ATR102",
    "checkerboard",
    severity="warning",
    bad=_bad,
    good=_good,
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find upsampling convolutions whose phases read different numbers of inputs."""
    alike: dict[tuple[_Phases, object], list[Node]] = {}
    for node in subject.program.nodes.values():
        if has_weights(node):
            phases = _phases(subject, node)
            if any(min(counts) < max(counts) for counts in phases):
                alike.setdefault((phases, _settings(subject, node)), []).append(node)
    for (phases, _), nodes in alike.items():
        yield _found(subject, nodes, phases)


def _phases(subject: Subject, node: Node) -> _Phases:
    """Along every axis that is upsampled, how many inputs the outputs of each phase read."""
    found = []
    for _, axes in moving(subject, node):
        for _, relation in axes.values():
            if 0 < relation.step < relation.period:
                found.append(tuple(sum(row.values()) for row in relation.taps.rows()))
    return tuple(found)


def _settings(subject: Subject, node: Node) -> object:
    module = convolution_of(subject, node)
    return None if module is None else (module.kernel_size, module.stride, module.dilation)


def _found(subject: Subject, nodes: list[Node], phases: _Phases) -> Found:
    fewest, most = prod(map(min, phases)), prod(map(max, phases))
    names = list(dict.fromkeys(node.label for node in nodes))
    others = f"; {quoted(names[1:])} likewise" if len(names) > 1 else ""
    module = convolution_of(subject, nodes[0])
    what = "its outputs"
    if module is not None:
        what = f"with kernel {short(module.kernel_size)} at stride {short(module.stride)}"
        if max(module.dilation) > 1:
            what += f" and dilation {short(module.dilation)}"
        what += " its outputs"
    empty = "; those that read none hold the bias alone" if fewest == 0 else ""
    return Found(
        f"{what} read from {fewest} to {most} inputs in turn, which shows as a checkerboard"
        f"{empty}{others}",
        nodes[0],
        _fix(subject, nodes[0], module),
        {"fewest": fewest, "most": most, "phases": list(map(len, phases)), "layers": names},
        also=tuple(nodes[1:]),
    )


def _fix(subject: Subject, node: Node, module: Any) -> str:
    if module is None:
        return ""
    axes = [_divisible(*own) for own in zip(
        module.kernel_size, module.stride, module.padding, module.output_padding, module.dilation,
        strict=True,
    )]  # fmt: skip
    kernel, padding, extra, dilation = zip(*axes, strict=True)
    code = constructor(
        subject, node,
        kernel_size=kernel, padding=padding, output_padding=extra, dilation=dilation,
    )  # fmt: skip
    n = len(kernel)
    factor = module.stride[0] if len(set(module.stride)) == 1 else module.stride
    return (
        f"{code}\n# or: nn.Sequential(nn.Upsample(scale_factor={factor}), "
        f"nn.Conv{n}d({module.in_channels}, {module.out_channels}, 3, padding=1))"
    )


def _divisible(
    kernel: int, stride: int, padding: int, extra: int, dilation: int
) -> tuple[int, int, int, int]:
    """Kernel, padding, output padding and dilation of the next even layer of the same size."""
    # The output is `(length - 1) * stride + added` long.
    added = (kernel - 1) * dilation + 1 - 2 * padding + extra
    if gcd(dilation, stride) > 1:
        # Taps at multiples of a divisor of the stride leave phases out whatever their number.
        kernel, dilation = (kernel - 1) * dilation + 1, 1
    while True:
        kernel = -(-kernel // stride) * stride
        over = (kernel - 1) * dilation + 1 - added
        padding = max(-(-over // 2), 0)
        extra = 2 * padding - over
        if extra < max(stride, dilation):
            return kernel, padding, extra, dilation
        kernel += 1

"""Layers in a row as one filter: their response, and the taps they have together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import gcd, prod

import numpy as np
import torch
from torch import Tensor

from atrous.analysis.spectrum.passband import Floats, Profile, summed_autocorrelation
from atrous.analysis.spectrum.spectrum import cut, kernel_of
from atrous.graph.kernel import Kernel
from atrous.graph.program import Node, Program
from atrous.graph.region import Region
from atrous.graph.rule import Movement, Operand, Pointwise, Read, call_overload

_PROBES = (-1e3, -1.0, 0.0, 1.0, 1e3)


@dataclass(frozen=True, eq=False)
class Step:
    """One node of a chain.

    Attributes:
        label: its module path, or its name.
        kernel: its weights, if it slides with some.
        shift: per axis, the input position of output 0, where it only moves positions.
        stride: per axis, where it only moves positions.
        scale: per channel, what it multiplies by, where it does no more.
        is_ignored: whether it is not linear, and taken as the identity.
    """

    label: str
    kernel: Kernel | None = None
    shift: tuple[int, ...] = ()
    stride: tuple[int, ...] = ()
    scale: Tensor | None = None
    is_ignored: bool = False


@dataclass(frozen=True, eq=False)
class Chain:
    """Layers that follow one another, each reading only the one before.

    Attributes:
        start: the node that it reads.
        end: its last node.
        steps: its nodes in order.
        broken_by: the node at which it could not go on; "" at an input, or where it was to begin.
    """

    start: Node
    end: Node
    steps: tuple[Step, ...]
    broken_by: str = ""

    @property
    def layers(self) -> tuple[str, ...]:
        """The labels of its layers with weights."""
        return tuple(step.label for step in self.steps if step.kernel is not None)

    @property
    def ignored(self) -> tuple[str, ...]:
        """The labels of non-linear nodes, taken as the identity."""
        return tuple(step.label for step in self.steps if step.is_ignored)

    @cached_property
    def kernels(self) -> tuple[Kernel, ...]:
        """The kernels of its layers."""
        return tuple(step.kernel for step in self.steps if step.kernel is not None)

    @property
    def first(self) -> int:
        """The first axis it slides along."""
        return self.kernels[0].first

    def response(self, frequencies: Sequence[Tensor]) -> Tensor:
        """What it makes of waves: the product of its layers' matrices over channels.

        With `r` the positions of the start per position of the end, a wave `exp(1j * w * n)` in
        input channel `i` becomes `response[..., c, i] * exp(1j * w * r * o)` at output `o` of
        channel `c`, away from the borders and but for biases. Behind a stride several waves look
        the same: `w` arrives as `w * r`, told modulo 2 pi. A transposed convolution makes images
        of a wave; the one told is at the wave's own frequency.

        Args:
            frequencies: per axis, frequencies in radians per position of the start.

        Returns:
            Complex values of shape (*numbers of frequencies, output channels, input channels).
        """
        count = prod(len(at) for at in frequencies)
        rates = [Fraction(1)] * len(frequencies)
        grid = torch.meshgrid(*[at.detach().cpu().double() for at in frequencies], indexing="ij")
        points = torch.stack([at.reshape(-1) for at in grid])
        channels = self.start.shape[self.first - 1]
        out = torch.eye(channels, dtype=torch.complex128).expand(count, -1, -1)
        for step in self.steps:
            at = points * torch.tensor([[float(rate)] for rate in rates], dtype=torch.float64)
            if step.kernel is not None:
                out = _applied(step.kernel, at, out)
                moves = zip(step.kernel.stride, step.kernel.upsampling, strict=True)
                rates = [rate * s / u for rate, (s, u) in zip(rates, moves, strict=True)]
            elif step.scale is not None:
                out = out * step.scale[:, None]
            elif step.shift:
                phase = (torch.tensor(step.shift, dtype=torch.float64)[:, None] * at).sum(0)
                out = out * torch.exp(1j * phase)[:, None, None]
                rates = [rate * s for rate, s in zip(rates, step.stride, strict=True)]
        return out.reshape(*(len(at) for at in frequencies), *out.shape[1:])

    def rates(self) -> tuple[Fraction, ...]:
        """Per axis, positions of the start per position of the end."""
        rates = [Fraction(1)] * len(self.kernels[0].stride)
        for step in self.steps:
            if step.kernel is not None:
                moves = zip(step.kernel.stride, step.kernel.upsampling, strict=True)
                rates = [rate * s / u for rate, (s, u) in zip(rates, moves, strict=True)]
            elif step.shift:
                rates = [rate * s for rate, s in zip(rates, step.stride, strict=True)]
        return tuple(rates)

    def taps(self, axis: int) -> dict[int, Floats]:
        """What a wave along one axis of taps meets: per position of the start, a matrix (outputs,
        inputs).

        Raises:
            NotImplementedError: if a layer spreads its input: then outputs differ in phase.
        """
        found: dict[int, Floats] | None = None
        rate = 1
        for step in self.steps:
            if step.kernel is not None:
                if step.kernel.upsampling[axis] > 1:
                    raise NotImplementedError(f"{step.label!r} spreads its input")
                found = _composed(found, step.kernel, axis, rate)
                rate *= step.kernel.stride[axis]
            elif step.scale is not None:
                scale = step.scale.numpy()
                # Before the first layer the channels are those of the start.
                before = found if found is not None else {0: np.eye(len(scale))}
                found = {at: scale[:, None] * matrix for at, matrix in before.items()}
            elif step.shift:
                rate *= step.stride[axis]
        return found or {}

    def profile(self, axis: int) -> tuple[Profile, int]:
        """The power along one axis of taps, and the distance of the taps it is told for.

        Raises:
            NotImplementedError: as `taps`.
        """
        found = self.taps(axis)
        low = min(found)
        unit = gcd(*(at - low for at in found)) or 1
        dense = np.zeros((*found[low].shape, (max(found) - low) // unit + 1))
        for at, matrix in found.items():
            dense[..., (at - low) // unit] = matrix
        outputs = dense.shape[0]
        scale = float((dense * dense).sum()) / outputs
        return Profile(summed_autocorrelation(dense) / outputs, scale), unit


def chain(
    program: Program, end: Node, start: str | None = None, *, until_fork: bool = False
) -> Chain:
    """The longest chain that ends at a node.

    Args:
        program: the captured model.
        end: its last node.
        start: the node that it shall read; by default as far back as it goes.
        until_fork: end it at the first node that several others read.

    Raises:
        ValueError: if `start` is not reached, or no layer with weights lies on the way.
    """
    readers: dict[str, int] = {}
    for node in program.nodes.values():
        for name in {operand.name for operand in node.operands}:
            readers[name] = readers.get(name, 0) + 1
    nodes: list[Node] = []
    at, broken = end, ""
    form = _form(program, end)
    while (
        form is not None
        and at.name != start
        and not (until_fork and at is not end and readers[at.name] > 1)
    ):
        if not _passes(at, form):
            broken = at.label if at.call is not None else ""
            break
        nodes.append(at)
        at = program.nodes[at.operands[0].name]
    if start is not None and at.name != start:
        raise ValueError(
            f"start must lie on a chain of single layers before {end.label!r}, got {start!r}: the "
            f"chain ends at {broken or at.label!r}. Choose one behind it."
        )
    if form is None or all(kernel_of(node) is None for node in nodes):
        raise ValueError(
            f"node must end a chain with a convolution or an average, got {end.label!r}"
            + (f": {broken!r} cannot be passed." if broken else ".")
            + " Choose a node behind one."
        )
    steps = tuple(_step(program, node, form) for node in reversed(nodes))
    return Chain(at, end, steps, broken)


def _form(program: Program, end: Node) -> tuple[int, int] | None:
    """What the last kernel before a node slides along: the first axis, and how many."""
    at = end
    while len(at.operands) == 1:
        kernel = kernel_of(at)
        if kernel is not None:
            return kernel.first, len(kernel.stride)
        at = program.nodes[at.operands[0].name]
    return None


def _passes(node: Node, form: tuple[int, int]) -> bool:
    """Whether a chain whose kernels slide along `form` can go through a node."""
    first, count = form
    kernel = kernel_of(node)
    if kernel is not None:
        return (kernel.first, len(kernel.stride)) == form
    if len(node.operands) != 1:
        return False
    moves = [_moves(read) for read in node.reads]
    if isinstance(node.description, Pointwise):
        return all(m is not None and not any(m[0]) and set(m[1]) <= {1} for m in moves)
    if not isinstance(node.description, Movement) or len(moves) != 1 or moves[0] is None:
        return False
    # Batch and channels must stay in place.
    others = [axis for axis in range(len(node.shape)) if not first <= axis < first + count]
    reads = node.reads[0].links
    return all(
        link is not None and link.relation.is_identity for link in (reads[a] for a in others)
    )


def _step(program: Program, node: Node, form: tuple[int, int]) -> Step:
    """What a node adds to a chain whose kernels slide along `form`: first axis and number."""
    first, count = form
    kernel = kernel_of(node)
    if kernel is not None:
        return Step(node.label, kernel=kernel)
    if isinstance(node.description, Pointwise):
        scale = _scale(program, node, first - 1)
        return Step(node.label, scale=scale, is_ignored=scale is None)
    moves = _moves(node.reads[0])
    assert moves is not None
    shift, stride = (along[first : first + count] for along in moves)
    return Step(node.label, shift=shift, stride=stride)


def _moves(read: Read) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Per axis the input of output 0 and the step from there, if each output reads one input."""
    if read.split is not None or read.merge is not None or read.segment is not None:
        return None
    if len(read.links) != len(read.operand.shape):
        return None
    shifts, steps = [], []
    for axis, link in enumerate(read.links):
        if link is None or link.axis != axis or link.status != "exact":
            return None
        relation = link.relation
        if relation.period != 1 or relation.taps.counts.tolist() != [1] or relation.step < 1:
            return None
        shifts.append(int(relation.taps.offsets[0]))
        steps.append(relation.step)
    return tuple(shifts), tuple(steps)


def _scale(program: Program, node: Node, channel: int) -> Tensor | None:
    """What a pointwise node multiplies each channel by; None if it is not linear."""
    assert node.call is not None
    data = node.operands[0]
    if not data.dtype.is_floating_point:
        return None
    # Positions need not be told apart where no constant is as large as to do so.
    constants = [o for o in node.call.operands if o.is_constant]
    few = all(prod(o.shape) <= data.shape[channel] for o in constants)
    shape = tuple(1 if few and axis != channel else n for axis, n in enumerate(data.shape))

    def value(fill: float) -> Tensor:
        def argument(item: object) -> object:
            if isinstance(item, Operand):
                tensor = (
                    _widened(program.constant(item.name))
                    if item.is_constant
                    else torch.full((), fill, dtype=torch.float64).expand(shape)
                )
                return Region.whole(tensor)
            return [argument(i) for i in item] if isinstance(item, list | tuple) else item

        assert node.call is not None
        arguments = {key: argument(item) for key, item in node.call.args.items()}
        result = call_overload(node.call.target, arguments)
        out: Tensor = result if isinstance(result, Tensor) else result[node.call.output]
        return out.double()

    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        found = [value(fill) for fill in _PROBES]
    pairs = zip(_PROBES[:-1], _PROBES[1:], found[:-1], found[1:], strict=True)
    slopes = torch.stack([(b - a) / (y - x) for x, y, a, b in pairs])
    rows = slopes.transpose(0, channel + 1).reshape(slopes.shape[channel + 1], -1)
    if rows.numel() == 0 or not torch.isfinite(rows).all():
        return None
    low, high = rows.amin(1), rows.amax(1)
    if ((high - low) > 1e-6 * (high.abs() + low.abs()) + 1e-12).any():
        return None
    return (high + low) / 2


def _widened(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.dtype.is_floating_point else tensor


def _applied(kernel: Kernel, at: Tensor, out: Tensor) -> Tensor:
    """The matrices of a kernel at frequencies `at` (axes, points) times those before."""
    weights = kernel.weights().detach().cpu().to(torch.complex128)
    outputs, size, *taps = weights.shape
    phases = torch.zeros(at.shape[1], *taps, dtype=torch.float64)
    for k, count in enumerate(taps):
        own = torch.arange(count, dtype=torch.float64) * kernel.dilation[k] - kernel.left[k]
        shape = [-1, *(count if j == k else 1 for j in range(len(taps)))]
        phases = phases + (at[k][:, None] / kernel.upsampling[k] * own).reshape(shape)
    waves = torch.exp(1j * phases).flatten(1) / prod(kernel.upsampling)
    groups = kernel.groups
    parts = out.reshape(out.shape[0], groups, size, out.shape[2])
    own_weights = weights.reshape(groups, outputs // groups, size, -1)
    matrices = torch.einsum("gcit,pt->pgci", own_weights, waves)
    return (matrices @ parts).reshape(out.shape[0], outputs, out.shape[2])


def _composed(
    before: dict[int, Floats] | None, kernel: Kernel, axis: int, rate: int
) -> dict[int, Floats]:
    """The taps of a kernel behind others, positions in those of the start."""
    weights = cut(kernel.weights().detach().cpu().double().numpy(), axis)
    outputs, size, count = weights.shape
    groups = kernel.groups
    found: dict[int, Floats] = {}
    for tap in range(count):
        apart = weights[..., tap].reshape(groups, outputs // groups, size)
        position = (tap * kernel.dilation[axis] - kernel.left[axis]) * rate
        if before is None:
            found[position] = block_diagonal(apart)
            continue
        for at, matrix in before.items():
            product = (apart @ matrix.reshape(groups, size, -1)).reshape(outputs, -1)
            found[at + position] = found.get(at + position, 0.0) + product
    return found


def block_diagonal(blocks: Floats) -> Floats:
    """Matrices (groups, outputs, inputs) as one that keeps the groups apart."""
    groups, outputs, inputs = blocks.shape
    whole = np.zeros((groups, outputs, groups, inputs))
    at = np.arange(groups)
    whole[at, :, at] = blocks
    return whole.reshape(groups * outputs, groups * inputs)

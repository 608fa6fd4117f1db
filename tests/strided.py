"""Random networks with strides, made of modules as people make them, for `densify`.

Every network returns maps, or a vector after pooling; `strides` says how far apart the positions
of each map lie on the input, by the settings drawn, not by what is under test.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.convert.densities import DensifyError

CONVOLUTION: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Any] = {
    1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d
}  # fmt: skip
MAX_POOL: dict[int, Any] = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
AVG_POOL: dict[int, Any] = {1: nn.AvgPool1d, 2: nn.AvgPool2d, 3: nn.AvgPool3d}
LP_POOL: dict[int, Any] = {1: nn.LPPool1d, 2: nn.LPPool2d, 3: nn.LPPool3d}
BATCH_NORM: dict[int, Any] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
INSTANCE_NORM: dict[int, Any] = {
    1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d
}  # fmt: skip
ADAPTIVE: dict[int, Any] = {
    1: nn.AdaptiveAvgPool1d, 2: nn.AdaptiveAvgPool2d, 3: nn.AdaptiveAvgPool3d
}  # fmt: skip
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}

Steps = tuple[int, ...]

FEATURES = (
    "axes of different stride",
    "blur",
    "ceil_mode",
    "even kernel",
    "fold",
    "gate",
    "group norm",
    "groups",
    "instance norm",
    "joined",
    "padding circular",
    "padding reflect",
    "pooled shortcut",
    "residual",
    "several outputs",
    "stride > kernel",
    "tight",
    "twice",
)
"""What some networks of a few dozen must have, each."""


class Blur(nn.Module):
    """A fixed filter before a stride, by plain calls: reflected borders, one filter per channel."""

    def __init__(self, channels: int, stride: Steps, mode: str) -> None:
        super().__init__()
        axes = len(stride)
        self.stride, self.mode, self.channels = stride, mode, channels
        filt = torch.tensor([1.0, 2.0, 1.0]) / 4
        weight = filt
        for _ in range(axes - 1):
            weight = weight[..., None] * filt
        self.register_buffer("weight", weight.expand(channels, 1, *weight.shape).clone())

    def forward(self, x: Tensor) -> Tensor:
        axes = len(self.stride)
        call = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[axes]
        padded = F.pad(x, (1, 1) * axes, mode=self.mode)
        return call(padded, self.weight, stride=self.stride, groups=self.channels)


class TightConv(nn.Module):
    """A convolution padded as little as gives `ceil(length / stride)` results, by the length."""

    def __init__(self, before: int, after: int, kernel: Steps, stride: Steps) -> None:
        super().__init__()
        self.conv = CONVOLUTION[len(kernel)](before, after, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        room: list[int] = []
        for length, kernel, stride in zip(
            reversed(x.shape[2:]), reversed(self.conv.kernel_size), reversed(self.conv.stride),
            strict=True,
        ):  # fmt: skip
            lacking = max((ceil(length / stride) - 1) * stride + kernel - length, 0)
            room += [lacking // 2, lacking - lacking // 2]
        return self.conv(F.pad(x, room))


class Pooled(nn.Module):
    """A pool as a plain call in a module."""

    def __init__(self, kind: str, kernel: Steps, stride: Steps) -> None:
        super().__init__()
        self.kind, self.kernel, self.stride = kind, kernel, stride

    def forward(self, x: Tensor) -> Tensor:
        axes = len(self.kernel)
        call = {
            "max": {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d},
            "avg": {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d},
        }[self.kind][axes]
        return call(x, self.kernel, self.stride)


class Sliced(nn.Module):
    """Every s-th position, from two beginnings, side by side along the channels."""

    def __init__(self, stride: Steps) -> None:
        super().__init__()
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        first = x[(..., *(slice(None, None, s) for s in self.stride))]
        return torch.cat([first, torch.relu(first)], dim=1)


class Fold(nn.Module):
    """Positions into channels, by views."""

    def __init__(self, axes: int) -> None:
        super().__init__()
        self.axes = axes

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < 3:
            # One block alone: a view cannot tell where the positions went.
            raise ValueError("too small")
        # Lengths that are no multiples are filled up.
        x = F.pad(x, [n for k in range(1, self.axes + 1) for n in (0, x.shape[-k] % 2)])
        shape = [*x.shape[:2]]
        order, tail = [0, 1], []
        for k, length in enumerate(x.shape[2:]):
            shape += [length // 2, 2]
            order.append(2 + 2 * k)
            tail.append(3 + 2 * k)
        parts = x.reshape(shape).permute(0, *tail, *order[1:])
        return parts.reshape(x.shape[0], -1, *(length // 2 for length in x.shape[2:]))


class Residual(nn.Module):
    """Two ways added, cut to the shorter."""

    def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.main, self.shortcut = main, shortcut

    def forward(self, x: Tensor) -> Tensor:
        first, second = together(self.main(x), self.shortcut(x))
        return torch.relu(first + second)


class Joined(nn.Module):
    """Several ways side by side along the channels."""

    def __init__(self, ways: list[nn.Module]) -> None:
        super().__init__()
        self.ways = nn.ModuleList(ways)

    def forward(self, x: Tensor) -> Tensor:
        found = [way(x) for way in self.ways]
        return torch.cat(together(*found), dim=1)


def together(*values: Tensor) -> tuple[Tensor, ...]:
    """Values cut to their shortest lengths; as they are if all are alike."""
    if all(value.shape[2:] == values[0].shape[2:] for value in values):
        return values
    lengths = [min(along) for along in zip(*(value.shape[2:] for value in values), strict=True)]
    index = (..., *(slice(0, length) for length in lengths))
    return tuple(value[index] for value in values)


class Gate(nn.Module):
    """Squeeze and excite, by a module or by a mean."""

    def __init__(self, channels: int, axes: int, plain: bool) -> None:
        super().__init__()
        self.pool = None if plain else ADAPTIVE[axes](1)
        self.fc = CONVOLUTION[axes](channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        axes = tuple(range(2, x.dim()))
        mean = x.mean(axes, keepdim=True) if self.pool is None else self.pool(x)
        return x * torch.sigmoid(self.fc(mean))


class ChannelsLast(nn.Module):
    """A layer norm over the channels of each position."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x.movedim(1, -1)).movedim(-1, 1)


class Twice(nn.Module):
    """One module, called two times."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(torch.tanh(self.inner(x)))


class Head(nn.Module):
    """A classifier on the mean of all positions."""

    def __init__(self, channels: int, axes: int) -> None:
        super().__init__()
        self.pool = ADAPTIVE[axes](1)
        self.flat = nn.Flatten()
        self.fc = nn.Linear(channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc(self.flat(self.pool(x)))


class Strided(nn.Module):
    """Blocks in a row, of which some results are outputs.

    Attributes:
        strides: of each output, input positions per position along every axis; None for a vector.
        all_strides: those of every block's result.
        features: what was drawn.
    """

    def __init__(self, channels: int, axes: int) -> None:
        super().__init__()
        self.blocks = nn.ModuleList()
        self.channels, self.axes = channels, axes
        self.taken: list[int] = []
        self.strides: list[tuple[Fraction, ...] | None] = []
        self.all_strides: list[tuple[Fraction, ...]] = []
        self.features: Counter[str] = Counter()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        found = []
        for number, block in enumerate(self.blocks):
            made = block(x)
            if made.dim() > 2 and made.shape[2:].numel() == 1:
                # Normalised, nothing is left of it; pooled, nothing happens to it.
                raise ValueError("a single position")
            if number in self.taken:
                found.append(made)
            x = made
        return tuple(found)


class _Drawing:
    """Draws blocks and remembers how many channels, and how far apart positions, there are."""

    def __init__(self, rng: random.Random, axes: int, channels: int) -> None:
        self.rng, self.axes, self.channels = rng, axes, channels
        self.features: Counter[str] = Counter()
        self.stride = (Fraction(1),) * axes

    def per_axis(self, *values: int) -> Steps:
        """One value for all axes, or each its own."""
        if self.rng.random() < 0.5:
            return (self.rng.choice(values),) * self.axes
        return tuple(self.rng.choice(values) for _ in range(self.axes))

    def some_stride(self) -> Steps:
        """Mostly 2 along all axes, with a limit on how small maps become."""
        if max(self.stride) >= 16:
            return (1,) * self.axes
        high = 4 if max(self.stride) < 4 else 2
        if self.rng.random() < 0.5:
            return (2,) * self.axes
        made = self.per_axis(*range(1, high + 1))
        if len(set(made)) > 1:
            self.features["axes of different stride"] += 1
        return made

    def block(self, kind: str = "") -> nn.Module:
        """A block of a kind, or of any; strides are counted."""
        kind = kind or self.rng.choice(
            ["conv"] * 5 + ["max", "avg", "lp", "blur", "tight", "call", "slice", "fold"]
            + ["residual"] * 4 + ["joined"] * 3
            + ["gate", "norm", "norm", "act", "twice", "up", "transposed"]
        )  # fmt: skip
        self.features[kind] += 1
        return getattr(self, f"_{kind}")()

    def conv(self, stride: Steps, *, after: int | None = None, plain: bool = False) -> nn.Module:
        """A convolution; `plain` ones have odd kernels that keep the length."""
        before = self.channels
        groups = self.rng.choice([1, 1, before])
        out = after or self.rng.choice([groups, 2 * groups] if groups > 1 else [1, 2, 3, 4])
        if out % groups:
            groups = 1
        kernel = self.per_axis(1, 3, 5) if plain else self.per_axis(1, 2, 3, 4, 5)
        dilation = self.per_axis(1, 1, 1, 2)
        padding: Any = tuple(d * (k - 1) // 2 for k, d in zip(kernel, dilation, strict=True))
        choice = "centred" if plain else self.rng.choice(["centred", "centred", "any", "name"])
        mode = self.rng.choice(["zeros"] * 3 + ["reflect", "replicate", "circular"])
        if choice == "any" and mode == "zeros":
            padding = tuple(self.rng.randint(0, k + 1) for k in kernel)
        elif choice == "name":
            padding = "same" if set(stride) == {1} else "valid"
            if padding == "valid":
                mode = "zeros"
        self._note(kernel, stride)
        self.features[f"padding {mode}"] += 1
        self.features["groups"] += groups > 1
        self.features["padding by name"] += isinstance(padding, str)
        self.channels = out
        return CONVOLUTION[self.axes](
            before, out, kernel, stride, padding, dilation, groups,
            bias=self.rng.random() < 0.7, padding_mode=mode,
        )  # fmt: skip

    def _note(self, kernel: Steps, stride: Steps) -> None:
        self.features["even kernel"] += any(k % 2 == 0 for k in kernel)
        self.features["stride > kernel"] += any(s > k for k, s in zip(kernel, stride, strict=True))

    def _stepped(self, stride: Steps) -> None:
        self.stride = tuple(a * b for a, b in zip(self.stride, stride, strict=True))

    def _conv(self) -> nn.Module:
        stride = self.some_stride()
        self._stepped(stride)
        return self.conv(stride)

    def _pool_settings(self) -> tuple[Steps, Steps, Steps, bool]:
        kernel, stride = self.per_axis(2, 3, 3, 4), self.some_stride()
        padding = tuple(self.rng.randint(0, k // 2) for k in kernel)
        whole = self.rng.random() < 0.5
        self.features["ceil_mode"] += whole
        self._note(kernel, stride)
        self._stepped(stride)
        return kernel, stride, padding, whole

    def _max(self) -> nn.Module:
        kernel, stride, padding, whole = self._pool_settings()
        dilation = self.per_axis(1, 1, 2)
        return MAX_POOL[self.axes](kernel, stride, padding, dilation, ceil_mode=whole)

    def _avg(self) -> nn.Module:
        kernel, stride, padding, whole = self._pool_settings()
        include = self.rng.random() < 0.5
        self.features["count_include_pad"] += include
        return AVG_POOL[self.axes](kernel, stride, padding, whole, include)

    def _lp(self) -> nn.Module:
        kernel, stride, _, whole = self._pool_settings()
        if self.axes == 1:
            return nn.LPPool1d(2, kernel[0], stride[0], whole)
        return LP_POOL[self.axes](2, kernel, stride, whole)

    def _blur(self) -> nn.Module:
        stride = self.some_stride()
        self._stepped(stride)
        return Blur(self.channels, stride, self.rng.choice(["reflect", "replicate", "constant"]))

    def _tight(self) -> nn.Module:
        before, stride = self.channels, self.some_stride()
        self.channels = self.rng.randint(1, 4)
        self._stepped(stride)
        return TightConv(before, self.channels, self.per_axis(2, 3, 4), stride)

    def _call(self) -> nn.Module:
        kernel, stride = self.per_axis(2, 3), self.some_stride()
        self._stepped(stride)
        return Pooled(self.rng.choice(["max", "avg"]), kernel, stride)

    def _slice(self) -> nn.Module:
        stride = self.some_stride()
        self._stepped(stride)
        self.channels *= 2
        return Sliced(stride)

    def _fold(self) -> nn.Module:
        if max(self.stride) >= 8 or self.channels > 4:
            return self._act()
        self._stepped((2,) * self.axes)
        self.channels *= 2**self.axes
        if self.axes == 2 and self.rng.random() < 0.5:
            return nn.Sequential(nn.ReflectionPad2d(0), Even(), nn.PixelUnshuffle(2))
        return Fold(self.axes)

    def _residual(self) -> nn.Module:
        before, stride = self.channels, self.some_stride()
        after = self.rng.randint(2, 4)
        parts = [self.conv(stride, after=after, plain=True), self.norm(), nn.ReLU(),
                 self.conv((1,) * self.axes, after=after, plain=True)]  # fmt: skip
        self.channels = before
        if self.rng.random() < 0.5:
            shortcut: nn.Module = CONVOLUTION[self.axes](before, after, 1, stride)
        else:
            include = self.rng.random() < 0.5
            pool = AVG_POOL[self.axes](stride, stride, 0, True, include)
            shortcut = nn.Sequential(pool, CONVOLUTION[self.axes](before, after, 1))
            self.features["pooled shortcut"] += 1
        self.channels = after
        self._stepped(stride)
        return Residual(nn.Sequential(*parts), shortcut)

    def _joined(self) -> nn.Module:
        before, stride = self.channels, self.some_stride()
        ways: list[nn.Module] = []
        total = 0
        for _ in range(self.rng.randint(2, 3)):
            self.channels = before
            if self.rng.random() < 0.4:
                kind = self.rng.choice([MAX_POOL, AVG_POOL])[self.axes]
                ways.append(kind(3, stride, 1, ceil_mode=self.rng.random() < 0.3))
            else:
                ways.append(self.conv(stride, plain=self.rng.random() < 0.7))
            total += self.channels
        self.channels = total
        self._stepped(stride)
        return Joined(ways)

    def _gate(self) -> nn.Module:
        return Gate(self.channels, self.axes, self.rng.random() < 0.5)

    def norm(self) -> nn.Module:
        """Any normalisation."""
        kind = self.rng.choice(["batch", "batch", "group", "instance", "layer"])
        self.features[f"{kind} norm"] += 1
        if kind == "batch":
            return BATCH_NORM[self.axes](self.channels)
        if kind == "group":
            return nn.GroupNorm(1 if self.channels % 2 else 2, self.channels)
        if kind == "instance":
            return INSTANCE_NORM[self.axes](self.channels, affine=True)
        return ChannelsLast(self.channels) if self.channels > 1 else BATCH_NORM[self.axes](1)

    def _norm(self) -> nn.Module:
        return self.norm()

    def _act(self) -> nn.Module:
        return self.rng.choice([nn.ReLU(), nn.GELU(), nn.Hardswish(), nn.Sigmoid()])

    def _twice(self) -> nn.Module:
        return Twice(self.conv((1,) * self.axes, after=self.channels, plain=True))

    def _up(self) -> nn.Module:
        self._stepped_up(2)
        mode = self.rng.choice(["nearest", LINEAR[self.axes]])
        corners = None if mode == "nearest" else self.rng.random() < 0.3
        return nn.Upsample(scale_factor=2, mode=mode, align_corners=corners)

    def _transposed(self) -> nn.Module:
        before = self.channels
        self.channels = self.rng.randint(1, 4)
        self._stepped_up(2)
        return TRANSPOSED[self.axes](
            before, self.channels, self.rng.choice([2, 3, 4]), 2, self.rng.randint(0, 1)
        )

    def _stepped_up(self, factor: int) -> None:
        self.stride = tuple(s / factor for s in self.stride)


class Even(nn.Module):
    """Lengths filled up to even ones."""

    def forward(self, x: Tensor) -> Tensor:
        if min(x.shape[2:]) < 3:
            # One block alone, as in `Fold`.
            raise ValueError("too small")
        room = [n for k in range(1, x.dim() - 1) for n in (0, x.shape[-k] % 2)]
        return F.pad(x, room)


def draw_strided(rng: random.Random) -> Strided:
    """A network of two to seven blocks in one to three dimensions, in double precision."""
    axes = rng.choice([1, 1, 2, 2, 2, 3])
    channels = rng.randint(1, 3)
    network = Strided(channels, axes)
    drawing = _Drawing(rng, axes, channels)
    for _ in range(rng.randint(2, {1: 7, 2: 6, 3: 4}[axes])):
        network.blocks.append(drawing.block())
        network.all_strides.append(drawing.stride)
    if not any(isinstance(m, tuple(CONVOLUTION.values())) for m in network.modules()):
        # Without a window nothing tells which axes hold positions.
        network.blocks.append(drawing.block("conv"))
        network.all_strides.append(drawing.stride)
    last = len(network.blocks) - 1
    network.taken = sorted({last, *(rng.randint(0, last) for _ in range(rng.choice([0, 0, 1, 2])))})
    network.strides = [network.all_strides[number] for number in network.taken]
    if rng.random() < 0.15:
        network.blocks.append(Head(drawing.channels, axes))
        network.all_strides.append(drawing.stride)
        network.taken.append(last + 1)
        network.strides.append(None)
        drawing.features["head"] += 1
    drawing.features["several outputs"] += len(network.taken) > 1
    network.features = drawing.features
    seeded(network, rng.randint(0, 2**31 - 1))
    return network.double().eval()


def seeded(network: nn.Module, seed: int) -> None:
    """Weights of both signs, none zero; statistics that are no identity."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(noise.abs() + 0.5 if name.endswith("running_var") else noise)


@dataclass(frozen=True)
class Outcome:
    """What became of a network.

    Attributes:
        kind: "equal", "refused", "nothing to do", or "void" if it does not run at its size.
        reason: why it was refused.
        how: in which ways modules were changed.
    """

    kind: str
    reason: str = ""
    how: tuple[str, ...] = ()


def assert_strided(
    network: Strided, rng: random.Random, *, change: Callable[[nn.Module], nn.Module] | None = None
) -> Outcome:
    """That a network made dense gives the values of the network, where it was captured and at
    another size; the certificate is not asked.

    Args:
        network: the network.
        rng: draws the output stride, the sizes and the inputs.
        change: what is compared instead of the dense model, to see the comparison fail.
    """
    wanted = wanted_strides(rng, network)
    if wanted is None:
        return Outcome("nothing to do")
    batch, sizes = rng.randint(1, 2), [draw_lengths(rng, network.axes) for _ in range(2)]
    generator = torch.Generator().manual_seed(rng.randint(0, 2**31 - 1))
    inputs = [
        torch.randn(batch, network.channels, *size, generator=generator, dtype=torch.float64)
        for size in sizes
    ]
    first, second = (results(network, x) for x in inputs)
    if first is None:
        return Outcome("void")
    try:
        made = atrous.densify(network, inputs[0], wanted, sizes=sizes[0])
    except DensifyError as error:
        return Outcome("refused", str(error))
    dense: Any = made if change is None else change(made)
    for x, coarse in zip(inputs, (first, second), strict=True):
        if coarse is None:
            continue
        with torch.no_grad():
            found = dense(x)
        for label, (own, one, other) in enumerate(zip(network.strides, coarse, found, strict=True)):
            grid = other
            for k, (stride, least) in enumerate(zip(own or (), wanted, strict=bool(own))):
                density = max(1, int(stride / least))
                grid = grid[(slice(None),) * (2 + k) + (slice(None, None, density),)]
            told = f"output {label} at {tuple(x.shape)}, output stride {wanted}"
            assert grid.shape == one.shape, f"{told}: {tuple(grid.shape)} for {tuple(one.shape)}"
            error = float((grid - one).abs().max() / (one.abs().max() or 1.0))
            assert error < 1e-9, f"{told}: differs by {error:.1e}"
    return Outcome("equal", how=tuple(sorted({change.how for change in made.certificate.changes})))


def results(network: nn.Module, x: Tensor) -> tuple[Tensor, ...] | None:
    """The outputs; None if the network does not run at this size, or not to finite numbers."""
    try:
        with torch.no_grad():
            found: tuple[Tensor, ...] = network(x)
    except (RuntimeError, ValueError):
        return None
    fine = all(value.numel() and bool(value.isfinite().all()) for value in found)
    return found if fine else None


def draw_lengths(rng: random.Random, axes: int) -> tuple[int, ...]:
    """Odd, even and small lengths."""
    low, high = {1: (9, 90), 2: (9, 40), 3: (6, 14)}[axes]
    return tuple(rng.randint(low, high) for _ in range(axes))


def wanted_strides(rng: random.Random, network: Strided) -> tuple[int, ...] | None:
    """An output stride that fits all strides; None where no axis gets denser."""
    found = []
    for axis in range(network.axes):
        along = [own[axis] for own in network.all_strides]
        fits = [
            s for s in range(1, 17)
            if all((own / s).denominator == 1 or (s / own).denominator == 1 for own in along)
            and any(own > s for own in along)
        ]  # fmt: skip
        found.append(rng.choice(fits) if fits else max(1, ceil(max(along))))
    outputs = [own for own in network.strides if own is not None]
    if not any(own[k] > s for own in outputs for k, s in enumerate(found)):
        return None
    return tuple(found)

"""Random networks for the tests: positive weights and monotone operators, so that a bump at an
input shows at every output that depends on it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import prod
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rearrangements import REARRANGEMENTS

CONVOLUTION = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
AVG_POOL = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
LINEAR = {1: "linear", 2: "bilinear", 3: "trilinear"}

FEATURES = (
    "branch",
    "stride > 1",
    "transposed",
    "resize to size",
    "even kernel",
    "ceil_mode",
    "padding > kernel",
)
"""What at least a fifth of the networks must have, each."""


class Chooser(Protocol):
    """Where random decisions come from: `random.Random`, or hypothesis."""

    def randint(self, low: int, high: int) -> int: ...
    def choice(self, values: Any) -> Any: ...


@dataclass(frozen=True)
class Step:
    """One operation: the results it reads by number (0 is the input) and its settings."""

    kind: str
    reads: tuple[int, ...]
    settings: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        text = ", ".join(f"{k}={v}" for k, v in self.settings.items() if not isinstance(v, Tensor))
        return f"{self.kind}{self.reads}({text})"


class RandomNetwork(nn.Module):
    """A network of steps; the last result is the output."""

    def __init__(self, shape: tuple[int, ...], steps: list[Step]) -> None:
        super().__init__()
        self.shape = shape
        self.steps = steps
        self.features: Counter[str] = Counter()
        for number, step in enumerate(steps):
            for key, value in step.settings.items():
                if isinstance(value, Tensor):
                    self.register_buffer(f"{key}_{number}", value)

    def forward(self, x: Tensor) -> Tensor:
        results = [x]
        for number, step in enumerate(self.steps):
            settings = {
                key: getattr(self, f"{key}_{number}") if isinstance(value, Tensor) else value
                for key, value in step.settings.items()
            }
            results.append(apply(step.kind, [results[r] for r in step.reads], settings))
        return results[-1]

    def __repr__(self) -> str:
        lines = "\n".join(f"  {n + 1}: {step}" for n, step in enumerate(self.steps))
        return f"RandomNetwork {self.shape}\n{lines}"


def apply(kind: str, values: list[Tensor], s: dict[str, Any]) -> Tensor:
    """One operation on tensors."""
    x = values[0]
    axes = x.dim() - 2
    if kind == "conv":
        return CONVOLUTION[axes](
            x, s["w"], s["b"], s["stride"], s["padding"], s["dilation"], s["groups"]
        )
    if kind == "transposed":
        return TRANSPOSED[axes](
            x, s["w"], s["b"], s["stride"], s["padding"], s["extra"], 1, s["dilation"]
        )
    if kind == "max":
        return MAX_POOL[axes](
            x, s["kernel"], s["stride"], s["padding"], s["dilation"], s["ceil_mode"]
        )
    if kind == "avg":
        return AVG_POOL[axes](
            x, s["kernel"], s["stride"], s["padding"], s["ceil_mode"], s["include"]
        )
    if kind == "resize":
        return _resize(x, s)
    if kind == "resize_like":
        return _resize(x, {**s, "size": values[1].shape[2:], "factor": None})
    if kind == "pad":
        return F.pad(x, s["amounts"], mode=s["mode"])
    if kind == "slice":
        index = (slice(None), slice(None), *(slice(a, b, c) for a, b, c in s["parts"]))
        return x[index]
    if kind == "flip":
        return x.flip(s["dims"])
    if kind == "act":
        return getattr(F, s["name"])(x)
    if kind == "norm":
        return F.batch_norm(x, s["mean"], s["var"], s["w"], s["b"], False)
    if kind == "add":
        return x + values[1]
    if kind == "maximum":
        return torch.maximum(x, values[1])
    if kind == "cat":
        return torch.cat(values, dim=1)
    if kind == "chunk":
        return x.chunk(s["parts"], dim=1)[s["which"]]
    if kind == "gate":
        return x + F.adaptive_avg_pool2d(x.flatten(2).unsqueeze(-1), 1).reshape(
            *x.shape[:2], *[1] * axes
        )
    if kind == "mean":
        return x.mean(dim=tuple(range(2, x.dim())), keepdim=True) + x
    if kind == "adaptive":
        pool = {1: F.adaptive_avg_pool1d, 2: F.adaptive_avg_pool2d, 3: F.adaptive_avg_pool3d}
        return pool[axes](x, s["size"])
    if kind == "shuffle":
        b, c = x.shape[:2]
        return (
            x.view(b, s["groups"], c // s["groups"], *x.shape[2:]).transpose(1, 2).reshape(x.shape)
        )
    if kind == "swap":
        return x.transpose(-1, -2)
    if kind == "rearranged":
        return REARRANGEMENTS[s["how"]](x)
    if kind == "head":
        return F.linear(torch.flatten(x, 1), s["w"], s["b"])
    raise AssertionError(kind)


def _resize(x: Tensor, s: dict[str, Any]) -> Tensor:
    mode = LINEAR[x.dim() - 2] if s["mode"] == "linear" else s["mode"]
    corners = s["corners"] if s["mode"] == "linear" else None
    return F.interpolate(
        x, size=s["size"], scale_factor=s["factor"], mode=mode, align_corners=corners
    )


@dataclass
class _Drawing:
    rng: Chooser
    axes: int
    steps: list[Step] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    features: Counter[str] = field(default_factory=Counter)

    def add(self, kind: str, reads: tuple[int, ...], **settings: Any) -> int | None:
        """Append a step if it runs on these shapes and its result is of a fair size."""
        step = Step(kind, reads, settings)
        values = [torch.empty(self.shapes[r], device="meta", dtype=torch.float64) for r in reads]
        meta = {k: v.to("meta") if isinstance(v, Tensor) else v for k, v in settings.items()}
        try:
            shape = tuple(apply(kind, values, meta).shape)
        except (RuntimeError, ValueError, IndexError, NotImplementedError):
            return None
        limit = {1: 64, 2: 30, 3: 12}[self.axes]
        if prod(shape) == 0 or max(shape[2:], default=1) > limit or prod(shape) > 20_000:
            return None
        self.steps.append(step)
        self.shapes.append(shape)
        return len(self.shapes) - 1

    def per_axis(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(self.rng.randint(low, high) for _ in range(self.axes))

    def weights(self, *shape: int) -> Tensor:
        generator = torch.Generator().manual_seed(self.rng.randint(0, 2**31 - 1))
        return torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5

    def step(self, at: int) -> int | None:
        kind = self.rng.choice(
            ["conv"] * 5
            + ["transposed"] * 4
            + ["max"] * 2
            + ["avg"] * 2
            + ["resize"] * 2
            + ["branch"] * 4
            + [
                "pad",
                "slice",
                "flip",
                "act",
                "norm",
                "chunk",
                "gate",
                "mean",
                "shuffle",
                "swap",
                "adaptive",
            ]
        )
        return getattr(self, f"_{kind}")(at)

    def _conv(self, at: int) -> int | None:
        channels = self.shapes[at][1]
        groups = self.rng.choice([1, 1, channels])
        out = groups * self.rng.randint(1, 2) if groups > 1 else self.rng.randint(1, 4)
        kernel = self.per_axis(1, 4)
        dilation = self.per_axis(1, 3)
        stride: Any = self.per_axis(1, 3)
        padding: Any = self.rng.choice(["same", "number", "number", "number", "big"])
        if padding == "number":
            padding = tuple(
                self.rng.randint(0, (k - 1) * d) for k, d in zip(kernel, dilation, strict=True)
            )
        elif padding == "big":
            padding = tuple(k + self.rng.randint(1, 2) for k in kernel)
        if padding == "same":
            stride = (1,) * self.axes
        w = self.weights(out, channels // groups, *kernel)
        w = w / w.sum(dim=tuple(range(1, w.dim())), keepdim=True)
        made = self.add("conv", (at,), w=w, b=self.weights(out), stride=stride, padding=padding,
                        dilation=dilation, groups=groups)  # fmt: skip
        if made is not None:
            self.features["stride > 1"] += max(stride) > 1
            self.features["even kernel"] += any(k % 2 == 0 for k in kernel)
            self.features["padding > kernel"] += padding != "same" and any(
                p > k for p, k in zip(padding, kernel, strict=True)
            )
        return made

    def _transposed(self, at: int) -> int | None:
        channels = self.shapes[at][1]
        out = self.rng.randint(1, 3)
        kernel = self.per_axis(1, 4)
        dilation = self.per_axis(1, 2)
        stride = self.per_axis(1, 3)
        padding = self.per_axis(0, 2)
        extra = tuple(
            self.rng.randint(0, max(s, d) - 1) for s, d in zip(stride, dilation, strict=True)
        )
        w = self.weights(channels, out, *kernel)
        w = w / w.sum(dim=0, keepdim=True)
        made = self.add("transposed", (at,), w=w, b=self.weights(out), stride=stride,
                        padding=padding, extra=extra, dilation=dilation)  # fmt: skip
        self.features["transposed"] += made is not None
        return made

    def _max(self, at: int) -> int | None:
        kernel = self.per_axis(1, 4)
        made = self.add("max", (at,), kernel=kernel, stride=self.per_axis(1, 5),
                        padding=tuple(self.rng.randint(0, k // 2) for k in kernel),
                        dilation=self.per_axis(1, 2),
                        ceil_mode=self.rng.choice([True, True, False]))  # fmt: skip
        return self._pooled(made)

    def _avg(self, at: int) -> int | None:
        kernel = self.per_axis(1, 4)
        made = self.add("avg", (at,), kernel=kernel, stride=self.per_axis(1, 5),
                        padding=tuple(self.rng.randint(0, k // 2) for k in kernel),
                        ceil_mode=self.rng.choice([True, True, False]),
                        include=self.rng.choice([True, False]))  # fmt: skip
        return self._pooled(made)

    def _pooled(self, made: int | None) -> int | None:
        if made is not None:
            settings = self.steps[-1].settings
            self.features["ceil_mode"] += settings["ceil_mode"]
            self.features["stride > 1"] += max(settings["stride"]) > 1
            self.features["even kernel"] += any(k % 2 == 0 for k in settings["kernel"])
        return made

    def _resize(self, at: int) -> int | None:
        factor = self.rng.choice([None, None, 2.0, 0.5, 1.5, 1.7])
        size = None if factor else self.per_axis(1, {1: 40, 2: 16, 3: 8}[self.axes])
        made = self.add("resize", (at,), size=size, factor=factor, **self._resize_mode())
        self.features["resize to size"] += made is not None and size is not None
        return made

    def _resize_mode(self) -> dict[str, Any]:
        return {
            "mode": self.rng.choice(["nearest", "nearest-exact", "linear", "linear"]),
            "corners": self.rng.choice([False, True]),
        }

    def _branch(self, at: int) -> int | None:
        """Two ways from one value that meet again, or a skip from an earlier value."""
        other = self.rng.choice([at, self.rng.randint(0, at)])
        first, second = at, other
        for _ in range(self.rng.randint(0, 2)):
            first = self._plain(first)
        for _ in range(self.rng.randint(0, 1)):
            second = self._plain(second)
        a, b = self.shapes[first], self.shapes[second]
        if a[2:] != b[2:]:
            resized = self.add("resize_like", (second, first), **self._resize_mode())
            if resized is None:
                return None
            self.features["resize to size"] += 1
            second = resized
        how = self.rng.choice(["add", "cat", "maximum"])
        if (
            how != "cat"
            and a[1] != self.shapes[second][1]
            and 1 not in (a[1], self.shapes[second][1])
        ):
            how = "cat"
        made = self.add(how, (first, second))
        self.features["branch"] += made is not None
        return made

    def _plain(self, at: int) -> int:
        made = self.rng.choice([self._conv, self._conv, self._transposed, self._avg, self._act])(at)
        return at if made is None else made

    def _pad(self, at: int) -> int | None:
        mode = self.rng.choice(["constant", "constant", "reflect", "replicate", "circular"])
        low, high = (-1, 6) if mode == "constant" else (0, 3)
        amounts = tuple(self.rng.randint(low, high) for _ in range(2 * self.axes))
        return self.add("pad", (at,), amounts=amounts, mode=mode)

    def _slice(self, at: int) -> int | None:
        parts = tuple(
            (self.rng.randint(0, 2), self.rng.choice([None, None, -1]), self.rng.randint(1, 2))
            for _ in range(self.axes)
        )
        return self.add("slice", (at,), parts=parts)

    def _flip(self, at: int) -> int | None:
        return self.add("flip", (at,), dims=(self.rng.randint(2, 1 + self.axes),))

    def _act(self, at: int) -> int | None:
        return self.add("act", (at,), name=self.rng.choice(["relu", "leaky_relu", "elu"]))

    def _norm(self, at: int) -> int | None:
        c = self.shapes[at][1]
        names = {name: self.weights(c) for name in ("mean", "var", "w", "b")}
        return self.add("norm", (at,), **names)

    def _chunk(self, at: int) -> int | None:
        if self.shapes[at][1] < 2:
            return None
        return self.add("chunk", (at,), parts=2, which=self.rng.randint(0, 1))

    def _gate(self, at: int) -> int | None:
        return self.add("gate", (at,)) if self.rng.randint(0, 2) == 0 else None

    def _mean(self, at: int) -> int | None:
        return self.add("mean", (at,)) if self.rng.randint(0, 2) == 0 else None

    def _adaptive(self, at: int) -> int | None:
        return self.add("adaptive", (at,), size=self.per_axis(2, 5))

    def _shuffle(self, at: int) -> int | None:
        c = self.shapes[at][1]
        return self.add("shuffle", (at,), groups=2) if c % 2 == 0 else None

    def _swap(self, at: int) -> int | None:
        return self.add("swap", (at,)) if self.axes > 1 else None

    def _rearranged(self, at: int) -> int | None:
        made = self.add("rearranged", (at,), how=self.rng.choice(sorted(REARRANGEMENTS)))
        if made is not None:
            # Some change the number of axes; what follows counts on it.
            if len(self.shapes[made]) != len(self.shapes[at]):
                self.steps.pop()
                self.shapes.pop()
                return None
            self.features[self.steps[-1].settings["how"]] += 1
        return made

    def _head(self, at: int) -> int | None:
        inputs = prod(self.shapes[at][1:])
        w = self.weights(2, inputs)
        return self.add("head", (at,), w=w / w.sum(1, keepdim=True), b=self.weights(2))


def draw_network(rng: Chooser, *, deepest: int = 7, rearranged: bool = False) -> RandomNetwork:
    """A network in 1-D, 2-D or 3-D with up to `deepest` steps (more inside branches).

    With `rearranged` also steps that move, repeat, mix and write values.
    """
    axes = rng.choice([1, 1, 2, 2, 3])
    low, high = {1: (4, 40), 2: (4, 14), 3: (3, 7)}[axes]
    drawing = _Drawing(rng, axes)
    shape = (1, rng.randint(1, 3), *(rng.randint(low, high) for _ in range(axes)))
    drawing.shapes.append(shape)
    at = 0
    for _ in range(rng.randint(2, deepest)):
        own = rearranged and rng.randint(0, 2) == 0
        made = drawing._rearranged(at) if own else drawing.step(at)
        at = at if made is None else made
    if rng.randint(0, 9) == 0:
        drawing._head(at)
    if not drawing.steps:
        drawing._act(0)
    # Only what the last result needs.
    network = RandomNetwork(shape, drawing.steps)
    network.features = drawing.features
    return network.double().eval()

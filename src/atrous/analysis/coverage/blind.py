"""What an output cannot see, shown on the real model: a perturbation that lives in its holes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

import numpy as np
import torch
from torch import Tensor

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.crossing import Axes
from atrous.shown import Shown


@dataclass(frozen=True, eq=False)
class BlindPerturbation(Shown):
    """A change of the input that some outputs cannot see, and the proof.

    Attributes:
        coverage: what those outputs read.
        perturbation: of the input's shape; not 0 only at positions that the outputs do not read.
            What really is added, where the input's precision is too small for all of the noise.
        positions: how many positions are changed.
        change: the largest change of those outputs when it is added to the input.
        gradient: the largest gradient of those outputs at the changed positions.
        elsewhere: the largest change of all other outputs: what one output does not see others do.
    """

    coverage: Coverage
    perturbation: Tensor = field(repr=False)
    positions: int
    change: float
    gradient: float
    elsewhere: float

    @property
    def is_unseen(self) -> bool:
        """Whether the outputs did not change by a bit, and the gradient is exactly 0."""
        return self.change == 0.0 and self.gradient == 0.0

    def __str__(self) -> str:
        seen = "unchanged to the bit" if self.change == 0 else f"changed by up to {self.change:.2g}"
        slope = "exactly 0" if self.gradient == 0 else f"up to {self.gradient:.2g}"
        return (
            f"{self.positions:,} positions of {self.coverage.input} changed: the output of "
            f"{self.coverage.node} at {_told(self.coverage.at)} is {seen}, its gradient there is "
            f"{slope}; other outputs change by up to {self.elsewhere:.2g}"
        )


def _told(at: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join(str(own[0]) if len(own) == 1 else f"{len(own)} places" for own in at) or "all"


def hidden(
    cover: Coverage, run: Callable[[Tensor], Tensor], x: Tensor, *, amplitude: float, seed: int
) -> BlindPerturbation:
    """Put noise into the holes of a coverage, and see what a model makes of it.

    Args:
        cover: what the outputs read.
        run: the model, from the input to the value that `cover` is about.
        x: the input.
        amplitude: largest change of a value.
        seed: of the noise.

    Raises:
        ValueError: if there are no holes.
    """
    if not 0 < amplitude < inf:
        raise ValueError(f"amplitude must be a number above 0, got {amplitude}. Leave it at 1.")
    if not len(cover.holes):
        reads = f"all of its span of {cover.span}" if cover.counts.size else "nothing"
        raise ValueError(
            f"node must have holes, but the output of {cover.node!r} asked for reads {reads}. "
            "Choose another output with at=, or another node."
        )
    mask = np.zeros(cover.shape, dtype=bool)
    mask[tuple(cover.holes.T)] = True
    lengths = [x.shape[a] if a in cover.axes else 1 for a in range(x.dim())]
    order = np.argsort(np.argsort(cover.axes))
    there = torch.from_numpy(mask.transpose(np.argsort(order))).reshape(lengths).to(x.device)
    generator = torch.Generator().manual_seed(seed)
    noise = (torch.rand(x.shape, generator=generator, dtype=torch.float64) * 2 - 1) * amplitude
    chosen = _index(cover)
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone()
        other = torch.where(there, x + noise.to(x), x)
        delta = other - x
        changed = (other != x).any(dim=[a for a in range(x.dim()) if a not in cover.axes])
        if not changed.any():
            raise ValueError(
                f"amplitude must be large enough to change the input, got {amplitude} beside "
                f"values of up to {float(x.abs().max()):.3g} in {x.dtype}. Make it larger."
            )
        before = run(x.requires_grad_(True))
        (slope,) = torch.autograd.grad(before[chosen(before)].sum(), x)
        moved = (run(other) - before).abs().detach()
    own = moved[chosen(moved)].clone()
    moved[chosen(moved)] = 0
    return BlindPerturbation(
        coverage=cover,
        perturbation=delta,
        positions=int(changed.sum()),
        change=float(own.max()),
        gradient=float((slope * there).abs().max()),
        elsewhere=float(moved.max()),
    )


def _index(cover: Coverage) -> Callable[[Tensor], tuple[Tensor, ...]]:
    """The elements of the value that the coverage is about."""
    holds: Axes = cover.layout

    def index(value: Tensor) -> tuple[Tensor, ...]:
        rows = iter(cover.at)
        parts = [
            torch.tensor(next(rows)) if flag else torch.arange(length)
            for flag, length in zip(holds, value.shape, strict=True)
        ]
        return torch.meshgrid(*parts, indexing="ij")

    return index

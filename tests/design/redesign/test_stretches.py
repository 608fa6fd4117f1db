"""Stretches behind pools and gates, mended; what they read is measured by gradients."""

from __future__ import annotations

from itertools import product

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.design.redesign.layers import layers_of
from atrous.graph.capture import capture


class Trunk(nn.Module):
    """A layer, a pool, and dilated residual layers behind it."""

    def __init__(self, *dilations: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(1, 2, 15, padding=7), nn.MaxPool1d(2))
        self.tower = nn.Sequential(nn.Conv1d(2, 2, 5, padding=2), nn.MaxPool1d(2))
        self.dilated = nn.Sequential(
            *(nn.Conv1d(2, 2, 3, padding="same", dilation=d) for d in dilations)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.tower(self.stem(x))
        for layer in self.dilated:
            x = x + layer(x)
        return x


class Gated(nn.Module):
    """Two layers read what is padded once, as in WaveNet."""

    def __init__(self, *dilations: int) -> None:
        super().__init__()
        self.dilations = list(dilations)
        self.f = nn.ModuleList(nn.Conv1d(1, 1, 2, dilation=d) for d in dilations)
        self.g = nn.ModuleList(nn.Conv1d(1, 1, 2, dilation=d) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for f, g, d in zip(self.f, self.g, self.dilations, strict=True):
            p = F.pad(x, (d, 0))
            x = x + torch.tanh(f(p)) * torch.sigmoid(g(p))
        return x


def read_by_stretch(trunk: Trunk, length: int = 128) -> list[int]:
    """Positions behind the pools that the central output reads: by its gradient."""
    x = torch.ones(1, 2, length, dtype=torch.float64, requires_grad=True)
    y = x
    for layer in trunk.dilated.double():
        assert isinstance(layer, nn.Conv1d)
        nn.init.ones_(layer.weight)
        y = y + layer(y)
    (gradient,) = torch.autograd.grad(y[0, 0, length // 2], x)
    return [int(at) for at in gradient[0].sum(0).nonzero()[:, 0]]


def test_a_stretch_behind_pools_keeps_its_field_and_loses_its_holes() -> None:
    model = Trunk(2, 4, 8, 16)
    before = read_by_stretch(model)
    # The oracle sees the holes: every second of 1 + 2 * (2 + 4 + 8 + 16) = 61 positions.
    assert before == list(range(64 - 30, 64 + 31, 2))
    mended = atrous.redesign(Trunk(2, 4, 8, 16), (1, 1, 1024)).model
    assert isinstance(mended, Trunk)
    assert read_by_stretch(mended) == list(range(64 - 30, 64 + 31))


def test_a_stretch_that_cannot_lose_its_holes_mixes_and_says_so() -> None:
    # Two layers of kernel 3 read 9 positions without holes at most, and the field is 1 + 2 * 24.
    found = atrous.redesign(Trunk(12, 12), (1, 1, 1024))
    assert isinstance(found.model, Trunk)
    read = read_by_stretch(found.model)
    assert {(b - a) % 12 for a, b in product(read, read)} != {0}
    assert len(read) < 1 + read[-1] - read[0]
    assert "leaves it no holes: these layers only mix" in str(found).replace("\n", " ")


def test_layers_that_read_one_padded_value_keep_one_dilation() -> None:
    # Kernels of 2: a field of 2 ** 3 = 8 at most; 1 + 3 + 6 + 9 = 19 is what there is.
    model = Gated(3, 6, 9)
    with pytest.raises(atrous.RedesignError, match=r"at most 8 positions .* the field is 19"):
        atrous.redesign(model, (1, 1, 64))
    mended = atrous.redesign(model, (1, 1, 64), smaller_field=True)
    changed = mended.model
    assert isinstance(changed, Gated)
    assert [f.dilation for f in changed.f] == [g.dilation for g in changed.g]
    x = torch.zeros(1, 1, 64, requires_grad=True)
    (gradient,) = torch.autograd.grad(changed(x)[0, 0, -1], x)
    assert gradient[0, 0].nonzero()[:, 0].tolist() == list(range(56, 64))


def test_gates_are_mended_at_the_same_field() -> None:
    # 1 + 2 + 2 + 3 = 8 = 2 ** 3: only 1, 2 and 4 in some order, and 7 = 1 + 2 + 4.
    mended = atrous.redesign(Gated(2, 2, 3), (1, 1, 64)).model
    assert isinstance(mended, Gated)
    assert sorted(f.dilation[0] for f in mended.f) == [1, 2, 4]  # type: ignore[index]
    assert [f.dilation for f in mended.f] == [g.dilation for g in mended.g]
    assert [(d,) for d in mended.dilations] == [f.dilation for f in mended.f]


class Literal(nn.Module):
    """Two calls in one line, or one in a loop."""

    def __init__(self, *, loop: bool) -> None:
        super().__init__()
        self.loop = loop
        self.w = nn.Parameter(torch.ones(1, 1, 3))
        self.v = nn.Parameter(torch.ones(1, 1, 3))

    def forward(self, x: Tensor) -> Tensor:
        if self.loop:
            for w in (self.w, self.v):
                x = F.conv1d(x, w, padding=2, dilation=2)
            return x
        return F.conv1d(F.conv1d(x, self.w, padding=2, dilation=2), self.v, padding=2, dilation=2)


@pytest.mark.parametrize(("loop", "count"), [(False, 2), (True, 1)])
def test_calls_in_one_line_are_layers_and_those_of_a_loop_are_one(loop: bool, count: int) -> None:
    model = Literal(loop=loop)
    program = capture(model, torch.zeros(1, 1, 32))
    assert len(layers_of(program, model, program.nodes)) == count


def test_calls_in_one_line_are_not_said_to_read_too_little() -> None:
    # 1 + 2 (2 + 2) = 9 = 3 ** 2: dilations 1 and 3 would do.
    with pytest.raises(atrous.RedesignError, match=r"'conv1d'.*'conv1d_1'"):
        atrous.redesign(Literal(loop=False), (1, 1, 32))

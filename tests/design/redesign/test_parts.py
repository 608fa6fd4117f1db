"""Parts of a model that need mending at once: each by itself, and what is beyond help."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import atrous
from atrous.design.redesign.bounds import most_read
from atrous.design.redesign.goals import goals_of
from atrous.design.redesign.layers import layers_of
from atrous.graph.capture import capture


def dilated(*dilations: int) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=d, dilation=d) for d in dilations))


class Stages(nn.Module):
    """Wide plain layers, then stages of dilated residual layers with a pool before each."""

    def __init__(self, *stages: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 1, 31, padding=15)
        self.stages = nn.ModuleList(dilated(*dilations) for dilations in stages)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for stage in self.stages:
            x = torch.max_pool1d(x, 2)
            for layer in stage:  # type: ignore[attr-defined]
                x = x + layer(x)
        return x


def read_by(stage: nn.Sequential, length: int = 129) -> list[int]:
    """What a stage's central output reads, from its own, by gradients."""
    x = torch.ones(1, 1, length, dtype=torch.float64, requires_grad=True)
    y: Tensor = x
    for layer in stage.double():
        nn.init.ones_(layer.weight)  # type: ignore[arg-type]
        y = y + layer(y)
    (gradient,) = torch.autograd.grad(y[0, 0, length // 2], x)
    return [int(at) - length // 2 for at in gradient[0, 0].nonzero()[:, 0]]


def test_stages_are_mended_each_by_itself_with_the_least_change() -> None:
    # 2, 2 and 4, 4 read 9 and 17 positions at their strides: of 3 * 3 and 3 * 3 * 3 there can be.
    model = Stages((2, 2), (2, 2, 4))
    found = atrous.redesign(model, (1, 1, 512))
    made = found.model
    assert isinstance(made, Stages)
    assert read_by(made.stages[0]) == list(range(-4, 5))  # type: ignore[arg-type]
    assert read_by(made.stages[1]) == list(range(-8, 9))  # type: ignore[arg-type]
    assert found.design.is_least
    assert len(found.changes) == 4
    # What became of every stage is told, though nothing is asked of them any more.
    told = [(state.reads, state.node) for state in found.after]
    assert all((state.reads, state.node) in told for state in found.before)


def test_a_hopeless_stage_is_named_and_the_others_are_mended() -> None:
    # Two layers of kernel 3 read 9 positions at most, and 12, 12 span 49.
    model = Stages((2, 2, 4), (12, 12))
    found = atrous.redesign(model, (1, 1, 1024))
    made = found.model
    assert isinstance(made, Stages)
    first = read_by(made.stages[0])  # type: ignore[arg-type]
    assert first == list(range(first[0], first[-1] + 1))
    assert first[0] <= -8 and first[-1] >= 8
    last = read_by(made.stages[1])  # type: ignore[arg-type]
    assert len(last) < last[-1] - last[0] + 1
    assert {(b - a) % 12 for a, b in product(last, last)} != {0}
    (named,) = [text for text in found.design.searched if "these layers only mix" in text]
    assert "'stages.0" not in named.partition(" to ")[2]
    assert not [f for f in found.findings if f.name in ("holes", "interleaved")]


class Pyramid(nn.Module):
    def __init__(self, kernels: list[int], rates: list[int]) -> None:
        super().__init__()
        self.front = nn.Conv1d(1, 1, 3, padding=1)
        self.branches = nn.ModuleList(
            nn.Conv1d(1, 1, k, padding=(k - 1) * r // 2, dilation=r)
            for k, r in zip(kernels, rates, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.front(x)
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from([3, 5]), min_size=1, max_size=3), st.data())
def test_no_dilations_read_more_than_the_bound(kernels: list[int], data: st.DataObject) -> None:
    rates = [data.draw(st.integers(1, 9)) for _ in kernels]
    model = Pyramid(kernels, rates)
    program = capture(model, (1, 1, 64))
    (goal,) = (goal for goal in goals_of(program) if goal.kind == "holes")
    layers = {name: own for own in layers_of(program, model, program.nodes) for name in own.names}
    bound = most_read(goal.lines[2][0], layers)
    # Taps of the branches, the centre once, three times over: enough where rates are far apart.
    taps = {sign * a * 20 * 7**n for n, k in enumerate(kernels) for a in range(k // 2 + 1)
            for sign in (1, -1)}  # fmt: skip
    assert bound == len({tap + more for tap in taps for more in (-1, 0, 1)})
    own = {a * r for k, r in zip(kernels, rates, strict=True) for a in range(-(k // 2), k // 2 + 1)}
    assert len({tap + more for tap in own for more in (-1, 0, 1)}) <= bound


def test_a_pyramid_beyond_the_bound_is_told_and_shrinks_to_what_it_can_read() -> None:
    model = Pyramid([1, 3, 3, 3], [1, 6, 12, 18])
    model.front = nn.Identity()  # type: ignore[assignment]
    with pytest.raises(
        atrous.RedesignError, match=r"all ways .* at most 7 positions .* field is 37.*smaller_field"
    ):
        atrous.redesign(model, (1, 1, 64))
    found = atrous.redesign(model, (1, 1, 64), smaller_field=True)
    x = torch.ones(1, 1, 64, requires_grad=True)
    for parameter in found.model.parameters():
        nn.init.ones_(parameter)
    (gradient,) = torch.autograd.grad(found.model(x)[0, 0, 32], x)
    assert gradient[0, 0].nonzero()[:, 0].tolist() == list(range(29, 36))

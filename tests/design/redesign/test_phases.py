"""Upsampling nets, mended: every output in the middle, by gradients."""

from __future__ import annotations

import copy

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import atrous

LENGTH = 80


class Upsampled(nn.Module):
    """Dilated layers before an upsampling and behind it, with a way around the last if wanted."""

    def __init__(self, dilations: tuple[int, int, int], *, nearest: bool, around: bool) -> None:
        super().__init__()
        first, second, last = (nn.Conv1d(1, 1, 3, padding=d, dilation=d) for d in dilations)
        self.first, self.second, self.last = first, second, last
        self.up = nn.Upsample(scale_factor=2) if nearest else nn.ConvTranspose1d(1, 1, 2, stride=2)
        self.around = around

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.second(self.first(x)))
        y: Tensor = self.last(x)
        return x + y if self.around else y


def reads(model: nn.Module) -> list[list[int]]:
    """What eight outputs in the middle read."""
    own = copy.deepcopy(model).double()
    for parameter in own.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, 1, LENGTH, dtype=torch.float64, requires_grad=True)
    y = own(x)
    found = []
    for output in range(LENGTH - 4, LENGTH + 4):
        (gradient,) = torch.autograd.grad(y[0, 0, output], x, retain_graph=True)
        found.append(gradient[0, 0].nonzero()[:, 0].tolist())
    return found


def without_holes(read: list[int]) -> bool:
    return len(read) == read[-1] - read[0] + 1


def test_the_oracle_sees_holes_of_single_phases() -> None:
    # Values {-2, 0, 2} around o // 2 and (o + 3) // 2: one apart for even o, two for odd.
    net = nn.Sequential(
        nn.Conv1d(1, 1, 3, padding=2, dilation=2),
        nn.Upsample(scale_factor=2),
        nn.Conv1d(1, 1, 2, dilation=3),
    )
    assert {without_holes(read) for read in reads(net)} == {True, False}


@settings(max_examples=6, deadline=None)
@given(
    st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 6)),
    st.booleans(),
    st.booleans(),
)
def test_no_output_of_a_mended_net_has_holes_or_sees_less(
    dilations: tuple[int, int, int], nearest: bool, around: bool
) -> None:
    model = Upsampled(dilations, nearest=nearest, around=around)
    before = reads(model)
    try:
        found = atrous.redesign(model, (1, 1, LENGTH))
    except atrous.RedesignError:
        assert not all(map(without_holes, before))
        return
    after = reads(found.model)
    assert all(map(without_holes, after))
    assert found.changes or all(map(without_holes, before))
    for old, new in zip(before, after, strict=True):
        assert new[0] <= old[0] and new[-1] >= old[-1]

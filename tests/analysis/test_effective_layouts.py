"""Expected spreads where positions and axes do not go one to one: what the field tells by axis and
what path counts tell in all dimensions must be asked of the same outputs."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous
from checks import finite
from networks import draw_network


def gradient_std(model: nn.Module, x: Tensor, chosen: tuple[int | slice, ...]) -> list[float]:
    """The standard deviation along the last axes of the gradient of chosen outputs' sum."""
    x = x.clone().requires_grad_()
    model(x)[chosen].sum().backward()
    assert x.grad is not None
    energy = x.grad.abs().sum((0, 1)).numpy()
    found = []
    for k in range(energy.ndim):
        profile = energy.sum(axis=tuple(a for a in range(energy.ndim) if a != k))
        profile = profile / profile.sum()
        at = np.arange(len(profile))
        found.append(float(np.sqrt(profile @ (at - profile @ at) ** 2)))
    return found


class Axial(nn.Module):
    """A convolution along rows, each row a sample of its own, then one along columns."""

    def __init__(self) -> None:
        super().__init__()
        self.along = nn.Conv1d(1, 1, 3, dilation=2, padding=2, bias=False)
        self.across = nn.Conv2d(1, 1, (3, 1), padding=(1, 0), bias=False)
        for weight in self.parameters():
            nn.init.ones_(weight)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        rows = self.along(x.permute(0, 2, 1, 3).reshape(b * h, c, w))
        return self.across(rows.reshape(b, h, c, w).permute(0, 2, 1, 3))


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_rows_that_are_samples_expect_what_ones_weigh(samples: int) -> None:
    x = torch.rand(samples, 1, 9, 12)
    found = atrous.effective_field(Axial(), x, axes=(2, 3))
    assert found.at == (4, 6)
    # Three rows side by side, and three columns two apart: sqrt((k^2 - 1) / 12) * d.
    assert found.expected_std == pytest.approx(((2 / 3) ** 0.5, 2 * (2 / 3) ** 0.5))
    assert found.std == pytest.approx(gradient_std(Axial(), x, (slice(None), 0, 4, 6)))


def test_an_axis_drawn_from_one_place_has_a_spread() -> None:
    model = nn.Upsample(size=(8, 1), mode="bilinear", align_corners=True)
    x = torch.rand(1, 1, 7, 6)
    found = atrous.effective_field(model, x)
    assert found.at == (4, 0)
    assert found.std == pytest.approx(gradient_std(model, x, (0, 0, 4, 0)))
    # Output 4 of 8 lies at 4 * 6 / 7 = 3.43 and reads rows 3 and 4, each in one way.
    assert found.expected_std == pytest.approx((0.5, 0.0))


def test_what_only_another_input_moves_along_is_added_up() -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            column = nn.functional.avg_pool2d(x, (3, 1), 1, (1, 0))
            return column + nn.functional.avg_pool2d(y, 3, 1, 1)

    found = atrous.effective_field(Two(), (torch.rand(1, 1, 8, 1), torch.rand(1, 1, 8, 5)))
    assert found.expected_std[0] == pytest.approx((2 / 3) ** 0.5)
    assert found.std[0] == pytest.approx((2 / 3) ** 0.5)


def test_an_operator_without_a_rule_beside_the_way() -> None:
    class Beside(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(x, 3, 1, 1) + torch.linalg.svdvals(y)[..., None]

    found = atrous.effective_field(Beside(), (torch.rand(1, 1, 8, 8), torch.rand(1, 1, 8, 8)))
    assert found.std == pytest.approx(((2 / 3) ** 0.5,) * 2)
    assert found.expected_std == pytest.approx(((2 / 3) ** 0.5,) * 2)


@pytest.mark.parametrize("number", range(33, 59))
def test_random_networks_are_measured(number: int) -> None:
    network = draw_network(random.Random(number))
    x = torch.rand(network.shape, generator=torch.Generator().manual_seed(number)).double()
    assert finite(network, x)
    leaf = x.clone().requires_grad_()
    network(leaf).sum().backward()
    assert leaf.grad is not None
    if not leaf.grad.any():
        # All that the outputs read is padding.
        with pytest.raises(ValueError, match="node must depend on the input"):
            atrous.effective_field(network, x)
        return
    found = atrous.effective_field(network, x)
    for axis in found.axes:
        if axis.span is None:
            # The output in the centre reads padding alone.
            assert not found.energy.any()
            continue
        outside = np.r_[axis.profile[: axis.span.start], axis.profile[axis.span.stop :]]
        assert not outside.any()

"""Rates of parallel branches: DeepLab built rightly and wrongly."""

from __future__ import annotations

import ast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.segmentation import deeplabv3_mobilenet_v3_large
from torchvision.models.segmentation.deeplabv3 import DeepLabHead

from linting import linted


class DeepLab(nn.Module):
    """torchvision's head behind its ResNet-50 of some output stride, or behind patches."""

    def __init__(self, stride: int, rates: tuple[int, ...], *, patches: bool = False) -> None:
        super().__init__()
        if patches:
            self.backbone: nn.Module = nn.Conv2d(3, 2048, 1, stride)
        else:
            dilated = {32: (False, False, False), 16: (False, False, True), 8: (False, True, True)}
            net = resnet50(replace_stride_with_dilation=list(dilated[stride]))
            self.backbone = nn.Sequential(*list(net.children())[:-2])
        self.classifier = DeepLabHead(2048, 21, rates)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.classifier(self.backbone(x))
        return out


def inside(length: int, rate: int) -> float:
    """The share of positions at which the first tap of a kernel of 3 reads data, by running it."""
    weight = torch.tensor([[[1.0, 0.0, 0.0]]], dtype=torch.float64)
    read = F.conv1d(
        torch.ones(1, 1, length, dtype=torch.float64), weight, padding=rate, dilation=rate
    )
    return float(read.mean())


def test_the_published_pairs_are_silent() -> None:
    assert not linted(DeepLab(8, (12, 24, 36)), (1, 3, 513, 513), "ATR304")
    assert not linted(DeepLab(16, (6, 12, 18), patches=True), (1, 3, 513, 513), "ATR304")


def test_rates_for_stride_16_at_stride_8_are_named_in_input_positions() -> None:
    (found,) = linted(DeepLab(8, (6, 12, 18)), (1, 3, 513, 513), "ATR304")
    assert (found.severity, found.path) == ("warning", "classifier.0.convs.3.0")
    assert "48, 96, 144 input positions away instead of 96, 192, 288" in found.message
    assert found.fix.startswith("rates = (12, 24, 36)\nnn.Conv2d(2048, 256, 3, padding=12")


def test_rates_for_stride_8_at_stride_32_fall_off_the_map() -> None:
    (found,) = linted(DeepLab(32, (12, 24, 36)), (1, 3, 513, 513), "ATR304")
    # A map of 17 x 17: only the taps of rate 12 reach data, at 5 of 17 positions.
    assert found.numbers["inside"] == [inside(17, rate) for rate in (12, 24, 36)] == [5 / 17, 0, 0]
    assert "the outer taps of 24 read nothing but padding" in found.message
    assert found.fix.startswith("rates = (3, 6, 9)")


def test_a_small_crop_is_told_by_the_share_of_positions_that_read_data() -> None:
    (found,) = linted(DeepLab(8, (12, 24, 36), patches=True), (1, 3, 225, 225), "ATR304")
    shares = [inside(29, rate) for rate in (12, 24, 36)]
    assert found.numbers["inside"] == shares
    assert "do not fit a map of 29 x 29" in found.message


def test_torchvisions_mobilenet_has_rates_of_another_stride() -> None:
    model = deeplabv3_mobilenet_v3_large(weights=None, weights_backbone=None)
    (found,) = linted(model, (1, 3, 520, 520), "ATR304")
    assert "belong to output stride 8, here it is 16" in found.message
    assert "on the map of 33 x 33 the outer taps of 36 read nothing but padding" in found.message


class Separable(nn.Module):
    """Atrous separable branches, summed."""

    def __init__(self, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, 4, 3, padding=r, dilation=r, groups=4), nn.Conv2d(4, 4, 1), nn.ReLU()
            )
            for r in rates
        )

    def forward(self, x: Tensor) -> Tensor:
        total = torch.zeros(())
        for branch in self.branches:
            total = total + branch(x)
        return total


def test_separable_branches_that_are_added_are_a_pyramid_too() -> None:
    (found,) = linted(Separable((1, 4, 20)), (1, 4, 16, 16), "ATR304")
    assert found.path == "branches.2.0" and found.numbers["rates"] == [1, 4, 20]
    assert "nn.Conv2d(4, 4, 3, padding=8, dilation=8, groups=4)" in found.fix
    assert not linted(Separable((1, 4, 8)), (1, 4, 16, 16), "ATR304")


def test_layers_one_after_the_other_are_no_pyramid() -> None:
    model = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (6, 12, 18)))
    assert not linted(model, (1, 1, 16, 16), "ATR304")


class Pyramid(nn.Module):
    """A stem of some stride, padded so that a picture of 8 n + 1 has a map of n + 1."""

    def __init__(self, stride: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 1, 1, stride)
        self.branches = nn.ModuleList(nn.Conv2d(1, 1, 3, padding=r, dilation=r) for r in rates)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return torch.cat([branch(x) for branch in self.branches], dim=1)


@pytest.mark.parametrize("stride", [4, 8, 16])
@pytest.mark.parametrize("size", [65, 129, 257, 321, 513, 1025])
def test_the_rates_that_are_advised_leave_nothing_to_find(size: int, stride: int) -> None:
    length = (size - 1) // stride + 1
    for rates in ((6, 12, 18), (12, 24, 36)):
        found = linted(Pyramid(stride, rates), (1, 1, size, size), "ATR304")
        meant = 16 if rates == (6, 12, 18) else 8
        if not found:
            # The published pair, or no room on the map for rates further apart.
            assert inside(length, rates[-1]) >= 0.25
            larger = meant > stride and inside(length, rates[-1] + 1) < 0.25
            assert meant == stride or larger or length < 4 * rates[-1] / 3 + 2
            continue
        (only,) = found
        if not only.fix:
            # Three different rates above 1 do not fit.
            assert inside(length, 6) < 0.25 or length < 10
            continue
        new = ast.literal_eval(only.fix.splitlines()[0].removeprefix("rates = "))
        assert not linted(Pyramid(stride, new), (1, 1, size, size), "ATR304"), (new, only.message)
        if "positions away instead of" in only.message and inside(length, rates[-1]) >= 0.25:
            # It says they lie too near, or too far: what it advises mends that.
            assert (new[-1] > rates[-1]) == (meant > stride), (new, only.message)


def test_where_the_meant_rates_do_not_fit_the_largest_that_do_are_advised() -> None:
    (found,) = linted(Pyramid(8, (6, 12, 18)), (1, 1, 257, 257), "ATR304")
    assert "(12, 24, 36) are meant here, but do not fit a map of 33 x 33" in found.message
    # On 33 positions a rate of 24 reads data at 9, more than a quarter; 25 at 8, less.
    assert found.fix.startswith("rates = (8, 16, 24)\n")
    assert inside(33, 24) >= 0.25 > inside(33, 25)

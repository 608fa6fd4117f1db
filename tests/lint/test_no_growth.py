"""Convolutions that are one with the next, and those that reach nothing new."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet50
from torchvision.models.segmentation import fcn_resnet50

from linting import linted, only, worse_than_notes

EVAL = {"weights": None, "weights_backbone": None}


def test_a_lost_activation_in_a_real_head_is_found() -> None:
    model = fcn_resnet50(**EVAL)
    assert not worse_than_notes(model, (1, 3, 64, 64), "ATR305")
    assert isinstance(model.classifier[2], nn.ReLU)
    model.classifier[2] = nn.Identity()
    (found,) = worse_than_notes(model, (1, 3, 64, 64), "ATR305")
    # 3x3 from 2,048 to 512, batch norm, dropout, 1x1 from 512 to 21, on a map of 8 x 8.
    assert (found.path, found.numbers["first"]) == ("classifier.4", "classifier.0")
    assert found.numbers["macs"] == 64 * (9 * 2048 * 512 + 512 * 21)
    assert found.numbers["merged"] == 64 * 9 * 2048 * 21
    assert found.fix.endswith("\nnn.Conv2d(2048, 21, 3, padding=1)")


@pytest.mark.parametrize(
    "pair",
    [
        nn.Sequential(nn.Conv2d(3, 8, 1, bias=False), nn.Conv2d(8, 3, 3, stride=2, padding=1)),
        nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=2, dilation=2), nn.BatchNorm2d(6), nn.Conv2d(6, 4, 1)
        ),
        nn.Sequential(nn.Conv2d(3, 6, (1, 5), stride=(2, 3)), nn.Conv2d(6, 2, 1, stride=2)),
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 3, padding=1)),
        nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 3, dilation=2)),
    ],
)  # fmt: skip
def test_the_merged_layer_can_do_what_the_pair_does(pair: nn.Sequential) -> None:
    pair = pair.double().eval()
    (found,) = linted(pair.float(), (1, 3, 17, 19), "ATR305", settings={"saving": 0.0})
    pair = pair.double()
    code = found.fix.partition("  #")[0]
    merged = eval(code, {"nn": nn}).double()
    # A convolution that fits the pair on random inputs to rounding: least squares, row by row.
    torch.manual_seed(0)
    x = torch.randn(8, 3, 17, 19, dtype=torch.float64)
    with torch.no_grad():
        wanted = pair(x)
        assert merged(x).shape == wanted.shape
        patches = nn.functional.unfold(
            x, merged.kernel_size, merged.dilation, merged.padding, merged.stride
        )
        rows = (
            torch.cat([patches, torch.ones_like(patches[:, :1])], 1).transpose(1, 2).flatten(0, 1)
        )
        # A bias of the first layer is not read in the padding of the second: the message says so,
        # and the best fit fails there.
        whole = nn.functional.unfold(
            torch.ones_like(x), merged.kernel_size, merged.dilation, merged.padding, merged.stride
        )
        inner = whole.all(1).flatten()
        if found.numbers["everywhere"]:
            inner = torch.ones_like(inner)
        assert ("away from the border" in found.message) is not found.numbers["everywhere"]
        target = wanted.flatten(2).transpose(1, 2).flatten(0, 1)[inner]
        fitted = torch.linalg.lstsq(rows[inner], target, driver="gelsd").solution
        assert torch.allclose(rows[inner] @ fitted, target, atol=1e-9)
        if not found.numbers["everywhere"]:
            every = wanted.flatten(2).transpose(1, 2).flatten(0, 1)
            fitted = torch.linalg.lstsq(rows, every, driver="gelsd").solution
            assert not torch.allclose(rows @ fitted, every, atol=1e-4)
    assert not linted(merged.float(), (1, 3, 17, 19), "ATR305")


@pytest.mark.parametrize(
    "between",
    [nn.ReLU(), nn.LeakyReLU(0.999), nn.Hardtanh(-1e2, 1e2), nn.PReLU(6), nn.MaxPool2d(1)],
)
def test_anything_that_is_not_affine_between_makes_it_silent(between: nn.Module) -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 1), between, nn.Conv2d(6, 3, 1))
    assert not linted(model, (1, 3, 8, 8), "ATR305")


class Tapped(nn.Module):
    """The value between is used twice, or put out."""

    def __init__(self, out: bool) -> None:
        super().__init__()
        self.first, self.second, self.out = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 3, 1), out

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        y = self.first(x)
        return (self.second(y), y) if self.out else (self.second(y) + y[:, :3].relu(),)


@pytest.mark.parametrize("out", [False, True])
def test_a_value_that_others_need_is_no_waste(out: bool) -> None:
    assert not linted(Tapped(out), (1, 3, 8, 8), "ATR305")


def test_broken_weights_do_not_break_it() -> None:
    model = nn.Sequential(nn.Conv2d(3, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 3, 1))
    with torch.no_grad():
        model[1].weight.fill_(float("nan"))
    assert not linted(model, (1, 3, 8, 8), "ATR305")
    half = nn.Sequential(model[0], model[2]).half()
    assert worse_than_notes(half, torch.zeros(1, 3, 8, 8).half(), "ATR305")


def test_a_linear_bottleneck_that_saves_little_is_silent() -> None:
    # MobileNet V3 goes from 16 to 16 channels and on to 72: 1,408 multiplications a position where
    # one layer has 1,152.
    model = nn.Sequential(nn.Conv2d(16, 16, 1), nn.BatchNorm2d(16), nn.Conv2d(16, 72, 1))
    assert not linted(model, (1, 16, 8, 8), "ATR305")
    (found,) = linted(model, (1, 16, 8, 8), "ATR305", settings={"saving": 0.1})
    assert (found.numbers["macs"], found.numbers["merged"]) == (64 * 1408, 64 * 1152)


def test_depth_behind_the_whole_input_is_a_note() -> None:
    # The field is 107 behind layer3.0 and 139 behind layer3.1, so that a position sees 69 to each
    # side there: all of 64. Four 3x3 layers are left in stage 3, three in stage 4.
    model = resnet50()
    (found,) = linted(model, (1, 3, 64, 64), "ATR305", settings={"layers": 7})
    assert (found.severity, found.path) == ("note", "layer3.2.conv2")
    assert found.numbers["layers"] == 4 + 3
    assert not linted(model, (1, 3, 64, 64), "ATR305")


def test_borders_that_are_not_zeros_stay_in_the_code() -> None:
    pair = nn.Sequential(nn.Conv2d(2, 4, 3, padding=1, padding_mode="circular"), nn.Conv2d(4, 2, 1))
    found = only(linted(pair, (1, 2, 8, 8), "ATR305"))
    assert found.fix.endswith('nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular")')
    assert found.numbers["everywhere"]

"""Padding that is read: shares against convolutions of ones, faults planted in public networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from linting import linted, mend, only


def _deeplab(size: int) -> nn.Module:
    net: nn.Module = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None
    )
    return net.eval()


def test_rates_of_another_output_stride_are_found() -> None:
    # 320 at output stride 16 is a map of 20; the rates 12, 24, 36 are those of stride 8.
    found = linted(_deeplab(320), (1, 3, 320, 320), "padding-taps")
    warned = {f.path: f for f in found if f.severity == "warning"}
    assert set(warned) == {"classifier.0.convs.2.0", "classifier.0.convs.3.0"}
    for finding in warned.values():
        assert (finding.numbers["taps"], finding.numbers["used"]) == (9, 1)
        assert finding.numbers["map"] == [20, 20]
        assert "1x1 convolution in disguise" in finding.message


def test_planted_dilation_in_a_backbone() -> None:
    net = torchvision.models.resnet18(weights=None)
    net.layer4[1].conv2 = nn.Conv2d(512, 512, 3, padding=8, dilation=8, bias=False)
    finding = only(linted(net, (1, 3, 224, 224), "padding-taps"))
    assert finding.path == "layer4.1.conv2"
    mended = mend(net, finding)
    assert linted(mended, (1, 3, 224, 224), "padding-taps") == []
    assert mended(torch.zeros(2, 3, 224, 224)).shape == (2, 1000)


@pytest.mark.parametrize(
    ("kernel", "dilation", "stride", "padding", "size"),
    [
        ((3, 3), (6, 2), (1, 1), (6, 2), (14, 9)),
        ((5, 4), (2, 3), (2, 1), (3, 5), (11, 8)),
        ((7, 3), (1, 1), (1, 3), (3, 0), (7, 10)),
        ((9, 2), (2, 1), (1, 1), (8, 1), (5, 4)),
    ],
)
def test_shares_agree_with_a_convolution_of_ones(
    kernel: tuple[int, int],
    dilation: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    size: tuple[int, int],
) -> None:
    layer = nn.Conv2d(1, 1, kernel, stride, padding, dilation)
    found = linted(layer, (1, 1, *size), "padding-taps", settings={"max-padding-share": 0.0})
    # Every tap by itself: where it reads data a map of ones gives a one.
    ones, taps = torch.ones(1, 1, *size), torch.eye(kernel[0] * kernel[1])
    hits = F.conv2d(ones, taps.reshape(-1, 1, *kernel), None, stride, padding, dilation)
    share = float(1 - hits.double().mean())
    if share == 0:
        assert found == []
        return
    finding = only(found)
    assert finding.numbers["padding"] == pytest.approx(share)
    used = int((hits.amax((0, 2, 3)) > 0).sum())
    assert finding.numbers.get("used", hits.shape[1]) == used
    assert (finding.severity == "warning") is (used < hits.shape[1])


def test_causal_network_whose_field_exceeds_its_examples() -> None:
    class Causal(nn.Conv1d):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(F.pad(x, (2 * self.dilation[0], 0)))

    net = nn.Sequential(*(Causal(4, 4, 3, dilation=2**k) for k in range(8)))
    found = [f for f in linted(net, (1, 4, 100), "padding-taps") if f.severity == "warning"]
    # Taps look 2 * 64 and 2 * 128 back: never on the 100 positions there are.
    assert [f.path for f in found] == ["6", "7"]
    assert [f.numbers["used"] for f in found] == [2, 1]
    short = [f.path for f in linted(net, (1, 4, 300), "padding-taps") if f.severity == "warning"]
    assert short == []


def test_shared_convolution_is_judged_over_all_calls() -> None:
    class Pyramid(nn.Module):
        def __init__(self, last: int) -> None:
            super().__init__()
            self.head = nn.Conv2d(2, 2, 3, padding=1)
            self.pools = nn.ModuleList(nn.AdaptiveAvgPool2d(n) for n in (4, last))

        def forward(self, x: Tensor) -> list[Tensor]:
            return [self.head(pool(x)) for pool in self.pools]

    assert linted(Pyramid(1), (1, 2, 8, 8), "padding-taps") == []
    net = Pyramid(1)
    del net.pools[0]
    finding = only(linted(net, (1, 2, 8, 8), "padding-taps"))
    assert (finding.path, finding.fix) == ("head", "nn.Conv2d(2, 2, 1)")


def test_a_dilation_planted_without_its_padding() -> None:
    net = torchvision.models.vgg11(weights=None)
    assert linted(net, (1, 3, 224, 224), "partial-padding") == []
    net.features[13].dilation = (4, 4)
    finding = only(linted(net, (1, 3, 224, 224), "partial-padding"))
    assert finding.path == "features.13"
    # 28 positions, 8 lost to the taps, 2 padded.
    assert finding.numbers["outputs"] == [22, 22]
    assert finding.numbers["needed"] == [8, 8]
    mended = mend(net, finding)
    assert linted(mended, (1, 3, 224, 224), "partial-padding") == []
    assert mended.features[:14](torch.zeros(1, 3, 224, 224)).shape[-2:] == (28, 28)

"""Padding that is read: shares against convolutions of ones, faults planted in public networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from atrous.lint.rule import find_rule
from linting import assert_fix_mends, linted, mend, only


def _deeplab(size: int) -> nn.Module:
    net: nn.Module = torchvision.models.segmentation.deeplabv3_mobilenet_v3_large(
        weights=None, weights_backbone=None
    )
    return net.eval()


def test_rates_of_another_output_stride_are_found() -> None:
    # 320 at output stride 16 is a map of 20; the rates 12, 24, 36 are those of stride 8.
    found = linted(_deeplab(320), (1, 3, 320, 320), "padding-taps")
    finding = only([f for f in found if f.severity == "warning"])
    assert finding.numbers["layers"] == ["classifier.0.convs.2.0", "classifier.0.convs.3.0"]
    assert finding.path == "classifier.0.convs.2.0"
    assert (finding.numbers["taps"], finding.numbers["used"]) == (9, 1)
    assert finding.numbers["map"] == [20, 20]
    assert "(a 1x1 convolution in disguise): kernel 3 with dilation 24 and 36" in finding.message
    # With the rule about such rates it is told once.
    codes = [f.code for f in linted(_deeplab(320), (1, 3, 320, 320)) if f.severity == "warning"]
    assert codes == ["ATR304"]


def test_a_stack_of_one_fault_is_one_finding() -> None:
    stack = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=18, dilation=18) for _ in range(5)))
    finding = only(linted(stack, (1, 1, 14, 14), "padding-taps"))
    assert finding.numbers["layers"] == list("01234")
    assert finding.fix == "nn.Conv2d(1, 1, 3, padding=6, dilation=6)"
    # Where maps differ, or what is left of the kernel, that is another.
    mixed = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=18, dilation=18), nn.MaxPool2d(2),
        nn.Conv2d(1, 1, 3, padding=18, dilation=18),
    )  # fmt: skip
    assert [f.path for f in linted(mixed, (1, 1, 14, 14), "padding-taps")] == ["0", "2"]


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


def test_positions_that_hold_the_bias_of_a_layer_before_are_no_padding() -> None:
    net = nn.Sequential(
        nn.Conv1d(1, 1, 1, padding=4), nn.Conv1d(1, 1, 3, padding=8, dilation=8)
    ).double()
    net(torch.randn(1, 1, 4, dtype=torch.float64)).sum().backward()
    grad = net[1].weight.grad
    assert grad is not None and bool((grad != 0).all())
    assert not [f for f in linted(net.float(), (1, 1, 4), "padding-taps") if "taps" in f.numbers]


@pytest.mark.parametrize(("value", "used"), [(0.0, 1), (1.0, 3)])
def test_padding_counts_where_it_is_zero(value: float, used: int) -> None:
    net = nn.Sequential(nn.ConstantPad1d(8, value), nn.Conv1d(1, 1, 3, dilation=8))
    net(torch.randn(1, 1, 4)).sum().backward()
    grad = net[1].weight.grad
    assert grad is not None and int((grad != 0).sum()) == used
    found = [f.numbers["used"] for f in linted(net, (1, 1, 4), "padding-taps") if f.numbers]
    assert found == ([] if used == 3 else [used])


def test_crops_and_pads_in_a_row_keep_places() -> None:
    class Moved(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 2, dilation=6)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(F.pad(F.pad(x, (6, 3))[..., 2:9], (2, 0)))

    # Of 4 positions behind 6 zeros, 2 cut off and 2 put back: zeros at 0 to 5, one zero less than
    # cut at the end. Outputs 0 to 2 read 0 to 2 and 6 to 8.
    net = Moved()
    net(torch.randn(1, 1, 4)).sum().backward()
    assert net.conv.weight.grad is not None
    assert (net.conv.weight.grad != 0).flatten().tolist() == [False, True]
    assert only(linted(net, (1, 1, 4), "padding-taps")).numbers["used"] == 1


def test_kernels_of_one_get_no_dilation_as_a_fix() -> None:
    layer = nn.Conv2d(1, 1, 1, padding=(1, 3), dilation=4)
    assert only(linted(layer, (1, 1, 1, 5), "padding-taps")).fix == ""


def test_a_fix_has_as_many_outputs_where_the_layer_shrinks_its_map() -> None:
    net = nn.Sequential(
        nn.Conv2d(2, 2, 3, padding=(2, 3), dilation=4, groups=2), nn.Conv2d(2, 2, 1)
    )
    settings = {"max-padding-share": 0.2}
    for finding in linted(net, (1, 2, 12, 10), "padding-taps", settings=settings):
        assert assert_fix_mends(
            net, (1, 2, 12, 10), find_rule("padding-taps"), finding, settings=settings
        )


def test_only_axes_that_are_short_get_other_padding() -> None:
    layer = nn.Conv2d(2, 2, 3, padding=(6, 1), dilation=(4, 2))
    assert "padding=(6, 2)" in only(linted(layer, (1, 2, 9, 24), "partial-padding")).fix

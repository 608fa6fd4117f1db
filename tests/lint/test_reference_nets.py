"""Dilated networks as they are published, and as they are often got wrong: what is said of them."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torchvision
from torch import nn
from torchvision.models.segmentation.deeplabv3 import ASPP

import atrous
from atrous.lint.finding import Finding


def found(model: nn.Module, shape: Sequence[int], **options: object) -> set[tuple[str, str]]:
    """(code, path) of everything at least as bad as a warning."""
    findings: list[Finding] = atrous.lint(model, tuple(shape), **options)  # type: ignore[arg-type]
    return {(f.code, f.path) for f in findings}


def hybrid_resnet(last: tuple[int, int, int]) -> nn.Module:
    """ResNet-101 with TuSimple's rates: 1, 2, 5, 9 in groups in the third stage, then `last`."""
    net = torchvision.models.resnet101(
        weights=None, replace_stride_with_dilation=[False, True, True]
    )
    for k, block in enumerate(net.layer3):
        rate = (1, 2, 5, 9)[k % 4]
        block.conv2.dilation = block.conv2.padding = (rate, rate)
    for block, rate in zip(net.layer4, last, strict=True):
        block.conv2.dilation = block.conv2.padding = (rate, rate)
    stem = (net.conv1, net.bn1, net.relu, net.maxpool)
    return nn.Sequential(*stem, net.layer1, net.layer2, net.layer3, net.layer4)


def test_hybrid_rates_leave_no_holes_and_say_how_far_they_see() -> None:
    assert not found(hybrid_resnet((5, 9, 17)), (1, 3, 800, 800))
    notes = atrous.lint(hybrid_resnet((5, 9, 17)), (1, 3, 800, 800), severity="note")
    # 8 positions a step: 51 * 2 + 31 * 2 steps of the dilated layers alone.
    assert {f.code for f in notes} == {"ATR301"}


def test_the_last_hybrid_rates_alone_leave_holes() -> None:
    alone = nn.Sequential(*(nn.Conv2d(4, 4, 3, padding=d, dilation=d) for d in (5, 9, 17)))
    assert "ATR101" in {code for code, _ in found(alone, (1, 4, 129, 129))}
    after = nn.Sequential(
        *(nn.Conv2d(4, 4, 3, padding=d, dilation=d) for d in (1, 2, 5, 9, 5, 9, 17))
    )
    assert not found(after, (1, 4, 129, 129))


RATES = (1, 1, 2, 4, 8, 16, 1)


def context_module(*padding: int) -> nn.Module:
    """Yu and Koltun's context module."""
    layers: list[nn.Module] = []
    for pad, rate in zip(padding, RATES, strict=True):
        layers += [nn.Conv2d(8, 8, 3, padding=pad, dilation=rate), nn.ReLU()]
    return nn.Sequential(*layers, nn.Conv2d(8, 8, 1))


def test_a_context_module_padded_by_1_is_told_at_every_dilated_layer() -> None:
    told = found(context_module(*[1] * 7), (1, 8, 128, 128))
    assert told == {("ATR202", "4"), ("ATR202", "6"), ("ATR202", "8"), ("ATR202", "10")}
    # Padded by its rates, or not at all, there is nothing to say.
    assert not found(context_module(*RATES), (1, 8, 128, 128))
    assert not found(context_module(*[0] * 7), (1, 8, 128, 128))


@pytest.mark.parametrize(("stride", "rates", "fit"), [
    (8, (12, 24, 36), True),
    (16, (6, 12, 18), True),
    (8, (6, 12, 18), False),
    (16, (12, 24, 36), False),
])  # fmt: skip
def test_pyramids_at_the_right_and_the_wrong_output_stride(
    stride: int, rates: tuple[int, int, int], fit: bool
) -> None:
    net = torchvision.models.resnet50(
        weights=None, replace_stride_with_dilation=[False, stride == 8, True]
    )
    trunk = nn.Sequential(*list(net.children())[:-2])
    told = found(nn.Sequential(trunk, ASPP(2048, list(rates), 32)), (1, 3, 513, 513))
    assert ("ATR304" not in {code for code, _ in told}) == fit, told


def causal_stack(levels: int) -> nn.Module:
    """Kernel 3, dilations 1, 2, 4, ..., each after padding on the left."""
    layers: list[nn.Module] = []
    for k in range(levels):
        layers += [
            nn.ConstantPad1d((2 * 2**k, 0), 0.0),
            nn.Conv1d(4, 4, 3, dilation=2**k),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers)


def test_a_temporal_network_whose_field_exceeds_its_training_length() -> None:
    # 1 + 2 * (2^9 - 1) = 1,023 positions, trained on 300.
    long = found(causal_stack(9), (1, 4, 2000), causal=True, length=300)
    assert {code for code, _ in long} == {"ATR301"}
    assert not found(causal_stack(7), (1, 4, 2000), causal=True, length=300)
    # Not causal: the first layer that looks ahead is named.
    net = nn.Sequential(causal_stack(3), nn.Conv1d(4, 4, 3, padding=1))
    assert ("ATR501", "1") in found(net, (1, 4, 500), causal=True)

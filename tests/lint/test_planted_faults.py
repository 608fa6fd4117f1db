"""For every rule, one fault planted in a published network is found at the module that has it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, resnet50, vgg11, vgg19
from torchvision.models.segmentation import deeplabv3_resnet50, fcn_resnet50

from architectures import TCN, ConvTasNet, HiFiGAN, TemporalBlock
from atrous.lint.finding import Finding
from atrous.lint.rule import lint_rules
from linting import linted

IMAGE = (1, 3, 224, 224)
SMALL = (1, 3, 65, 65)


@dataclass(frozen=True)
class Fault:
    """A network, what is done to it, and the module at which that is to be found."""

    build: Callable[[], Any]
    plant: Callable[[Any], object]
    path: str
    x: tuple[int, ...] = IMAGE
    declared: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


def _set(path: str, make: Callable[[], nn.Module]) -> Callable[[nn.Module], object]:
    return lambda net: net.set_submodule(path, make())


def _rates(*planted: tuple[str, int]) -> Callable[[nn.Module], object]:
    """Dilate layers of kernel 3, with the padding that keeps the map."""

    def plant(net: nn.Module) -> None:
        for path, rate in planted:
            layer: Any = net.get_submodule(path)
            layer.dilation = layer.padding = (rate, rate)

    return plant


def _caffe_strides(net: Any) -> None:
    """The stride of a bottleneck in its first 1x1 convolution, and its shortcut as it was."""
    net.layer2[0].conv1.stride, net.layer2[0].conv2.stride = (2, 2), (1, 1)


def _cut_padding(net: Any) -> None:
    net.features[13].dilation = (4, 4)


def _moved(net: Any) -> None:
    """A residual branch that is padded at the front only."""
    net.layer2[1].conv2 = nn.Sequential(
        nn.ZeroPad2d((2, 0, 2, 0)), nn.Conv2d(128, 128, 3, bias=False)
    )


def _even(net: Any) -> None:
    for name in ("conv1", "conv2"):
        setattr(net.layer3[1], name, nn.Conv2d(256, 256, 4, padding="same", bias=False))


def _both_sides(net: Any) -> None:
    net.blocks[5].left = net.blocks[5].right = 32


def _more_levels(net: Any) -> None:
    net.append(TemporalBlock(25, 25, 7, 128))


def _fewer_levels(net: Any) -> None:
    del net[5:]


def _low_pass(net: Any) -> None:
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    layer = net.layer2[0].conv2
    layer.dilation = layer.padding = (2, 2)
    with torch.no_grad():
        layer.weight.copy_(torch.outer(row, row) * torch.randn(128, 128, 1, 1))


def _bare(make: Callable[..., nn.Module]) -> nn.Module:
    return make(weights=None, weights_backbone=None).eval()


def _plain(make: Callable[..., nn.Module]) -> Callable[[], nn.Module]:
    return lambda: make(weights=None).eval()


def _no_stride_8(net: Any) -> None:
    """The last stage of a backbone of output stride 8 strided again: 16."""
    fresh = resnet50(weights=None, replace_stride_with_dilation=[False, False, True])
    for stage in ("layer3", "layer4"):
        setattr(net.backbone, stage, getattr(fresh.eval(), stage))


def _vgg() -> Any:
    """The convolutions of VGG, without its half gigabyte of linear layers."""
    with torch.device("meta"):
        features: nn.Module = vgg19(weights=None, init_weights=False).features
    return features.to_empty(device="cpu")


FAULTS = {
    "ATR101": Fault(
        _plain(resnet18),
        _set("conv1", lambda: nn.Conv2d(3, 64, 7, 2, padding=6, dilation=2, bias=False)),
        "conv1",
    ),
    "ATR102": Fault(
        HiFiGAN, _set("ups.0", lambda: nn.ConvTranspose1d(64, 32, 15, 8, 4)), "ups.0", (1, 80, 24)
    ),
    "ATR103": Fault(_plain(resnet50), _caffe_strides, "layer2.0.conv1", SMALL),
    "ATR104": Fault(_vgg, _rates(("30", 2), ("32", 2), ("34", 2)), "30", (1, 3, 448, 448)),
    "ATR105": Fault(_vgg, _rates(("28", 2), ("30", 2), ("32", 4), ("34", 2)), "28"),
    "ATR201": Fault(_plain(resnet18), _rates(("layer4.1.conv2", 8)), "layer4.1.conv2"),
    "ATR202": Fault(_plain(vgg11), _cut_padding, "features.13"),
    "ATR301": Fault(lambda: TCN(levels=7).body, _more_levels, "7.conv1", (1, 1, 784)),
    "ATR302": Fault(lambda: TCN().body, _fewer_levels, "4", (1, 1, 4000), {"field": 3000}),
    "ATR303": Fault(lambda: TCN(levels=7).body, _more_levels, "7", (1, 1, 4000), {"field": 1500}),
    "ATR304": Fault(
        lambda: _bare(deeplabv3_resnet50), _no_stride_8, "classifier.0.convs.3.0", (1, 3, 513, 513)
    ),
    "ATR305": Fault(
        lambda: _bare(fcn_resnet50), _set("classifier.2", nn.Identity), "classifier.4", SMALL
    ),
    "ATR306": Fault(
        _plain(resnet18), _set("layer2.1.extra", lambda: nn.Conv2d(128, 128, 3)), "layer2.1.extra"
    ),
    "ATR401": Fault(_plain(resnet18), _moved, "layer2.1"),
    "ATR402": Fault(_plain(resnet18), _even, "layer3.1.conv1"),
    "ATR501": Fault(
        lambda: ConvTasNet(causal=True),
        _both_sides,
        "blocks.5.depthwise",
        (1, 4000),
        {"causal": True},
        {"lookahead": 15},
    ),
    "ATR502": Fault(
        lambda: TCN(levels=4).body,
        _set("2.drop", lambda: nn.GroupNorm(1, 25)),
        "2.drop",
        (1, 1, 400),
        {"stream": True},
    ),
    "ATR503": Fault(
        lambda: nn.Sequential(*list(resnet18(weights=None).eval().children())[:-2]),
        _set("6.1.bn2", lambda: nn.GroupNorm(8, 256)),
        "6.1.bn2",
        IMAGE,
        {"tile": True},
    ),
    "ATR601": Fault(_plain(resnet50), _low_pass, "layer2.0.conv2", SMALL),
    "ATR901": Fault(
        _plain(resnet18),
        _rates(("layer3.0.conv2", 5), ("layer3.1.conv1", 9), ("layer3.1.conv2", 17)),
        "layer3.1.conv1",
    ),
}


def test_every_rule_has_a_planted_fault() -> None:
    assert set(FAULTS) == set(lint_rules())


def _found(net: nn.Module, code: str) -> dict[str, Finding]:
    fault = FAULTS[code]
    found = linted(net, fault.x, code, declared=fault.declared, settings=fault.settings)
    return {f.path: f for f in found}


@pytest.mark.parametrize("code", FAULTS)
def test_it_is_found_at_its_module(code: str) -> None:
    torch.manual_seed(0)
    fault = FAULTS[code]
    net = fault.build()
    before = _found(net, code)
    assert fault.path not in before, "the network has it already"
    fault.plant(net)
    found = [f for path, f in _found(net, code).items() if path not in before]
    assert [f.path for f in found] == [fault.path], [str(f) for f in found]

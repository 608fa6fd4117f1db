"""Models with holes by design or by default, and public schedules, for the table of redesigns."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parent.parent / "tests")]

import timm
from torchvision import models as torchvision_models
from torchvision.models import segmentation

from architectures import SEQUENCES, TCN, ConvTasNet, SpliceAI, TasBlock, TemporalBlock, WaveNet

_INNER = {
    "tcn": "body",
    "spliceai_10k": "head",
    "conv_tasnet": "mask.1",
    "conv_tasnet_causal": "mask.1",
    "spectral_gru": "-",
}
"""What is measured where an output has no positions, or saturates (see `Entry.judged`)."""


@dataclass(frozen=True)
class Entry:
    """A model of the table.

    Attributes:
        family: the rows it is counted among.
        name: what it is.
        make: builds it.
        inputs: what it takes.
        judged: the module whose result is measured by gradients; "" for the model's own; "-" if
            gradients cannot tell, as of what a recurrence reads.
    """

    family: str
    name: str
    make: Callable[[], nn.Module]
    inputs: Callable[[], tuple[Tensor, ...]]
    judged: str = ""


def _images(size: int, channels: int = 3) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.rand(1, channels, size, size),)


def _signal(channels: int, length: int) -> Callable[[], tuple[Tensor, ...]]:
    return lambda: (torch.rand(1, channels, length),)


def _segmenter(name: str) -> Callable[[], nn.Module]:
    return lambda: torchvision_models.get_model(name, weights=None, weights_backbone=None)


def _multi_grid(grid: Sequence[int], output_stride: int) -> Callable[[], nn.Module]:
    """DeepLabV3 with rates of its last block times a grid (https://arxiv.org/abs/1706.05587)."""

    def make() -> nn.Module:
        kept = [False, output_stride == 8, True]
        trunk = torchvision_models.resnet50(weights=None, replace_stride_with_dilation=kept)
        for block, unit in zip(trunk.layer4, grid, strict=True):
            rate = unit * 16 // output_stride * 2
            block.conv2.dilation = block.conv2.padding = (rate, rate)
        features = nn.Sequential(
            trunk.conv1, trunk.bn1, trunk.relu, trunk.maxpool,
            trunk.layer1, trunk.layer2, trunk.layer3, trunk.layer4,
        )  # fmt: skip
        rates = [rate * 16 // output_stride for rate in (6, 12, 18)]
        return nn.Sequential(features, segmentation.deeplabv3.DeepLabHead(2048, 21, rates))

    return make


class _Sum(nn.Module):
    """Branches side by side, added up."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([branch(x) for branch in self.branches]).sum(0)


def _plane(
    dilations: Sequence[int], *, channels: int = 8, kernel: int = 3, read: int = 8
) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k, d in enumerate(dilations):
        pad = d * (kernel - 1) // 2
        first = read if k == 0 else channels
        layers += [nn.Conv2d(first, channels, kernel, padding=pad, dilation=d), nn.ReLU()]
    return nn.Sequential(*layers)


def _vgg(stages: Sequence[int], *, pools: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for k, count in enumerate(stages):
        layers.append(_plane((1,) * count, read=3 if k == 0 else 8))
        if k < pools:
            layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers)


def _written() -> Iterator[tuple[str, Callable[[], nn.Module], Callable[[], tuple[Tensor, ...]]]]:
    """Networks written after their papers, in few channels."""
    yield (
        "CSRNet, back end B (2 x 6)",  # https://arxiv.org/abs/1802.10062
        lambda: nn.Sequential(_vgg((2, 2, 3, 3), pools=3), _plane((2,) * 6)),
        _images(224),
    )
    yield (
        "CSRNet, back end D (4 x 6)",
        lambda: nn.Sequential(_vgg((2, 2, 3, 3), pools=3), _plane((4,) * 6)),
        _images(224),
    )
    yield (
        "DeepLab-LargeFOV (2 x 3, 12)",  # https://arxiv.org/abs/1606.00915
        lambda: nn.Sequential(_vgg((2, 2, 3, 3), pools=3), _plane((2, 2, 2, 12))),
        _images(257),
    )
    yield (
        "DeepLab v2 ASPP-L (6, 12, 18, 24)",
        lambda: nn.Sequential(
            _vgg((2, 2, 3, 3), pools=3),
            _plane((2, 2, 2)),
            _Sum(*(_plane((rate,)) for rate in (6, 12, 18, 24))),
        ),
        _images(257),
    )
    yield (
        "context module (1, 1, 2, 4, 8, 16, 1)",  # https://arxiv.org/abs/1511.07122
        lambda: _plane((1, 1, 2, 4, 8, 16, 1)),
        _images(97, 8),
    )
    yield (
        "front end and context module",
        lambda: nn.Sequential(
            _vgg((2, 2, 3, 3), pools=3), _plane((2, 2, 2)), _plane((4,), kernel=7),
            _plane((1, 1, 2, 4, 8, 16, 1)),
        ),
        _images(257),
    )  # fmt: skip
    yield (
        "ERFNet, one-dimensional kernels (2, 4, 8, 16) twice",
        lambda: nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), *map(_Cross, (2, 4, 8, 16) * 2)
        ),
        _images(256),
    )
    yield "rates (2, 2, 2), no stem", lambda: _plane((2, 2, 2)), _images(65, 8)
    yield "rates (8, 8, 8, 8), no stem", lambda: _plane((8,) * 4), _images(97, 8)
    yield "hybrid rates (1, 2, 5, 9)", lambda: _plane((1, 2, 5, 9)), _images(97, 8)
    yield "hybrid rates (1, 2, 9), with holes", lambda: _plane((1, 2, 9)), _images(97, 8)
    yield (
        "ASPP alone (1, 6, 12, 18)",
        lambda: _Sum(nn.Conv2d(8, 8, 1), *(_plane((rate,)) for rate in (6, 12, 18))),
        _images(65, 8),
    )
    yield (
        "volume, rates (2, 2, 4)",
        lambda: nn.Sequential(
            *(nn.Conv3d(2, 2, 3, padding=d, dilation=d) for d in (2, 2, 4))
        ),
        lambda: (torch.rand(1, 2, 33, 33, 33),),
    )  # fmt: skip


class _Cross(nn.Module):
    """Kernels of 3 x 1 and 1 x 3, plain and dilated, with a way around."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.tall = nn.Conv2d(8, 8, (3, 1), padding=(1, 0))
        self.wide = nn.Conv2d(8, 8, (1, 3), padding=(0, 1))
        self.tall_dilated = nn.Conv2d(8, 8, (3, 1), padding=(rate, 0), dilation=(rate, 1))
        self.wide_dilated = nn.Conv2d(8, 8, (1, 3), padding=(0, rate), dilation=(1, rate))

    def forward(self, x: Tensor) -> Tensor:
        y = self.wide(self.tall(x).relu()).relu()
        return (x + self.wide_dilated(self.tall_dilated(y).relu())).relu()


def _wave(*dilations: int) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        net = WaveNet(cycles=2, layers=len(dilations))
        net.dilations = list(dilations) * 2
        for layer, dilation in zip(net.dilated, net.dilations, strict=True):
            layer.dilation = (dilation,)  # type: ignore[assignment]
        return net

    return make


def _times(model: nn.Module, by: int) -> nn.Module:
    """All dilations of a model, and what is padded and cut for them, times a number."""
    for module in model.modules():
        told: Any = module
        if isinstance(module, nn.Conv1d) and module.kernel_size[0] > 1 and module.stride == (1,):
            told.dilation, told.padding = (told.dilation[0] * by,), (told.padding[0] * by,)
        elif isinstance(module, TemporalBlock):
            module.chomp *= by
        elif isinstance(module, TasBlock):
            module.left, module.right = module.left * by, module.right * by
    return model


def entries() -> Iterator[Entry]:
    """Every model of the table."""
    for name in (
        "deeplabv3_resnet50", "deeplabv3_resnet101", "deeplabv3_mobilenet_v3_large",
        "fcn_resnet50", "fcn_resnet101", "lraspp_mobilenet_v3_large",
    ):  # fmt: skip
        yield Entry("torchvision, segmentation", name, _segmenter(name), _images(257))
    for kept in product((False, True), repeat=3):
        name = "resnet50, replace_stride_with_dilation=" + "".join("FT"[k] for k in kept)
        yield Entry(
            "torchvision, dilated ResNet",
            name,
            lambda kept=kept: torchvision_models.resnet50(  # type: ignore[misc]
                weights=None, replace_stride_with_dilation=list(kept)
            ),
            _images(224),
            "layer4",
        )
    for grid, stride in product(((1, 1, 1), (1, 2, 1), (1, 2, 4)), (16, 8)):
        name = f"multi-grid {grid} at output stride {stride}"
        yield Entry("DeepLab, multi-grid", name, _multi_grid(grid, stride), _images(257))
    for name in (
        "resnet18", "resnet50", "resnext50_32x4d", "seresnet50", "efficientnet_b0",
        "mobilenetv2_100", "regnety_002", "convnext_atto", "xception41",
    ):  # fmt: skip
        for stride in (16, 8):
            yield Entry(
                "timm, output_stride",
                f"{name}, output_stride={stride}",
                lambda name=name, stride=stride: timm.create_model(  # type: ignore[misc]
                    name, output_stride=stride, num_classes=0, global_pool=""
                ),
                _images(224),
            )
    for name, make, inputs in _written():
        yield Entry("after papers", name, make, inputs)
    for name, case in SEQUENCES.items():
        judged = _INNER.get(name, "")
        yield Entry("sequences", name, case.make, case.inputs, judged)
    waved = lambda: (torch.zeros(1, 1200, dtype=torch.int64), torch.rand(1, 8, 20))  # noqa: E731
    for dilations in ((2, 4, 8, 16), (1, 3, 9, 27), (4, 4, 4, 4), (1, 2, 4, 8, 32)):
        yield Entry("sequences, bad schedules", f"WaveNet {dilations}", _wave(*dilations), waved)
    for by in (2, 3):
        for name, make, inputs, judged in (
            ("TCN", TCN, _signal(1, 784), "body"),
            ("SpliceAI", SpliceAI, SEQUENCES["spliceai_10k"].inputs, "head"),
            ("Conv-TasNet", ConvTasNet, SEQUENCES["conv_tasnet"].inputs, "mask.1"),
        ):
            yield Entry(
                "sequences, bad schedules",
                f"{name}, dilations x {by}",
                lambda make=make, by=by: _times(make(), by),  # type: ignore[misc]
                inputs,
                judged,
            )

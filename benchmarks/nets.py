"""Whole networks at their papers' sizes, written plainly, as users write them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn


class Residual(nn.Module):
    """What is added to its own input."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y


class Causal(nn.Module):
    """A convolution behind padding in front."""

    def __init__(self, inside: int, outside: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.room = dilation * (kernel - 1)
        self.conv = nn.Conv1d(inside, outside, kernel, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.pad(x, (self.room, 0)))
        return y


def conv_tasnet() -> nn.Module:
    """Luo and Mesgarani 2019: 3 repeats of 8 blocks, B 128, H 512, gLN."""
    blocks = [
        Residual(
            nn.Conv1d(128, 512, 1), nn.PReLU(), nn.GroupNorm(1, 512),
            nn.Conv1d(512, 512, 3, padding=2**k, dilation=2**k, groups=512), nn.PReLU(),
            nn.GroupNorm(1, 512), nn.Conv1d(512, 128, 1),
        )
        for _ in range(3)
        for k in range(8)
    ]  # fmt: skip
    enter = nn.Conv1d(1, 512, 16, stride=8), nn.GroupNorm(1, 512), nn.Conv1d(512, 128, 1)
    leave = nn.PReLU(), nn.Conv1d(128, 1024, 1), nn.Sigmoid()
    return nn.Sequential(*enter, *blocks, *leave)


class TemporalBlock(nn.Module):
    """Bai et al. 2018: two causal convolutions and a residual."""

    def __init__(self, inside: int, outside: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.one = Causal(inside, outside, kernel, dilation)
        self.two = Causal(outside, outside, kernel, dilation)
        self.same = nn.Conv1d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.same(x) + F.relu(self.two(F.relu(self.one(x)))))


def tcn() -> nn.Module:
    """S-MNIST: k 7, 8 levels of 25."""
    levels = [TemporalBlock(1 if k == 0 else 25, 25, 7, 2**k) for k in range(8)]
    return nn.Sequential(*levels, nn.Conv1d(25, 10, 1))


def ms_tcn() -> nn.Module:
    """Abu Farha and Gall 2019: 4 stages of 10 layers, 64 maps."""

    def stage(inside: int) -> nn.Module:
        layers = [
            Residual(
                nn.Conv1d(64, 64, 3, padding=2**k, dilation=2**k), nn.ReLU(), nn.Conv1d(64, 64, 1)
            )
            for k in range(10)
        ]
        return nn.Sequential(nn.Conv1d(inside, 64, 1), *layers, nn.Conv1d(64, 20, 1))

    return nn.Sequential(stage(2048), *(nn.Sequential(nn.Softmax(1), stage(20)) for _ in range(3)))


def spliceai() -> nn.Module:
    """Jaganathan et al. 2019: 16 units of 32 channels."""
    units = []
    for kernel, dilation in zip(
        [11] * 8 + [21] * 4 + [41] * 4, [1] * 4 + [4] * 4 + [10] * 4 + [25] * 4, strict=True
    ):
        pad = dilation * (kernel - 1) // 2
        layers = [
            layer
            for _ in range(2)
            for layer in (
                nn.BatchNorm1d(32), nn.ReLU(),
                nn.Conv1d(32, 32, kernel, padding=pad, dilation=dilation),
            )
        ]  # fmt: skip
        units.append(Residual(*layers))
    return nn.Sequential(nn.Conv1d(4, 32, 1), *units, nn.Conv1d(32, 3, 1))


def bpnet() -> nn.Module:
    """Avsec et al. 2021: k 25, then 9 residual layers of k 3."""
    layers = [
        Residual(nn.Conv1d(64, 64, 3, padding=2**k, dilation=2**k), nn.ReLU()) for k in range(1, 10)
    ]
    return nn.Sequential(
        nn.Conv1d(4, 64, 25, padding=12), nn.ReLU(), *layers, nn.Conv1d(64, 2, 25, padding=12)
    )


def trrosetta() -> nn.Module:
    """Yang et al. 2020: 2-D residual blocks of dilations 1 to 16; 15 of the 61."""

    def block(d: int) -> nn.Module:
        layers = (
            nn.Conv2d(64, 64, 3, padding=d, dilation=d), nn.InstanceNorm2d(64, affine=True),
            nn.ELU(),
            nn.Conv2d(64, 64, 3, padding=d, dilation=d), nn.InstanceNorm2d(64, affine=True),
        )  # fmt: skip
        return nn.Sequential(Residual(*layers), nn.ELU())

    return nn.Sequential(
        nn.Conv2d(526, 64, 1),
        *(block(d) for _ in range(3) for d in (1, 2, 4, 8, 16)),
        nn.Conv2d(64, 37, 1),
    )


class DeepLabV3Plus(nn.Module):
    """Chen et al. 2018 on MobileNetV2 at output stride 16: separable ASPP and decoder."""

    def __init__(self) -> None:
        super().__init__()
        trunk = torchvision.models.mobilenet_v2(weights=None).features[:18]
        for module in trunk[14:].modules():
            if isinstance(module, nn.Conv2d) and module.kernel_size == (3, 3):
                module.stride, module.dilation, module.padding = (1, 1), (2, 2), (2, 2)
        self.low, self.high = trunk[:4], trunk[4:]
        self.branches = nn.ModuleList(
            [_separable(320, 256, d) for d in (6, 12, 18)] + [nn.Conv2d(320, 256, 1)]
        )
        self.join = nn.Sequential(nn.Conv2d(1024, 256, 1), nn.BatchNorm2d(256), nn.ReLU())
        self.skip = nn.Conv2d(24, 48, 1)
        self.decoder = nn.Sequential(
            _separable(304, 256, 1), _separable(256, 256, 1), nn.Conv2d(256, 21, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        low = self.low(x)
        high = self.high(low)
        y = self.join(torch.cat([branch(high) for branch in self.branches], dim=1))
        y = F.interpolate(y, size=low.shape[2:], mode="bilinear")
        out: Tensor = self.decoder(torch.cat([y, self.skip(low)], dim=1))
        return out


def _separable(inside: int, outside: int, dilation: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(
            inside, inside, 3, padding=dilation, dilation=dilation, groups=inside, bias=False
        ),
        nn.BatchNorm2d(inside), nn.ReLU(), nn.Conv2d(inside, outside, 1, bias=False),
        nn.BatchNorm2d(outside), nn.ReLU(),
    )  # fmt: skip


def convnext() -> nn.Module:
    """Liu et al. 2022."""
    return torchvision.models.convnext_tiny(weights=None)


def highres3dnet() -> nn.Module:
    """Li et al. 2017: three scales of dilated residual blocks."""
    layers: list[nn.Module] = [nn.Conv3d(1, 16, 3, padding=1)]
    inside = 16
    for channels, d in ((16, 1), (32, 2), (64, 4)):
        if channels != inside:
            layers.append(nn.Conv3d(inside, channels, 1))
        for _ in range(3):
            block = []
            for _ in range(2):
                block += [
                    nn.BatchNorm3d(channels),
                    nn.ReLU(),
                    nn.Conv3d(channels, channels, 3, padding=d, dilation=d),
                ]
            layers.append(Residual(*block))
        inside = channels
    return nn.Sequential(*layers, nn.Conv3d(64, 10, 1))


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], bool]] = {
    "Conv-TasNet": (conv_tasnet, (1, 1, 32000), True),
    "TCN S-MNIST": (tcn, (32, 1, 784), False),
    "MS-TCN": (ms_tcn, (1, 2048, 3000), False),
    "SpliceAI-10k": (spliceai, (2, 4, 15000), False),
    "BPNet": (bpnet, (32, 4, 1000), False),
    "trRosetta, 15 blocks": (trrosetta, (1, 526, 128, 128), False),
    "DeepLabV3+ MobileNetV2": (DeepLabV3Plus, (1, 3, 513, 513), True),
    "ConvNeXt-T": (convnext, (2, 3, 224, 224), True),
    "HighRes3DNet": (highres3dnet, (1, 1, 48, 48, 48), False),
}
"""By name: how it is made, the shape of its input, whether its layers are separable."""

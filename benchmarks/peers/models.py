"""The models every tool is asked about, with the true fields and where these come from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import torchvision_cpu  # noqa: F401 - lets torchvision be imported beside a CPU build


@dataclass(frozen=True)
class Case:
    """One question.

    Attributes:
        make: makes the model; what it returns is the value asked about.
        shape: shape of the input, batch included.
        truth: the true field.
    """

    make: Callable[[], nn.Module]
    shape: tuple[int, ...]
    truth: str


def dilated_stack() -> nn.Module:
    """Yu and Koltun's dilations: 1 + 2 * 33."""
    layers: list[nn.Module] = []
    for k, d in enumerate((1, 1, 2, 4, 8, 16, 1)):
        layers += [nn.Conv2d(3 if k == 0 else 16, 16, 3, padding=d, dilation=d), nn.ReLU()]
    return nn.Sequential(*layers)


def resnet50_body() -> nn.Module:
    """Up to layer4."""
    import torchvision

    return nn.Sequential(*list(torchvision.models.resnet50().children())[:-2])


def vgg16_features() -> nn.Module:
    """Up to pool5."""
    import torchvision

    features: nn.Module = torchvision.models.vgg16().features
    return features


def deeplab() -> nn.Module:
    """Backbone and the ASPP with image pooling: the output reads everything."""
    import torchvision

    class Out(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = torchvision.models.segmentation.deeplabv3_resnet101(
                weights=None, weights_backbone=None
            )

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.model(x)["out"]
            return out

    return Out()


class UNet(nn.Module):
    """Two levels, transposed convolutions up, concatenated skips."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = self.pair(3, 8), self.pair(8, 16), self.pair(16, 32)
        self.up1, self.d = nn.ConvTranspose2d(32, 16, 2, 2), self.pair(32, 16)
        self.up2, self.e = nn.ConvTranspose2d(16, 8, 2, 2), self.pair(16, 8)

    @staticmethod
    def pair(inputs: int, outputs: int) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        fine = self.a(x)
        middle = self.b(F.max_pool2d(fine, 2))
        coarse = self.c(F.max_pool2d(middle, 2))
        middle = self.d(torch.cat([self.up1(coarse), middle], 1))
        out: Tensor = self.e(torch.cat([self.up2(middle), fine], 1))
        return out


class TCN(nn.Module):
    """Causal layers dilated 1 to 128 with residuals: 1 + 2 * 255."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(4, 4, 3, dilation=2**k) for k in range(8))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = x + F.relu(layer(F.pad(x, (2 * layer.dilation[0], 0))))  # type: ignore[operator,index]
        return x


def volume_stack() -> nn.Module:
    """3 + 2 + 2 * 2 * 2 along every axis."""
    return nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv3d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv3d(8, 8, 3, padding=2, dilation=2),
    )


MODELS = {
    "dilated 3x3 stack": Case(dilated_stack, (1, 3, 128, 128), "67 / 1"),
    "resnet50 body": Case(resnet50_body, (1, 3, 512, 512), "427 / 32"),
    "resnet50 body at 224": Case(resnet50_body, (1, 3, 224, 224), "427 / 32"),
    "vgg16 features": Case(vgg16_features, (1, 3, 320, 320), "212 / 32"),
    "deeplabv3_resnet101": Case(deeplab, (1, 3, 513, 513), "whole input"),
    "small U-Net": Case(UNet, (1, 3, 128, 128), "44 / 1"),
    "causal TCN": Case(TCN, (1, 4, 1024), "511 / 1"),
    "3-D stack": Case(volume_stack, (1, 1, 32, 32, 32), "13 / 2"),
}

"""A small dilated segmentation network in the manner of DeepLabV3+."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.models.registry import model


class Residual(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(inputs, outputs, stride=stride, dilation=dilation),
            nn.ReLU(),
            _conv(outputs, outputs, dilation=dilation),
        )
        same = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if same else nn.Conv2d(inputs, outputs, 1, stride=stride)

    def forward(self, x: Tensor) -> Tensor:
        """Half the resolution with stride 2, else the same."""
        return F.relu(self.body(x) + self.shortcut(x))


class AtrousPyramid(nn.Module):
    """Parallel branches of different dilation and the mean of the image, put together by a 1x1."""

    def __init__(self, inputs: int, width: int, rates: tuple[int, ...]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(_conv(inputs, width, kernel=1 if r == 1 else 3, dilation=r), nn.ReLU())
            for r in (1, *rates)
        )
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(inputs, width, 1), nn.ReLU())
        self.project = _conv(width * (len(rates) + 2), width, kernel=1)

    def forward(self, x: Tensor) -> Tensor:
        """The same resolution."""
        image = self.pool(x).expand(-1, -1, *x.shape[-2:])
        return F.relu(self.project(torch.cat([*(b(x) for b in self.branches), image], dim=1)))


class Segmenter(nn.Module):
    """Backbone at output stride 8, pyramid, and a decoder that adds a skip at stride 2."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(_conv(3, 16, stride=2), nn.ReLU())
        self.layer1 = Residual(16, 32, stride=2)
        self.layer2 = Residual(32, 48, stride=2)
        self.layer3 = Residual(48, 64, dilation=2)
        self.head = AtrousPyramid(64, 48, (6, 12, 18))
        self.skip = nn.Conv2d(16, 16, 1)
        self.classify = nn.Sequential(_conv(64, 48), nn.ReLU(), nn.Conv2d(48, classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        """One score per class and pixel."""
        fine = self.stem(x)
        coarse = self.head(self.layer3(self.layer2(self.layer1(fine))))
        coarse = F.interpolate(coarse, fine.shape[-2:], mode="bilinear", align_corners=False)
        scores = self.classify(torch.cat([coarse, self.skip(fine)], dim=1))
        return F.interpolate(scores, x.shape[-2:], mode="bilinear", align_corners=False)


def _conv(
    inputs: int, outputs: int, *, kernel: int = 3, stride: int = 1, dilation: int = 1
) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.Conv2d(
            inputs, outputs, kernel, stride=stride, padding=padding, dilation=dilation, bias=False
        ),
        nn.BatchNorm2d(outputs),
    )


@model(
    "segmenter",
    input_shape=(1, 3, 513, 513),
    source="after Chen et al., Encoder-Decoder with Atrous Separable Convolution, ECCV 2018",
)
def segmenter(classes: int = 19) -> nn.Module:
    """Small DeepLabV3+: residual backbone at output stride 8, ASPP 6, 12, 18, skip decoder.

    The rates are those of output stride 16: `atrous lint` finds that, and the holes they leave.
    """
    return Segmenter(classes)

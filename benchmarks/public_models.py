"""The public models that tables are made of: torchvision, timm, sequence architectures.

Every classification, segmentation, detection-backbone, video and optical-flow model of
torchvision; of timm the model named like its module, else the first, for every module; sequence
architectures written after their papers.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

sys.path[:0] = [str(Path(__file__).parent.parent / "tests")]

import timm
from torchvision import models as torchvision_models

from architectures import SEQUENCES


@dataclass(frozen=True)
class Entry:
    """A model of the table.

    Attributes:
        source: "torchvision", "timm" or "sequence".
        name: its name there.
        convolutional: whether it is one of convolutions, without attention.
    """

    source: str
    name: str

    def build(self) -> tuple[nn.Module, tuple[Tensor, ...]]:
        """The model in inference mode, with random weights, and an input for it."""
        torch.manual_seed(0)
        if self.source == "sequence":
            case = SEQUENCES[self.name]
            return case.make().eval(), case.inputs()
        if self.source == "timm":
            model = timm.create_model(self.name, pretrained=False).eval()
            return model, (torch.rand(1, *model.default_cfg["input_size"]),)
        return _torchvision(self.name)


_DETECTORS = ("rcnn", "retinanet", "fcos", "ssd")
_SEGMENTERS = ("deeplab", "fcn_", "lraspp")


def _torchvision(name: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    detector = any(part in name for part in _DETECTORS)
    options: dict[str, Any] = {"weights": None}
    if detector or any(part in name for part in _SEGMENTERS):
        options["weights_backbone"] = None
    model = torchvision_models.get_model(name, **options).eval()
    if detector:
        return model.backbone, (torch.rand(1, 3, 320, 320),)
    if name.startswith("raft"):
        return model, (torch.rand(1, 3, 128, 128), torch.rand(1, 3, 128, 128))
    if name in torchvision_models.list_models(torchvision_models.video):
        size = 112 if any(part in name for part in ("r3d", "mc3", "r2plus1d")) else 224
        return model, (torch.rand(1, 3, 16, size, size),)
    if any(part in name for part in _SEGMENTERS):
        return model, (torch.rand(1, 3, 520, 520),)
    size = 299 if "inception" in name else 224
    return model, (torch.rand(1, 3, size, size),)


def entries() -> Iterator[Entry]:
    """Every model of the table."""
    for name in torchvision_models.list_models():
        yield Entry("torchvision", name)
    for module in timm.list_modules():
        names = timm.list_models(module=module)
        if names:
            yield Entry("timm", module if module in names else names[0])
    for name in SEQUENCES:
        yield Entry("sequence", name)

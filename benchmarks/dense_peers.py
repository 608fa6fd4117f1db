"""Backbones, what their own libraries make dense of them, and the values both give.

A value is what the library itself calls the backbone's features: a stage by its path (torchvision),
`forward_features` (timm), the last of an encoder's list (segmentation_models_pytorch).
"""

from __future__ import annotations

import copy
import importlib
import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
import torch
from torch import Tensor, nn
from torchvision import models as torchvision_models

Values = Callable[[nn.Module, Tensor], Tensor]

TORCHVISION = {
    "resnet18": "layer4",
    "resnet34": "layer4",
    "resnet50": "layer4",
    "wide_resnet50_2": "layer4",
    "resnext50_32x4d": "layer4",
    "regnet_x_400mf": "trunk_output",
    "regnet_y_400mf": "trunk_output",
    "densenet121": "features",
    "vgg11": "features",
    "vgg16": "features",
    "vgg11_bn": "features",
    "vgg16_bn": "features",
    "mobilenet_v2": "features",
    "mobilenet_v3_small": "features",
    "mobilenet_v3_large": "features",
    "efficientnet_b0": "features",
    "efficientnet_v2_s": "features",
    "convnext_tiny": "features",
    "inception_v3": "Mixed_7c",
    "googlenet": "inception5b",
    "shufflenet_v2_x0_5": "conv5",
    "squeezenet1_0": "features",
    "squeezenet1_1": "features",
    "alexnet": "features",
    "mnasnet0_5": "layers",
}
"""By name, the module whose result is compared."""

TIMM = (
    "resnet50", "resnet50d", "resnet26t", "seresnet50", "legacy_seresnet50", "ecaresnet50t",
    "resnest14d", "res2net50_26w_4s", "skresnet18", "tresnet_m", "resnetv2_50", "resnetv2_50d_gn",
    "nf_resnet50", "nfnet_f0", "regnety_002", "gernet_s", "convnext_tiny", "convnextv2_atto",
    "inception_next_atto", "rdnet_tiny", "densenet121", "dpn68", "vgg11_bn", "inception_v4",
    "inception_resnet_v2", "xception41", "legacy_xception", "hrnet_w18_small", "dla34",
    "hgnetv2_b0", "ghostnet_100", "repghostnet_050", "efficientnet_b0", "tf_efficientnetv2_b0",
    "tf_efficientnet_lite0", "mobilenetv3_large_100", "mobilenetv4_conv_small", "mixnet_s",
    "rexnet_100", "hardcorenas_a", "repvgg_a0", "mobileone_s0", "fastvit_t8", "edgenext_xx_small",
    "cspresnet50", "cspdarknet53", "selecsls42b", "ese_vovnet19b_dw", "nasnetalarge",
    "pnasnet5large", "poolformer_s12", "convformer_s18", "starnet_s1", "repvit_m0_9",
    "efficientvit_b0", "efficientformerv2_s0", "mobilevit_xxs", "mobilevitv2_050",
    "coatnet_nano_rw_224", "visformer_tiny", "lambda_resnet26t", "halonet26t", "mambaout_femto",
    "focalnet_tiny_srf", "fasternet_t0", "swiftformer_xs", "swin_tiny_patch4_window7_224",
    "maxvit_nano_rw_256", "davit_tiny", "nest_tiny", "gcvit_xxtiny", "tiny_vit_5m_224",
    "pvt_v2_b0", "caformer_s18",
)  # fmt: skip

CHANNELS_LAST = ("mambaout_femto", "swin_tiny_patch4_window7_224")
"""Those of which the channels are the last axis of the features."""

SMP = {
    **{name: name for name in (
        "resnet18", "resnet34", "resnet50", "resnext50_32x4d", "densenet121", "vgg11", "vgg16",
        "vgg11_bn", "vgg16_bn", "mobilenet_v2", "dpn68", "mobileone_s0",
    )},
    "efficientnet_b0": "efficientnet-b0",
    "legacy_seresnet50": "se_resnet50",
    "inception_v4": "inceptionv4",
    "inception_resnet_v2": "inceptionresnetv2",
    "legacy_xception": "xception",
    "skresnet18": "timm-skresnet18",
    "tf_efficientnet_lite0": "timm-tf_efficientnet_lite0",
}  # fmt: skip
"""By name elsewhere, the encoder of segmentation_models_pytorch."""


class Refused(Exception):  # noqa: N818 - an answer, not a failure
    """A library does not make this model dense; the message is its own."""


@dataclass(frozen=True)
class Backbone:
    """A model of the table.

    Attributes:
        source: "torchvision" or "timm".
        name: its name there.
    """

    source: str
    name: str

    def build(self, **options: Any) -> nn.Module:
        """The model in double precision with random weights."""
        torch.manual_seed(0)
        if self.source == "timm":
            made = timm.create_model(self.name, pretrained=False, **options)
        else:
            if self.name in ("googlenet", "inception_v3"):
                options = {"init_weights": True} | options
            made = torchvision_models.get_model(self.name, weights=None, **options)
        double: nn.Module = made.eval().double()
        return double

    def values(self, model: nn.Module, x: Tensor) -> Tensor:
        """The features of this model, or of a dense one made of it."""
        with torch.no_grad():
            if self.source == "timm":
                found: Tensor = model.forward_features(x)  # type: ignore[operator]
                return found.movedim(-1, 1) if self.name in CHANNELS_LAST else found
            return hooked(model, TORCHVISION[self.name], x)

    def dense_by_its_library(self, model: nn.Module, stride: int) -> nn.Module:
        """The library's own dense form, with the weights of `model`.

        Raises:
            Refused: if it has none.
        """
        try:
            made = self.build(**self._option(stride))
            made.load_state_dict(model.state_dict())
        except Refused:
            raise
        except Exception as error:
            raise Refused(told(error)) from error
        return made

    def _option(self, stride: int) -> dict[str, Any]:
        if self.source == "timm":
            return {"output_stride": stride}
        if "resne" in self.name:
            return {"replace_stride_with_dilation": [stride <= s for s in (4, 8, 16)]}
        if self.name.startswith("mobilenet_v3") and stride == 16:
            return {"dilated": True}
        raise Refused("no option")


class Features(nn.Module):
    """The features of a timm model as a model of its own."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        """What the model gives before its head."""
        found: Tensor = self.model.forward_features(x)  # type: ignore[operator]
        return found


def features(model: nn.Module, x: Tensor) -> Tensor:
    """What a model gives, without gradients."""
    with torch.no_grad():
        found: Tensor = model(x)
    return found


def hooked(model: nn.Module, path: str, x: Tensor) -> Tensor:
    """What a module of a model gives, seen by a plain forward hook."""
    found: list[Tensor] = []
    handle = model.get_submodule(path).register_forward_hook(lambda *call: found.append(call[2]))
    try:
        model(x)
    finally:
        handle.remove()
    return found[-1]


def encoder(name: str) -> nn.Module:
    """The encoder of segmentation_models_pytorch that is the model of this name elsewhere.

    Raises:
        Refused: if there is none, or the package is not installed.
    """
    if name not in SMP:
        raise Refused("no such encoder")
    if importlib.util.find_spec("segmentation_models_pytorch") is None:
        raise Refused("not installed")
    torch.manual_seed(0)
    encoders = importlib.import_module("segmentation_models_pytorch.encoders")
    made: nn.Module = encoders.get_encoder(SMP[name], weights=None).eval().double()
    return made


def encoder_values(model: nn.Module, x: Tensor) -> Tensor:
    """The last of an encoder's features."""
    with torch.no_grad():
        found: Tensor = model(x)[-1]
    return found


def dilated_encoder(model: nn.Module, stride: int) -> nn.Module:
    """A copy that segmentation_models_pytorch has made dense.

    Raises:
        Refused: if it does not.
    """
    made: Any = copy.deepcopy(model)
    try:
        made.make_dilated(stride)
    except Exception as error:
        raise Refused(told(error)) from error
    dense: nn.Module = made
    return dense


def told(error: Exception) -> str:
    """What an error says, in a line, files named from their package on."""
    lines = str(error).strip().splitlines()
    text = re.sub(r"\S*/site-packages/", "", lines[0]) if lines else ""
    return f"{type(error).__name__}: {text}"[:300] if text else type(error).__name__


def shake(model: nn.Module) -> None:
    """Move every weight, so that none is zero and no branch is silent; in place."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if name.endswith("running_var"):
                tensor.copy_(0.5 + noise.abs())
            else:
                tensor.add_(0.1 * noise * (tensor.abs().mean() + 0.1))

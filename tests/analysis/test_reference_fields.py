"""Fields that papers and other tools give, from real modules."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.models import create
from oracles import perturbation_support, rows_along

torchvision = pytest.importorskip("torchvision")


def field(model: nn.Module, x: tuple[int, ...], node: str | None = None) -> tuple[int, ...]:
    """(size, stride, -start) where all axes agree."""
    found = atrous.receptive_field(model, x, node=node)
    assert found.status == "exact", found
    axes = {(axis.size, axis.stride, -axis.start) for axis in found.axes}
    assert len(axes) == 1, found
    size, stride, padding = axes.pop()
    return size, int(stride), padding


def test_context_module_of_yu_and_koltun() -> None:
    model = create("context_module")
    sizes = [
        atrous.receptive_field(model, (1, 19, 64, 64), node=str(k)).axes[0].size
        for k in (0, 2, 4, 6, 8, 10, 12, 14)
    ]
    assert sizes == [3, 5, 9, 17, 33, 65, 67, 67]


def test_vgg16() -> None:
    # Araujo et al., Distill 2019: conv4_2 76/8/34, pool4 100/16/42, pool5 212/32/90.
    model = torchvision.models.vgg16()
    shape = (1, 3, 224, 224)
    assert field(model, shape, "features.19") == (76, 8, 34)
    assert field(model, shape, "features.23") == (100, 16, 42)
    assert field(model, shape, "features.28") == (196, 16, 90)
    assert field(model, shape, "features.30") == (212, 32, 90)


def test_alexnet_v2() -> None:
    # Distill: 195/32/64, with pools padded as TF-slim's alexnet_v2 ("VALID"): same field; the
    # first convolution of torchvision is padded by 2 where slim's is by none.
    model = torchvision.models.alexnet()
    size, stride, _ = field(model, (1, 3, 224, 224), "features")
    assert (size, stride) == (195, 32)

    class Slim(nn.Sequential):
        """Paddings of slim's alexnet_v2: 11x11 s4 VALID, 5x5 SAME, 3x3 SAME, pools VALID."""

    slim = Slim(
        nn.Conv2d(3, 64, 11, 4), nn.MaxPool2d(3, 2), nn.Conv2d(64, 192, 5, padding=2),
        nn.MaxPool2d(3, 2), nn.Conv2d(192, 384, 3, padding=1), nn.Conv2d(384, 384, 3, padding=1),
        nn.Conv2d(384, 256, 3, padding=1), nn.MaxPool2d(3, 2),
    )  # fmt: skip
    assert field(slim, (1, 3, 224, 224)) == (195, 32, 64)


@pytest.mark.parametrize(
    ("name", "size"), [("resnet18", 435), ("resnet34", 899), ("resnet50", 427), ("resnet101", 971)]
)
def test_resnets(name: str, size: int) -> None:
    model = getattr(torchvision.models, name)()
    assert field(model, (1, 3, 224, 224), "layer4")[:2] == (size, 32)
    by_hand, jump = 7, 2
    by_hand, jump = by_hand + 2 * jump, 4
    for module in model.modules():
        if type(module).__name__ in ("BasicBlock", "Bottleneck"):
            for conv in (module.conv1, module.conv2, getattr(module, "conv3", None)):
                if conv is not None:
                    by_hand += (conv.kernel_size[0] - 1) * jump
                    jump *= conv.stride[0]
    assert by_hand == size


def test_resnet50_with_the_stride_in_the_last_unit() -> None:
    # TF-slim's ResNet v1: stage strides sit in the 3x3 of each stage's last unit: 483 / 32.
    model = torchvision.models.resnet50()
    for number, stage in enumerate((model.layer1, model.layer2, model.layer3, model.layer4)):
        stage[0].conv2.stride = (1, 1)
        if stage[0].downsample is not None:
            stage[0].downsample[0].stride = (1, 1)
        if number < 3:
            stage[-1].conv2.stride = (2, 2)
            stage[-1].downsample = nn.MaxPool2d(1, 2)
    assert field(model, (1, 3, 224, 224), "layer4")[:2] == (483, 32)


def test_deeplabv3_backbone_and_branches() -> None:
    model = torchvision.models.segmentation.deeplabv3_resnet50(weights=None, weights_backbone=None)
    shape = (1, 3, 513, 513)
    assert field(model, shape, "backbone") == (427, 8, 213)
    found = atrous.branches(model, shape)
    # Output stride 8: 427 + 2 * rate * 8, and the image pooling.
    assert [f.axes[0].size for f in found] == [427, 619, 811, 1003, 513]
    assert [f.status for f in found] == ["exact"] * 4 + ["global"]
    # The head's 3x3 adds 2 * 8; resizing to 513 mixes two of those, at a rate of 65 / 513.
    local = atrous.receptive_field(model, shape, node="classifier.1").axes[0].local
    assert local is not None
    assert (local.size, local.stride, local.status) == (1003 + 16, 8, "exact")
    output = atrous.receptive_field(model, shape, output="out")
    assert output.status == "global"
    assert output.size == (513, 513)
    assert output.axes[0].cause.startswith("classifier.0.convs.4")


def test_efficientnet_b0_beside_its_gates() -> None:
    model = torchvision.models.efficientnet_b0()
    axis = atrous.receptive_field(model, (1, 3, 224, 224), node="features.8").axes[0]
    assert axis.status == "global"
    assert axis.local is not None
    # As Araujo et al. count it, squeeze-and-excitation left aside: by layers, 3x3 and 5x5.
    size, jump = 3, 2
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.groups > 1:
            size += (module.kernel_size[0] - 1) * jump
            jump *= module.stride[0]
    assert (axis.local.size, axis.local.stride) == (size, jump)


def test_aspp_at_output_stride_16() -> None:
    model = torchvision.models.resnet50(replace_stride_with_dilation=[False, False, True])
    aspp = torchvision.models.segmentation.deeplabv3.ASPP(2048, [6, 12, 18])
    trunk = nn.Sequential(*list(model.children())[:-2], aspp)
    found = atrous.branches(trunk, (1, 3, 321, 321))
    assert [f.axes[0].size for f in found][:4] == [427, 619, 811, 1003]


@pytest.mark.parametrize(("layers", "cycles", "size"), [(10, 1, 1024), (10, 3, 3070)])
def test_wavenet(layers: int, cycles: int, size: int) -> None:
    chain = [nn.Conv1d(1, 1, 2, dilation=2**k) for k in range(layers)] * cycles
    found = atrous.receptive_field(nn.Sequential(*chain), (1, 1, 4000)).axes[0]
    assert (found.size, found.stride, found.reach) == (size, 1, (0, size - 1))


def test_tcn_of_bai_is_causal() -> None:
    found = atrous.receptive_field(create("tcn"), (1, 1, 5000)).axes[0]
    assert found.size == 1 + 2 * (8 - 1) * (2**8 - 1) == 3571
    assert found.reach == (3570, 0)
    assert found.interior == (3570, 5000)


@pytest.mark.parametrize(("blocks", "context"), [(1, 80), (2, 400), (3, 2000), (4, 10_000)])
def test_spliceai(blocks: int, context: int) -> None:
    widths, rates = [11] * 8 + [21] * 4 + [41] * 4, [1] * 4 + [4] * 4 + [10] * 4 + [25] * 4

    class Unit(nn.Module):
        def __init__(self, w: int, d: int) -> None:
            super().__init__()
            pad = (w - 1) * d // 2
            self.a = nn.Conv1d(4, 4, w, dilation=d, padding=pad)
            self.b = nn.Conv1d(4, 4, w, dilation=d, padding=pad)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.b(F.relu(self.a(F.relu(x))))

    units = [Unit(w, d) for w, d in zip(widths, rates, strict=True)][: 4 * blocks]
    found = atrous.receptive_field(nn.Sequential(*units), (1, 4, 12_000)).axes[0]
    assert found.size == context + 1
    assert found.reach == (context // 2, context // 2)


def test_n1_and_n2() -> None:
    n1 = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1)
    )
    n2 = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=2, dilation=2))
    one, two = (atrous.inspect(n, (1, 1, 32, 32)).inspection.rows[-1] for n in (n1, n2))
    assert one.field is not None
    assert two.field is not None
    assert (one.field.size, one.shape[2:]) == ((8, 8), (16, 16))
    assert (two.field.size, two.shape[2:]) == ((7, 7), (32, 32))
    assert two.macs == 4 * one.macs


def test_trrosetta_and_highres3dnet() -> None:
    pairs = [nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (1, 2, 4, 8, 16)]
    assert field(nn.Sequential(*pairs), (1, 1, 80, 80))[0] == 1 + 2 * 31
    volume = [nn.Conv3d(1, 1, 3, padding=d, dilation=d) for d in [1] * 3 + [2] * 3 + [4] * 3]
    assert field(nn.Sequential(*volume), (1, 1, 24, 24, 24))[0] == 1 + 2 * 3 * (1 + 2 + 4)


class UNet(nn.Module):
    """Two levels, resized to the skip's size, so that odd sizes work."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(i, 4, 3, padding=1), nn.ReLU()) for i in (1, 4, 4)
        )
        self.up = nn.ModuleList(nn.Conv2d(8, 4, 3, padding=1) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        a = self.down[0](x)
        b = self.down[1](F.max_pool2d(a, 2, ceil_mode=True))
        c = self.down[2](F.max_pool2d(b, 2, ceil_mode=True))
        for skip, conv in ((b, self.up[0]), (a, self.up[1])):
            c = F.interpolate(c, skip.shape[-2:], mode=self.mode)
            c = conv(torch.cat([c, skip], dim=1))
        return c


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(17, 21), (16, 23), (33, 18)])
def test_unet_at_odd_sizes(mode: str, shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    model = UNet(mode).double().eval()
    for parameter in model.parameters():
        # Shares that add up to 1, so that a rounding error stays one.
        parameter.data = parameter.abs() + 0.1
        if parameter.dim() > 1:
            parameter.data /= parameter.sum(dim=(1, 2, 3), keepdim=True)
    x = torch.rand(1, 1, *shape, dtype=torch.float64)
    found = atrous.receptive_field(model, x)
    assert found.status == "exact"
    for axis in found.axes:
        true = rows_along(perturbation_support(model, x, axis.axis), axis.axis)
        for o in range(true.shape[0]):
            assert axis.taps(o)[0].tolist() == true[o].nonzero()[0].tolist()


def test_unet_at_odd_sizes_tells_ranges() -> None:
    found = atrous.receptive_field(UNet("nearest"), (1, 1, 33, 64))
    odd, even = found.axes
    # Rates 1 (skip), 2 * 17 / 33 and 4 * 9 / 17 * 17 / 33.
    assert odd.strides == (Fraction(1), Fraction(12, 11))
    assert odd.sizes[0] < odd.sizes[1]
    assert even.strides == (1, 1)
    assert "to" in str(found).splitlines()[1]

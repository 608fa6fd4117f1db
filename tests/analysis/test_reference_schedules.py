"""Fields of published dilated schedules, from networks of a few lines, against sums by hand and
figures that papers give."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

import atrous

torchvision = pytest.importorskip("torchvision")


def stack(kernel: int, rates: Sequence[int], axes: int = 1) -> nn.Sequential:
    """Equal kernels, one layer per rate, lengths kept."""
    convolution = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    return nn.Sequential(
        *(convolution(1, 1, kernel, padding="same", dilation=d, bias=False) for d in rates)
    )


class Residual(nn.Module):
    """x plus two convolutions of one rate."""

    def __init__(self, kernel: int, rate: int, axes: int) -> None:
        super().__init__()
        self.body = stack(kernel, (rate, rate), axes)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


@pytest.mark.parametrize(
    ("model", "shape", "size"),
    [
        # MS-TCN: 4 stages of 10 layers, k 3.
        (stack(3, [2**k for k in range(10)] * 4), (1, 1, 9000), 1 + 4 * 2 * 1023),
        # The trunk of Basenji2.
        (stack(3, [1, 2, 3, 4, 6, 9, 14, 21, 32, 48, 72]), (1, 1, 600), 425),
        # BPNet: one convolution of 25, then 9 of 3.
        (
            nn.Sequential(stack(25, [1]), stack(3, [2**k for k in range(1, 10)])),
            (1, 1, 3000),
            25 + 2 * 1022,
        ),
        # AlphaFold-1: 220 blocks on pairs.
        (stack(3, [1, 2, 4, 8] * 55, axes=2), (1, 1, 40, 40), 1 + 2 * 55 * 15),
        # trRosetta: 61 blocks of two.
        (
            nn.Sequential(*(Residual(3, (1, 2, 4, 8, 16)[k % 5], 2) for k in range(61))),
            (1, 1, 40, 40),
            1 + 2 * 2 * (12 * 31 + 1),
        ),
        # HighRes3DNet: a first convolution, then three residual blocks of two per rate.
        (
            nn.Sequential(
                stack(3, [1], axes=3),
                *(Residual(3, rate, 3) for rate in (1, 2, 4) for _ in range(3)),
            ),
            (1, 1, 12, 12, 12),
            3 + 2 * 2 * 3 * (1 + 2 + 4),
        ),
    ],
    ids=["ms_tcn", "basenji2", "bpnet", "alphafold1", "trrosetta", "highres3dnet"],
)
def test_published_schedules(model: nn.Module, shape: tuple[int, ...], size: int) -> None:
    found = atrous.receptive_field(model, shape)
    assert found.status == "exact"
    assert set(found.size) == {size}


def test_resnet101_with_hybrid_dilation() -> None:
    """DUC-HDC: res4b with rates 1, 2, 5, 9 in turn, res5b with 5, 9, 17, at output stride 8."""
    model = torchvision.models.resnet101(replace_stride_with_dilation=[False, True, True])
    rates = [(1, 2, 5, 9)[k % 4] for k in range(23)], [5, 9, 17]
    for layer, own in zip((model.layer3, model.layer4), rates, strict=True):
        for block, rate in zip(layer, own, strict=True):
            block.conv2.dilation = block.conv2.padding = (rate, rate)
    found = atrous.receptive_field(model, (1, 3, 257, 257), node="layer4")
    # Stem 7 and pool 3; 3 blocks at stride 4, 1 + 3 more at 4 and 8; then by the rates.
    trunk = 7 + 2 * 2 + 3 * 2 * 4 + 2 * 4 + 3 * 2 * 8
    assert set(found.size) == {trunk + 2 * 8 * (sum(rates[0]) + sum(rates[1]))}
    assert found.status == "exact"
    assert set(found.stride) == {8}


def test_dilated_front_end_and_context_module() -> None:
    """Dilation8: VGG-16 without its last two pools, dense by dilation, and eight context layers."""
    vgg = torchvision.models.vgg16().features
    layers = [m for k, m in enumerate(vgg) if k not in (23, 30)]
    for module in layers[23:]:
        if isinstance(module, nn.Conv2d):
            module.dilation = module.padding = (2, 2)
    front = nn.Sequential(*layers, nn.Conv2d(512, 8, 7, padding=12, dilation=4))
    context = [nn.Conv2d(8, 8, 3, padding=d, dilation=d) for d in (1, 1, 2, 4, 8, 16, 1)]
    # conv4_3 is 92 at stride 8; the pools' own extent is gone.
    size = 92 + 3 * 2 * 2 * 8 + 6 * 4 * 8
    assert set(atrous.receptive_field(front, (1, 3, 321, 321)).size) == {size}
    whole = nn.Sequential(front, *context)
    assert set(atrous.receptive_field(whole, (1, 3, 321, 321)).size) == {size + 66 * 8}


def test_a_pool_that_is_removed_takes_its_extent() -> None:
    """VGG's conv5_3: 196 with pools, 181 without the stage's; the field of N1: 8, then 7."""
    vgg = torchvision.models.vgg16().features
    assert atrous.receptive_field(vgg, (1, 3, 224, 224), node="29").size == (196, 196)
    rate, layers = 1, []
    for module in vgg[:30]:
        if isinstance(module, nn.MaxPool2d):
            rate *= 2
            continue
        if isinstance(module, nn.Conv2d):
            module.dilation = module.padding = (rate, rate)
        layers.append(module)
    assert atrous.receptive_field(nn.Sequential(*layers), (1, 3, 224, 224)).size == (181, 181)
    dense = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Conv2d(1, 1, 3, dilation=2))
    assert atrous.receptive_field(dense, (1, 1, 32, 32)).size == (7, 7)


@pytest.mark.parametrize(("kernel", "rate"), [(3, 2), (3, 15), (5, 3), (2, 4)])
def test_blind_fraction_of_one_layer(kernel: int, rate: int) -> None:
    axis = atrous.receptive_field(stack(kernel, [rate]), (1, 1, 200)).axes[0]
    blind = (kernel - 1) * (rate - 1) / ((kernel - 1) * rate + 1)
    assert 1 - axis.density == pytest.approx(blind)
    layers = 3
    axis = atrous.receptive_field(stack(kernel, [rate] * layers), (1, 1, 400)).axes[0]
    reads, span = layers * (kernel - 1) + 1, layers * (kernel - 1) * rate + 1
    assert axis.density == pytest.approx(reads / span)


def test_one_wide_kernel_and_one_dilated() -> None:
    """31 x 31 with 32 to 64 channels: 1,968,128 weights, or 18,432 that read 9 of 961 positions."""
    full = nn.Conv2d(32, 64, 31, padding=15, bias=False)
    thin = nn.Conv2d(32, 64, 3, padding=15, dilation=15, bias=False)
    rows = [
        atrous.inspect(nn.Sequential(m), (1, 32, 64, 64)).inspection.rows[-1] for m in (full, thin)
    ]
    assert [row.parameters for row in rows] == [1_968_128, 18_432]
    assert all(row.field is not None and row.field.size == (31, 31) for row in rows)
    field = rows[1].field
    assert field is not None
    read = [len(axis.taps()[0]) for axis in field.axes]
    assert (read[0] * read[1], field.size[0] * field.size[1]) == (9, 961)


def test_holes_that_gcd_does_not_tell() -> None:
    """Rates 1, 2, 4 share a factor and leave no hole; 2 and 3 do not, and miss 4 and -4."""
    assert len(atrous.receptive_field(stack(3, (1, 2, 4)), (1, 1, 64)).axes[0].holes) == 0
    axis = atrous.receptive_field(stack(3, (2, 3)), (1, 1, 64)).axes[0]
    offsets = set((axis.holes - axis.reach[0]).tolist())
    assert offsets == {-4, 4}
    for rates, holes in (((2, 2, 5, 9), 4), ((1, 5, 2), 0), ((1, 2, 9), 4), ((1, 2, 5), 0)):
        found = atrous.receptive_field(stack(3, rates), (1, 1, 64)).axes[0]
        assert len(found.holes) == holes, rates


def test_equal_rates_are_nets_side_by_side() -> None:
    axis = atrous.receptive_field(stack(3, [8] * 4), (1, 1, 128)).axes[0]
    assert axis.phases == 8
    assert len(axis.unread) == 0


def test_parallel_branches_leave_cracks() -> None:
    """Rates 6, 12, 18 beside a 1 x 1: of 37 x 37 offsets each axis alone reads 7."""

    class Aspp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.point = nn.Conv2d(1, 1, 1)
            self.rates = nn.ModuleList(
                nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (6, 12, 18)
            )

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.point(x), *(rate(x) for rate in self.rates)], 1)

    found = atrous.receptive_field(Aspp(), (1, 1, 80, 80))
    assert found.size == (37, 37)
    for axis in found.axes:
        assert (axis.taps()[0] - axis.taps()[0][3]).tolist() == [-18, -12, -6, 0, 6, 12, 18]
    offsets = set()
    for channel in range(4):
        rows, columns = (
            a.taps()[0]
            for a in atrous.receptive_field(Aspp(), (1, 1, 80, 80), channels=channel).axes
        )
        middle = rows[len(rows) // 2], columns[len(columns) // 2]
        offsets |= {(int(r - middle[0]), int(c - middle[1])) for r in rows for c in columns}
    assert len(offsets) == 25

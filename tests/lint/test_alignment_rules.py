"""Shifts and branches out of step, against where an impulse goes; faults in public backbones."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

import atrous
from linting import linted, mend, only, warnings_of

IMAGE = (1, 3, 224, 224)


class _Shifted(nn.Module):
    """A convolution padded on one side only, and its result moved back by some positions."""

    def __init__(self, conv: nn.Conv2d, back: tuple[int, ...] = (0, 0, 0, 0)) -> None:
        super().__init__()
        self.conv = conv
        self.back = back

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(F.pad(x, (2, 0, 2, 0)))
        return F.pad(y, self.back)


def _one_sided(channels: int) -> nn.Conv2d:
    return nn.Conv2d(channels, channels, 3, bias=False)


def test_misaligned_branch_is_found_where_it_meets() -> None:
    net = torchvision.models.resnet18(weights=None)
    net.layer2[1].conv2 = _Shifted(_one_sided(128))
    finding = only(linted(net, IMAGE, "misaligned"))
    assert (finding.path, finding.severity) == ("layer2.1", "warning")
    # One position of a map of stride 8, to the left and to the top.
    assert (finding.numbers["offset"], finding.numbers["steps"]) == (8, 1)
    back = tuple(int(n) for n in finding.fix.split("(", 2)[2].split(")")[0].split(","))
    net.layer2[1].conv2 = _Shifted(_one_sided(128), back)
    assert linted(net, IMAGE, "misaligned") == []


@pytest.mark.parametrize("offset", [-1, 1, 2])
def test_offsets_agree_with_the_gradient(offset: int) -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 5, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.conv(F.pad(x, (2 - offset, 2 + offset)))

    net = Branches()
    finding = only(linted(net, (1, 1, 32), "misaligned"))
    x = torch.zeros(1, 1, 32, requires_grad=True)
    torch.nn.init.ones_(net.conv.weight)
    (net(x) - x)[0, 0, 16].backward()
    assert x.grad is not None
    read = x.grad[0, 0].nonzero().double()
    assert finding.numbers["offset"] == float(read.mean() - 16) == offset
    assert finding.fix.startswith(f"y = F.pad(y, ({offset}, {-offset}))")


class _Ends(nn.Module):
    """Two branches that end at the same position, behind a layer that looks ahead."""

    def __init__(self, ahead: int) -> None:
        super().__init__()
        self.enter = nn.Conv1d(1, 1, 3, padding=1)
        self.conv = nn.Conv1d(1, 1, 5)
        self.ahead = ahead

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        y: Tensor = self.conv(F.pad(x, (4 - self.ahead, self.ahead)))
        return y + F.pad(x, (-self.ahead, self.ahead))


def test_branches_that_look_back_may_end_alike_but_not_ahead() -> None:
    assert linted(_Ends(0), (1, 1, 40), "misaligned") == []
    finding = only(linted(_Ends(2), (1, 1, 40), "misaligned"))
    # The convolution is centred at its position, what is added to it two further on.
    assert (finding.severity, finding.numbers["steps"]) == ("warning", 2)


def test_attention_in_windows_and_tokens_have_no_centre() -> None:
    class Windows(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            rolled = torch.roll(x, -3, 1).reshape(1, 4, 7, 8)
            mixed = (rolled @ rolled.mT).softmax(-1) @ rolled
            return x + torch.roll(mixed.reshape(1, 28, 8), 3, 1)

    net = nn.Sequential(nn.Conv1d(28, 28, 1), Windows())
    assert warnings_of(net, (1, 28, 8), "misaligned") == []


def test_half_steps_of_stock_networks_are_notes() -> None:
    net = torchvision.models.segmentation.lraspp_mobilenet_v3_large(
        weights=None, weights_backbone=None
    ).eval()
    assert warnings_of(net, (1, 3, 224, 224)) == []

    class UNet(nn.Module):
        def __init__(self, align_corners: bool | None) -> None:
            super().__init__()
            self.down = nn.ModuleList(nn.Conv2d(1, 1, 3, 2, 1) for _ in range(4))
            self.align_corners = align_corners

        def forward(self, x: Tensor) -> Tensor:
            skips = []
            for layer in self.down:
                skips.append(x)
                x = layer(x)
            for skip in reversed(skips):
                mode = "nearest" if self.align_corners is None else "bilinear"
                size = skip.shape[2:]
                x = F.interpolate(x, size, mode=mode, align_corners=self.align_corners) + skip
            return x

    for align_corners in (None, False, True):
        found = linted(UNet(align_corners), (1, 1, 64, 64), "misaligned")
        assert {f.severity for f in found} <= {"note"}, align_corners


def test_even_kernels_of_a_backbone_add_up() -> None:
    net = torchvision.models.resnet18(weights=None)
    net.layer3[1].conv1 = nn.Conv2d(256, 256, 4, padding="same", bias=False)
    net.layer3[1].conv2 = nn.Conv2d(256, 256, 4, padding="same", bias=False)
    finding = only(linted(net, IMAGE, "even-kernel-shift"))
    assert (finding.path, finding.severity) == ("layer3.1.conv1", "warning")
    assert finding.numbers["layers"] == ["layer3.1.conv1", "layer3.1.conv2"]
    # Two half positions of a map of stride 16.
    assert (finding.numbers["shift"], finding.numbers["steps"]) == (16, 1)
    assert finding.fix == "nn.Conv2d(256, 256, 5, padding=2, bias=False)"
    one = only(linted(mend(net, finding), IMAGE, "even-kernel-shift"))
    assert (one.path, one.severity) == ("layer3.1.conv2", "note")
    assert linted(mend(net, one), IMAGE, "even-kernel-shift") == []


@pytest.mark.parametrize(
    ("pads", "shift"),
    [
        ([(1, 2)], 0.5),
        ([(1, 2), (1, 2)], 1),
        ([(1, 2), (2, 1)], 0),
        ([(2, 1), (2, 1), (2, 1)], -1.5),
        ([(1, 1), (2, 2)], 0),
        ([(0, 3), (2, 1)], 1),
    ],
)
def test_shifts_agree_with_where_the_middle_reads(
    pads: list[tuple[int, int]], shift: float
) -> None:
    net = nn.Sequential(
        *(nn.Sequential(nn.ZeroPad1d(pad), nn.Conv1d(1, 1, 4, bias=False)) for pad in pads)
    )
    x = torch.zeros(1, 1, 41, requires_grad=True)
    for layer in net.modules():
        if isinstance(layer, nn.Conv1d):
            nn.init.ones_(layer.weight)
    y = net(x)
    # Of an even length the two in the middle.
    n = y.shape[-1]
    (y[0, 0, (n - 1) // 2] + y[0, 0, n // 2]).backward()
    assert x.grad is not None
    weights = x.grad[0, 0].double()
    centre = float((weights * torch.arange(41)).sum() / weights.sum())
    assert centre - 20 == pytest.approx(shift)
    found = linted(net, (1, 1, 41), "even-kernel-shift")
    assert [f.numbers["shift"] for f in found] == ([shift] if shift else [])


def test_causal_layers_are_shifted_on_purpose() -> None:
    class Chomp(nn.Module):
        def __init__(self, dilation: int) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3, padding=2 * dilation, dilation=dilation)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = x + self.conv(x)[..., : x.shape[-1]]
            return out

    def causal(dilation: int) -> nn.Module:
        return nn.Sequential(
            nn.ConstantPad1d((2 * dilation, 0), 0.0), nn.Conv1d(2, 2, 3, dilation=dilation)
        )

    assert warnings_of(nn.Sequential(*map(Chomp, (1, 2, 4))), (1, 2, 64), "even-kernel-shift") == []
    mixed = nn.Sequential(causal(1), nn.Conv1d(2, 2, 3, padding=1), causal(4), Chomp(2))
    assert linted(mixed, (1, 2, 64), "even-kernel-shift") == []


def test_halving_with_padding_on_the_right_is_no_shift() -> None:
    # TensorFlow pads a halved map on the right only.
    net = torchvision.models.mobilenet_v2(weights=None)
    net.features[0][0].padding = (0, 0)
    net.features[0] = nn.Sequential(nn.ZeroPad2d((0, 1, 0, 1)), net.features[0])
    assert warnings_of(net, IMAGE) == []


class _HalfCausal(nn.Module):
    """A residual block with one convolution that looks back and one that does not."""

    def __init__(self, dilation: int, causal: bool) -> None:
        super().__init__()
        self.first = nn.Conv1d(4, 4, 3, padding=dilation, dilation=dilation)
        self.second = nn.Conv1d(4, 4, 3, dilation=dilation)
        self.skip = nn.Conv1d(4, 4, 1)
        self.pad = (2 * dilation, 0) if causal else (dilation, dilation)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.second(F.pad(F.relu(self.first(x)), self.pad))
        return x + y, self.skip(y)


class _Separator(nn.Module):
    def __init__(self, causal: bool, blocks: int = 8) -> None:
        super().__init__()
        self.enter = nn.Conv1d(1, 4, 1)
        self.blocks = nn.ModuleList(_HalfCausal(2 ** (k % 4), causal) for k in range(blocks))

    def forward(self, x: Tensor) -> Tensor:
        x, total = self.enter(x), torch.zeros(())
        for block in self.blocks:
            x, skip = block(x)
            total = total + skip
        return total


def test_one_pad_out_of_place_in_every_block_is_one_finding() -> None:
    assert linted(_Separator(False), (1, 1, 200), "misaligned") == []
    finding = only(linted(_Separator(True), (1, 1, 200), "misaligned"))
    assert (finding.path, finding.severity) == ("blocks.0", "warning")
    # The sums of 7 blocks (the last is not used) and of 7 skips; a dilation of 8 shifts by 8.
    assert "So it is 13 more times" in finding.message and "by up to 8 positions" in finding.message


def test_branches_without_a_layer_in_common_are_told_apart() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv1d(1, 1, 5), nn.Conv1d(1, 1, 5)

        def forward(self, x: Tensor) -> Tensor:
            x = x + self.a(F.pad(x, (0, 4)))
            out: Tensor = x + self.b(F.pad(x, (1, 3)))
            return out

    found = linted(Both(), (1, 1, 40), "misaligned")
    assert [f.numbers["offset"] for f in found] == [2, 1]


class _Bands(nn.Module):
    """A wavelet transform, given out or fed to a layer over its bands."""

    def __init__(self, then: nn.Module) -> None:
        super().__init__()
        self.wavelet = atrous.nn.StationaryWavelet1d([0.5**0.5, 0.5**0.5], 3)
        self.then = then

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.then(self.wavelet(x).flatten(1, 2))
        return out


def test_bands_side_by_side_are_no_fault() -> None:
    for wavelet, shape in (
        (atrous.nn.StationaryWavelet1d([0.5**0.5, 0.5**0.5], 3), (1, 1, 64)),
        (atrous.nn.StationaryWavelet2d([0.5**0.5, 0.5**0.5], 2), (1, 1, 16, 16)),
    ):
        assert warnings_of(wavelet, shape) == []
    assert warnings_of(_Bands(nn.Tanh()), (1, 1, 64), "misaligned") == []
    # A layer that adds them up brings them together.
    assert len(warnings_of(_Bands(nn.Conv1d(4, 2, 1)), (1, 1, 64), "misaligned")) == 1


class _Valid(nn.Module):
    """WaveNet without padding: the shortcut is cropped in front by what the gate loses."""

    def __init__(self, front: bool = True) -> None:
        super().__init__()
        self.front = front
        self.gates = nn.ModuleList(nn.Conv1d(4, 4, 2, dilation=2**k) for k in range(5))

    def forward(self, x: Tensor) -> Tensor:
        for k, gate in enumerate(self.gates):
            cut = x[..., 2**k :] if self.front else x[..., : -(2**k)]
            x = cut + gate(x).tanh()
        return x


def test_a_shortcut_cropped_in_front_beside_a_layer_without_padding_is_causal() -> None:
    assert warnings_of(_Valid(), (1, 4, 100)) == []
    # Cropped at the end it lies before the other: one finding for all five.
    (told,) = warnings_of(_Valid(front=False), (1, 4, 100), "misaligned")
    assert "So it is 3 more times" in told

"""Rules about what one output reads: faults planted in public backbones, and hand arithmetic."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
import torchvision
from torch import Tensor, nn

from atrous.lint.rule import find_rule
from linting import linted, mend, only, warnings_of

IMAGE = (1, 3, 224, 224)


def _resnet18() -> nn.Module:
    return torchvision.models.resnet18(weights=None)


def _vgg19(*dilations: int) -> nn.Module:
    """The layers of VGG-19 with these dilations in the last block, at stride 16."""
    # Its linear layers have no positions, and half a gigabyte of weights.
    with torch.device("meta"):
        net: nn.Module = torchvision.models.vgg19(weights=None, init_weights=False).features
    net = net.to_empty(device="cpu")
    layers = [m for m in net[28:] if isinstance(m, nn.Conv2d)]
    assert len(layers) == 4
    for layer, d in zip(layers, dilations, strict=True):
        layer.dilation = layer.padding = (d, d)
    return net


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("resnet18", IMAGE),
        ("mobilenet_v3_small", IMAGE),
        ("densenet121", IMAGE),
        ("fcn_resnet50", (1, 3, 520, 520)),
    ],
)
def test_stock_networks_get_no_warning(name: str, shape: tuple[int, ...]) -> None:
    extra = {"weights_backbone": None} if "fcn" in name else {}
    net = torchvision.models.get_model(name, weights=None, **extra).eval()
    assert warnings_of(net, shape) == []


def test_holes_are_told_at_the_layer_that_leaves_them() -> None:
    net = _resnet18()
    net.conv1 = nn.Conv2d(3, 64, 7, stride=2, dilation=2, padding=6, bias=False)
    finding = only(linted(net, IMAGE, "holes"))
    assert (finding.path, finding.severity) == ("conv1", "warning")
    # Of a span of even positions every second one is read along both axes.
    assert finding.numbers["density"] == pytest.approx(0.25, abs=0.01)
    assert finding.fix == "nn.Conv2d(3, 64, 7, stride=2, padding=3, bias=False)"
    assert linted(mend(net, finding), IMAGE, "holes") == []


def test_holes_name_the_cheapest_layer_of_a_chain() -> None:
    def offsets(rates: tuple[int, ...]) -> set[int]:
        return {sum(s) for s in product(*((-d, 0, d) for d in rates))}

    net = nn.Sequential(*(nn.Conv1d(2, 2, 3, padding=d, dilation=d) for d in (1, 2, 9)))
    finding = only(linted(net, (1, 2, 65), "holes"))
    assert offsets((1, 2, 9)) == set(range(-12, 13)) - {-5, -4, 4, 5}
    assert (finding.path, finding.numbers["holes"]) == ("2", 4)
    assert len(offsets((1, 2, 7))) == 21
    assert len(offsets((1, 2, 8))) < 23
    assert finding.numbers["dilation"] == [7]
    assert linted(mend(net, finding), (1, 2, 65), "holes") == []


def _decoder(layer: nn.Module) -> nn.Module:
    backbone = nn.Sequential(*list(_resnet18().children())[:-2])
    return nn.Sequential(backbone, layer, nn.Conv2d(32, 3, 1))


@pytest.mark.parametrize(
    "layer",
    [
        nn.ConvTranspose2d(512, 32, 3, stride=2, padding=1, output_padding=1),
        nn.ConvTranspose2d(512, 32, 5, stride=3, padding=1, groups=4),
        nn.ConvTranspose2d(512, 32, 3, stride=4, bias=False),
        nn.ConvTranspose2d(512, 32, (4, 3), stride=(2, 2), dilation=(1, 2)),
    ],
)
def test_checkerboard_agrees_with_equal_weights(layer: nn.ConvTranspose2d) -> None:
    net = _decoder(layer)
    finding = only(linted(net, (1, 3, 96, 96), "checkerboard"))
    assert (finding.path, finding.severity) == ("1", "warning")
    inside = _ones(layer, 512 // layer.groups)
    assert (finding.numbers["fewest"], finding.numbers["most"]) == (inside.min(), inside.max())
    mended = mend(net, finding)
    assert linted(mended, (1, 3, 96, 96), "checkerboard") == []
    fixed = mended[1]
    assert isinstance(fixed, nn.ConvTranspose2d)
    x = torch.zeros(1, 512, 3, 5)
    assert fixed(x).shape == layer(x).shape
    even = _ones(fixed, 512 // layer.groups)
    assert even.min() == even.max()


def _ones(layer: nn.ConvTranspose2d, inputs: int) -> Tensor:
    """How many inputs each output reads away from borders: the layer with all weights 1."""
    with torch.no_grad():
        weight = torch.ones_like(layer.weight)
        x = torch.ones(1, layer.in_channels, 16, 16)
        sums = torch.conv_transpose2d(
            x, weight, None, layer.stride, 0, 0, layer.groups, layer.dilation
        )
    return (sums / inputs)[0, 0, 16:32, 16:32]


def test_checkerboard_tells_equal_layers_once() -> None:
    layers = (nn.ConvTranspose2d(8, 8, 3, stride=2) for _ in range(3))
    finding = only(linted(nn.Sequential(*layers), (1, 8, 4, 4), "checkerboard"))
    assert finding.path == "0"
    assert finding.numbers["layers"] == ["0", "1", "2"]


def test_skipped_inputs_of_a_stride_in_the_first_1x1() -> None:
    # The older layout of ResNet: both ways into a stage step over three of four values.
    net = _resnet18()
    net.layer2[0].conv1 = nn.Conv2d(64, 128, 1, stride=2, bias=False)
    finding = only(linted(net, IMAGE, "skipped-inputs"))
    assert (finding.path, finding.severity) == ("layer2.0.conv1", "warning")
    assert finding.numbers["unread"] == 0.75
    assert "layer2.0.downsample.0" in finding.message
    # What the values lost have seen, their neighbours have seen, too.
    assert "unseen" not in finding.numbers
    assert linted(mend(net, finding), IMAGE, "skipped-inputs") == []


def test_a_layer_that_nothing_near_can_mend_gets_no_fix() -> None:
    # 7 x 6 outputs of stride 3 that read all 24 positions take kernels of 6 and 9 at the least.
    layer = nn.Conv2d(1, 1, 3, stride=3, padding=(2, 0), dilation=4)
    assert only(linted(layer, (1, 1, 24, 24), "skipped-inputs")).fix == ""
    # A dilation of 4 at stride 3 that shares no factor with it leaves 6 near the ends: 2 reads all
    # of 23, from -2 to 24.
    shares_none = nn.Conv1d(1, 1, 3, stride=3, padding=4, dilation=4)
    finding = only(linted(shares_none, (1, 1, 23), "skipped-inputs"))
    mended = mend(nn.Sequential(shares_none), replace(finding, path="0"))
    x = torch.randn(1, 1, 23, requires_grad=True)
    y = mended(x)
    assert y.shape == shares_none(x).shape
    y.sum().backward()
    assert x.grad is not None and bool((x.grad != 0).all())


class _Shared(nn.Module):
    """A map that a strided 1x1 reads activated, and with `wholly` another layer reads as it is."""

    def __init__(self, wholly: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.shortcut = nn.Conv2d(4, 4, 1, stride=2)
        self.main = nn.Conv2d(4, 4, 3 if wholly else 1, stride=2, padding=1 if wholly else 0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.shortcut(torch.relu(x)) + self.main(x)


def test_skipped_activations_of_a_map_that_is_read_otherwise_are_a_note() -> None:
    finding = only(linted(_Shared(wholly=True), (1, 3, 32, 32), "skipped-inputs"))
    assert finding.severity == "note" and "activated for nothing" in finding.message
    lost = linted(_Shared(wholly=False), (1, 3, 32, 32), "skipped-inputs")
    assert {f.severity for f in lost} == {"warning"}


def test_skipped_inputs_agree_with_the_gradient() -> None:
    net = _resnet18()
    net.conv1 = nn.Conv2d(3, 64, 7, stride=2, dilation=2, padding=6, bias=False)
    finding = only(linted(net, (1, 3, 64, 64), "skipped-inputs"))
    x = torch.zeros(1, 3, 64, 64, requires_grad=True)
    small = nn.Sequential(net.conv1, nn.AvgPool2d(3, 2, 1)).double()
    small(x.double()).sum().backward()
    assert x.grad is not None
    assert finding.numbers["unseen"] == float((x.grad.abs().sum(1) == 0).double().mean())
    assert finding.path == "conv1"


class _Slices(nn.Module):
    """Patches merged as in Swin: four slices in steps of 2 that read all together."""

    def __init__(self, kept: int) -> None:
        super().__init__()
        self.kept = kept
        self.enter = nn.Conv2d(2, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.enter(x)
        parts = [x[:, :, a::2][:, :, :, b::2] for a in (0, 1) for b in (0, 1)]
        return torch.cat(parts[: self.kept], 1)


def test_slices_that_read_all_together_skip_nothing() -> None:
    assert linted(_Slices(4), (1, 2, 8, 8), "skipped-inputs") == []
    finding = only(linted(_Slices(3), (1, 2, 8, 8), "skipped-inputs"))
    assert (finding.severity, finding.numbers["unread"]) == ("note", 0.25)


def test_rows_left_over_by_division_are_a_note() -> None:
    finding = only(linted(nn.Conv2d(1, 1, 4, stride=4), (1, 1, 35, 32), "skipped-inputs"))
    assert finding.severity == "note"
    assert "the last 3 of the 35 positions of the input (axis 2)" in finding.message


def test_piled_schedule_in_a_backbone() -> None:
    # Ways of (1, 2, 2, 2) by hand: the product of 1 + x + x^2 and (1 + x^2 + x^4)^3.
    finding = only(linted(_vgg19(1, 2, 2, 2), (1, 3, 448, 448), "piled"))
    counts = [0] * 15
    for taps in product((0, 1, 2), (0, 2, 4), (0, 2, 4), (0, 2, 4)):
        counts[sum(taps)] += 1
    mean = sum(counts) / 15
    deviation = (sum((c - mean) ** 2 for c in counts) / 15) ** 0.5
    assert finding.numbers["variation"] == pytest.approx(deviation / mean)
    assert (finding.path, finding.severity) == ("30", "note")


def test_interleaved_block_of_a_backbone() -> None:
    finding = only(linted(_vgg19(2, 2, 4, 2), IMAGE, "interleaved"))
    assert (finding.path, finding.severity) == ("28", "warning")
    assert finding.numbers["factors"] == [2, 2]
    assert linted(_vgg19(2, 1, 4, 2), IMAGE, "interleaved") == []


def test_interleaved_is_not_found_where_the_stretch_begins_densely() -> None:
    net = torchvision.models.resnet50(
        weights=None, replace_stride_with_dilation=[False, True, True]
    )
    assert warnings_of(net, IMAGE) == []


def test_textbook_row_of_equal_dilations() -> None:
    net = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=8, dilation=8) for _ in range(4)))
    finding = only(linted(net, (1, 1, 80, 80), "interleaved"))
    assert finding.numbers["networks"] == 64


@pytest.mark.parametrize("rates", [(8, 8, 8, 8), (2, 4, 6), (6, 9)])
def test_dilations_of_a_fix_leave_nothing_to_find(rates: tuple[int, ...]) -> None:
    net = nn.Sequential(*(nn.Conv1d(2, 2, 3, padding=d, dilation=d) for d in rates))
    finding = only(linted(net, (1, 2, 128), "interleaved"))
    values: dict[str, tuple[int, ...]] = {}
    exec(finding.fix, values)
    better = values["dilations"]
    mended = nn.Sequential(*(nn.Conv1d(2, 2, 3, padding=d, dilation=d) for d in better))
    assert linted(mended, (1, 2, 128), "holes", "interleaved") == []


@pytest.mark.parametrize(
    "code",
    "ATR101 ATR102 ATR103 ATR104 ATR105 ATR201 ATR401 ATR402 ATR901".split(),
)
def test_examples_of_a_rule(code: str) -> None:
    rule = find_rule(code)
    for case in rule.bad():
        found = linted(case.model, case.x, code, declared=case.declared, settings=case.settings)
        assert found
        assert case.path is None or case.path in [f.path for f in found]
    for case in rule.good():
        assert not linted(case.model, case.x, code, declared=case.declared, settings=case.settings)


@pytest.mark.parametrize(
    ("mode", "length", "rate"),
    [("circular", 33, 2), ("circular", 32, 2), ("zeros", 33, 2), ("reflect", 30, 3)],
)
def test_interleaved_networks_that_padding_mixes_at_the_ends(
    mode: str, length: int, rate: int
) -> None:
    net = nn.Sequential(
        *(nn.Conv1d(1, 1, 3, padding=rate, dilation=rate, padding_mode=mode) for _ in range(2))
    ).double()
    # The oracle: rows of the Jacobian that read positions of several remainders.
    x = torch.randn(1, 1, length, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: net(v)[0, 0], x)[:, 0, 0]
    mixed = sum(len({int(k) % rate for k in row.nonzero()}) > 1 for row in jacobian)
    message = only(linted(net, x, "interleaved")).message
    assert ("never mix" in message) is (mixed == 0)
    assert (f"at the ends, where {mixed} outputs read" in message) is (mixed > 0)


def test_every_input_is_read_where_padding_keeps_the_length_alone() -> None:
    x = torch.ones(1, 1, 16, 16, requires_grad=True)
    read = {}
    for padding in (0, 6):
        net = nn.Conv2d(1, 1, 3, dilation=6, padding=padding)
        nn.init.ones_(net.weight)
        (grad,) = torch.autograd.grad(net(x).sum(), x)
        read[padding] = int((grad != 0).sum())
    # Without padding 4 outputs read 4 positions at each of 3 taps along an axis: 12 of 16.
    assert read == {0: 12 * 12, 6: 16 * 16}
    assert "with padding that keeps the length" in find_rule("holes").page


def read_by_gradients(model: nn.Module, shape: tuple[int, ...]) -> int:
    """How many positions of a one-channel input any output depends on."""
    x = torch.rand(shape, dtype=torch.float64, requires_grad=True)
    for weight in model.double().parameters():
        nn.init.uniform_(weight, 0.5, 1.5)
    (gradient,) = torch.autograd.grad(model(x).sum(), x)
    return int((gradient != 0).sum())


@pytest.mark.parametrize(
    ("kernel", "dilation", "size"), [(3, 6, 16), (3, 6, 17), (3, 6, 18), (2, 5, 8), (5, 4, 19)]
)
def test_dilated_taps_that_do_not_meet_leave_positions_out(
    kernel: int, dilation: int, size: int
) -> None:
    shape = (1, 1, size, size)
    model = nn.Conv2d(1, 1, kernel, dilation=dilation)
    missing = size**2 - read_by_gradients(model, shape)
    found = linted(model.float(), shape, "skipped-inputs")
    if not missing:
        assert found == []
        return
    finding = only(found)
    assert finding.severity == "warning"
    assert finding.message.startswith(f"{missing} of the {size**2} positions of the input")
    assert "stride" not in finding.message and f"lie {dilation} apart" in finding.message
    assert finding.numbers["unseen"] == pytest.approx(missing / size**2)
    # What is advised, and what else, reads all.
    first, other = finding.fix.splitlines()
    for code in (first, other.removeprefix("# or ")):
        mended = eval(code, {"nn": nn})
        assert read_by_gradients(mended, shape) == size**2, code
        assert linted(mended.float(), shape, "skipped-inputs") == []


def test_112_of_256_positions_are_said() -> None:
    finding = only(linted(nn.Conv2d(1, 1, 3, dilation=6), (1, 1, 16, 16), "skipped-inputs"))
    # Each axis reads 0 to 3, 6 to 9 and 12 to 15: 12 x 12 of 16 x 16.
    assert finding.message.startswith("112 of the 256 positions of the input (44%)")
    assert finding.fix.splitlines()[0].startswith("nn.Conv2d(1, 1, 3, padding=6, dilation=6)")

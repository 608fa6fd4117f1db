"""The dilation tax of a stride, against noise that is really filtered."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn
from torchvision.models import resnet50

from linting import linted

BINOMIAL = torch.tensor([1.0, 4, 6, 4, 1]) / 16


def smooth(dilation: int, stride: int = 1, *then: nn.Module) -> nn.Sequential:
    layer = nn.Conv1d(1, 1, 5, stride, 2 * dilation, dilation, bias=False)
    with torch.no_grad():
        layer.weight.copy_(BINOMIAL.expand(1, 1, 5))
    return nn.Sequential(layer, *then)


def folded_of_noise(model: nn.Module, stride: int) -> float:
    """The share of a filtered noise's power beyond the new Nyquist frequency."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 1, 4096, generator=generator)
    with torch.no_grad():
        y = model(x)[:, 0].numpy()
    power = (np.abs(np.fft.rfft(y)) ** 2).mean(0)
    beyond = np.fft.rfftfreq(4096) > 0.5 / stride
    return float(power[beyond].sum() / power.sum())


def test_the_folded_share_is_that_of_noise() -> None:
    (found,) = linted(smooth(2, 2), (1, 1, 64), "ATR601")
    assert abs(float(found.numbers["folded"]) - folded_of_noise(smooth(2), 2)) < 0.01  # type: ignore[arg-type]
    assert abs(float(found.numbers["undilated"]) - folded_of_noise(smooth(1), 2)) < 0.01  # type: ignore[arg-type]


def test_the_next_layers_own_filter_counts() -> None:
    mean = nn.AvgPool1d(3, 1, 1)
    model = smooth(2, 1, nn.ReLU(), nn.AvgPool1d(3, 2, 1))
    assert not linted(model, (1, 1, 64), "ATR601")
    (found,) = linted(model, (1, 1, 64), "ATR601", settings={"tax": 0.05})
    assert abs(float(found.numbers["folded"]) - folded_of_noise(smooth(2, 1, mean), 2)) < 0.01  # type: ignore[arg-type]


class Sliced(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[..., ::2]


def test_every_kind_of_stride_counts() -> None:
    for then in (nn.MaxPool1d(2), Sliced(), nn.Conv1d(1, 1, 1, stride=2)):
        (found,) = linted(smooth(2, 1, nn.ReLU(), then), (1, 1, 64), "ATR601")
        assert found.path == "0" and found.numbers["stride"] == 2
    assert not linted(smooth(2, 1, nn.Conv1d(1, 1, 3), nn.MaxPool1d(2)), (1, 1, 64), "ATR601")


def test_the_fix_takes_the_images_away() -> None:
    (found,) = linted(smooth(4, 2), (1, 1, 64), "ATR601")
    mended = eval(found.fix.partition("  #")[0], {"nn": nn})
    with torch.no_grad():
        mended.weight.copy_(BINOMIAL.expand(1, 1, 5))
    assert mended(torch.zeros(1, 1, 64)).shape == smooth(4, 2)(torch.zeros(1, 1, 64)).shape
    assert not linted(mended, (1, 1, 64), "ATR601")


def test_a_planted_low_pass_in_a_resnet_is_found() -> None:
    torch.manual_seed(0)
    model = resnet50()
    assert not linted(model, (1, 3, 64, 64), "ATR601")
    layer = model.layer2[0].conv2
    layer.dilation, layer.padding = (2, 2), (2, 2)
    assert not linted(model, (1, 3, 64, 64), "ATR601"), "random weights pass all frequencies"
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    with torch.no_grad():
        layer.weight.copy_(torch.outer(row, row) * torch.randn(128, 128, 1, 1))
    (found,) = linted(model, (1, 3, 64, 64), "ATR601")
    assert (found.path, found.severity) == ("layer2.0.conv2", "warning")
    assert "stride=2, padding=1, bias=False" in found.fix


def test_all_strides_are_noted_where_asked_for() -> None:
    found = linted(resnet50(), (1, 3, 64, 64), "ATR601", settings={"most": 0.01})
    assert {f.path for f in found} >= {
        "conv1",
        "maxpool",
        "layer2.0.conv2",
        "layer4.0.downsample.0",
    }
    assert {f.severity for f in found} == {"note"}


def test_broken_weights_are_left_out() -> None:
    model = smooth(2, 2)
    with torch.no_grad():
        model[0].weight.fill_(float("nan"))
    assert not linted(model, (1, 1, 64), "ATR601")

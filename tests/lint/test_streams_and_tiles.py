"""What forbids streams and tiles, in published networks and one piece at a time."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models import SwinTransformer, resnet18, vit_b_16
from torchvision.models.segmentation import deeplabv3_resnet50

from architectures import ConvTasNet, Demucs, Spectral, UNet1d, WaveNet
from linting import linted

STREAM, TILE = {"stream": True}, {"tile": True}


def ways(model: nn.Module, x: object) -> dict[str, str]:
    """The way of each finding of `not-streamable`, by its path."""
    found = linted(model, x, "ATR502", declared=STREAM)  # type: ignore[arg-type]
    return {f.path: str(f.numbers["way"]) for f in found}


def test_what_streams_is_silent() -> None:
    assert not ways(ConvTasNet(causal=True), (1, 4000))
    samples = torch.zeros(1, 512, dtype=torch.int64), torch.rand(1, 8, 8)
    assert not ways(WaveNet(cycles=1, layers=4), samples)
    # Looking ahead by a bounded number delays.
    assert not ways(nn.Conv1d(2, 2, 31, padding=15), (1, 2, 64))
    # A recurrence forward in time has a state.
    assert not ways(nn.GRU(4, 4, batch_first=True), torch.zeros(1, 20, 4))


def test_statistics_over_time_are_named_at_their_first_place() -> None:
    (found,) = linted(ConvTasNet(), (1, 4000), "ATR502", declared=STREAM)
    assert (found.path, found.severity) == ("norm", "error")
    assert found.numbers["way"] == "statistic"
    # The encoder's norm and two in each of 24 blocks.
    assert len(found.numbers["layers"]) == 1 + 2 * 24  # type: ignore[arg-type]


def test_published_networks_that_need_all() -> None:
    assert ways(Demucs(), (1, 2, 10068)) == {"lstm": "backward"}
    assert ways(UNet1d(), (1, 1, 1001)) == {"": "size"}
    assert not ways(Spectral(), (1, 8000))


class Mixer(nn.Module):
    """Sorting, and transforms over all of the axis."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.what = what

    def forward(self, x: Tensor) -> Tensor:
        if self.what == "sort":
            return x.sort(-1).values
        if self.what == "median":
            return x - x.median(-1, keepdim=True).values
        if self.what == "fft":
            return torch.fft.rfft(x).abs()
        if self.what == "mean":
            return x - x.mean(-1, keepdim=True)
        if self.what == "largest":
            return x / x.amax(-1, keepdim=True)
        if self.what == "softmax":
            return x.softmax(-1)
        if self.what == "windowed":
            return x.unflatten(-1, (4, 8)).softmax(-1).flatten(-2)
        return F.adaptive_avg_pool1d(x, 4)


@pytest.mark.parametrize(
    ("what", "way", "severity"),
    [
        ("sort", "all", "error"),
        ("median", "all", "error"),
        ("fft", "all", "error"),
        ("mean", "statistic", "warning"),
        ("largest", "statistic", "warning"),
        ("softmax", "statistic", "warning"),
        ("windowed", None, None),
        ("adaptive", "size", None),
    ],
)
def test_ways_of_reading_all(what: str, way: str | None, severity: str | None) -> None:
    # Taken as (channels, positions) of a batch of one.
    model = nn.Sequential(nn.Conv1d(2, 2, 1), Mixer(what))
    assert list(ways(model, (1, 2, 32)).values()) == ([] if way is None else [way])
    tiled = linted(model, (1, 2, 32), "ATR503", declared=TILE)
    assert [f.severity for f in tiled] == ([] if severity is None else [severity])


class Blocks(nn.Module):
    """A convolution, and something done to its result or to blocks of it."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.conv, self.what = nn.Conv1d(2, 2, 3, padding=1), what

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        if self.what == "size":
            return F.interpolate(F.avg_pool1d(y, 4), size=x.shape[-1])
        batch, channels, length = y.shape
        if self.what == "last":
            return y - y[..., -1:]
        if self.what == "first":
            return y - y[..., :1]
        if self.what == "twice":
            return y.flip(-1).cos().flip(-1)
        strided = y.view(batch, channels, 8, length // 8)
        near = y.view(batch, channels, length // 4, 4)
        if self.what == "flip of blocks":
            return y + strided.flip(2).reshape(y.shape)
        if self.what == "flip inside":
            return y + near.flip(3).reshape(y.shape)
        if self.what == "attention across":
            z = strided.permute(0, 3, 2, 1)
            return F.scaled_dot_product_attention(z, z, z).permute(0, 3, 2, 1).reshape(y.shape)
        z = near.permute(0, 2, 3, 1)
        return F.scaled_dot_product_attention(z, z, z).permute(0, 3, 1, 2).reshape(y.shape)


def look_ahead(model: nn.Module, length: int) -> int:
    """How far any output reads ahead, by autograd."""
    x = torch.randn(1, 2, length, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(lambda v: model(v)[0].sum(0), x)
    reads = jacobian.abs().sum((1, 2))
    return max(int(row.nonzero().max()) - k for k, row in enumerate(reads) if row.any())


@pytest.mark.parametrize(
    ("what", "streams"),
    [
        ("last", False),
        ("flip of blocks", False),
        ("attention across", False),
        ("first", True),
        ("twice", True),
        ("flip inside", True),
        ("attention inside", True),
        ("size", True),
    ],
)
def test_what_looks_ahead_the_further_the_longer_the_axis_does_not_stream(
    what: str, streams: bool
) -> None:
    model = Blocks(what).double()
    # The oracle: bounded is what stays the same when the axis is twice as long.
    assert (look_ahead(model, 32) == look_ahead(model, 64)) is streams
    found = linted(model, torch.zeros(1, 2, 32, dtype=torch.float64), "ATR502", declared=STREAM)
    assert ([f.severity for f in found] == ["error"]) is not streams
    if not streams:
        assert found[0].numbers["way"] == "ahead"


def test_a_length_that_a_factor_gives_is_a_note_and_another_an_error() -> None:
    (found,) = linted(Blocks("size"), (1, 2, 32), "ATR502", declared=STREAM)
    assert (found.severity, found.fix) == ("note", "F.interpolate(x, scale_factor=4)")
    (other,) = linted(Blocks("size"), (1, 2, 33), "ATR502", declared=STREAM)
    assert other.severity == "error"


def test_a_bounded_look_ahead_longer_than_the_axis_streams() -> None:
    class Far(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            y = F.avg_pool1d(F.pad(x, (40, 40)), 81, stride=1)
            return y - y[..., :1]

    assert not ways(Far(), (1, 2, 32))


class Banded(nn.Module):
    """Attention to the last few positions, as the remedy says."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self.window = window

    def forward(self, x: Tensor) -> Tensor:
        n, window = x.shape[1], self.window
        mask = torch.ones(n, n, dtype=torch.bool).tril().triu(-window)
        return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)


def test_attention_with_a_band_streams_and_tiles() -> None:
    assert not ways(Banded(4), torch.zeros(1, 40, 8))
    assert not linted(Banded(4), torch.zeros(1, 40, 8), "ATR503", declared=TILE)
    assert list(ways(Banded(40), torch.zeros(1, 40, 8)).values()) == ["earlier pairs"]


def test_pooling_and_positions_of_real_models_under_tiles() -> None:
    assert not linted(
        nn.Sequential(*list(resnet18().eval().children())[:-2]),
        (1, 3, 64, 64),
        "ATR503",
        declared=TILE,
    )
    model = deeplabv3_resnet50(weights=None, weights_backbone=None).eval()
    (found,) = linted(model, (1, 3, 129, 129), "ATR503", declared=TILE)
    assert found.severity == "warning" and "exact tiles need a second pass" in found.message
    assert found.numbers["layers"] == ["classifier.0.convs.4.0"] and found.numbers["axes"] == [2, 3]
    vit = linted(vit_b_16().eval(), (1, 3, 224, 224), "ATR503", declared=TILE)
    assert [f.severity for f in vit] == ["error"] and len(vit[0].numbers["layers"]) == 12  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "shape", "code", "fix"),
    [
        (nn.LSTM(4, 4, batch_first=True), (1, 20, 4), "ATR503", "nn.Conv1d("),
        (nn.GroupNorm(1, 2), (1, 2, 9), "ATR502", "nn.BatchNorm1d("),
        (nn.GroupNorm(1, 2), (1, 2, 9, 9), "ATR502", "nn.BatchNorm2d("),
        (nn.GroupNorm(1, 2), (1, 2, 9, 9, 9), "ATR502", "nn.BatchNorm3d("),
    ],
)
def test_advice_has_as_many_dimensions_as_the_input(
    model: nn.Module, shape: tuple[int, ...], code: str, fix: str
) -> None:
    (found,) = linted(model, torch.zeros(shape), code, declared={**TILE, **STREAM})
    assert fix in found.fix


def test_shifted_windows_read_across_the_ends() -> None:
    model = SwinTransformer([4, 4], 8, [2], [2], [4, 4]).eval()
    found = linted(model, (1, 3, 64, 64), "ATR503", declared=TILE)
    assert "reads across the ends" in found[0].message
    assert found[0].path == "features.1.1.attn"


def test_batch_normalisation_in_training_is_a_note_and_stays_in_training() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train()
    (found,) = linted(model, (1, 3, 16, 16), "ATR503", declared=TILE)
    assert (found.severity, found.path, found.fix) == ("note", "1", "model.eval()")
    assert model[1].training
    assert not linted(model.eval(), (1, 3, 16, 16), "ATR503", declared=TILE)

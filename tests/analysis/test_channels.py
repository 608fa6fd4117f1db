"""Fields of single channels and of several inputs and outputs, against perturbation."""

from __future__ import annotations

from collections.abc import Callable
from html import unescape
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from oracles import perturbation_support, rows_along


class Shuffled(nn.Module):
    """Two groups with windows of their own, whose channels are then shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.near = nn.Conv1d(2, 4, 3, padding=1, bias=False)
        self.far = nn.Conv1d(2, 4, 3, padding=4, dilation=4, bias=False)
        self.each = nn.Conv1d(8, 8, 2, groups=8, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        a, b = x.chunk(2, 1)
        return self.each(torch.channel_shuffle(torch.cat([self.near(a), self.far(b)], 1), 2))


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(Shuffled(), nn.Conv1d(8, 2, 1, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Unfolded(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.unfold(x, (1, 3), padding=(0, 1)).view(1, 3, 3, *x.shape[2:]).flatten(1, 2)


class ChannelsLast(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return Shuffled.forward(self.inner, x.transpose(1, 2)).transpose(1, 2)

    def __init__(self) -> None:
        super().__init__()
        self.inner = Shuffled()


def positive(model: nn.Module) -> nn.Module:
    for parameter in model.double().parameters():
        nn.init.uniform_(parameter, 0.5, 1.5)
    return model


@pytest.mark.parametrize("channels", [0, 1, -1, slice(0, 4), slice(0, 8, 2), [1, 3], (5, 6)])
@pytest.mark.parametrize(
    ("make", "shape", "axis"),
    [
        (Shuffled, (1, 4, 16), 1),
        (Unfolded, (1, 3, 4, 7), 1),
        (ChannelsLast, (1, 16, 4), 2),
    ],
)
def test_the_field_of_some_channels_is_what_they_read(
    make: Callable[[], nn.Module], shape: tuple[int, ...], axis: int, channels: int | slice
) -> None:
    model, x = positive(make()), torch.rand(shape, dtype=torch.float64) + 0.5
    found = atrous.receptive_field(model, x, channels=channels, channel_axis=axis)
    index = [channels] if isinstance(channels, int) else channels
    at = (slice(None),) * axis + (index,)
    for one in found.axes:
        support = perturbation_support(model, x, one.axis)[(slice(None), *at)]
        assert one.output_axis is not None
        true = rows_along(support, one.output_axis)
        for o, row in enumerate(true):
            assert one.taps(o)[0].tolist() == row.nonzero()[0].tolist()


def test_sizes_of_channel_groups() -> None:
    model, x = Shuffled(), torch.rand(1, 4, 64)
    assert atrous.receptive_field(model, x).size == (10,)
    # Shuffling puts one channel of either group beside the other.
    assert [atrous.receptive_field(model, x, channels=c).size for c in (0, 1, 2)] == [
        (4,), (10,), (4,),
    ]  # fmt: skip
    assert atrous.receptive_field(Mixed(), x, channels=0).size == (10,)


def test_channels_that_do_not_exist_are_refused() -> None:
    model, x = Shuffled(), torch.rand(1, 4, 16)
    with pytest.raises(ValueError, match="channels must be among the 8 of 'each'"):
        atrous.receptive_field(model, x, channels=8)
    with pytest.raises(ValueError, match=r"channels must be some of the 8 .* got .*, none of them"):
        atrous.receptive_field(model, x, channels=slice(8, 9))
    with pytest.raises(ValueError, match=r"channel_axis must be .* between -3 and 2"):
        atrous.receptive_field(model, x, channels=0, channel_axis=3)
    for wrong in (1.5, [True, False], "ab"):
        with pytest.raises(ValueError, match="channels must be whole numbers or a slice"):
            atrous.receptive_field(model, x, channels=wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="channels 0 of 'the output' does not depend"):
        atrous.receptive_field(PaddedChannels(), x, channels=0)


@pytest.mark.parametrize("kind", [np.int64(3), np.array([0, 2]), torch.tensor([0, 2])])
def test_numbers_of_other_libraries_are_channels(kind: Any) -> None:
    found = atrous.receptive_field(Shuffled(), torch.rand(1, 4, 16), channels=kind)
    assert found.channels == ((3,) if np.ndim(kind) == 0 else (0, 2))


def test_positions_of_a_moving_axis_are_a_slice_of_it() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.Conv1d(1, 1, 3, padding=1))
    some = atrous.receptive_field(net, (1, 1, 30), channels=slice(10, 20), channel_axis=2).axes[0]

    class Sliced(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return net(x)[..., 10:20]

    whole = atrous.receptive_field(Sliced(), (1, 1, 30)).axes[0]
    assert (some.size, some.stride, some.start, some.reach) == (5, 1, 8, whole.reach)
    assert (whole.stride, whole.start) == (1, 8)


class PaddedChannels(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, 0, 1, 0))


class TwoByTwo(nn.Module):
    """Two inputs, and outputs that see either or both."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.guide = nn.Conv2d(3, 4, 3, padding=1), nn.Conv1d(1, 4, 5, padding=2)

    def forward(self, image: Tensor, guide: Tensor) -> dict[str, Tensor]:
        image, guide = self.image(image), self.guide(guide)
        return {"main": image + guide[..., None], "aux": image, "side": [guide]}


def test_a_report_tells_every_output_on_every_input() -> None:
    x = {"image": torch.rand(1, 3, 8, 9), "guide": torch.rand(1, 1, 8)}
    report = atrous.inspect(TwoByTwo(), x)
    told = {(label, field.input): field.size for label, field in report.inspection.output_fields}
    assert told == {
        ("main", "image"): (3, 3),
        ("main", "guide"): (5,),
        ("aux", "image"): (3, 3),
        ("side.0", "guide"): (5,),
    }
    assert "output 'main' on 'guide': field 5" in str(report)
    assert "output 'main' on 'guide': field 5" in unescape(report.to_html())
    assert [(f["output"], f["input"]) for f in report.to_dict()["output_fields"]] == list(told)

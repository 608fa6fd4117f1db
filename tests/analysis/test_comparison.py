"""Designs side by side: known figures, and errors under shifts told independently."""

from __future__ import annotations

import json

import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous.analysis.cost.timing import timed_in_turns


def pooled() -> nn.Module:
    """N1: 3x3, pooling, 3x3."""
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2, 2), nn.Conv2d(8, 8, 3, padding=1)
    )


def dilated() -> nn.Module:
    """N2: 3x3, 3x3 dilated by 2."""
    return nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, dilation=2, padding=2))


def conv(kernel: int, dilation: int = 1, channels: tuple[int, int] = (1, 1), bias: bool = False):  # type: ignore[no-untyped-def]
    padding = dilation * (kernel - 1) // 2
    return nn.Conv2d(*channels, kernel, dilation=dilation, padding=padding, bias=bias)


def test_pooled_against_dilated() -> None:
    found = atrous.compare({"N1": pooled(), "N2": dilated()}, (1, 1, 32, 32))
    one, two = found["N1"], found["N2"]
    assert (one.field.size, one.output_shape) == ((8, 8), (1, 8, 16, 16))
    assert (two.field.size, two.output_shape) == ((7, 7), (1, 8, 32, 32))
    assert one.cost.weights == two.cost.weights == 9 * 8 + 9 * 8 * 8
    assert one.read == two.read == 1
    # The second layer costs 4 times the MACs, for it has 4 times the positions.
    assert two.cost.nodes[-1].macs == 4 * one.cost.nodes[-1].macs == 9 * 8 * 8 * 32 * 32
    # Shifted by its stride, N1 gives the same, shifted; between, something else. N2 always does.
    assert [error.exact for error in one.shifts] == [False, True]
    assert [error.between for error in one.shifts] == [True, False]
    assert [error.exact for error in two.shifts] == [True, True]
    assert one.shifts[0].error > 0.1


def shift_by_hand(model: nn.Module, x: Tensor, shift: int, stride: int, margin: int) -> float:
    """The error told from a larger image, of which both inputs are crops: nothing is wrapped."""
    n = x.shape[-1] - shift
    with torch.no_grad():
        plain, moved = model(x[..., :n, :n]), model(x[..., shift:, shift:])
    size = plain.shape[-1]
    fits = []
    for down in {shift // stride, -(-shift // stride)}:
        for across in {shift // stride, -(-shift // stride)}:
            rows = slice(margin, size - margin - -(-shift // stride))
            a = moved[..., rows, rows]
            b = plain[..., down:, across:][..., rows, rows]
            fits.append(float((a - b).abs().mean() / b.abs().mean()))
    return min(fits)


@pytest.mark.parametrize("shift", [1, 2, 3, 5])
def test_error_under_shifts_is_that_of_crops_of_a_larger_image(shift: int) -> None:
    torch.manual_seed(0)
    model, x = pooled(), torch.randn(1, 1, 200, 200)
    found = atrous.compare([model], x[..., :198, :198], shifts=[shift])["Sequential"].shifts[0]
    # Other crops of the same noise: the same mean but for chance; exactly 0 where it is 0.
    by_hand = shift_by_hand(model, x, shift, 2, 6)
    assert found.error == pytest.approx(by_hand, rel=0.02, abs=1e-6)
    assert found.exact == (shift % 2 == 0)


def test_shifts_in_networks_of_other_kinds() -> None:
    torch.manual_seed(0)
    upsampling = nn.Sequential(nn.Conv1d(1, 2, 3, padding=1), nn.ConvTranspose1d(2, 1, 4, 2, 1))
    rectangular = nn.Conv2d(1, 2, 3, stride=(2, 3), padding=1)
    causal = nn.Sequential(nn.ConstantPad1d((4, 0), 0.0), nn.Conv1d(1, 1, 3, dilation=2))
    volume = nn.Sequential(nn.Conv3d(1, 2, 3, padding=1), nn.AvgPool3d(2))
    for model, shape, exact in (
        (upsampling, (2, 1, 40), [True, True, True]),
        (rectangular, (1, 1, 40, 40), [False, False, True]),
        (causal, (1, 1, 40), [True, True, True]),
        (volume, (1, 1, 16, 16, 16), [False, True, True]),
        (pooled().half(), (1, 1, 32, 32), [False, True, True]),
    ):
        found = atrous.compare([model], shape, shifts=(1, 2, 6)).designs[0]
        assert [error.exact for error in found.shifts] == exact


def test_shifts_of_outputs_that_read_everything() -> None:
    class Pooling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 2, 3, padding=1, padding_mode="circular")

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return y * y.mean((2, 3), keepdim=True)

    # The mean over a wrapped image stays as it is, so the rest is what is compared.
    found = atrous.compare([Pooling()], (1, 1, 16, 16)).designs[0]
    assert all(error.whole and error.exact for error in found.shifts)
    assert found.field.status == "global"
    # A classifier's values do not move at all.
    head = nn.Sequential(pooled(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    error = atrous.compare([head], (1, 1, 32, 32)).designs[0].shifts[0]
    assert error.whole
    assert error.outputs == 1
    assert 0 < error.error < 1


def test_shifts_that_cannot_be_compared() -> None:
    # A field as large as the input, and a model of two inputs.
    assert atrous.compare([conv(31)], (1, 1, 31, 31)).designs[0].shifts == (None, None)

    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b

    found = atrous.compare([Two()], ((1, 1, 8), (1, 1, 8)), shifts=[1])
    assert found.designs[0].shifts == (None,)
    assert "?" in str(found)


def test_one_field_of_31_by_four_designs() -> None:
    found = atrous.compare(
        {
            "one kernel": conv(31),
            "deeper": nn.Sequential(*(conv(3) for _ in range(15))),
            "dilated": nn.Sequential(*(conv(3, d) for d in (1, 2, 4, 8))),
            # Pools of 3 by stride 2: 1 + 2 * 2 + 2 + 4 + 4 + 2 * 8 = 31.
            "pooling": nn.Sequential(
                *(conv(3), conv(3), nn.MaxPool2d(3, 2, 1)),
                *(conv(3), nn.MaxPool2d(3, 2, 1), conv(3), conv(3)),
            ),
            "sparse": conv(3, 15),
        },
        (1, 1, 64, 64),
    )
    assert {design.field.size for design in found.designs} == {(31, 31)}
    # 31^2; 15 layers of 3^2; 4 layers; 5 layers; 1 layer.
    assert [design.cost.weights for design in found.designs] == [961, 135, 36, 45, 9]
    # The last reads 9 of the 961 positions.
    assert [design.read for design in found.designs] == [1, 1, 1, 1, pytest.approx(9 / 961)]
    # Each weight is used at every output position: 64^2 of them, behind pools 32^2 and 16^2.
    expected = [
        961 * 64**2,
        135 * 64**2,
        36 * 64**2,
        18 * 64**2 + 9 * 32**2 + 18 * 16**2,
        9 * 64**2,
    ]
    assert [design.cost.macs for design in found.designs] == expected
    assert [design.output_shape[-1] for design in found.designs] == [64, 64, 64, 16, 64]


def test_31x31_from_32_to_64_channels() -> None:
    found = atrous.compare(
        {"full": conv(31, channels=(32, 64), bias=True), "d15": conv(3, 15, (32, 64), bias=True)},
        (1, 32, 33, 33),
        shifts=(),
    )
    # 961 * 32 * 64 and 9 * 32 * 64: neither counts its 64 biases.
    assert [design.cost.weights for design in found.designs] == [1_968_128, 18_432]
    assert [design.cost.biases for design in found.designs] == [64, 64]
    assert [design.cost.parameters for design in found.designs] == [1_968_192, 18_496]
    assert found["d15"].read == pytest.approx(9 / 961)


def test_share_of_the_field_where_branches_meet() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.rates = nn.ModuleList(conv(3, rate) for rate in (6, 12, 18))
            self.point = conv(1)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.point(x), *(rate(x) for rate in self.rates)], 1)

    # 8 corners and edges of each rate and the centre: 25 of 37^2 offsets.
    found = atrous.compare([Branches()], (1, 1, 65, 65), shifts=()).designs[0]
    assert found.read == pytest.approx(25 / 37**2)
    # Where the map ends before the widest rate, what is left of the field: 17 of 25^2.
    clipped = atrous.compare([Branches()], (1, 1, 33, 33), shifts=()).designs[0]
    assert clipped.read == pytest.approx(17 / 25**2)


def test_time_is_taken_in_turns() -> None:
    order: list[str] = []
    now = 0.0

    def call(name: str, takes: float) -> None:
        nonlocal now
        order.append(name)
        now += takes

    timings = timed_in_turns([lambda: call("a", 1.0), lambda: call("b", 3.0)], 4, clock=lambda: now)
    assert "".join(order) == "aabb" + "ab" * 4
    assert [(t.median, t.low, t.high, t.samples, t.calls) for t in timings] == [
        (1, 1, 1, 4, 1),
        (3, 3, 3, 4, 1),
    ]
    # What takes a thousandth of a second is called five times in a sample.
    timing = timed_in_turns([lambda: call("c", 0.001)], 2, clock=lambda: now)[0]
    assert timing.calls == 5
    assert timing.median == pytest.approx(0.001)


def test_measured_time_is_told() -> None:
    found = atrous.compare({"a": conv(31), "b": conv(3, 15)}, (1, 1, 40, 40), repeats=3, shifts=())
    assert all(design.time.samples == 3 for design in found.designs)
    assert all(design.time.median > 0 for design in found.designs)
    assert "cpu with 1 thread" in str(found)
    assert atrous.compare([conv(3)], (1, 1, 8, 8)).designs[0].time is None


def test_an_unknown_field_is_told_as_such() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    lines = str(atrous.compare([Odd()], (1, 1, 32), shifts=())).splitlines()
    assert next(line.split() for line in lines if line.startswith("field")) == ["field", "?"]


def test_text_and_json() -> None:
    names = {f"a design with a long name, number {k}": pooled() for k in range(5)}
    found = atrous.compare({"N1": pooled(), "N2": dilated(), **names}, (1, 1, 32, 32))
    text = str(found)
    assert max(map(len, text.splitlines())) <= 100
    for word in ("8 x 8", "7 x 7", "1x8x16x16", "221,184", "663,552", "3x", "none", "*"):
        assert word in text
    told = json.loads(found.to_json())
    assert told["schema"] == "atrous.compare/1"
    assert [design["cost"]["macs"] for design in told["designs"][:2]] == [221184, 663552]
    assert told["designs"][1]["shifts"][0]["exact"] is True


def test_designs_stay_as_they_are_and_wrong_arguments_are_refused() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2)).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    x = torch.randn(2, 1, 20, generator=torch.Generator().manual_seed(1))
    kept = x.clone()
    found = atrous.compare([model, model], x)
    assert [design.name for design in found.designs] == ["Sequential 1", "Sequential 2"]
    assert model.training
    assert torch.equal(x, kept)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    for options, message in (
        ({"designs": []}, "designs must hold at least one model"),
        ({"designs": [model], "shifts": [0]}, "shifts must be whole numbers of 1 or more, got 0"),
        ({"designs": [model], "repeats": -1}, "repeats must be 0 or more, got -1"),
    ):
        with pytest.raises(ValueError, match=message):
            atrous.compare(x=x, **options)
    with pytest.raises(TypeError, match="got a single model"):
        atrous.compare(model, x)  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="design must be one of 'Sequential 1'"):
        found["other"]

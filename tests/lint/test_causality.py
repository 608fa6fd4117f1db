"""`reads-the-future` against gradients, and with faults planted in published networks."""

from __future__ import annotations

import random

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from architectures import ConvTasNet, GlobalNorm, TasBlock, WaveNet
from atrous.testing import assert_causal
from linting import linted

CAUSAL = {"causal": True}


class Block(nn.Module):
    """A convolution padded in one of several ways, with or without a residual."""

    def __init__(self, draw: random.Random) -> None:
        super().__init__()
        self.kind = draw.choice(["left", "left", "left", "chomp", "both", "reflect", "norm"])
        self.residual = draw.random() < 0.5
        kernel, dilation = draw.randint(2, 3), draw.randint(1, 3)
        self.span = (kernel - 1) * dilation
        both = self.span if self.kind == "chomp" else 0
        self.conv = nn.Conv1d(2, 2, kernel, padding=both, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "left":
            y = self.conv(F.pad(x, (self.span, 0)))
        elif self.kind == "chomp":
            y = self.conv(x)[..., : -self.span]
        elif self.kind == "both":
            y = self.conv(F.pad(x, (self.span - self.span // 2, self.span // 2)))
        elif self.kind == "reflect":
            y = self.conv(F.pad(x, (self.span, 0), mode="reflect"))
        else:
            y = x - x.mean(-1, keepdim=True)
        return y + x if self.residual else y


def reads_ahead(model: nn.Module, length: int) -> bool:
    """Whether a gradient leads from any output to an input behind its own position."""
    x = torch.rand(1, 2, length, dtype=torch.float64, requires_grad=True)
    y = model.double()(x)
    rows = [torch.autograd.grad(y[0, :, o].sum(), x, retain_graph=True)[0] for o in range(length)]
    read = torch.stack([row.abs().sum((0, 1)) > 0 for row in rows])
    return bool(read.triu(1).any())


def stack(seed: int, size: int) -> nn.Sequential:
    torch.manual_seed(seed)
    draw = random.Random(seed)
    return nn.Sequential(*(Block(draw) for _ in range(size)))


@pytest.mark.parametrize("seed", range(24))
def test_random_stacks_are_told_as_gradients_tell(seed: int) -> None:
    model = stack(seed, 1 + seed % 3)
    found = linted(model, (1, 2, 14), "ATR501", declared=CAUSAL)
    assert bool(found) == reads_ahead(model, 14), f"{found} {model}"


def test_both_answers_occur_among_the_stacks() -> None:
    answers = {reads_ahead(stack(seed, 1 + seed % 3), 14) for seed in range(24)}
    assert answers == {False, True}


@pytest.mark.parametrize("seed", range(8))
def test_the_first_layer_is_the_first_whose_own_part_reads_ahead(seed: int) -> None:
    model = stack(seed, 4)
    prefixes = [reads_ahead(nn.Sequential(*model[: k + 1]), 14) for k in range(4)]
    found = linted(model.float(), (1, 2, 14), "ATR501", declared=CAUSAL)
    if not any(prefixes):
        assert not found
    elif prefixes[-1]:
        assert found[0].path.split(".")[0] == str(prefixes.index(True))


def test_published_causal_networks_are_silent() -> None:
    inputs = torch.zeros(1, 512, dtype=torch.int64), torch.rand(1, 8, 8)
    assert not linted(WaveNet(cycles=1, layers=5), inputs, "ATR501", declared=CAUSAL)
    # The encoder's window of 16 samples is its latency.
    tasnet = ConvTasNet(causal=True)
    assert not linted(tasnet, (1, 4000), "ATR501", declared=CAUSAL, settings={"lookahead": 15})
    (found,) = linted(tasnet, (1, 4000), "ATR501", declared=CAUSAL)
    assert (found.path, found.numbers["ahead"], found.severity) == ("encoder", 15, "error")


def test_a_block_padded_on_both_sides_is_named_with_its_own_padding() -> None:
    model = ConvTasNet(causal=True)
    block = model.blocks[5]
    assert isinstance(block, TasBlock)
    block.left = block.right = 32
    (found,) = linted(model, (1, 4000), "ATR501", declared=CAUSAL, settings={"lookahead": 15})
    assert found.path == "blocks.5.depthwise"
    # 32 frames of 8 samples, and the last frame's own 16.
    assert found.numbers["ahead"] == 32 * 8 + 15
    assert found.fix == "x = F.pad(x, (64, 0))\nx = nn.Conv1d(32, 32, 3, dilation=32, groups=32)(x)"


def test_normalisation_over_time_is_named() -> None:
    model = ConvTasNet(causal=True)
    block = model.blocks[3]
    assert isinstance(block, TasBlock)
    block.norm2 = GlobalNorm(32)
    (found,) = linted(model, (1, 4000), "ATR501", declared=CAUSAL, settings={"lookahead": 15})
    assert found.path == "blocks.3.norm2"


def test_the_fix_of_a_convolution_makes_it_causal() -> None:
    class Fixed(nn.Module):
        def __init__(self, code: str) -> None:
            super().__init__()
            pad, call = code.splitlines()
            scope = {"nn": nn, "F": F}
            self.layer = eval(call.removeprefix("x = ").removesuffix("(x)"), scope)
            self.pad = eval(pad.removeprefix("x = F.pad(x, ").removesuffix(")"))

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.layer(F.pad(x, self.pad))
            return out

    for layer in (nn.Conv1d(2, 4, 3, padding=4, dilation=4), nn.Conv1d(2, 2, 4, padding="same")):
        (found,) = linted(layer, (1, 2, 32), "ATR501", declared=CAUSAL)
        fixed = Fixed(found.fix)
        assert fixed(torch.zeros(1, 2, 32)).shape == layer(torch.zeros(1, 2, 32)).shape
        assert not linted(fixed, (1, 2, 32), "ATR501", declared=CAUSAL)


class Handmade(nn.Module):
    """Attention written out, with a mask of minus infinity."""

    def __init__(self, masked: bool) -> None:
        super().__init__()
        self.masked = masked
        self.register_buffer("mask", torch.ones(12, 12).triu(1).bool())

    def forward(self, x: Tensor) -> Tensor:
        scores = x @ x.transpose(1, 2)
        if self.masked:
            scores = scores.masked_fill(self.mask, float("-inf"))
        return scores.softmax(-1) @ x


def test_a_mask_written_out_makes_the_finding_a_doubt() -> None:
    (found,) = linted(Handmade(masked=False), torch.zeros(1, 12, 4), "ATR501", declared=CAUSAL)
    assert found.severity == "error"
    (found,) = linted(Handmade(masked=True), torch.zeros(1, 12, 4), "ATR501", declared=CAUSAL)
    assert found.severity == "warning"
    assert "if a mask makes those ahead 0" in found.message


class TwoOutputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 1, 1), nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"a": self.first(x), "b": self.second(x)}


def test_every_output_is_judged_and_named() -> None:
    (found,) = linted(TwoOutputs(), (1, 1, 9), "ATR501", declared=CAUSAL)
    assert found.path == "second" and "'b'" in found.message


def test_strides_stand_for_the_inputs_they_pass_over() -> None:
    pooled = nn.Sequential(nn.MaxPool1d(4), nn.Conv1d(1, 1, 3, padding=1))
    (found,) = linted(pooled, (1, 1, 32), "ATR501", declared=CAUSAL)
    assert (found.path, found.numbers["ahead"]) == ("1", 4)
    assert not linted(nn.MaxPool1d(4), (1, 1, 32), "ATR501", declared=CAUSAL)
    # Spread again, a position stands for itself alone: the first of four reads three ahead.
    spread = nn.Sequential(nn.MaxPool1d(4), nn.Upsample(scale_factor=4))
    (found,) = linted(spread, (1, 1, 32), "ATR501", declared=CAUSAL)
    assert (found.path, found.numbers["ahead"]) == ("0", 3)


def test_another_axis_can_be_declared() -> None:
    video = nn.Conv3d(1, 1, 3, padding=1)
    assert linted(video, (1, 1, 8, 8, 8), "ATR501", declared={"causal": True, "axis": 2})
    causal = nn.Sequential(nn.ConstantPad3d((1, 1, 1, 1, 2, 0), 0.0), nn.Conv3d(1, 1, 3))
    assert not linted(causal, (1, 1, 8, 8, 8), "ATR501", declared={"causal": True, "axis": 2})
    (found,) = linted(causal, (1, 1, 8, 8, 8), "ATR501", declared={"causal": True, "axis": 3})
    assert found.path == "1"
    with pytest.raises(
        ValueError, match=r"axis must be one along which positions lie, \(2, 3, 4\)"
    ):
        linted(causal, (1, 1, 8, 8, 8), "ATR501", declared={"causal": True, "axis": 1})


class Chomped(nn.Module):
    """A convolution padded on both sides, and cut at the end."""

    def __init__(self, padding: int, cut: int) -> None:
        super().__init__()
        self.conv, self.cut = nn.Conv1d(1, 1, 5, padding=padding), cut

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y[..., : y.shape[-1] - self.cut]


def test_what_is_cut_off_at_the_end_is_no_delay() -> None:
    def ahead(*layers: nn.Module) -> list[int]:
        model = nn.Sequential(*layers)
        found = linted(model, (1, 1, 32), "ATR501", declared=CAUSAL)
        return [f.numbers["ahead"] for f in found]

    # Output o reads o - padding to o - padding + 4.
    assert ahead(Chomped(2, 2)) == [2]
    assert ahead(Chomped(2, 5)) == [2]
    assert ahead(Chomped(3, 3)) == [1]
    assert ahead(Chomped(3, 6)) == [1]
    assert ahead(Chomped(4, 4)) == []
    assert ahead(Chomped(4, 7)) == []
    # Right chomps before and behind a convolution that is not padded at all.
    assert ahead(Chomped(4, 4), nn.Conv1d(1, 1, 3)) == []
    assert ahead(nn.Conv1d(1, 1, 3), Chomped(4, 4)) == []
    # A wrong one stays wrong behind it.
    assert ahead(Chomped(2, 2), nn.Conv1d(1, 1, 3)) == [2]
    assert ahead(Chomped(2, 2), Chomped(4, 4)) == [2]


def test_axes_can_be_counted_from_the_end() -> None:
    video = nn.Sequential(nn.ConstantPad3d((1, 1, 1, 1, 2, 0), 0.0), nn.Conv3d(1, 1, 3))
    for axis in (2, 3, 4):
        first, second = (
            [str(f) for f in atrous.lint(video, (1, 1, 8, 8, 8), causal=True, axis=a)]
            for a in (axis, axis - 5)
        )
        assert first == second
        assert any("ATR501" in text for text in first) == (axis != 2)
    for wrong in (0, -4, 5, -6):
        with pytest.raises(ValueError, match=f"axis must be one along which .* got {wrong}"):
            atrous.lint(video, (1, 1, 8, 8, 8), select=["ATR101"], axis=wrong)


class Recurrent(nn.Module):
    """Convolutions that look ahead a little, and something behind them that reads everything."""

    def __init__(self, last: str) -> None:
        super().__init__()
        self.a, self.b = nn.Conv1d(2, 4, 3, padding=1), nn.Conv1d(4, 4, 3, padding=2, dilation=2)
        self.norm = nn.GroupNorm(1, 4) if last == "norm" else nn.Identity()
        self.lstm = nn.LSTM(4, 4, batch_first=True, bidirectional=True)
        self.last = last

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.b(self.a(x)))
        t = x.transpose(1, 2)
        if self.last == "attention":
            return F.scaled_dot_product_attention(t, t, t)
        return self.lstm(t)[0] if self.last == "lstm" else t  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("last", "label"),
    [("lstm", "lstm"), ("norm", "norm"), ("attention", "scaled_dot_product_attention")],
)
def test_the_first_is_named_and_later_ones_that_read_everything(last: str, label: str) -> None:
    (found,) = linted(Recurrent(last), (1, 2, 32), "ATR501", declared=CAUSAL)
    assert (found.path, found.numbers["ahead"]) == ("a", 31)
    (whole,) = found.numbers["whole"]  # type: ignore[misc, union-attr]
    assert str(whole).startswith(label)
    assert "is the first to read ahead (by 1), and" in found.message
    assert f"'{whole}' reads all of the future: to mend the first alone does not help" in (
        found.message
    )
    with pytest.raises(AssertionError, match="is 'a'") as raised:
        assert_causal(Recurrent(last), (1, 2, 32))
    assert f"Further on '{whole}' reads all of it." in str(raised.value)


def test_the_first_that_reads_everything_is_told_as_such() -> None:
    model = nn.Sequential(nn.GroupNorm(1, 2), nn.Conv1d(2, 2, 3, padding=1))
    (found,) = linted(model, (1, 2, 32), "ATR501", declared=CAUSAL)
    assert found.path == "0" and found.numbers["whole"] == []
    assert "'0' is the first to read ahead and reads all of the future; what later" in found.message

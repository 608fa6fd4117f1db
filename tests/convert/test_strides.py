"""What changes how far apart positions lie: views, resizing, padding that sizes decide."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.convert.strides import axis_parts, axis_strides
from atrous.graph.capture import capture

POOLS = {1: nn.MaxPool1d, 2: nn.MaxPool2d, 3: nn.MaxPool3d}
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def assert_dense(
    model: nn.Module, shape: tuple[int, ...], *others: tuple[int, ...], stride: int, density: int
) -> None:
    """That a model made dense at one shape is equal on the grid there and at others."""
    model = model.double().eval()
    made = atrous.densify(model, shape, stride, sizes=shape[2:])
    for tried in (shape, *others):
        x = torch.randn(tried, dtype=torch.float64)
        with torch.no_grad():
            coarse, dense = model(x), made(x)
        assert dense.shape != coarse.shape
        grid = dense[(..., *[slice(None, None, density)] * (x.dim() - 2))]
        torch.testing.assert_close(grid, coarse, rtol=0, atol=1e-12 * float(coarse.abs().max()))


class SpaceToDepth(nn.Module):
    """Positions into channels, as stems of some backbones do it."""

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        parts = x.view(n, c, h // 4, 4, w // 4, 4).permute(0, 3, 5, 1, 2, 4)
        return parts.reshape(n, c * 16, h // 4, w // 4)


@pytest.mark.parametrize("fold", [SpaceToDepth(), nn.PixelUnshuffle(4)])
def test_positions_put_into_channels_lie_further_apart(fold: nn.Module) -> None:
    model = nn.Sequential(fold, nn.Conv2d(48, 4, 3, 2, 1))
    program = capture(model.eval(), (1, 3, 64, 96))
    strides = axis_strides(axis_parts(program, {program.input().name: (2, 3)}))
    out = strides[program.output().name]
    assert [s and s.stride for s in out] == [None, None, Fraction(8), Fraction(8)]
    assert_dense(model, (1, 3, 64, 96), (2, 3, 32, 36), stride=2, density=4)


def test_positions_made_of_channels_lie_nearer() -> None:
    model = nn.Sequential(nn.Conv2d(3, 16, 3, 4, 1), nn.PixelShuffle(2), nn.Conv2d(4, 2, 3, 2, 1))
    assert_dense(model, (1, 3, 33, 40), (2, 3, 41, 37), stride=2, density=2)


class Sliced(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., ::4]


def test_a_slice_whose_ends_line_up_has_its_own_step() -> None:
    # Of nine positions every fourth makes three, the first and the last among them.
    model = nn.Sequential(nn.Conv1d(1, 2, 3, 2, 1), Sliced())
    program = capture(model.eval(), (1, 1, 18))
    strides = axis_strides(axis_parts(program, {program.input().name: (2,)}))
    last = strides[program.output().name][-1]
    assert program.output().shape[-1] == 3 and last is not None and last.stride == 8
    assert_dense(model, (1, 1, 18), (1, 1, 33), stride=1, density=8)


def test_a_single_position_that_is_enlarged_lies_nearer() -> None:
    up = nn.Upsample(scale_factor=2.0, mode="trilinear", align_corners=True)
    model = nn.Sequential(nn.Conv3d(1, 2, 3, 4, 1), up, nn.Conv3d(2, 1, 1))
    assert_dense(model, (1, 1, 4, 8, 12), (1, 1, 9, 4, 6), stride=1, density=2)


def test_a_single_position_held_against_all_tells_nothing_of_them() -> None:
    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.gate = nn.Conv1d(1, 2, 3, 2, 1), nn.Conv1d(2, 2, 9, 8)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return x * self.gate(x)

    program = capture(Gated().eval(), (1, 1, 18))
    strides = axis_strides(axis_parts(program, {program.input().name: (2,)}))
    last = strides[program.output().name][-1]
    assert last is not None and last.stride == 2


def test_positions_of_two_axes_in_one_are_none_of_either() -> None:
    program = capture(nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.Flatten(2)).eval(), (1, 3, 21, 23))
    strides = axis_strides(axis_parts(program, {program.input().name: (2, 3)}))
    assert strides[program.output().name] == (None, None, None)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_pools_that_need_more_padding_than_pools_take_are_equal(axes: int) -> None:
    model = nn.Sequential(CONVOLUTIONS[axes](1, 2, 3, 4, 1), POOLS[axes](3, 1, 1))
    lengths = (21, 14, 17)[:axes]
    assert_dense(model, (1, 1, *lengths), stride=1, density=4)


class PaddedToEven(nn.Module):
    """Nothing to pad at even lengths."""

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x, (0, x.shape[-1] % 2, 0, x.shape[-2] % 2))


def test_padding_that_the_size_decides_is_right_at_other_sizes() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 1, 2), PaddedToEven(), nn.Conv2d(2, 2, 2, 2))
    # 10 x 10 after the first stride: nothing is padded when the model is captured.
    for shape in ((1, 1, 20, 20), (1, 1, 22, 20)):
        assert_dense(model, shape, (1, 1, 22, 26), (1, 1, 21, 27), stride=1, density=4)


def test_resizing_between_ends_goes_by_its_factor() -> None:
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3, 8, 1), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
    )
    assert_dense(model, (1, 1, 40, 57), (1, 1, 65, 33), stride=2, density=2)


def test_strides_below_that_do_not_divide_are_told() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 3, 3, 1), nn.Conv1d(1, 1, 4, 4, 1)).eval()
    with pytest.raises(ValueError, match=r"got 4, but the positions of '0' lie 3 apart. Choose a"):
        atrous.densify(model, (1, 1, 60), 4)
    assert_dense(model, (1, 1, 60), (1, 1, 77), stride=6, density=2)
    assert_dense(model, (1, 1, 60), (1, 1, 77), stride=1, density=12)


@pytest.mark.parametrize("norm", [nn.GroupNorm(2, 2), nn.InstanceNorm2d(2, affine=True)])
def test_a_normalisation_before_everything_tells_no_axes(norm: nn.Module) -> None:
    model = nn.Sequential(norm, nn.Conv2d(2, 3, 3, 2, 1))
    assert_dense(model, (1, 2, 20, 31), (2, 2, 23, 17), stride=1, density=2)

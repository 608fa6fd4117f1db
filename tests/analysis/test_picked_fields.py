"""Fields of models that pick, write, sample or transform by tables: taps against perturbation."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.graph.capture import capture
from atrous.run.regions import run_box

LENGTH = 16


class Between(nn.Module):
    """A function between two convolutions with positive weights."""

    def __init__(self, function: Callable[[Tensor], Tensor], axes: int = 1) -> None:
        super().__init__()
        self.function = function
        self.kernel = nn.Buffer(torch.rand(1, 1, *[3] * axes, dtype=torch.float64) + 0.5)
        self.index = nn.Buffer(torch.tensor([3, 0, 7, 8, 12]))

    def forward(self, x: Tensor) -> Tensor:
        convolve = F.conv1d if self.kernel.dim() == 3 else F.conv2d
        return convolve(self.function(convolve(x, self.kernel, padding=1)), self.kernel, padding=1)


@torch.no_grad()
def changed(model: nn.Module, x: Tensor, axis: int, out: int) -> np.ndarray:
    """`(positions along the output axis, input positions)`: what changes with what."""
    base = model(x)
    rows = []
    for position in range(x.shape[axis]):
        raised = x.clone()
        raised.select(axis, position).add_(1e6)
        moved = ((model(raised) - base).abs() > 1e-5).movedim(out, 0)
        rows.append(moved.flatten(1).any(dim=1).numpy())
    return np.stack(rows, axis=1)


def assert_taps(model: nn.Module, x: Tensor, axis: int, out: int) -> None:
    field = atrous.receptive_field(model, x, axes=(axis,)).axes[0]
    truth = changed(model, x, axis, out)
    assert field.status == "exact"
    for o, row in enumerate(truth):
        assert field.taps(o)[0].tolist() == np.flatnonzero(row).tolist()


def put(x: Tensor) -> Tensor:
    x = x.clone()
    x[:, :, [1, 4, 7]] = x[:, :, [2, 9, 9]]
    return x


ROWS: dict[str, Callable[[Tensor], Tensor]] = {
    "even": lambda x: x[:, :, torch.arange(0, LENGTH, 2)],
    "backwards": lambda x: x[:, :, torch.arange(LENGTH - 1, -1, -1)],
    "negative": lambda x: x[:, :, torch.arange(-1, 7)],
    "scattered": lambda x: x[:, :, torch.tensor([5, 0, 11, 2, 3, 9, 9])],
    "index_select": lambda x: x.index_select(2, torch.tensor([1, 2, 3, 5, 8, 13])),
    "take_along_dim": lambda x: torch.take_along_dim(x, torch.arange(0, 16, 3)[None, None], 2),
    "regrouped": lambda x: x[:, :, torch.arange(LENGTH).reshape(4, 4)].flatten(2),
    "put": put,
    "index_fill": lambda x: x.index_fill(2, torch.tensor([3, 4, 5]), 0.0),
    "index_add": lambda x: x.index_add(2, torch.tensor([3, 4, 3]), x[:, :, 6:9]),
    "scatter": lambda x: x.scatter(2, torch.tensor([[[9, 2, 4]]]), x[:, :, 6:9]),
    "masked_scatter": lambda x: x.masked_scatter(torch.arange(LENGTH) % 3 == 0, x),
    "fftshift": lambda x: torch.fft.fftshift(x, dim=-1),
}


@pytest.mark.parametrize("name", ROWS)
def test_taps_through_a_constant_index_are_exact(name: str) -> None:
    x = torch.rand(1, 1, LENGTH, dtype=torch.float64)
    assert_taps(Between(ROWS[name]), x, 2, 2)


@pytest.mark.parametrize("name", ROWS)
def test_boxes_through_a_constant_index_are_computed_from_what_they_read(name: str) -> None:
    x = torch.rand(1, 1, LENGTH, dtype=torch.float64)
    model = Between(ROWS[name])
    program = capture(model, x)
    whole = model(x)
    for lo in range(0, whole.shape[2], 2):
        for hi in (lo + 1, whole.shape[2]):
            box = ((0, 1), (0, 1), (lo, hi))
            part = run_box(program, {program.inputs[0]: x}, program.output().name, box)
            torch.testing.assert_close(part, whole[:, :, lo:hi])


def test_taps_through_a_registered_index_are_exact() -> None:
    model = Between(lambda x: x[:, :, model.index])
    assert_taps(model, torch.rand(1, 1, LENGTH, dtype=torch.float64), 2, 2)


def test_two_indices_move_two_axes() -> None:
    rows, columns = torch.arange(0, 9, 2), torch.arange(7, -1, -1)
    model = Between(lambda x: x[:, :, rows[:, None], columns], axes=2)
    x = torch.rand(1, 1, 9, 8, dtype=torch.float64)
    assert_taps(model, x, 2, 2)
    assert_taps(model, x, 3, 3)


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("theta", [[[1, 0, 0], [0, 1, 0]], [[0.5, 0, 0.1], [0, -1, 0]]])
def test_taps_through_a_constant_grid_are_exact(mode: str, theta: list[list[float]]) -> None:
    grid = F.affine_grid(
        torch.tensor([theta], dtype=torch.float64), [1, 1, 7, 8], align_corners=False
    )
    sample = F.grid_sample
    model = Between(lambda x: sample(x, grid, mode=mode, align_corners=False), axes=2)
    x = torch.rand(1, 1, 9, 8, dtype=torch.float64)
    assert_taps(model, x, 2, 2)
    assert_taps(model, x, 3, 3)


def test_a_rotated_grid_is_a_bound_and_a_grid_of_data_is_global() -> None:
    theta = torch.tensor([[[0.8, 0.3, 0.0], [-0.3, 0.8, 0.0]]], dtype=torch.float64)
    grid = F.affine_grid(theta, [1, 1, 9, 70], align_corners=False)
    x = torch.rand(1, 1, 9, 70, dtype=torch.float64)
    turned = Between(lambda x: F.grid_sample(x, grid, align_corners=False), axes=2)
    field = atrous.receptive_field(turned, x, axes=(3,)).axes[0]
    assert field.status == "bound"
    for o, row in enumerate(changed(turned, x, 3, 3)):
        assert set(np.flatnonzero(row)) <= set(field.taps(o)[0].tolist())
    moved = Between(
        lambda x: F.grid_sample(x, torch.cat([x, x]).permute(1, 2, 3, 0) * 0.01 + grid), axes=2
    )
    assert atrous.receptive_field(moved, x, axes=(3,)).status == "global"


@pytest.mark.parametrize("settings", [{"center": False}, {}, {"pad_mode": "constant"}])
def test_frames_read_their_window_and_signals_their_frames(settings: dict[str, object]) -> None:
    window = torch.hann_window(8, dtype=torch.float64)
    weight = torch.rand(5, 5, 3, dtype=torch.float64) + 0.5

    class Denoiser(nn.Module):
        def __init__(self, back: bool) -> None:
            super().__init__()
            self.back = back

        def forward(self, x: Tensor) -> Tensor:
            frames = torch.stft(x, 8, 2, window=window, return_complex=True, **settings)
            loud = F.conv1d(frames.abs(), weight, padding=1)
            if not self.back:
                return loud
            return torch.istft(torch.polar(loud, torch.zeros_like(loud)), 8, 2, window=window)

    x = torch.rand(1, 40, dtype=torch.float64)
    assert_taps(Denoiser(back=False), x, 1, 2)
    if settings != {"center": False}:
        assert_taps(Denoiser(back=True), x, 1, 1)


def test_a_transform_reads_what_it_does_not_crop() -> None:
    class Spectrum(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.fft.rfft(x, n=10).abs()

    x = torch.rand(1, 1, LENGTH, dtype=torch.float64)
    field = atrous.receptive_field(Spectrum(), x, axes=(2,)).axes[0]
    assert field.status == "global"
    assert field.taps(0)[0].tolist() == list(range(10))


def test_an_embedding_is_read_at_its_place() -> None:
    model = nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 3))
    field = atrous.receptive_field(model, torch.randint(5, (1, 12)), axes=(1,)).axes[0]
    assert (field.size, field.stride, field.status) == (1, 1, "exact")


def test_rows_chosen_by_data_may_be_any() -> None:

    field = atrous.receptive_field(Between(lambda x: x[:, :, (x[0, 0] * 0).long()]), (1, 1, 8))
    assert field.axes[-1].status == "global"


@pytest.mark.parametrize("train", [False, True])
def test_a_mask_may_pass_dropout_in_inference_only(train: bool) -> None:
    class Banded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            near = torch.ones(8, 8).tril(1).triu(-1)
            near = F.dropout(near, 0.5, training=train)
            mask = torch.zeros(8, 8).masked_fill(near == 0, -torch.inf)
            return F.scaled_dot_product_attention(x, x, x, attn_mask=mask)

    found = atrous.receptive_field(Banded(), (1, 8, 4), axes=1)
    assert (found.status, found.size) == (("unknown", (8,)) if train else ("exact", (3,)))

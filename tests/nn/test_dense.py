"""Modules on dense inputs against themselves on the inputs they were made for."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from atrous.nn.dense import in_phases, on_dense


def spread(coarse: Tensor, density: int, missing: int) -> Tensor:
    """A dense input: the values at every place of the grid, noise between them."""
    length = density * coarse.shape[-1] - missing
    dense = torch.randn(*coarse.shape[:-1], length, dtype=coarse.dtype)
    dense[..., ::density] = coarse
    return dense


def layers() -> Iterator[nn.Module]:
    for kernel, stride, padding, dilation in (
        (2, 2, 0, 1), (3, 2, 0, 1), (3, 2, 1, 1), (4, 3, 1, 2), (3, 1, 0, 2), (5, 4, 2, 1),
        (1, 2, 0, 1), (1, 3, 1, 1),
    ):  # fmt: skip
        yield nn.Conv1d(2, 3, kernel, stride, padding, dilation, dtype=torch.float64)
    yield nn.Conv1d(2, 2, 3, padding="same", dilation=2, groups=2, dtype=torch.float64)


def densities(stride: int) -> Iterator[tuple[int, int]]:
    for before in (1, 2, 3):
        for after in range(before, before * stride + 1, before):
            if before * stride % after == 0:
                yield before, after


@pytest.mark.parametrize("layer", list(layers()), ids=str)
@pytest.mark.parametrize("length", [8, 9, 17, 24])
def test_convolutions_are_equal_on_the_grid_however_they_are_made_dense(
    layer: nn.Conv1d, length: int
) -> None:
    coarse = torch.randn(2, 2, length, dtype=torch.float64)
    wanted = layer(coarse)
    for before, after in densities(layer.stride[0]):
        for missing in range(before):
            x = spread(coarse, before, missing)
            bordered, phased = copy.deepcopy(layer), copy.deepcopy(layer)
            on_dense(bordered, (before,), (after,))
            in_phases(phased, (before,), (after,), stride=(before * layer.stride[0] // after,))
            for made in (bordered, phased):
                dense = made(x)
                torch.testing.assert_close(dense[..., ::after], wanted, rtol=0, atol=1e-12)
                assert after * (wanted.shape[-1] - 1) < dense.shape[-1] <= after * wanted.shape[-1]
            # One rule for lengths: branches of different kinds meet with equal ones.
            assert bordered(x).shape == phased(x).shape


def test_padding_that_keeps_the_map_is_the_plain_dilated_convolution() -> None:
    layer = nn.Conv1d(1, 1, 5, stride=4, padding=2, dtype=torch.float64)
    x = torch.randn(1, 1, 31, dtype=torch.float64)
    plain, dense = copy.deepcopy(layer), copy.deepcopy(layer)
    plain.stride, plain.padding, plain.dilation = (2,), (4,), (2,)
    on_dense(dense, (2,), (4,))
    assert torch.equal(plain(x), dense(x))


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool1d(3, 2, 1),
        nn.MaxPool1d(2, 2, ceil_mode=True),
        nn.AvgPool1d(3, 2, 1, ceil_mode=True),
        nn.AvgPool1d(3, 2, 1, count_include_pad=False),
        nn.ConvTranspose1d(2, 2, 4, stride=2, padding=1),
        nn.Upsample(scale_factor=2, mode="linear"),
        nn.InstanceNorm1d(2),
    ],
    ids=str,
)
def test_other_modules_run_phase_by_phase(pool: nn.Module) -> None:
    up = isinstance(pool, nn.ConvTranspose1d | nn.Upsample)
    before, after = (4, 2) if up else (2, 2) if isinstance(pool, nn.InstanceNorm1d) else (2, 4)
    coarse = torch.randn(3, 2, 11)
    wanted = pool(coarse)
    in_phases(pool, (before,), (after,))
    dense = pool(spread(coarse, before, 1))
    torch.testing.assert_close(dense[..., ::after], wanted)


def test_a_phase_is_the_module_on_a_shifted_input() -> None:
    pool = nn.AvgPool2d(3, 2)
    x = torch.randn(1, 1, 13, 17)
    shifted = pool(x[..., 1:, 1:])
    in_phases(pool, (1, 1), (2, 2))
    # But for the last, whose window reaches past the end of the input.
    torch.testing.assert_close(pool(x)[..., 1::2, 1::2][..., :5, :7], shifted[..., :5, :7])


def test_one_phase_reads_the_grid_alone() -> None:
    pool = nn.AdaptiveAvgPool2d(1)
    x = torch.randn(2, 3, 9, 9)
    in_phases(pool, (2, 4), (1, 1))
    torch.testing.assert_close(pool(x), x[..., ::2, ::4].mean((2, 3), keepdim=True))


def test_dense_modules_keep_names_are_copied_and_saved() -> None:
    for make in (in_phases, on_dense):
        conv = nn.Conv2d(3, 4, 3, 2, 1)
        names = set(conv.state_dict())
        make(conv, (1, 1), (2, 2))  # type: ignore[operator]
        x = torch.randn(1, 3, 8, 9)
        wanted = conv(x)
        kept = io.BytesIO()
        torch.save(conv, kept)
        kept.seek(0)
        for other in (copy.deepcopy(conv), torch.load(kept, weights_only=False)):
            assert isinstance(other, nn.Conv2d) and set(other.state_dict()) == names
            assert torch.equal(other(x), wanted)
        assert "dense=1x1->2x2" in repr(conv)


def test_dense_modules_pass_gradients_and_are_exported() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 2, 2), nn.MaxPool2d(3, 2, ceil_mode=True))
    on_dense(net[0], (1, 1), (2, 2))
    in_phases(net[1], (2, 2), (4, 4), stride=(1, 1))
    x = torch.randn(1, 1, 16, 19)
    wanted = net(x)
    wanted.sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in net.parameters())
    exported = torch.export.export(net, (x,)).module()
    assert torch.equal(exported(x), wanted)


class Halved(nn.Module):
    """Weights that are computed."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight / 2


def test_computed_weights_can_be_taken_off_again() -> None:
    conv = nn.Conv1d(1, 2, 2, stride=2)
    torch.nn.utils.parametrize.register_parametrization(conv, "weight", Halved())
    x = torch.rand(1, 1, 9)
    coarse = conv(x)
    on_dense(conv, before=(1,), after=(2,))
    dense = conv(x)
    torch.testing.assert_close(dense[..., ::2], coarse)
    torch.testing.assert_close(copy.deepcopy(conv)(x), dense)
    with pytest.raises(RuntimeError, match="parametrized modules"):
        pickle.dumps(conv)
    torch.nn.utils.parametrize.remove_parametrizations(conv, "weight")
    torch.testing.assert_close(conv(x), dense)
    assert isinstance(conv.weight, nn.Parameter)
    torch.testing.assert_close(pickle.loads(pickle.dumps(conv))(x), dense)

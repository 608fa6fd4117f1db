"""`conv1d`, `conv2d`, `conv3d` against PyTorch's in double precision."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from torch import Tensor

from atrous import ops
from atrous.ops.operators import layout_of

OURS: dict[int, Any] = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
THEIRS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
LENGTHS = {1: (37,), 2: (13, 19), 3: (5, 7, 9)}
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-5, torch.bfloat16: 3e-2}


def assert_same(made: Tensor, wanted: Tensor, dtype: torch.dtype) -> None:
    assert made.shape == wanted.shape
    if wanted.numel():
        error = (made.double() - wanted).abs().max()
        assert error <= TOLERANCE[dtype] * max(1.0, wanted.abs().max().item())


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("groups", [1, 2, 6])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_values_and_gradients_are_those_of_pytorch(
    axes: int, groups: int, dtype: torch.dtype
) -> None:
    generator = torch.Generator().manual_seed(axes)
    for batch in (0, 1, 3):
        for kernel, stride, padding, dilation in (
            (3, 1, 2, 2), (2, 2, 1, 1), (3, 1, "same", 40), (1, 3, 0, 1), (4, 1, "same", 1),
        ):  # fmt: skip
            x = torch.randn(batch, 6, *LENGTHS[axes], generator=generator).to(dtype)
            weight = torch.randn(12, 6 // groups, *[kernel] * axes, generator=generator).to(dtype)
            bias = torch.randn(12, generator=generator).to(dtype)
            given = [t.clone().requires_grad_() for t in (x, weight, bias)]
            exact = [t.double().requires_grad_() for t in (x, weight, bias)]
            how = (stride, padding, dilation, groups)
            made, wanted = OURS[axes](*given, *how), THEIRS[axes](*exact, *how)
            assert_same(made.detach(), wanted.detach(), dtype)
            grad = torch.randn(wanted.shape, generator=generator).to(dtype)
            found = torch.autograd.grad(made, given, grad)
            right = torch.autograd.grad(wanted, exact, grad.double())
            for one, other in zip(found, right, strict=True):
                assert one.dtype == dtype
                assert_same(one, other, dtype)


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_memory_may_lie_in_any_way(axes: int) -> None:
    x = torch.randn(2, *LENGTHS[axes], 16, dtype=torch.float64).movedim(-1, 1)
    weight = torch.randn(*[3] * axes, 1, 16, dtype=torch.float64).movedim((-1, -2), (0, 1))
    bias = torch.randn(32, dtype=torch.float64)[::2]
    wanted = THEIRS[axes](x.contiguous(), weight.contiguous(), bias, 1, 2, 2, 16)
    for given in (x, x.contiguous(), x.flip(-1).flip(-1), F.pad(x, (3, 2))[..., 3:-2]):
        made = OURS[axes](given, weight, bias, 1, 2, 2, 16)
        torch.testing.assert_close(made, wanted)
        assert layout_of(made) == layout_of(given)
        assert made.is_contiguous() or made.movedim(1, -1).is_contiguous()


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("channels", [(4, 1), (4, 4)])
def test_causal_padding_stands_in_front(axes: int, channels: tuple[int, int]) -> None:
    x, weight = torch.randn(2, 4, *LENGTHS[axes]), torch.randn(4, channels[1], *[3] * axes)
    groups = 4 // channels[1]
    made = OURS[axes](x, weight, dilation=2, padding="causal", groups=groups)
    padded = F.pad(x, [4, 0] * axes)
    torch.testing.assert_close(made, THEIRS[axes](padded, weight, None, 1, 0, 2, groups))
    later = x.clone()
    later[..., 9 if axes < 3 else 5 :] += 1
    kept = OURS[axes](later, weight, dilation=2, padding="causal", groups=groups)
    end = 9 if axes < 3 else 5
    assert torch.equal(made[..., :end], kept[..., :end])


def test_words_and_pairs_hold_per_axis() -> None:
    x, weight = torch.randn(1, 2, 9, 8), torch.randn(2, 2, 3, 2)
    made = ops.conv2d(x, weight, dilation=(2, 3), padding=("causal", "same"))
    assert made.shape == x.shape
    torch.testing.assert_close(made, F.conv2d(F.pad(x, (1, 2, 4, 0)), weight, dilation=(2, 3)))
    pairs = ops.conv2d(x, weight, dilation=(2, 3), padding=[(4, 0), (1, 2)])
    assert torch.equal(made, pairs)


def test_an_item_needs_no_batch() -> None:
    x, weight = torch.randn(3, 20), torch.randn(3, 1, 3)
    made = ops.conv1d(x, weight, padding=1, groups=3)
    torch.testing.assert_close(made, F.conv1d(x, weight, padding=1, groups=3))


def test_what_is_no_number_stays_none_where_it_is_read() -> None:
    x, weight = torch.randn(1, 4, 30), torch.ones(4, 1, 3)
    x[0, 1, 10], x[0, 2, 11] = float("nan"), float("inf")
    made = ops.conv1d(x, weight, padding=2, dilation=2, groups=4)
    wanted = F.conv1d(x, weight, padding=2, dilation=2, groups=4)
    torch.testing.assert_close(made, wanted, equal_nan=True)
    assert made.isnan().sum() == 3


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_autocast_computes_in_its_kind(dtype: torch.dtype) -> None:
    x, weight, bias = torch.randn(1, 4, 30), torch.randn(4, 1, 3), torch.randn(4)
    with torch.autocast("cpu", dtype):
        made = ops.conv1d(x, weight, bias, padding=1, groups=4)
    assert made.dtype == dtype
    torch.testing.assert_close(
        made.float(), F.conv1d(x, weight, bias, padding=1, groups=4), rtol=2e-2, atol=5e-2
    )


def depthwise(x: Tensor, weight: Tensor) -> Tensor:
    return ops.conv1d(x, weight, dilation=4, groups=len(weight))


def plain(x: Tensor, weight: Tensor) -> Tensor:
    return F.conv1d(x, weight, dilation=4, groups=len(weight))


def test_derivatives_of_every_mode() -> None:
    x, weight = torch.randn(2, 8, 60), torch.randn(8, 1, 3)
    for mode in (torch.func.jacfwd, torch.func.jacrev):
        found, wanted = (mode(layer, argnums=1)(x, weight) for layer in (depthwise, plain))
        torch.testing.assert_close(found, wanted)
    tangents = [torch.func.jvp(f, (x, weight), (x, weight))[1] for f in (depthwise, plain)]
    torch.testing.assert_close(*tangents)
    many = [torch.func.vmap(f, in_dims=(0, None))(x, weight) for f in (depthwise, plain)]
    torch.testing.assert_close(*many)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, x)
        made = torch.autograd.forward_ad.unpack_dual(depthwise(dual, weight)).tangent
        torch.testing.assert_close(made, plain(x, weight))


def test_numbers_of_several_kinds_are_refused_and_others_left_to_pytorch() -> None:
    x, weight = torch.randn(1, 8, 60), torch.randn(8, 1, 3)
    with pytest.raises(RuntimeError):
        depthwise(x, weight.double())
    operator: Any = torch.ops.atrous.convolution
    with pytest.raises(TypeError, match="tensors of a convolution must be of one kind"):
        operator(x, weight.double(), None, [1], [0, 0], [4], 8)
    pairs = x.to(torch.complex64), weight.to(torch.complex64)
    torch.testing.assert_close(depthwise(*pairs), plain(*pairs))
    whole = x.long(), weight.long()
    assert torch.equal(depthwise(*whole), plain(*whole))
    assert depthwise(x.to("meta"), weight.to("meta")).shape == (1, 8, 52)


def test_padding_larger_than_memory_is_no_reason_to_fail() -> None:
    x, weight = torch.randn(1, 8, 6, 6), torch.randn(8, 1, 3, 3)
    made = ops.conv2d(x, weight, padding=3_000_000, dilation=3_000_000, groups=8)
    torch.testing.assert_close(made, x * weight[:, 0, 1, 1].view(8, 1, 1))


def test_without_channels_it_gives_what_pytorch_gives() -> None:
    given = torch.randn(1, 0, 5), torch.randn(4, 0, 3), torch.ones(4)
    assert torch.equal(ops.conv1d(*given), F.conv1d(*given))


def test_checkpoints_compute_the_same_again() -> None:
    weight = torch.randn(64, 1, 3, requires_grad=True)

    def layer(x: Tensor) -> Tensor:
        return ops.conv1d(x, weight, padding="causal", dilation=4, groups=64)

    for _ in range(60):
        x = torch.randn(1, 64, 500, requires_grad=True)
        torch.utils.checkpoint.checkpoint(layer, x, use_reentrant=False).sum().backward()


def test_sizes_that_do_not_fit_are_told() -> None:
    x, weight = torch.randn(1, 4, 8), torch.randn(4, 4, 3)
    for message, call in {
        "dilation must be at least 1, got 0": {"dilation": 0},
        "stride must be at least 1, got \\(1, 2\\)": {"stride": (1, 2)},
        "padding must not be negative, got -1. Cut the input": {"padding": -1},
        "padding must not be 'same' with a stride of 2": {"padding": "same", "stride": 2},
        "padding must be a number, valid, same, causal, got 'full'": {"padding": "full"},
        "padding must be told once or for 1 axes": {"padding": (1, 2)},
        "kernel, 9 positions, on axis 2, got 8 with its padding": {"dilation": 4},
        "weight must have shape \\(outputs, 4 / groups, ...\\)": {"groups": 2},
        "bias must have shape \\(4,\\), got 3": {"bias": torch.randn(3)},
    }.items():
        with pytest.raises(ValueError, match=message):
            ops.conv1d(x, weight, **call)
    with pytest.raises(ValueError, match="input must have 4 axes, or 3 without a batch"):
        ops.conv2d(torch.randn(2, 2), torch.randn(2, 2, 1, 1))

"""Statements often made of dilated convolution, and what is true: each shown with these tools."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import gcd, pi

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous import geometry
from atrous.geometry import Window, hole_free, index_map
from samples import dilated


def offsets(*dilations: int) -> list[int]:
    """What one output reads, relative to its own position."""
    length = 2 * sum(dilations) + 9
    taps, _ = atrous.receptive_field(dilated(*dilations), (1, 1, length)).axes[0].taps(length // 2)
    return (taps - length // 2).tolist()


def has_holes(*dilations: int) -> bool:
    taps = offsets(*dilations)
    return len(taps) < taps[-1] - taps[0] + 1


def test_rates_may_share_a_factor_and_coprime_rates_may_leave_holes() -> None:
    # (1, 2, 4) share a factor of 2 and have no holes; (2, 3) share none and miss 4 and -4.
    assert not has_holes(1, 2, 4)
    assert sorted(set(range(-5, 6)) - set(offsets(2, 3))) == [-4, 4]
    triples = [
        t for t in product(range(1, 13), repeat=3) if gcd(t[0], t[1]) == 1 and gcd(t[1], t[2]) == 1
    ]
    holed = [t for t in triples if not hole_free([(3, d) for d in t])]
    assert (len(triples), len(holed)) == (779, 714)
    # The exact test says what the real networks do.
    for triple in triples[::40]:
        assert has_holes(*triple) == (triple in holed)


def test_every_input_is_read_though_every_output_has_holes() -> None:
    net = dilated(8, 8, 8, 8)
    one = atrous.coverage(net, (1, 1, 128))
    assert one.density == pytest.approx(9 / 65)
    assert atrous.coverage(net, (1, 1, 128), at=slice(None)).read.all()
    # A strided readout does leave inputs unread.
    assert not atrous.coverage(net, (1, 1, 128), at=slice(None, None, 4)).read.all()
    # 8 nets side by side, 64 in two dimensions: each sees every eighth position.
    assert atrous.receptive_field(net, (1, 1, 128)).axes[0].phases == 8
    plane = atrous.receptive_field(dilated(8, 8, 8, 8, axes=2), (1, 1, 96, 96))
    assert [axis.phases for axis in plane.axes] == [8, 8]


def test_exponential_rates_and_the_hybrid_ones_are_two_schedules() -> None:
    assert offsets(1, 2, 4, 8) == list(range(-15, 16))
    assert offsets(1, 2, 5) == list(range(-8, 9))
    # The exponential one is hole-free too, by doubling; its counts are less even.
    even, uneven = (
        atrous.coverage(dilated(*schedule), (1, 1, 99)).uniformity.cv
        for schedule in ((1, 2, 5), (1, 2, 4, 8))
    )
    assert even < uneven


def test_parallel_rates_let_most_fall_through() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            rates = [nn.Conv2d(1, 1, 3, padding=r, dilation=r) for r in (6, 12, 18)]
            self.branches = nn.ModuleList([nn.Conv2d(1, 1, 1), *rates])

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([branch(x) for branch in self.branches], dim=1)

    alone = atrous.coverage(Pyramid(), (1, 1, 65, 65))
    assert (int(alone.read.sum()), alone.span) == (25, (37, 37))
    # Density comes from what is before: three layers of 3 x 3 are not enough for steps of 6.
    behind = [
        atrous.coverage(nn.Sequential(dilated(*[1] * n, axes=2), Pyramid()), (1, 1, 97, 97)).density
        for n in (0, 1, 3, 6)
    ]
    assert behind == sorted(behind)
    assert behind[2] < 1


def test_what_lies_in_the_holes_of_one_output_is_seen_by_others() -> None:
    x = torch.rand(1, 1, 64, generator=torch.Generator().manual_seed(1))
    found = atrous.hidden_perturbation(dilated(2, 2), x)
    assert found.is_unseen
    assert found.elsewhere > 0


@pytest.mark.parametrize(("dilation", "length"), [(3, 8), (4, 8), (7, 8), (8, 8), (20, 8)])
def test_taps_read_padding_where_the_span_exceeds_the_map(dilation: int, length: int) -> None:
    window = Window(3, dilation=dilation, left=dilation)
    maps = [index_map((length,), (window,), (o,)) for o in range(length)]
    outside = [sum(tap.is_padding for tap in m.taps) for m in maps]
    span = geometry.effective_kernel(3, dilation)
    assert (min(outside) > 0) == (span > length)
    # Always, for the same tap, once half the span reaches the map: then it is a 1x1 in disguise.
    assert (min(outside) == 2) == (dilation >= length)
    first = atrous.coverage(dilated(dilation), (1, 1, length), at=0)
    assert (first.span == (1,)) == (dilation >= length)


def test_one_layer_grows_linearly_and_a_schedule_exponentially() -> None:
    def size(*dilations: int) -> int:
        return atrous.receptive_field(dilated(*dilations), (1, 1, 4096)).axes[0].size

    assert [size(d) for d in (1, 2, 4, 8)] == [3, 5, 9, 17]
    assert [size(*(2**k for k in range(n))) for n in (1, 2, 3, 4)] == [3, 7, 15, 31]
    # Parameters grow with depth; covering N positions takes log2(N) layers of N outputs each.
    for n in (6, 9):
        report = atrous.inspect(dilated(*(2**k for k in range(n))), (1, 1, 2 ** (n + 1) - 1))
        assert report.inspection.parameters == n * (3 + 1)
        assert report.inspection.macs == 3 * n * (2 ** (n + 1) - 1)


def test_a_dilated_kernel_spans_what_it_does_not_read() -> None:
    small = nn.Conv2d(1, 1, 3, dilation=2, bias=False)
    large = nn.Conv2d(1, 1, 5, bias=False)
    spans = [atrous.coverage(net, (1, 1, 32, 32)) for net in (small, large)]
    assert spans[0].span == spans[1].span == (5, 5)
    assert len(spans[0].holes) == 16
    weights = [sum(p.numel() for p in net.parameters()) for net in (small, large)]
    assert 1 - weights[0] / weights[1] == pytest.approx(0.64)


def test_pools_taken_out_take_their_own_extent_with_them() -> None:
    with_pool = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(1, 1, 3, padding=1)
    )
    without = dilated(1, 2, axes=2)
    kept = nn.Sequential(
        nn.Conv2d(1, 1, 3, padding=1), nn.MaxPool2d(2, stride=1), nn.Conv2d(1, 1, 3, dilation=2)
    )
    sizes = [atrous.receptive_field(net, (1, 1, 32, 32)).size for net in (with_pool, without, kept)]
    assert sizes == [(8, 8), (7, 7), (8, 8)]


def test_a_field_reaches_half_its_size_to_each_side() -> None:
    def reach(layers: int) -> tuple[int, int, int]:
        net = dilated(*(2**k for k in range(layers)))
        axis = atrous.receptive_field(net, (1, 1, 66_000)).axes[0]
        return axis.size, *axis.reach

    assert reach(14) == (32_767, 16_383, 16_383)
    # To see 20,000 away takes 40,001, which 15 doubling layers of 3 taps have.
    assert reach(15) == (65_535, 32_767, 32_767)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_ring_on_the_grid_holds_more_than_the_kernel_reads(d: int) -> None:
    size = 4 * d + 1
    window = Window(3, dilation=d, left=d)
    taps = index_map((size, size), (window, window), (2 * d, 2 * d)).taps
    steps = [(abs(t.input_index[0] - 2 * d), abs(t.input_index[1] - 2 * d)) for t in taps]
    cells = [(abs(i), abs(j)) for i in range(-2 * d, 2 * d + 1) for j in range(-2 * d, 2 * d + 1)]
    # With diagonals (8 neighbours) the ring at distance d has 8 d nodes, of which 8 are read.
    assert sum(max(cell) == d for cell in cells) == 8 * d
    assert sum(max(step) == d for step in steps) == 8
    # Without diagonals (4 neighbours) it has 4 d nodes, of which 4 are read.
    assert sum(sum(cell) == d for cell in cells) == 4 * d
    assert sum(sum(step) == d for step in steps) == 4


class Pairs(nn.Module):
    """A 1-D dilated embedding, every pair of positions, then 2-D dilated convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.line = dilated(1, 2, channels=4)
        self.plane = nn.Sequential(
            nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=2, dilation=2)
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.line(x)
        n = y.shape[-1]
        rows, columns = y[..., :, None].expand(-1, -1, n, n), y[..., None, :].expand(-1, -1, n, n)
        return self.plane(torch.cat([rows, columns], dim=1))


def test_pairs_from_a_line_and_blocks_on_pairs_are_two_shapes() -> None:
    # Blocks on pairs only: each axis of the map on its own axis of the input.
    blocks = atrous.receptive_field(dilated(1, 2, 4, 8, axes=2), (1, 1, 64, 64))
    assert [axis.output_axes for axis in blocks.axes] == [(2,), (3,)]
    # 1-D, then pairs, then 2-D: both axes of the map descend from the one axis of the sequence.
    (axis,) = atrous.receptive_field(Pairs(), (1, 4, 64)).axes
    assert axis.output_axes == (2, 3)
    taps, _ = axis.taps((10, 50))
    near = 3 + 3
    assert taps.tolist() == [*range(10 - near, 10 + near + 1), *range(50 - near, 50 + near + 1)]


def test_kernels_and_strides_set_time_and_space_apart_too() -> None:
    def size(net: nn.Module) -> Sequence[int]:
        return atrous.receptive_field(net, (1, 1, 33, 33, 33)).size

    dilated = nn.Sequential(*(nn.Conv3d(1, 1, 3, dilation=(4, 1, 1)) for _ in range(2)))
    long = nn.Sequential(*(nn.Conv3d(1, 1, (9, 3, 3)) for _ in range(2)))
    strided = nn.Sequential(nn.Conv3d(1, 1, 3, stride=(7, 1, 1)), nn.Conv3d(1, 1, 3))
    assert size(dilated) == size(long) == size(strided) == (17, 5, 5)


def test_dilation_costs_no_parameters_and_no_macs() -> None:
    near, far = (atrous.inspect(dilated(d, axes=2), (1, 1, 65, 65)).inspection for d in (1, 16))
    assert (near.parameters, near.macs) == (far.parameters, far.macs)


def test_blind_fraction_of_one_layer() -> None:
    for k, d in [(3, 2), (3, 5), (5, 3), (2, 7)]:
        span = (k - 1) * d + 1
        for axes in (1, 2):
            net = {1: nn.Conv1d, 2: nn.Conv2d}[axes](1, 1, k, dilation=d)
            found = atrous.coverage(net, (1, 1, *[2 * span] * axes))
            assert 1 - found.density == pytest.approx(1 - (k / span) ** axes)
        assert 1 - k / span == pytest.approx((k - 1) * (d - 1) / span)


def test_counts_of_three_perfect_layers_are_even() -> None:
    # (1 + z + z^2)(1 + z^3 + z^6) = (1 - z^9) / (1 - z): every offset once.
    assert atrous.coverage(dilated(1, 3), (1, 1, 33)).counts.tolist() == [1] * 9
    assert atrous.coverage(dilated(1, 1), (1, 1, 33)).counts.tolist() == [1, 2, 3, 2, 1]
    five = dilated(1, 5, 25, kernel=5)
    assert set(atrous.coverage(five, (1, 1, 257)).counts.tolist()) == {1}
    assert np.all(atrous.coverage(dilated(2, 2), (1, 1, 33)).counts[1::2] == 0)


def low_pass(dilation: int, stride: int = 1) -> nn.Module:
    """41 taps that pass up to a quarter of the sampling rate."""
    at = torch.arange(-20, 21) / 2.0
    taps = torch.sinc(at) * torch.hamming_window(41, periodic=False)
    conv = nn.Conv1d(1, 1, 41, dilation=dilation, stride=stride, bias=False)
    conv.weight.data = (taps / taps.sum())[None, None]
    return conv


def test_a_stack_of_one_rate_repeats_its_gain_without_any_zero() -> None:
    d = 4
    net = dilated(d, d, d)
    with torch.no_grad():
        for layer in net:
            # A peak at the centre: its response is positive at every frequency.
            layer.weight.copy_(torch.tensor([[[0.2, 1.0, 0.2]]]))
    at = torch.linspace(0, 2 * pi / d, 33, dtype=torch.float64)
    gains = atrous.chain_response(net, (1, 1, 64), at).abs().flatten()
    later = atrous.chain_response(net, (1, 1, 64), at + 2 * pi / d).abs().flatten()
    assert torch.allclose(gains, later)
    assert gains.min() > 0.2
    # And it is gridding all the same: three of four positions are never read.
    assert atrous.coverage(net, (1, 1, 64)).factor == (4,)


@pytest.mark.parametrize(("dilation", "share"), [(2, 0.50), (4, 0.75)])
def test_dilation_makes_a_comb_and_not_a_lower_cutoff(dilation: int, share: float) -> None:
    cutoff = pi / 2
    at = torch.arange(1, dilation, dtype=torch.float64) * 2 * pi / dilation
    images = atrous.frequency_response(low_pass(dilation).weight, at, dilation=dilation).abs()
    assert torch.allclose(images, torch.ones_like(images), atol=1e-3)
    # The rule of thumb: the cut-off is at w_c / d, so a stride of pi d / w_c folds nothing.
    stride = atrous.safe_stride(cutoff, dilation).stride
    assert stride == 2 * dilation
    white = atrous.aliasing(low_pass(dilation, stride), (1, 1, 2000)).rows[0]
    assert white.energy is not None
    assert white.energy.fraction == pytest.approx(share, abs=0.01)
    # True if the input ends below (2 pi - w_c) / d.
    below = (2 * pi - cutoff) / dilation
    assert atrous.safe_stride(cutoff, dilation, band=0.99 * below).safe == stride
    assert atrous.safe_stride(cutoff, dilation, band=min(1.01 * below, pi)).safe < stride


def test_the_branch_of_one_tap_limits_and_so_the_input_does() -> None:
    from atrous.models import create

    found = atrous.limiting_branch(create("segmenter"), (1, 3, 257, 257), node="head.project")
    assert found.by_input
    assert found.limiting == "head.branches.0.1"


def test_inserted_zeros_are_not_a_resampled_wavelet() -> None:
    pytest.importorskip("pywt")
    from atrous.nn import compare_continuous

    last = compare_continuous("db2", levels=5)[-1]
    # The stack with its smoothing comes near the continuous transform; the zeros alone do not.
    assert last.stack_correlation > 0.99 > 0.5 > last.zeros_correlation

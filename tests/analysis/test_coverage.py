"""Path counts against perturbation and against autograd, in all dimensions."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction
from math import comb

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.analysis.coverage import adjoint
from checks import assert_coverage, finite, input_of
from networks import draw_network

PARTS, PER_PART = 4, 100


@pytest.mark.parametrize("part", range(PARTS))
def test_random_networks_read_what_perturbation_finds(part: int) -> None:
    counted = checked = 0
    for number in range(part * PER_PART, (part + 1) * PER_PART):
        network = draw_network(random.Random(number), rearranged=number % 4 == 3)
        if finite(network, input_of(network, number)):
            counted += assert_coverage(network, number)["counted"]
            checked += 1
    assert checked > 0.9 * PER_PART
    assert counted > 0.4 * PER_PART


def test_a_lost_read_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    honest = adjoint.through

    def without_the_last(*args: object, **kwargs: object) -> object:
        ways = honest(*args, **kwargs)  # type: ignore[arg-type]
        for way in ways:
            if way.counts.size > 1:
                way.counts[(-1,) * way.counts.ndim] = 0
        return ways

    monkeypatch.setattr(adjoint, "through", without_the_last)
    with pytest.raises(AssertionError):
        test_random_networks_read_what_perturbation_finds(0)


def chain(*layers: tuple[int, int], axes: int = 1) -> nn.Module:
    kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[axes]
    return nn.Sequential(*(kind(1, 1, k, dilation=d, padding=(k - 1) * d // 2) for k, d in layers))


def test_counts_beyond_64_bits_are_exact_when_asked_for() -> None:
    # 70 layers of two taps: the binomial coefficients.
    net = nn.Sequential(*(nn.Conv1d(1, 1, 2) for _ in range(70)))
    exact = atrous.coverage(net, (1, 1, 75), at=0, exact=True)
    assert exact.is_exact
    assert exact.counts.tolist() == [comb(70, k) for k in range(71)]
    rounded = atrous.coverage(net, (1, 1, 75), at=0)
    assert not rounded.is_exact
    assert rounded.counts.tolist() == pytest.approx(exact.counts.tolist(), rel=1e-14)


def test_counts_beyond_floats_become_whole_numbers() -> None:
    # 3 taps, 2 axes: 9 routes a layer, 9**400 in all.
    net = chain(*[(3, 1)] * 400, axes=2)
    found = atrous.coverage(net, (1, 1, 9, 9))
    assert found.is_exact
    assert found.counts.min() > 0
    assert 2**1000 < int(found.counts.max()) < 9**400
    # The counts of a product of axes are the product of the axes' counts.
    line, _ = atrous.receptive_field(net, (1, 1, 9, 9)).axes[0].taps(4)
    assert found.uniformity.cv > 0
    assert len(line) == 9


def test_a_stack_in_two_dimensions_is_the_product_of_its_axes() -> None:
    net = chain((3, 1), (3, 2), (5, 3), axes=2)
    found = atrous.coverage(net, (1, 1, 65, 65))
    rows, counts = atrous.receptive_field(net, (1, 1, 65, 65)).axes[0].taps(32)
    assert found.start == (rows[0], rows[0])
    line = np.zeros(found.span[0], dtype=np.int64)
    line[rows - rows[0]] = counts
    assert (found.counts == np.outer(line, line)).all()


@pytest.mark.parametrize(
    ("schedule", "cv"),
    [((1, 2, 4, 8) * 2, 0.77), ((1, 2, 4, 8), 0.52), ((1, 2, 5), 0.31), ((1, 3, 9), 0.0)],
)
def test_evenness_of_known_schedules(schedule: tuple[int, ...], cv: float) -> None:
    found = atrous.coverage(chain(*((3, d) for d in schedule)), (1, 1, 129))
    assert found.uniformity.cv == pytest.approx(cv, abs=0.005)


class Pyramid(nn.Module):
    """Parallel rates from one value, as in ASPP."""

    def __init__(self, *rates: int) -> None:
        super().__init__()
        self.point = nn.Conv2d(1, 1, 1)
        self.rates = nn.ModuleList(nn.Conv2d(1, 1, 3, padding=r, dilation=r) for r in rates)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.point(x), *(rate(x) for rate in self.rates)], dim=1)


def test_a_pyramid_reads_25_of_37_by_37() -> None:
    found = atrous.coverage(Pyramid(6, 12, 18), (1, 1, 65, 65))
    assert found.span == (37, 37)
    # 8 around the centre per rate; all 4 branches read the centre.
    assert int(found.read.sum()) == 1 + 3 * 8
    assert found.counts[18, 18] == 4
    assert found.density == pytest.approx(0.018, abs=0.0005)


def test_a_factor_in_two_dimensions_is_told_per_axis() -> None:
    net = nn.Conv2d(1, 1, 3, dilation=(4, 3))
    assert atrous.coverage(net, (1, 1, 33, 33)).factor == (4, 3)


def test_phases_of_a_transposed_convolution() -> None:
    # Kernel 3, stride 2: even outputs read two inputs, odd ones one.
    found = atrous.coverage(nn.ConvTranspose1d(1, 1, 3, stride=2), (1, 1, 20), at=10)
    assert [phase.total for phase in found.phases] == [2, 1]
    assert [phase.at for phase in found.phases] == [((10,),), ((11,),)]
    last = atrous.coverage(nn.ConvTranspose1d(1, 1, 3, stride=2), (1, 1, 20), at=40)
    assert [phase.at for phase in last.phases] == [((40,),), ((39,),)]


def test_phases_of_a_network_without_upsampling_are_one() -> None:
    assert len(atrous.coverage(chain((3, 2), axes=2), (1, 1, 20, 20)).phases) == 1


def test_blame_names_the_layers_that_skip_and_a_dilation_that_does_not() -> None:
    found = atrous.coverage(chain((3, 1), (3, 2), (3, 9), axes=2), (1, 1, 65, 65))
    (blame,) = found.blame
    assert blame.node == "2"
    assert blame.steps == (9, 9)
    assert blame.closes == len(found.holes)
    # 1 + 2 * 1 + 2 * 2: the largest that leaves no holes behind (1, 2).
    assert blame.dilation == (7, 7)
    mended = chain((3, 1), (3, 2), (3, 7), axes=2)
    assert not len(atrous.coverage(mended, (1, 1, 65, 65)).holes)


def test_blame_counts_distances_in_input_positions() -> None:
    net = nn.Sequential(
        nn.Conv1d(1, 1, 3, stride=2, padding=1), nn.Conv1d(1, 1, 3, dilation=4, padding=4)
    )
    (blame,) = atrous.coverage(net, (1, 1, 128)).blame
    assert blame.node == "1"
    assert blame.steps == (Fraction(8),)
    assert blame.dilation == (1,)


def test_a_stride_larger_than_its_window_is_blamed() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 1, stride=2), nn.Conv1d(1, 1, 3, padding=1))
    found = atrous.coverage(net, (1, 1, 32))
    assert [blame.node for blame in found.blame] == ["0"]


def test_several_outputs_together() -> None:
    net = nn.Conv1d(1, 1, 3, dilation=4, padding=4)
    every = atrous.coverage(net, (1, 1, 16), at=slice(None))
    assert every.read.all()
    # Outputs 0, 4, 8, 12 read multiples of 4 only.
    grid = atrous.coverage(net, (1, 1, 16), at=slice(None, None, 4))
    assert grid.factor == (4,)
    assert grid.counts[::4].tolist() == [2, 3, 3, 2]


@pytest.mark.parametrize(("size", "dilation"), [((1, 1), 4), ((2, 3), 4), ((3, 5), 5), ((6, 2), 6)])
def test_the_chance_to_miss_an_object_by_trying_all_places(
    size: tuple[int, int], dilation: int
) -> None:
    found = atrous.coverage(chain((3, dilation), (3, dilation), axes=2), (1, 1, 64, 64))
    height, width = size
    rows, columns = found.span
    missed = [
        not found.read[i : i + height, j : j + width].any()
        for i in range(rows - height + 1)
        for j in range(columns - width + 1)
    ]
    assert found.miss_chance(size) == sum(missed) / len(missed)


def test_the_chance_to_miss_an_object_is_that_of_the_lattice() -> None:
    # A readout on the grid reads a lattice of step d: over whole periods the chance to see is
    # min(w, d) * min(h, d) / d**2.
    d, n = 6, 60
    net = nn.Conv2d(1, 1, 3, dilation=d, padding=d)
    found = atrous.coverage(net, (1, 1, n, n), at=(slice(None, None, d),) * 2)
    for h, w in [(1, 1), (2, 3), (5, 6), (6, 6)]:
        lattice = min(h, d) * min(w, d) / d**2
        # The last tap has no period behind it: 55 = 9 * 6 + 1 positions.
        places = [found.read[i : i + h, j : j + w].any() for i in range(48) for j in range(48)]
        assert sum(places) / len(places) == pytest.approx(lattice)
        assert 1 - found.miss_chance((h, w)) == pytest.approx(lattice, abs=0.07)


def test_ways_that_read_everything_can_be_left_out() -> None:
    class Gated(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.max_pool1d(x, 3, 1, 1) * x.mean(-1, keepdim=True)

    whole = atrous.coverage(Gated(), (1, 1, 20))
    assert (whole.status, whole.span) == ("global", (20,))
    # Three taps and the mean over all.
    assert sorted(set(whole.counts.tolist())) == [1, 2]
    local = atrous.coverage(Gated(), (1, 1, 20), local=True)
    assert (local.status, local.counts.tolist(), local.start) == ("exact", [1, 1, 1], (9,))


def test_channels_that_are_not_read_lead_nowhere() -> None:
    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near, self.far = nn.Conv1d(1, 2, 3, padding=1), nn.Conv1d(1, 2, 9, padding=4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([self.near(x), self.far(x)], dim=1)[:, :2]

    assert atrous.coverage(First(), (1, 1, 32)).span == (3,)


def test_routes_through_many_channels_are_counted_once() -> None:
    wide = nn.Sequential(nn.Conv1d(4, 64, 3), nn.Conv1d(64, 64, 3, groups=64), nn.Conv1d(64, 4, 1))
    assert atrous.coverage(wide, (1, 4, 9), at=0).counts.tolist() == [1, 2, 3, 2, 1]


def test_pixel_shuffle_puts_channels_next_to_each_other() -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.PixelShuffle(2), nn.Conv2d(1, 1, 2))
    # The two rows of output 6 lie in one row of the input, those of output 7 in two.
    assert atrous.coverage(net, (1, 1, 16, 16), at=(6, 6)).counts.tolist() == [[4] * 3] * 3
    assert atrous.coverage(net, (1, 1, 16, 16), at=(7, 6)).span == (4, 3)


def test_an_output_that_reads_nothing() -> None:
    net = nn.Conv1d(1, 1, 1, padding=2)
    found = atrous.coverage(net, (1, 1, 8), at=0)
    assert (found.counts.size, found.density, found.blame) == (0, 0.0, ())
    assert "reads nothing of input" in str(found)


def test_outputs_can_be_arrays_and_tensors() -> None:
    net = nn.Conv2d(1, 1, 3)
    wanted = atrous.coverage(net, (1, 1, 16, 16), at=([2, 5], 7)).counts.tolist()
    for at in (
        (np.array([2, 5]), np.int64(7)),
        (torch.tensor([2, 5]), torch.tensor(7)),
        ((5, 2, 2), 7),
    ):
        found = atrous.coverage(net, (1, 1, 16, 16), at=at)  # type: ignore[arg-type]
        assert found.counts.tolist() == wanted
    assert atrous.coverage(net, (1, 1, 16, 16), at=np.array([2, 7])).at == ((2,), (7,))  # type: ignore[arg-type]


@pytest.mark.parametrize("at", [(40,), (1, 1), (slice(9, 9),)])
def test_outputs_that_do_not_exist_are_refused(at: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="at must"):
        atrous.coverage(nn.Conv1d(1, 1, 3), (1, 1, 32), at=at)


def test_operators_without_a_rule_are_refused() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.eigvals(x @ x.mT).real

    with pytest.raises(ValueError, match="no rule"):
        atrous.coverage(Odd(), (1, 8, 8))


def test_a_perturbation_in_the_holes_is_not_seen() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, dilation=2, padding=2),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 4, 3, dilation=2, padding=2),
    )
    x = torch.rand(2, 3, 33, 33, generator=torch.Generator().manual_seed(0))
    found = atrous.hidden_perturbation(net, x, amplitude=100.0)
    assert found.is_unseen
    assert found.positions == 81 - 25
    assert found.elsewhere > 0.1
    net.eval()
    # The real network, in double precision, agrees.
    net.double()
    moved = net((x + found.perturbation).double()) - net(x.double())
    assert (moved[:, :, 16, 16] == 0).all()
    assert (moved[:, :, 16, 17] != 0).all()


def test_a_perturbation_outside_the_holes_is_seen() -> None:
    net = nn.Conv1d(1, 1, 3, dilation=2)
    found = atrous.hidden_perturbation(net, torch.zeros(1, 1, 16), at=4)
    assert torch.nonzero(found.perturbation)[:, 2].tolist() == [5, 7]
    seen = net(torch.roll(found.perturbation, 1, dims=-1)) - net(torch.zeros(1, 1, 16))
    assert seen[0, 0, 4] != 0


def test_a_readout_on_the_grid_does_not_see_between() -> None:
    net = nn.Conv1d(1, 2, 3, dilation=4, padding=4)
    found = atrous.hidden_perturbation(net, torch.rand(1, 1, 32), at=slice(None, None, 4))
    assert found.is_unseen
    assert found.positions == 7 * 3
    assert found.elsewhere > 0


def test_a_perturbation_needs_holes() -> None:
    with pytest.raises(ValueError, match="must have holes"):
        atrous.hidden_perturbation(nn.Conv1d(1, 1, 3), torch.zeros(1, 1, 16))


def test_a_bound_is_told_before_a_global_way() -> None:
    class Views(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(2).reshape(1, 1, 7, 5)[:, :, :4]

    found = atrous.coverage(Views(), (1, 1, 5, 7))
    assert found.status == "bound"
    assert not found.is_exact


@pytest.mark.parametrize(("axes", "steps"), [((2, 3), (2, 3)), ((3, 2), (3, 2)), ((3,), (3,))])
def test_steps_are_told_in_the_order_of_the_axes(
    axes: tuple[int, ...], steps: tuple[int, ...]
) -> None:
    net = nn.Conv2d(1, 1, 3, dilation=(2, 3))
    found = atrous.coverage(net, (1, 1, 20, 20), axes=axes)
    assert found.span == tuple(2 * step + 1 for step in steps)
    assert [blame.steps for blame in found.blame] == [steps]


def test_steps_behind_a_transposition_and_without_a_batch() -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, 3, dilation=(2, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.transpose(2, 3))

    (blame,) = atrous.coverage(Turned(), (1, 1, 20, 20)).blame
    assert blame.steps == (3, 2)
    (blame,) = atrous.coverage(nn.Conv2d(1, 1, 3, dilation=(2, 3)), (1, 20, 20)).blame
    assert blame.steps == (2, 3)
    (blame,) = atrous.coverage(nn.Conv1d(1, 1, 3, dilation=2), (1, 20)).blame
    assert blame.steps == (2,)


@pytest.mark.parametrize("size", [1.5, (1, 2), 0, 99, "2"])
def test_sizes_of_no_object_are_refused(size: object) -> None:
    found = atrous.coverage(nn.Conv1d(1, 1, 3, dilation=4), (1, 1, 32))
    with pytest.raises(ValueError, match="size must be"):
        found.miss_chance(size)  # type: ignore[arg-type]


def test_axes_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="axes must be whole numbers"):
        atrous.coverage(nn.Conv1d(1, 1, 3), (1, 1, 32), axes=True)
    with pytest.raises(ValueError, match="at must be a whole number"):
        atrous.routes(nn.Conv1d(1, 1, 3), (1, 1, 32), at=2.5)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must be whole numbers"):
        atrous.routes(nn.Conv1d(1, 1, 3), (1, 1, 32), axis=2.0)  # type: ignore[arg-type]


def test_hidden_perturbations_need_no_gradient_mode() -> None:
    net = nn.Conv1d(1, 1, 3, dilation=2)
    with torch.inference_mode():
        assert atrous.hidden_perturbation(net, torch.rand(1, 1, 16)).is_unseen
    assert atrous.hidden_perturbation(net, (1, 1, 16)).is_unseen


def test_a_perturbation_that_rounding_swallows_is_refused() -> None:
    net = nn.Conv1d(1, 1, 3, dilation=2)
    with pytest.raises(ValueError, match="large enough to change"):
        atrous.hidden_perturbation(net, torch.full((1, 1, 16), 1e12))
    with pytest.raises(ValueError, match="amplitude must be a number above 0"):
        atrous.hidden_perturbation(net, (1, 1, 16), amplitude=float("inf"))


def test_the_input_to_change_can_be_named() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, dilation=2, padding=2)

        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            return x + self.conv(y)

    found = atrous.hidden_perturbation(Two(), ((1, 1, 16), (1, 1, 16)), input="y")
    assert found.is_unseen
    assert found.positions == 2


def test_counts_go_on_through_a_map_that_is_the_same_everywhere():
    # One pooled value, spread over four positions: both taps of the convolution read it.
    class Spread(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            pooled = F.avg_pool1d(x, 3, stride=3)
            spread = F.interpolate(pooled, size=4, mode="linear", align_corners=True)
            return F.conv1d(spread, torch.ones(1, 1, 2))

    model, x = Spread(), torch.zeros(1, 1, 5, requires_grad=True)
    found = atrous.coverage(model, x, at=(1,))
    (pooled,) = torch.autograd.grad(3 * model(x)[0, 0, 1], x)  # the mean weighs by a third
    assert found.on_input().tolist() == pooled[0, 0].tolist() == [2, 2, 2, 0, 0]


def test_what_local_leaves_without_any_way_is_told_with_what_to_ask_instead() -> None:
    trunk = [nn.Conv2d(1, 2, 3, padding=1), nn.ReLU()]
    net = nn.Sequential(*trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    found = atrous.coverage(net, (1, 1, 8, 8), local=True)
    assert not found.counts.size
    told = (
        "4 reads nothing of input. 2 (adaptive_avg_pool2d) reads all of it, which local=True "
        "leaves out. Ask what comes before: node='1', and there at=."
    )
    assert str(found) == told
    assert "Ask what comes before" in found._repr_html_()
    assert "node='1'" in atrous.picture(found)
    # What it advises has an answer: the 3 x 3 of the convolution.
    assert atrous.coverage(net, (1, 1, 8, 8), node="1", at=(3, 4), local=True).span == (3, 3)
    first = atrous.coverage(nn.AdaptiveAvgPool1d(1), (1, 1, 8), local=True)
    assert str(first).endswith("Ask without local=True.")
    # Padding alone is another reason, without a hint.
    padded = nn.Sequential(nn.ConstantPad1d((9, 0), 0.0), nn.Conv1d(1, 1, 3))
    assert atrous.coverage(padded, (1, 1, 10), at=0, local=True).hint == ""
    # Beside a way that is left, nothing is said.
    assert atrous.coverage(net, (1, 1, 8, 8)).hint == ""


class Beside(nn.Module):
    """A convolution of one input, and something else of the other."""

    def __init__(self, other: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.other = nn.Conv1d(1, 1, 3, padding=1), other

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.conv(x) + self.other(y)


def test_what_lies_on_the_way_of_another_input_does_not_matter() -> None:
    shapes = ((1, 1, 16), (1, 1, 16))
    net = Beside(torch.special.bessel_j0)
    found = atrous.coverage(net, shapes)
    assert (found.counts.tolist(), found.start, found.status) == ([1, 1, 1], (7,), "exact")
    assert atrous.routes(net, shapes).levels[0].positions == (7, 8, 9)
    for ask in (atrous.coverage, atrous.routes):
        with pytest.raises(ValueError, match=r"no rule for aten.special_bessel_j0"):
            ask(net, shapes, input="y")
    found = atrous.coverage(Beside(lambda y: y.mean(-1, keepdim=True)), shapes)
    assert (found.status, found.cause) == ("exact", "")


class Parted(nn.Module):
    """A function of an input of four channels."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


ONES = torch.ones(1, 4, 1)
BOX = torch.ones(1, 1, 3)


@pytest.mark.parametrize(
    ("function", "counts"),
    [
        # Cut and put together again, whole or in steps.
        (lambda x: torch.cat(x.chunk(4, 1), 1), [1]),
        (lambda x: F.conv1d(torch.cat(x.chunk(2, 1)[::-1], 1), ONES), [1]),
        (lambda x: torch.cat([torch.cat(x[:, :2].chunk(2, 1), 1), x[:, 2:]], 1), [1]),
        (lambda x: x.unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2), [1]),
        # Moved apart: two positions.
        (lambda x: torch.cat([x[:, :2], x[:, 2:].roll(1, -1)], 1), [1, 1]),
        # Twice the same channels.
        (lambda x: torch.cat([x, x], 1), [2]),
        (lambda x: torch.cat([x[:, :3], x[:, 2:]], 1), [2]),
        # Computed apart, as the groups of a convolution are not.
        (lambda x: torch.cat([p.relu() for p in x.chunk(4, 1)], 1), [4]),
        (lambda x: torch.cat([F.conv1d(p, BOX, padding=1) for p in x.chunk(4, 1)], 1), [4, 4, 4]),
        (lambda x: F.conv1d(x, BOX.expand(4, 1, 3), padding=1, groups=4), [1, 1, 1]),
        # Channels that become neighbours are read at two positions, however it is written.
        (lambda x: F.conv1d(torch.stack([x[:, :1], x[:, 1:2]], -1).flatten(2), BOX[..., :2]), [2]),
        (lambda x: F.conv1d(x[:, :2].mT.reshape(1, 1, -1), BOX[..., :2]), [2]),
        (lambda x: F.conv1d(torch.cat([x[:, :1], x[:, 1:2]], 2), BOX[..., :2], dilation=16), [2]),
    ],
)
def test_channels_that_part_are_routes_where_they_are_computed_apart(
    function: Callable[[Tensor], Tensor], counts: list[int]
) -> None:
    assert atrous.coverage(Parted(function), (1, 4, 16), at=8).counts.tolist() == counts


def test_a_gate_spread_over_the_map_by_hand_is_one_gate() -> None:
    class Gate(nn.Module):
        def __init__(self, spread: bool) -> None:
            super().__init__()
            self.spread = spread

        def forward(self, x: Tensor) -> Tensor:
            gate = x.mean((2, 3)).view(1, -1, 1, 1)
            gate = gate.expand_as(x) if self.spread else gate
            return F.avg_pool2d(x * gate, 3, stride=1)

    x = torch.rand(1, 4, 9, 9)
    by_hand, broadcast = (atrous.coverage(Gate(spread), x, at=(3, 3)) for spread in (True, False))
    assert (by_hand.on_input() == broadcast.on_input()).all()
    # Nine places of the map, each once through the map and once through the gate of all places.
    assert by_hand.on_input().sum() == 9 + 9 * 81

"""Fields of what the random networks do not draw: inputs, outputs, axes, heads, oddities."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.analysis.fields.field import fields
from atrous.graph.capture import capture


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(1, 1, 3, padding=1)
        self.b = nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, first: Tensor, second: Tensor) -> dict[str, Tensor]:
        one, two = self.a(first), self.b(second)
        return {"both": one + two, "second": two, "constant": torch.ones(3)}


def test_inputs_and_outputs_are_chosen_by_name() -> None:
    x = (torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8))
    model = TwoInputs()
    assert atrous.receptive_field(model, x).size == (3, 3)
    assert atrous.receptive_field(model, x, input="second").size == (5, 5)
    assert atrous.receptive_field(model, x, input="second", output="second").size == (5, 5)
    by_name = {"first": x[0], "second": x[1]}
    assert atrous.receptive_field(model, by_name, input="second").size == (5, 5)
    backwards = {"second": x[1], "first": x[0]}
    report = atrous.inspect(model, backwards)
    assert report.inspection.input == "first"
    assert "ask for 'second'" in str(report)
    with pytest.raises(ValueError, match="does not depend on 'first'"):
        atrous.receptive_field(model, x, output="second")
    with pytest.raises(KeyError, match="input must be one of 'first', 'second', got 'third'"):
        atrous.receptive_field(model, x, input="third")
    with pytest.raises(KeyError, match="output must be one of 'both', 'second', got 'out'"):
        atrous.receptive_field(model, x, output="out")


def test_axes_are_chosen_by_number() -> None:
    conv = nn.Conv2d(2, 4, (1, 3), padding=(0, 1), groups=2)
    found = atrous.receptive_field(conv, (2, 2, 6, 6), axes=(0, 1, -1))
    batch, channel, width = found.axes
    assert (batch.size, batch.stride) == (1, 1)
    assert (channel.size, channel.status) == (1, "exact")
    assert width.size == 3
    with pytest.raises(ValueError, match=r"axes must be whole numbers between -4 and 3 .* got 4"):
        atrous.receptive_field(conv, (2, 2, 6, 6), axes=(4,))


@pytest.mark.parametrize(
    ("model", "shape", "axes"),
    [
        (nn.Conv2d(3, 4, 3), (1, 3, 9, 9), (2, 3)),
        (nn.Conv2d(3, 4, 3), (3, 9, 9), (1, 2)),
        (nn.Conv1d(3, 4, 3), (3, 9), (1,)),
        (nn.Linear(3, 4), (5, 3), (1,)),
        (nn.ReLU(), (1, 2, 3, 4, 5), (2, 3, 4)),
        # A normalisation may be over features or over positions: what follows tells.
        (nn.Sequential(nn.GroupNorm(2, 2), nn.Conv2d(2, 3, 3)), (1, 2, 9, 9), (2, 3)),
        (nn.Sequential(nn.GroupNorm(2, 4), nn.Conv2d(4, 3, 3)), (1, 4, 9, 9), (2, 3)),
        (nn.Sequential(nn.InstanceNorm1d(2, affine=True), nn.Conv1d(2, 3, 3)), (1, 2, 9), (2,)),
        (nn.Sequential(nn.LayerNorm(3), nn.Linear(3, 4)), (2, 5, 3), (1,)),
        (nn.LayerNorm(3), (2, 5, 3), (1,)),
        (nn.LayerNorm(3), (2, 5, 6, 3), (1, 2)),
        (nn.InstanceNorm2d(3, affine=True), (2, 3, 5, 6), (2, 3)),
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 3, 3)), (1, 1, 18, 18), (2, 3)),
        # Lengths are told of positions.
        (nn.Sequential(nn.AdaptiveAvgPool1d(3), nn.GroupNorm(2, 2)), (1, 2, 9), (2,)),
        (nn.Sequential(nn.Upsample((8, 9)), nn.GroupNorm(2, 2)), (1, 2, 4, 3), (2, 3)),
    ],
)
def test_default_axes_are_those_of_the_first_window(
    model: nn.Module, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    assert tuple(a.axis for a in atrous.receptive_field(model, shape).axes) == axes


def test_default_axes_follow_a_permutation() -> None:
    class TimeFirst(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(F.relu(x).transpose(1, 2))

    (axis,) = atrous.receptive_field(TimeFirst(), (1, 9, 3)).axes
    assert (axis.axis, axis.output_axis, axis.size) == (1, 2, 3)


def test_global_reads_the_whole_axis_and_names_the_cause() -> None:
    model = nn.Sequential(
        nn.Conv1d(1, 2, 3), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(2, 3)
    )
    found = atrous.receptive_field(model, (1, 1, 50)).axes[0]
    assert (found.size, found.status, found.cause) == (50, "global", "1")


def test_reading_the_whole_of_one_position_is_exact() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 5), nn.Flatten(), nn.Linear(2, 3))
    found = atrous.receptive_field(model, (1, 1, 5, 5))
    assert found.status == "exact"
    assert found.size == (5, 5)


def test_an_operator_without_a_rule_is_unknown_and_names_itself() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.relu(torch.special.bessel_j0(x))

    found = atrous.receptive_field(Odd(), (1, 1, 9))
    assert found.status == "unknown"
    assert "special_bessel_j0" in found.axes[0].cause
    report = atrous.inspect(Odd(), (1, 1, 9))
    assert report.inspection.unknown[0][1] == "no rule for aten.special_bessel_j0"
    assert "unknown" in str(report)


def test_a_rule_can_be_taught() -> None:
    from atrous.graph.rule import forget_rule
    from atrous.graph.rules.elementwise import pointwise

    atrous.rule("aten.special_bessel_j0")(pointwise)
    try:
        found = atrous.receptive_field(Bessel(), (1, 1, 9))
        assert (found.status, found.size) == ("exact", (1,))
        with pytest.raises(ValueError, match=r"must not have a rule already, got 'aten.special"):
            atrous.rule("aten.special_bessel_j0")(pointwise)
    finally:
        forget_rule("aten.special_bessel_j0")


def test_wrong_rules_are_told() -> None:
    from atrous.graph import forget_rule

    for op, message in (
        ("aten.no_such_operator", "torch.ops.aten has no 'no_such_operator'"),
        ("aten::relu", "op must be named"),
        ("aten.cumsum.default", "op must be named"),
    ):
        with pytest.raises(ValueError, match=message):
            atrous.rule(op)(lambda call: None)  # type: ignore[arg-type,return-value]
    atrous.rule("aten.special_bessel_j0")(lambda call: None)  # type: ignore[arg-type,return-value]
    try:
        with pytest.raises(TypeError, match=r"rule of aten.special_bessel_j0 must return a Desc"):
            atrous.receptive_field(Bessel(), (1, 1, 9))
    finally:
        forget_rule("aten.special_bessel_j0")


class Bessel(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.special.bessel_j0(x)


def test_channels_stay_apart_where_the_net_keeps_them_apart() -> None:
    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wide = nn.Conv1d(2, 2, 9, padding=4)
            self.mix = nn.Conv1d(4, 4, 1, groups=2)

        def forward(self, x: Tensor) -> Tensor:
            near, far = x.chunk(2, dim=1)
            return self.mix(torch.cat([near, self.wide(far)], dim=1))[:, :2]

    # The wide branch is cut away again.
    assert atrous.receptive_field(Split(), (1, 4, 30)).size == (1,)


def test_written_views_are_followed() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 5, padding=2)

        def forward(self, x: Tensor) -> Tensor:
            y = x.clone()
            y[:, :, :4] = self.conv(x)[:, :, :4]
            return y

    axis = atrous.receptive_field(Written(), (1, 1, 12)).axes[0]
    assert axis.status == "exact"
    for o in range(12):
        expected = [i for i in range(o - 2, o + 3) if i >= 0] if o < 4 else [o]
        assert axis.taps(o)[0].tolist() == expected


def test_in_place_operators_are_followed() -> None:
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            z = y.relu_()
            y.add_(self.conv(z))
            return y

    assert atrous.receptive_field(InPlace(), (1, 1, 9)).size == (5,)


def test_autocast_and_no_grad_regions_are_seen_through() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            with torch.no_grad():
                x = self.conv(x)
            with torch.autocast("cpu"):
                return self.conv(x)

    found = atrous.receptive_field(Wrapped(), (1, 1, 9))
    assert (found.status, found.size) == ("exact", (5,))


def test_layouts_move_with_their_axes() -> None:
    class Swapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(1, 1, (1, 5))

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x.permute(0, 1, 3, 2)).reshape(x.shape[0], -1, 3, 4)

    found = atrous.receptive_field(Swapped(), (1, 1, 8, 3))
    # The kernel of 5 runs along what was the height.
    assert found.size == (5, 1)
    assert found.axes[0].output_axis == 3
    assert found.axes[1].output_axis == 2


def test_stride_below_one_and_phases() -> None:
    model = nn.Sequential(nn.Conv1d(1, 1, 3, padding=1), nn.ConvTranspose1d(1, 1, 2, stride=2))
    axis = atrous.receptive_field(model, (1, 1, 9)).axes[0]
    assert (axis.size, str(axis.stride), axis.start) == (3, "1/2", -1)


def test_density_holes_and_uniformity_of_a_real_net() -> None:
    chain = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, padding=d) for d in (2, 4)))
    axis = atrous.receptive_field(chain, (1, 1, 40)).axes[0]
    assert axis.density == pytest.approx(7 / 13)
    assert axis.holes.tolist() == [1, 3, 5, 7, 9, 11]
    assert axis.taps()[0].tolist() == [t + 20 for t in range(-6, 7, 2)]


def test_large_inputs_cost_no_memory() -> None:
    program = capture(nn.Conv2d(3, 4, 3, stride=2), (1, 3, 20_000, 20_000))
    found = fields(program)[program.output().name]
    assert found.size == (3, 3)
    assert found.axes[0].interior == (0, 9999)


def test_large_counts_are_exact() -> None:
    net = nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=1) for _ in range(60)))
    _, counts = atrous.receptive_field(net, (1, 1, 200)).axes[0].taps()
    assert sum(int(c) for c in counts) == 3**60
    assert counts.dtype == np.dtype(object)


def test_misaligned_branches_are_told_with_their_place() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.even = nn.Conv1d(1, 1, 4, padding=1)
            self.odd = nn.Conv1d(1, 1, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.odd(x)[:, :, 1:] + self.even(x)

    (found,) = atrous.inspect(Shifted(), (1, 1, 20)).inspection.misalignments
    assert float(found.offset) == -0.5
    assert (found.first, found.second) == ("slice_1", "even")
    assert found.source.endswith(".py:" + found.source.rpartition(":")[2])
    assert "test_fields.py" in found.source


@pytest.mark.parametrize("name", ["segmenter", "tcn", "context_module"])
def test_bundled_networks_are_in_step(name: str) -> None:
    from atrous.models import card, create

    shape = (*card(name).input_shape[:2], *(65 for _ in card(name).input_shape[2:]))
    assert atrous.inspect(create(name), shape).inspection.misalignments == ()


@pytest.mark.parametrize("kernel", [2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4, 6])
@pytest.mark.parametrize("dilation", [1, 2, 3, 4, 6])
def test_phases_and_unread_inputs_of_one_layer(kernel: int, stride: int, dilation: int) -> None:
    layer = nn.Conv1d(1, 1, kernel, stride=stride, dilation=dilation)
    axis = atrous.receptive_field(layer, (1, 1, 400)).axes[0]
    common = math.gcd(stride, dilation)
    assert axis.phases == dilation // common
    # Away from the ends the share of inputs that are read at all.
    middle = axis.unread[(axis.unread >= 120) & (axis.unread < 240)]
    assert 1 - len(middle) / 120 == pytest.approx(min(kernel, stride // common) / stride)


def test_phases_of_whole_nets_by_axis() -> None:
    gridding = nn.Sequential(*(nn.Conv3d(1, 1, 3, dilation=(1, 2, 4)) for _ in range(2)))
    shape = (1, 1, 12, 24, 40)
    assert [a.phases for a in atrous.receptive_field(gridding, shape).axes] == [1, 2, 4]
    mended = nn.Sequential(gridding, nn.Conv3d(1, 1, 3))
    assert [a.phases for a in atrous.receptive_field(mended, shape).axes] == [1, 1, 1]
    readout = nn.Sequential(gridding, nn.MaxPool3d(1, stride=(1, 1, 4)))
    assert [len(a.unread) > 0 for a in atrous.receptive_field(readout, shape).axes] == [
        False,
        False,
        True,
    ]


class Part(nn.Module):
    """A function of one input and a window of three."""

    def __init__(self, function: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, lambda y: F.avg_pool1d(y, 3, 1, 1, count_include_pad=False))


def _overwritten(x: Tensor) -> Tensor:
    y = x.clone()
    y[..., :1] = 0.5
    return y


def test_outputs_that_read_nothing_are_not_the_largest() -> None:
    """A class token, say, beside tokens that read their patches."""
    joined = Part(lambda x, window: torch.cat([torch.ones(1, 1, 2), window(x)], -1))
    axis = atrous.receptive_field(joined, (1, 1, 21)).axes[0]
    assert (axis.size, axis.sizes, axis.density) == (3, (0, 3), 1.0)
    assert np.diff(axis.taps()[0]).tolist() == [1, 1]
    assert len(axis.holes) == 0


def test_what_only_wraps_around_an_end_has_a_size() -> None:
    rolled = Part(lambda x, window: _overwritten(x).roll(2, -1)[..., :2])
    axis = atrous.receptive_field(rolled, (1, 1, 6)).axes[0]
    assert [axis.taps(o)[0].tolist() for o in (0, 1)] == [[4], [5]]
    assert (axis.status, axis.size, len(axis.taps()[0])) == ("exact", 1, 1)


def test_the_local_field_may_lie_on_another_axis() -> None:
    def outer(x: Tensor, window: Callable[[Tensor], Tensor]) -> Tensor:
        return x.cumsum(-1)[..., None, :] + window(x)[..., :, None]

    axis = atrous.receptive_field(Part(outer), (1, 1, 6)).axes[0]
    assert axis.status == "global"
    assert axis.local is not None
    assert (axis.local.size, axis.local.output_axis) == (3, 2)


def test_too_many_positions_are_a_bound_that_says_so() -> None:
    class WithTranspose(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + x.transpose(2, 3)

    assert atrous.receptive_field(WithTranspose(), (1, 1, 64, 64)).status == "exact"
    axis = atrous.receptive_field(WithTranspose(), (1, 1, 300, 300)).axes[0]
    assert axis.status == "bound"
    assert "too large to tell all its rows" in axis.cause

"""What the public function says of every row, for models with writes, joins and reshapes."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import atrous
from atrous.graph.capture import capture
from atrous.run.regions import run_box
from oracles import perturbation_support, rows_along


class Of(nn.Module):
    """A model of one function that may use two convolutions, `c3` and `c5`."""

    def __init__(self, function: Callable[[Of, Tensor], Tensor], axes: int = 1) -> None:
        super().__init__()
        conv = {1: nn.Conv1d, 2: nn.Conv2d}[axes]
        self.c3, self.c5 = conv(1, 1, 3, padding=1), conv(1, 1, 5, padding=2)
        for parameter in self.parameters():
            nn.init.constant_(parameter, 0.2)
        self.function = function
        self.double().eval()

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def view_under_no_grad(m: Of, x: Tensor) -> Tensor:
    y = m.c3(x)
    v = y.view(1, 2, -1)
    with torch.no_grad():
        v.add_(m.c5(x).view(1, 2, -1))
    return y


def slice_of_zeros(m: Of, x: Tensor) -> Tensor:
    y = torch.zeros_like(x)
    y[:, :, 2:-2] = m.c5(x)[:, :, 2:-2]
    return y


def slice_of_clone(m: Of, x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, 2:-2] = m.c3(x)[:, :, 2:-2]
    return y


def shifted_write(m: Of, x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, 3:] = x[:, :, :-3]
    return y


def strided_write(m: Of, x: Tensor) -> Tensor:
    y = x.clone()
    y[:, :, 1::3] = m.c3(x)[:, :, 1::3]
    return m.c3(y)


def cleared(m: Of, x: Tensor) -> Tensor:
    y = m.c3(x)
    y[:, :, 0] = 0
    return y


def doubled(m: Of, x: Tensor) -> Tensor:
    return torch.cat([x, x], 2)


def padded_by_hand(m: Of, x: Tensor) -> Tensor:
    return m.c3(torch.cat([x[:, :, :1], x, x[:, :, -1:]], 2))


def halves(m: Of, x: Tensor) -> Tensor:
    return torch.cat([m.c3(x[:, :, :6]), m.c5(x[:, :, 6:])], 2)


def kept_by_a_factor(m: Of, x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=1.05, mode="linear")


def type_lent(m: Of, x: Tensor) -> Tensor:
    return x * torch.ones(1).type_as(x)


def dropped_out(m: Of, x: Tensor) -> Tensor:
    h = m.c3(x)
    y = F.dropout(h, 0.5, False)
    y += x.flip(2)
    return m.c3(h) + y


def view_from_a_region(m: Of, x: Tensor) -> Tensor:
    h = x * 1.0
    with torch.autocast("cpu", enabled=False):
        v = h[:, :, :6]
    v.mul_(0.5).add_(m.c3(x)[:, :, 6:])
    return h


def first_frame(m: Of, x: Tensor) -> Tensor:
    return torch.cat([x[:, :, 5].unsqueeze(2), m.c3(x)], 2)


def frames(m: Of, x: Tensor) -> Tensor:
    return torch.cat([x[:, :, t].unsqueeze(2) for t in (7, 3, 1)], 2)


def one_written(m: Of, x: Tensor) -> Tensor:
    y = m.c3(x).clone()
    y[:, :, 0] = x[:, :, 7]
    return y


def interleaved(m: Of, x: Tensor) -> Tensor:
    both = torch.stack([m.c3(x), m.c5(x)], 3)
    return both.flatten(2)


def shuffled(m: Of, x: Tensor) -> Tensor:
    return x.view(1, 1, 6, 2).transpose(2, 3).reshape(1, 1, 12)


def split_and_joined(m: Of, x: Tensor) -> Tensor:
    return m.c3(m.c3(x).view(1, 1, 3, 4).transpose(2, 3).transpose(2, 3).reshape(1, 1, 12))


def empty_part(m: Of, x: Tensor) -> Tensor:
    return torch.cat([torch.cat([x[:, :0] * 2, x[:, :0]], 1), m.c3(x)], 1)


def wrapped_and_cropped(m: Of, x: Tensor) -> Tensor:
    return m.c3(F.pad(F.pad(x, (-1, 2), mode="circular"), (2, -1), mode="circular"))


def computed_slope(m: Of, x: Tensor) -> Tensor:
    return torch.prelu(-m.c3(x), -0.5 - x[0, 0, 3])


def computed_scale(m: Of, x: Tensor) -> Tensor:
    zeros, ones = torch.zeros(1, dtype=x.dtype), torch.ones(1, dtype=x.dtype)
    return F.batch_norm(m.c3(x), zeros, ones, weight=x[:, :, 3].mean(0), bias=x[:, :, 8].mean(0))


FUNCTIONS_1D = [
    (dropped_out, 15),
    (view_from_a_region, 8),
    (first_frame, 3),
    (frames, 1),
    (one_written, 3),
    (interleaved, 5),
    (shuffled, 1),
    (split_and_joined, 5),
    (empty_part, 3),
    (wrapped_and_cropped, 3),
    (view_under_no_grad, 5),
    (slice_of_zeros, 5),
    (slice_of_clone, 3),
    (shifted_write, 1),
    (strided_write, 4),
    (cleared, 3),
    (doubled, 1),
    (padded_by_hand, 3),
    (halves, 5),
    (kept_by_a_factor, 1),
    (type_lent, 1),
]


@pytest.mark.parametrize(("function", "size"), FUNCTIONS_1D)
def test_rows_of_one_axis(function: Callable[[Of, Tensor], Tensor], size: int) -> None:
    x = torch.rand(1, 1, 12, dtype=torch.float64)
    found = assert_rows(Of(function), x)
    assert found.status == "exact"
    assert found.size == (size,)
    assert_last_box(Of(function), x)


def assert_last_box(model: nn.Module, x: Tensor) -> None:
    """The region engine computes the end of the result alone."""
    program = capture(model, x)
    node, whole = program.output(), model(x)
    box = (*((0, n) for n in whole.shape[:-1]), (whole.shape[-1] // 2, whole.shape[-1]))
    part = run_box(program, {program.inputs[0]: x}, node.name, box)
    torch.testing.assert_close(part, whole[..., box[-1][0] :], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("function", [computed_slope, computed_scale])
def test_computed_settings_are_read(function: Callable[[Of, Tensor], Tensor]) -> None:
    assert_rows(Of(function), torch.rand(1, 1, 12, dtype=torch.float64))


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: m.c3(m.c3(torch.cat([x, x], 2))),
        lambda m, x: m.c3(m.c5(torch.cat([x[:, :, :5], m.c3(x)[:, :, 5:]], 2))),
        lambda m, x: m.c3(one_written(m, x)),
        shifted_write,
        interleaved,
    ],
)
def test_path_counts_are_the_jacobian_of_a_net_of_ones(
    function: Callable[[Of, Tensor], Tensor],
) -> None:
    model, x = Of(function), torch.rand(1, 1, 12, dtype=torch.float64)
    for name, parameter in model.named_parameters():
        nn.init.constant_(parameter, 0.0 if "bias" in name else 1.0)
    jacobian = torch.autograd.functional.jacobian(model, x)[0, 0, :, 0, 0].round().long()
    axis = atrous.receptive_field(model, x).axes[0]
    for o, row in enumerate(jacobian):
        positions, counts = axis.taps(o)
        said = dict(zip(positions.tolist(), counts.tolist(), strict=True))
        assert said == {i: int(c) for i, c in enumerate(row) if c}, f"output {o}"


def test_tokens_and_shuffles_tell_their_stride() -> None:
    patches = Of(lambda m, x: F.conv2d(x, torch.ones(1, 1, 4, 4).double(), stride=4).flatten(2))
    x = torch.rand(1, 1, 8, 12, dtype=torch.float64)
    rows, columns = assert_rows(patches, x).axes
    assert (rows.size, rows.stride, columns.size) == (4, Fraction(4, 3), 4)
    doubled_rate = Of(
        lambda m, x: m.c3(x).view(1, 1, 2, 6).transpose(2, 3).reshape(1, 1, 12), axes=1
    )
    assert_rows(doubled_rate, torch.rand(1, 1, 12, dtype=torch.float64))


def test_a_tensor_given_twice_is_two_inputs() -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return F.avg_pool1d(a, 5, 1, 2) + b

    x = torch.rand(1, 1, 12)
    assert atrous.receptive_field(Two(), (x, x), input="a").size == (5,)
    assert atrous.receptive_field(Two(), (x, x), input="b").size == (1,)


def test_a_factor_whose_period_is_longer_than_the_map() -> None:
    for length in (7, 400):
        net = nn.Sequential(
            nn.Upsample(scale_factor=0.37, mode="linear"), nn.Conv1d(1, 1, 15, padding=7)
        )
        axis = atrous.receptive_field(net, (1, 1, length)).axes[0]
        assert (axis.size, axis.stride) == (40, Fraction(100, 37))


def test_operators_that_write_into_other_arguments_are_unknown() -> None:
    @torch.library.custom_op("atroustest::write_second", mutates_args={"out"})
    def write_second(x: Tensor, out: Tensor) -> None:
        out.copy_(x)

    def net(m: Of, x: Tensor) -> Tensor:
        out = x * 1
        write_second(m.c3(x), out)
        return out

    found = atrous.receptive_field(Of(net), torch.rand(1, 1, 12, dtype=torch.float64))
    assert found.status == "unknown"
    assert "no rule for atroustest.write_second" in found.axes[0].cause


def nested_views(m: Of, x: Tensor) -> Tensor:
    return m.c3(x).flatten(2).view(1, 2, 2, 6).view(1, 2, 3, 4)


def cut_views(m: Of, x: Tensor) -> Tensor:
    return x.reshape(1, 12).reshape(1, 4, 3).mean(2)


def space_to_depth(m: Of, x: Tensor) -> Tensor:
    b, c, h, w = x.shape
    y = x.view(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
    return F.conv2d(y.reshape(b, 4 * c, h // 2, w // 2), torch.ones(1, 4, 3, 3).double(), padding=1)


def written_frame(m: Of, x: Tensor) -> Tensor:
    z = torch.zeros_like(x)
    z[..., 2:-2, 2:-2] = m.c3(x)[..., 2:-2, 2:-2]
    return m.c3(z)


def tiles(m: Of, x: Tensor) -> Tensor:
    left, right = x[..., : x.shape[3] // 2], x[..., x.shape[3] // 2 :]
    return torch.cat([m.c3(left), m.c3(right)], 3)


@pytest.mark.parametrize(
    ("function", "shape", "size"),
    [
        (space_to_depth, (1, 1, 8, 12), (6, 6)),
        (written_frame, (1, 1, 9, 8), (5, 5)),
        (tiles, (1, 1, 6, 8), (3, 3)),
    ],
)
def test_rows_of_two_axes(
    function: Callable[[Of, Tensor], Tensor], shape: tuple[int, ...], size: tuple[int, int]
) -> None:
    found = assert_rows(Of(function, 2), torch.rand(shape, dtype=torch.float64))
    assert found.status == "exact"
    assert found.size == size


def transposed_sum(m: Of, x: Tensor) -> Tensor:
    y = m.c3(x)
    return y + y.transpose(2, 3)


def scores(m: Of, x: Tensor) -> Tensor:
    y = m.c3(x).flatten(2)
    return y.transpose(1, 2) @ y


@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (cut_views, (1, 1, 3, 4)),
        (lambda m, x: x.flatten(2).reshape(1, 1, 2, 6), (1, 1, 3, 4)),
        (transposed_sum, (1, 1, 6, 6)),
        (scores, (1, 1, 3, 4)),
    ],
)
def test_rows_of_several_axes_together(
    function: Callable[[Of, Tensor], Tensor], shape: tuple[int, ...]
) -> None:
    """Views that cut axes anew, and values whose rows and columns descend from one axis."""
    found = assert_rows(Of(function, 2), torch.rand(shape, dtype=torch.float64))
    assert found.status == "exact"


def test_views_that_do_not_nest_are_a_bound_that_holds() -> None:
    model, x = Of(nested_views, 2), torch.rand(1, 1, 4, 6, dtype=torch.float64)
    found = atrous.receptive_field(model, x)
    assert found.status == "bound"
    for axis in found.axes:
        support = perturbation_support(model, x, axis.axis)
        assert set(axis.taps(0)[0]) >= set(support.reshape(len(support), -1).any(1).nonzero()[0])


def test_an_output_is_named_by_all_axes_that_move() -> None:
    found = atrous.receptive_field(Of(scores, 2), torch.rand(1, 1, 3, 4, dtype=torch.float64))
    rows, columns = found.axes
    assert rows.output_axis is None
    assert rows.output_axes == columns.output_axes == (1, 2)
    assert rows.taps((0, 11))[0].tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"one index for each of the output axes \(1, 2\), got 5"):
        rows.taps(5)
    with pytest.raises(IndexError, match=r"\[0, 12\) along axis 2"):
        rows.taps((0, 12))


def assert_rows(model: nn.Module, x: Tensor) -> atrous.Field:
    found = atrous.receptive_field(model, x)
    for axis in found.axes:
        true = rows_along(perturbation_support(model, x, axis.axis), *axis.output_axes)
        for at in np.ndindex(true.shape[:-1]):
            assert axis.taps(at)[0].tolist() == true[at].nonzero()[0].tolist(), f"output {at}"
    return found


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: x * x.sum().item(), "must not turn a tensor's value into a number"),
        (lambda m, x: x[x > 0], "shapes that depend on a tensor's values"),
        (
            lambda m, x: torch.cond(x.sum() > 0, lambda y: y + 1, lambda y: y.flip(2), (x,)),
            "must not hold control flow on tensors",
        ),
    ],
)
def test_data_that_leaves_the_tensors_is_refused(
    function: Callable[[Of, Tensor], Tensor], message: str
) -> None:
    with pytest.raises(atrous.CaptureError, match=f"{message}|cannot be captured"):
        atrous.receptive_field(Of(function), torch.rand(1, 1, 12, dtype=torch.float64))


def test_unknown_survives_the_loss_of_its_axis() -> None:
    model = Of(lambda m, x: torch.special.bessel_j0(m.c3(x)[:, :, 0]))
    found = atrous.receptive_field(model, torch.rand(1, 1, 12, dtype=torch.float64))
    assert found.status == "unknown"


def test_an_exported_program_keeps_its_size_or_is_fitted() -> None:
    x = torch.zeros(1, 1, 12)
    model = nn.Conv1d(1, 1, 3).eval()
    fixed = torch.export.export(model, (x,))
    with pytest.raises(ValueError, match=r"exported for, \(1, 1, 12\), got \(1, 1, 20\)"):
        atrous.receptive_field(fixed, (1, 1, 20))
    length = torch.export.Dim("length", min=4, max=100)
    free = torch.export.export(model, (x,), dynamic_shapes=({2: length},))
    assert atrous.receptive_field(free, (1, 1, 20)).axes[0].lineage.length == 18


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_computed_attributes_do_not_hinder() -> None:
    model = torch.nn.utils.weight_norm(nn.Conv1d(1, 1, 3))
    kept = model.weight
    assert atrous.receptive_field(model, (1, 1, 9)).size == (3,)
    assert model.weight is kept


def test_models_and_inputs_of_other_kinds_are_refused() -> None:
    with pytest.raises(TypeError, match=r"model must be a torch.nn.Module, got function"):
        atrous.receptive_field(lambda: None, (1, 1, 9))  # type: ignore[arg-type]
    with pytest.raises(KeyError, match=r"must have an output that depends on an input"):
        atrous.receptive_field(Of(lambda m, x: torch.ones(3)), (1, 1, 9))
    assert atrous.receptive_field(nn.Conv1d(1, 1, 3).half(), (1, 1, 9)).size == (3,)


def test_shapes_stand_for_several_inputs() -> None:
    class Two(nn.Module):
        def forward(self, a: Tensor, b: Tensor) -> Tensor:
            return a + b.sum()

    found = atrous.receptive_field(Two(), ((1, 1, 12), (1, 1, 5)))
    assert (found.status, found.size) == ("exact", (1,))


def test_scalar_inputs_pass() -> None:
    class Scaled(nn.Module):
        def forward(self, x: Tensor, scale: Tensor) -> Tensor:
            return x * scale

    found = atrous.receptive_field(Scaled(), (torch.zeros(1, 1, 9), torch.tensor(2.0)))
    assert found.size == (1,)

"""Redesigned models, measured by gradients with all weights 1: no holes, the same field."""

from __future__ import annotations

import copy
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import atrous
from architectures import TemporalBlock, WaveNet
from atrous.graph.capture import Inputs
from samples import Cut

Read = npt.NDArray[np.bool_]


def read_by(model: nn.Module, shape: tuple[int, ...], node: str = "") -> Read:
    """Which positions the central output reads: its gradient with positive weights everywhere."""
    own = copy.deepcopy(model).double().eval()
    for parameter in own.parameters():
        nn.init.ones_(parameter)
    for buffer in own.buffers():
        if buffer.is_floating_point():
            nn.init.ones_(buffer)
    x = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    y = own(x)
    middle = tuple(n // 2 for n in y.shape[2:])
    (gradient,) = torch.autograd.grad(y[(0, 0, *middle)], x)
    return (gradient != 0).sum((0, 1)).numpy() > 0


def span(read: Read) -> tuple[slice, ...]:
    """From the first to the last position read, per axis."""
    found = np.argwhere(read)
    return tuple(slice(a, b + 1) for a, b in zip(found.min(0), found.max(0), strict=True))


def assert_mended(model: nn.Module, shape: tuple[int, ...], **options: Any) -> atrous.Redesigned:
    """The changed model reads all of a field that is the same, and computes maps of the same size
    with the same weights; the model itself is as it was."""
    state = {name: value.clone() for name, value in model.state_dict().items()}
    printed = repr(model)
    modes = [module.training for module in model.modules()]
    random = torch.get_rng_state()
    found = atrous.redesign(model, shape, **options)
    assert torch.equal(torch.get_rng_state(), random)
    assert repr(model) == printed
    assert [module.training for module in model.modules()] == modes
    assert [module.training for module in found.model.modules()] == modes
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    made = found.model.state_dict()
    assert {k: v.shape for k, v in made.items()} == {k: v.shape for k, v in state.items()}
    assert all(torch.equal(made[name], value) for name, value in state.items())
    assert not {p.data_ptr() for p in model.parameters()} & {
        p.data_ptr() for p in found.model.parameters()
    }
    before, after = read_by(model, shape), read_by(found.model, shape)
    assert after[span(after)].all(), found
    assert all(
        a.start <= b.start and a.stop >= b.stop
        for a, b in zip(span(after), span(before), strict=True)
    )
    again = copy.deepcopy(model)
    space: dict[str, Any] = {}
    exec(found.script(), space)
    assert np.array_equal(read_by(space["apply"](again), shape), after)
    assert not [f for f in found.findings if f.name in ("holes", "interleaved")]
    return found


def assert_same_span(model: nn.Module, found: atrous.Redesigned, shape: tuple[int, ...]) -> None:
    """The field is where it was, to the position."""
    assert span(read_by(model, shape)) == span(read_by(found.model, shape))


def stack(*dilations: int, kernel: int = 3, **options: Any) -> nn.Module:
    return nn.Sequential(
        *(
            nn.Conv1d(2, 2, kernel, dilation=d, padding=d * (kernel - 1) // 2, **options)
            for d in dilations
        )
    )


class Dynamic(nn.Module):
    """Causal: pads by its layer's dilation."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 2, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(F.pad(x, (self.conv.dilation[0], 0)))


class Subclass(nn.Conv1d):
    """Causal: padded on both sides, and cut by a number of its own."""

    def __init__(self, dilation: int) -> None:
        super().__init__(2, 2, 2, padding=dilation, dilation=dilation)
        self._cut = dilation

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[:, :, : -self._cut]


class Padded(nn.Module):
    """Residual, padded by a module."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.pad = nn.ZeroPad1d(dilation)
        self.conv = nn.Conv1d(2, 2, 3, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(self.pad(x)).relu()


class Called(nn.Module):
    """A call of a function, with a rate of its own."""

    def __init__(self, rate: int) -> None:
        super().__init__()
        self.weight, self.rate = nn.Parameter(torch.randn(2, 2, 3)), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.conv1d(x, self.weight, dilation=self.rate, padding=self.rate)


class Trimmed(nn.Module):
    """Nothing is padded; the way around is cut instead."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 2, 2, dilation=dilation)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return y + x[:, :, -y.shape[2] :]


def rows(make: Callable[[int], nn.Module], *dilations: int) -> nn.Module:
    return nn.Sequential(*map(make, dilations))


WAYS_TO_PAD = {
    "its own number": lambda: stack(2, 2, 2),
    "same": lambda: nn.Sequential(
        *(nn.Conv1d(2, 2, 3, padding="same", dilation=2) for _ in range(3))
    ),
    "nothing": lambda: nn.Sequential(*(nn.Conv1d(2, 2, 3, dilation=2) for _ in range(4))),
    "reflected": lambda: stack(2, 2, 2, padding_mode="reflect"),
    "same, wrapped around": lambda: nn.Sequential(
        *(nn.Conv1d(2, 2, 3, padding="same", dilation=2, padding_mode="circular") for _ in "abc")
    ),
    "the layer's dilation": lambda: rows(Dynamic, 2, 2, 2, 2),
    "a subclass": lambda: rows(Subclass, 2, 2, 2, 2),
    "a module": lambda: rows(Padded, 2, 4, 4),
    "a call": lambda: rows(Called, 2, 2, 2),
    "a cut beside": lambda: rows(Trimmed, 2, 2, 2),
    "a cut for two layers": lambda: rows(lambda d: TemporalBlock(2, 2, 3, d), 2, 4, 8),
    "one of each channel": lambda: stack(2, 2, 2, groups=2),
    "the old weight norm": lambda: rows(
        lambda d: nn.utils.parametrizations.weight_norm(
            nn.Conv1d(2, 2, 3, dilation=d, padding=d)
        ),
        2, 2, 2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("way", WAYS_TO_PAD)
def test_padding_is_found_where_it_lives(way: str) -> None:
    torch.manual_seed(0)
    model = WAYS_TO_PAD[way]()
    found = assert_mended(model, (1, 2, 96))
    if way != "nothing":
        assert_same_span(model, found, (1, 2, 96))
    assert found.changes


def test_the_oracle_sees_holes() -> None:
    read = read_by(stack(2, 2), (1, 2, 32))
    assert read[span(read)].tolist() == [True, False] * 4 + [True]


def test_least_changes_are_those_of_arithmetic() -> None:
    # Three layers must change: of 8, 8, 8, 8 with a reach of 32 to each side, at most one 8 can
    # stay behind 1 and 3, which read 9 positions, and 20 is what is missing.
    found = assert_mended(stack(8, 8, 8, 8), (1, 2, 129))
    assert [(c.path, c.before, c.after) for c in found.changes] == [
        ("0", (8,), (1,)),
        ("1", (8,), (3,)),
        ("3", (8,), (20,)),
    ]
    assert found.design.is_least


def test_axes_are_mended_by_themselves() -> None:
    model = nn.Sequential(
        *(nn.Conv3d(1, 1, 3, dilation=d, padding=d) for d in ((2, 1, 1), (4, 1, 1), (4, 2, 2)))
    )
    shape = (1, 1, 29, 15, 15)
    found = assert_mended(model, shape)
    assert_same_span(model, found, shape)
    assert all(c.before[1:] == c.after[1:] for c in found.changes)


def test_holes_between_branches_are_seen_in_both_axes_together() -> None:
    # With 1, 2 and 4 in front a branch reads 7 to each side of its taps: between those of rate 18,
    # at 0 and 18, lie two more, though along either axis alone the other branches read them.
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.front = nn.Sequential(
                *(nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (1, 2, 4))
            )
            self.branches = nn.ModuleList(
                [nn.Conv2d(1, 1, 1)]
                + [nn.Conv2d(1, 1, 3, padding=r, dilation=r) for r in (6, 12, 18)]
            )

        def forward(self, x: Tensor) -> Tensor:
            x = self.front(x)
            return torch.cat([branch(x) for branch in self.branches], 1).sum(1, keepdim=True)

    model = Pyramid()
    found = assert_mended(model, (1, 1, 61, 61))
    assert_same_span(model, found, (1, 1, 61, 61))


def test_numbers_of_a_list_go_with_their_layers() -> None:
    net = WaveNet(cycles=2, layers=4)
    net.dilations = [2, 4, 8, 16] * 2
    for layer, dilation in zip(net.dilated, net.dilations, strict=True):
        layer.dilation = (dilation,)  # type: ignore[assignment]
    x = (torch.zeros(1, 320, dtype=torch.int64), torch.rand(1, 8, 5))
    found = atrous.redesign(net, x)
    made: Any = found.model
    assert [layer.dilation[0] for layer in made.dilated] == made.dilations
    # Kernels of 2: the field is 1 plus the sum of the dilations.
    assert sum(made.dilations) == sum(net.dilations) == 60
    embedded = torch.ones(1, 16, 320, dtype=torch.float64, requires_grad=True)
    made.double()
    for parameter in made.parameters():
        nn.init.constant_(parameter, 0.01)
    made.embed = nn.Identity()
    y = made(embedded.transpose(1, 2), x[1].double())
    (gradient,) = torch.autograd.grad(y[0, 0, 200], embedded)
    read = (gradient[0, 0] != 0).numpy()
    assert np.flatnonzero(read).tolist() == list(range(140, 201))


def test_a_model_in_training_in_half_precision_stays_so() -> None:
    model = nn.Sequential(stack(2, 2, 2), nn.Dropout(0.5)).to(torch.float16).train()
    model[0][1].eval()
    found = assert_mended(model, (1, 2, 48))
    assert next(found.model.parameters()).dtype == torch.float16


def test_the_changed_model_trains() -> None:
    found = atrous.redesign(stack(2, 2, 2), (1, 2, 48))
    found.model(torch.randn(3, 2, 40)).square().sum().backward()
    assert all(p.grad is not None and p.requires_grad for p in found.model.parameters())


def test_nothing_changes_where_there_is_nothing_to_mend() -> None:
    model = stack(1, 2, 3)
    found = atrous.redesign(model, (1, 2, 48))
    assert found.changes == ()
    assert found.code() == ""
    assert "no holes: nothing to change" in str(found)
    assert found.model is not model
    assert repr(found.model) == repr(model)


def test_a_node_or_an_output_alone_is_mended() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = stack(2, 2), stack(3, 3)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"a": self.a(x), "b": self.b(x)}

    for options in ({"output": "b"}, {"node": "b"}):
        with pytest.raises(atrous.RedesignError, match=r"at most 9 positions .* the field is 13"):
            atrous.redesign(Two(), (1, 2, 48), **options)
    for options in ({"output": "a"}, {"node": "a"}):
        found = atrous.redesign(Two(), (1, 2, 48), **options)
        assert {c.path for c in found.changes} == {"a.0", "a.1"}


def test_what_cannot_be_mended_says_why() -> None:
    with pytest.raises(
        atrous.RedesignError,
        match=r"3 layers in a row of kernel 3 can read at most 27 positions .* field is 63\. Add",
    ):
        atrous.redesign(stack(5, 9, 17), (1, 2, 96))

    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.randn(2, 2, 3))

        def forward(self, x: Tensor) -> Tensor:
            x = F.conv1d(x, self.weight, dilation=2, padding=2)
            x = F.conv1d(x, self.weight, dilation=2, padding=2)
            return F.conv1d(x, self.weight, dilation=2, padding=2)

    with pytest.raises(
        atrous.RedesignError, match=r"stand in plain calls of forward: .*test_redesign.py:\d+"
    ):
        atrous.redesign(Written(), (1, 2, 48))
    with pytest.raises(TypeError, match=r"model must be a torch\.nn\.Module, got int"):
        atrous.redesign(3, (1, 2, 48))  # type: ignore[arg-type]


def test_it_shows_itself_and_is_saved_as_data(tmp_path: Any) -> None:
    found = atrous.redesign(stack(2, 2, 2), (1, 2, 48))
    told = str(found)
    for part in (
        "2 layers changed; no smaller change does it",
        "2 → 1",
        "every 2nd position",
        "ATR105 interleaved",
        "no findings",
        "model[2].padding = (3,)",
    ):
        assert part in told
    data = found.to_dict()
    assert data["schema"] == "atrous.redesign/1"
    assert data["after"][0]["holes"] == 0
    assert found.to_json(tmp_path / "found.json")
    assert "2 → 3" in found._repr_html_()


@st.composite
def networks(draw: st.DrawFn) -> tuple[nn.Module, Inputs]:
    """Chains, residual chains and pyramids behind a chain, whose dilations are drawn."""
    kind = draw(st.sampled_from(["chain", "residual", "pyramid", "strided"]))
    kernel = draw(st.sampled_from([2, 3, 3, 5]))
    dilations = draw(st.lists(st.integers(1, 6), min_size=2, max_size=4))
    if kind == "residual" or kernel == 2:
        return rows(Padded if kernel != 2 else Dynamic, *dilations), (1, 2, 96)
    if kind == "pyramid":

        class Pyramid(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.front = stack(1, 2, 3)
                self.branches = nn.ModuleList(stack(d, kernel=kernel) for d in dilations)

            def forward(self, x: Tensor) -> Tensor:
                x = self.front(x)
                return torch.stack([branch(x) for branch in self.branches]).sum(0)

        return Pyramid(), (1, 2, 96)
    first = nn.Conv1d(2, 2, 3, stride=1 + (kind == "strided"), padding=1)
    return nn.Sequential(first, stack(*dilations, kernel=kernel)), (1, 2, 96)


@settings(max_examples=25, deadline=None)
@given(networks())
def test_random_networks_are_mended_or_refused(case: tuple[nn.Module, tuple[int, ...]]) -> None:
    model, shape = case
    before = read_by(model, shape)
    try:
        found = assert_mended(model, shape)
    except atrous.RedesignError as error:
        # A refusal is about a network with holes.
        told = str(error)
    else:
        told = ""
        assert found.changes or before[span(before)].all()
    assert not told or not before[span(before)].all()
    assert not told or any(part in told for part in ("keeps the field", "at most", "in all axes"))


@given(
    st.lists(st.tuples(st.integers(2, 4), st.integers(1, 9)), min_size=1, max_size=3),
    st.integers(1, 2),
)
@settings(max_examples=25, deadline=None)
def test_a_field_that_cannot_be_kept_shrinks_to_the_largest_there_is(
    layers: list[tuple[int, int]], dims: int
) -> None:
    kinds: dict[int, Any] = {1: nn.Conv1d, 2: nn.Conv2d}
    # Padded after the input alone, so that every dilation lies on whole positions.
    pads: dict[int, Any] = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d}
    net = nn.Sequential(
        *(
            part
            for k, d in layers
            for part in (
                pads[dims](((k - 1) * d, 0) * dims, 0.0),
                kinds[dims](1, 1, k, dilation=d),
            )
        )
    )
    wide = sum((k - 1) * d for k, d in layers) + 1
    most = prod(k for k, _ in layers)
    shape = (1, 1, *(2 * wide + 9,) * dims)
    if wide <= most:
        return
    with pytest.raises(atrous.RedesignError, match=f"at most {most} positions.*smaller_field=True"):
        atrous.redesign(net, shape)
    found = atrous.redesign(net, shape, smaller_field=True)
    assert {axis for state in found.after for axis in state.field} == {most}
    read = read_by(found.model, shape)
    own = read[span(read)]
    assert own.all() and own.shape == (most,) * dims


def padded_and_cut(dilation: int, *, active: bool) -> list[nn.Module]:
    conv = nn.Conv1d(2, 2, 3, padding=2 * dilation, dilation=dilation)
    return [conv, Cut(2 * dilation), *([nn.ReLU()] if active else [])]


@pytest.mark.parametrize("active", [True, False], ids=["active", "plain"])
def test_last_output_reads_its_whole_field_when_cuts_stand_in_a_row(active: bool) -> None:
    layers = [m for d in (3, 3, 9, 9, 27, 27) for m in padded_and_cut(d, active=active)]
    net = nn.Sequential(*layers)
    found = assert_mended(net, (1, 2, 400))
    model = copy.deepcopy(found.model).double()
    for parameter in model.parameters():
        nn.init.ones_(parameter)
    x = torch.ones(1, 2, 400, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[0, 0, -1], x)
    # 1 + 2 (3 + 3 + 9 + 9 + 27 + 27)
    assert int((gradient[0, 0] != 0).sum()) == 157
    convs = [m for m in found.model if isinstance(m, nn.Conv1d)]
    cuts = [m.length for m in found.model if isinstance(m, Cut)]
    assert cuts == [2 * conv.dilation[0] for conv in convs]

"""What can be asked of a model, and on which data."""

from __future__ import annotations

import copy
import io
import re
from collections.abc import Iterator

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor, nn
from torch.export import export

import atrous
from atrous.report.text.effective import effective_table


class Branching(nn.Module):
    """A module called twice, values without a module, an in-place step, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv1d(2, 4, 3, padding=1)
        self.again = nn.Conv1d(4, 4, 5, padding=4, dilation=2)
        self.off = nn.Dropout(0.9)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        a = self.first(x)
        kept = a * 1.0
        F.relu_(a)
        b = self.again(a)
        c = self.again(torch.tanh(b))
        return {"low": self.off(c), "high": c - F.avg_pool1d(kept, 7, 1, 3)}


def values(model: Branching, x: Tensor) -> dict[str, Tensor]:
    """The same values, each by its name, written out."""
    a = model.first(x)
    b = model.again(a.relu())
    t = torch.tanh(b)
    c = model.again(t)
    pooled = F.avg_pool1d(a, 7, 1, 3)
    return {"first": a, "again": b, "tanh": t, "again@2": c, "low": c, "high": c - pooled,
            "avg_pool1d": pooled}  # fmt: skip


def by_hand(value: Tensor, x: Tensor, at: int) -> np.ndarray:
    (grad,) = torch.autograd.grad(value[:, :, at].sum(), x)
    energy = grad.abs().sum((0, 1)).double().numpy()
    return energy / energy.sum()


@pytest.mark.parametrize("name", ["first", "again", "again@2", "tanh", "avg_pool1d", "low", "high"])
@pytest.mark.parametrize("exported", [False, True])
def test_any_node_and_any_output_can_be_asked(name: str, exported: bool) -> None:
    torch.manual_seed(0)
    model, x = Branching().double().eval(), torch.randn(3, 2, 40, dtype=torch.float64)
    place = {"output" if name in ("low", "high") else "node": name}
    subject = export(model, (x,)) if exported else model
    found = atrous.effective_field(subject, x, at=17, **place)  # type: ignore[arg-type]
    leaf = x.clone().requires_grad_()
    assert found.energy == pytest.approx(by_hand(values(model, leaf)[name], leaf, 17), abs=1e-12)
    assert found.samples == 3


def test_a_model_may_write_into_its_input() -> None:
    class Writing(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> Tensor:
            y.mul_(2)
            return F.avg_pool1d(x.mul_(y), 3, 1)

    x, y = torch.ones(1, 1, 9), torch.ones(1, 1, 9)
    found = atrous.effective_field(Writing(), (x, y), batches=1)
    assert found.total == pytest.approx(2)
    assert bool((x == 1).all()) and bool((y == 1).all())


def test_a_node_without_a_module_is_run_for_batches_of_any_length() -> None:
    torch.manual_seed(0)
    model, x = Branching().double().eval(), torch.randn(5, 2, 40, dtype=torch.float64)
    found = atrous.effective_field(model, [x[:3], x[3:]], node="tanh", at=0)
    assert found.samples == 5
    leaf = x.clone().requires_grad_()
    assert found.energy == pytest.approx(by_hand(values(model, leaf)["tanh"], leaf, 0), abs=1e-12)


def test_a_wrong_node_is_told_with_the_nearest() -> None:
    with pytest.raises(KeyError, match="Did you mean 'first'"):
        atrous.effective_field(Branching(), (1, 2, 40), node="fist")
    with pytest.raises(ValueError, match="node and output must not both be given"):
        atrous.effective_field(Branching(), (1, 2, 40), node="first", output="low")
    with pytest.raises(KeyError, match="output must be one of 'low', 'high', got 'mid'"):
        atrous.effective_field(Branching(), (1, 2, 40), output="mid")


class Deciding(nn.Module):
    """Cannot be exported: it looks at a value."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 3, padding=1)
        self.pair = nn.LSTM(40, 3)

    def forward(self, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
        out = self.conv(x) * scale
        if out.sum() > 1e9:
            return out, x
        return x[:, :1] * 2, out + self.pair(out)[0].sum() * 0


def test_a_model_that_cannot_be_exported_is_measured_without_theory() -> None:
    model = Deciding().double()
    x, scale = torch.randn(2, 2, 40).double(), torch.ones(1).double()
    found = atrous.effective_field(model, (x, scale), output="1")
    leaf = x.clone().requires_grad_()
    assert found.energy == pytest.approx(by_hand(model(leaf, scale)[1], leaf, 20), abs=1e-12)
    assert found.theory is None
    assert found.share_of_field() is None
    assert found.note.startswith("field unknown: ")
    inner = atrous.effective_field(model, {"scale": scale, "x": x}, node="conv", channels=1)
    assert np.flatnonzero(inner.energy).tolist() == [19, 20, 21]
    other = atrous.effective_field(model, (x, scale), input="scale", output="1", axes=0)
    assert other.energy.shape == (1,)
    with pytest.raises(KeyError, match=re.escape("torch.export can trace; this one it cannot")):
        atrous.effective_field(model, (x, scale), node="pair")
    with pytest.raises(KeyError, match="'conv' runs 1 times, got 'conv@2'"):
        atrous.effective_field(model, (x, scale), node="conv@2")
    with pytest.raises(KeyError, match="input must be one of 'x', 'scale', got 'y'"):
        atrous.effective_field(model, (x, scale), input="y")


def test_the_output_whose_field_no_border_clips_is_the_default() -> None:
    class Causal(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 2, dilation=60)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(F.pad(x, (60, 0)))

    found = atrous.effective_field(Causal(), (1, 1, 100))
    assert found.at == (60,)
    assert np.flatnonzero(found.energy).tolist() == [0, 60]
    assert atrous.effective_field(Causal(), (1, 1, 130)).at == (65,)
    clipped = atrous.effective_field(Causal(), (1, 1, 100), at=-50)
    assert clipped.at == (50,)
    assert "cut by the border" in str(clipped)


def test_tokens_lie_on_one_axis_of_two_input_axes() -> None:
    class Patches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 8, 4, stride=4)

        def forward(self, x: Tensor) -> Tensor:
            return self.embed(x).flatten(2).transpose(1, 2)

    found = atrous.effective_field(Patches(), (1, 3, 28, 36), channel_axis=-1)
    # Rows 3 of 7, columns 4 of 9.
    assert found.at == (3 * 9 + 4,)
    rows, columns = (np.flatnonzero(axis.profile).tolist() for axis in found.axes)
    assert (rows, columns) == ([12, 13, 14, 15], [16, 17, 18, 19])
    some = atrous.effective_field(Patches(), (1, 3, 28, 36), channel_axis=-1, channels=[0, 5])
    assert some.channels == (0, 5)


def test_a_classifier_has_no_positions_and_several_inputs_can_be_asked() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.left, self.right = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 5)
            self.head = nn.Linear(2, 3)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.head(self.left(left).mean((2, 3)) + self.right(right).mean((2, 3)))

    found = atrous.effective_field(Two(), ((1, 1, 8, 8), (1, 1, 9, 7)), input="right", channels=2)
    assert (found.at, found.input, found.energy.shape) == ((), "right", (9, 7))
    assert found.expected_std == (None, None)
    one = torch.randn(1, 1, 9, 9)
    assert atrous.effective_field(Two(), (one, one)).energy.shape == (9, 9)
    assert atrous.effective_field(Two(), {"right": one, "left": one}, input="right").samples == 1
    with pytest.raises(ValueError, match="at must have one index for each of the axes"):
        atrous.effective_field(Two(), (one, one), at=3)


def test_data_comes_in_many_forms() -> None:
    model = nn.Conv1d(2, 1, 3)
    x = torch.randn(6, 2, 20)
    dataset = torch.utils.data.TensorDataset(x, torch.zeros(6))

    def stream() -> Iterator[dict[str, Tensor]]:
        for part in x.split(4):
            yield {"signal": part}

    expected = atrous.effective_field(model, x)
    forms = [
        ([x[:4], x[4:]], {}),
        (torch.utils.data.DataLoader(dataset, 4), {}),
        (dataset, {}),
        ({"input": x}, {}),
        (stream(), {"unpack": lambda item: item["signal"]}),
    ]
    for data, options in forms:
        found = atrous.effective_field(model, data, **options)  # type: ignore[arg-type]
        assert found.samples == 6
        assert found.contributions == pytest.approx(expected.contributions, rel=1e-5)
    seen: list[tuple[int, int | None]] = []
    atrous.effective_field(model, stream(), unpack=lambda item: item["signal"], batches=1,
                           progress=lambda *told: seen.append(told))  # fmt: skip
    atrous.effective_field(model, (1, 2, 20), batches=2, progress=lambda *told: seen.append(told))
    assert seen == [(0, None), (1, None), (0, 2), (1, 2), (2, 2)]
    one, other = (atrous.effective_field(nn.Sequential(model, nn.Tanh()), (4, 2, 20), seed=s)
                  for s in (1, 2))  # fmt: skip
    assert one.total != other.total
    assert "32 samples of random normal data (seed 1)" in str(one)


def test_data_that_does_not_fit_is_refused() -> None:
    model = nn.Conv1d(2, 1, 3)
    x = torch.randn(1, 2, 20)
    for data, error, message in (
        (7, TypeError, "data must be a tensor, a shape"),
        (["a"], TypeError, "data must hold batches that are tensors"),
        ([], ValueError, "data must hold at least one batch, got none"),
        ([x, x[..., :12]], ValueError, "data must have batches of one size"),
        ((1, 2, 0), ValueError, "must have at least one element"),
        (x.long(), ValueError, "data must be of floating point to have gradients, got torch.int64"),
    ):
        subject = nn.Embedding(9, 2) if isinstance(data, Tensor) else model
        with pytest.raises(error, match=re.escape(message)):
            atrous.effective_field(subject, data)  # type: ignore[arg-type]
    for options, message in (
        ({"convention": "log"}, "convention must be one of 'absolute'"),
        ({"mode": "train"}, "mode must be 'eval' or 'current', got 'train'"),
        ({"batches": 0}, "batches must be at least 1, got 0"),
        ({"at": 1.5}, "at must be whole numbers, got 1.5"),
        ({"channels": 1}, "channels must be among the 1 of"),
        ({"axes": 4}, "axes must be whole numbers between -3 and 2"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            atrous.effective_field(model, x, **options)  # type: ignore[arg-type]
    for at in (18, -19):
        for ask in (atrous.effective_field, atrous.coverage):
            message = rf"at must lie inside 'conv1d' \(lengths \(18,\)\).* got \({at},\)\. Leave it"
            with pytest.raises(ValueError, match=message):
                ask(model, x, at=(at,))


def test_values_without_gradients_are_refused() -> None:
    class Ranked(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x.detach() * 2, x.argmax(1)

    with pytest.raises(ValueError, match="node must pass gradients back to 'x'"):
        atrous.effective_field(Ranked(), (1, 2, 20), output="0")
    with pytest.raises(ValueError, match=re.escape("must have values of floating point")):
        atrous.effective_field(Ranked(), (1, 2, 20), output="1")


def test_current_mode_keeps_dropout_and_batch_statistics_on() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4)).train()
    x = torch.randn(4, 1, 20)
    # With batch statistics, every position of the batch matters.
    assert np.count_nonzero(atrous.effective_field(net, x, mode="current").energy) == 20
    assert np.count_nonzero(atrous.effective_field(net, x).energy) == 3
    net.eval()
    assert np.count_nonzero(atrous.effective_field(net, x, mode="current").energy) == 3


def test_a_field_of_inference_is_no_measure_of_training() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()).train()
    x = torch.randn(3, 1, 12, 12)
    found = atrous.effective_field(net, x, mode="current")
    # Autograd on the model itself, in training: what lies outside the 3 x 3 around (6, 6).
    wanted = x.clone().requires_grad_()
    copy.deepcopy(net)(wanted)[:, :, 6, 6].sum().backward()
    assert wanted.grad is not None
    energy = wanted.grad.abs().sum((0, 1))
    outside = 1 - float(energy[5:8, 5:8].sum() / energy.sum())
    assert outside > 0.01
    assert f"field unknown in this mode: {outside:.2%} of the energy lies outside" in str(found)
    assert found.theory is None and found.share_of_field() is None
    # Dropout alone reads nothing else.
    dropped = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.Dropout(0.5)).train()
    found = atrous.effective_field(dropped, x, mode="current")
    assert found.note == "" and found.theory is not None
    share = found.share_of_field(1.0)
    assert share is not None and share <= 1


@pytest.mark.parametrize(("taps", "shape"), [(3, "few"), (5, "few"), (6, "few"), (7, "box")])
def test_too_few_positions_have_no_shape(taps: int, shape: str) -> None:
    layer = nn.Conv1d(1, 1, taps, bias=False)
    nn.init.ones_(layer.weight)
    found = atrous.effective_field(layer, torch.ones(1, 1, 30))
    assert found.axes[0].shape == shape
    assert (f"{taps} positions, too few to tell a shape" in str(found)) == (shape == "few")
    assert ("fits" in str(found)) == (shape != "few")


def test_the_table_shows_a_profile_and_shares() -> None:
    net = nn.Sequential(*(nn.Conv1d(1, 1, 2, dilation=d) for d in (1, 2, 4, 8)))
    for layer in net:
        nn.init.ones_(layer.weight)  # type: ignore[arg-type]
    out = io.StringIO()
    console = Console(file=out, width=140)
    console.print(effective_table(atrous.effective_field(net, torch.ones(1, 1, 40))))
    shown = out.getvalue()
    # 16 positions of one height, and the standard deviation of sixteen equal numbers in a row.
    assert "█" * 16 in shown
    assert "█" * 17 not in shown
    assert f"{((16**2 - 1) / 12) ** 0.5:.4g}" in shown
    assert re.search(r"50% +8 ", shown)
    with torch.no_grad():
        net[-1].weight.zero_()
    console.print(effective_table(atrous.effective_field(net, torch.ones(1, 1, 40))))
    assert "zero gradient everywhere" in out.getvalue()

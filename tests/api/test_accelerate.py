"""`atrous.accelerate`: the values and gradients of the user's own model, run beside it."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

import atrous
from atrous.convert import acceleration
from atrous.nn.fast import FastCalls, FastConvolution
from atrous.ops import choices, chooser
from atrous.ops.algorithms import Algorithm
from atrous.ops.problem import Problem
from atrous.shown import as_text

ORDER = ("loops", "flipped", "products", "phases", "shifts", "widened", "aten")


@pytest.fixture(autouse=True)
def own_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times that do not depend on the machine, and are kept nowhere: PyTorch's is the longest."""

    def times(problem: Problem, able: Sequence[Algorithm]) -> dict[str, float]:
        return {one.name: 1e-3 * (1 + ORDER.index(one.name)) for one in able}

    monkeypatch.setattr(chooser, "measured", times)
    monkeypatch.setattr(chooser.CHOOSER, "_chosen", {})
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    choices.forget()
    yield
    choices.forget()


def separable(dims: int) -> nn.Module:
    """A depthwise and a pointwise layer, with a batch norm between."""
    conv: Any = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[dims]
    norm: Any = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}[dims]
    depthwise = conv(32, 32, 3, dilation=4, padding=4, groups=32)
    return nn.Sequential(depthwise, norm(32), nn.ReLU(), conv(32, 8, 1))


class Plain(nn.Module):
    """Convolutions as plain calls of the model itself."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(32, 1, 3, 3))
        self.last = nn.Conv2d(32, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.conv2d(x, self.kernel, padding="same", dilation=(2, 3), groups=32)
        y = torch.conv2d(F.relu(y), self.kernel, None, 1, 1, 1, 32)
        out: Tensor = self.last(y)
        return out


def normed() -> nn.Module:
    return nn.Sequential(weight_norm(nn.Conv1d(32, 32, 3, dilation=8, padding=8, groups=32)))


class Shared(nn.Module):
    """One convolution called twice, at two sizes."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(32, 32, 3, padding=2, dilation=2, groups=32, padding_mode="circular")

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(F.avg_pool2d(self.conv(x), 2))
        return out


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "1-D": (lambda: separable(1), (2, 32, 700)),
    "2-D": (lambda: separable(2), (2, 32, 33, 35)),
    "3-D": (lambda: separable(3), (1, 32, 9, 17, 18)),
    "plain calls": (Plain, (1, 32, 33, 35)),
    "weight norm": (normed, (2, 32, 700)),
    "shared": (Shared, (1, 32, 34, 36)),
    "without a batch": (lambda: separable(1)[0], (32, 700)),
}


def trained(model: nn.Module, x: Tensor) -> list[Tensor]:
    """The output and the gradients of the input and all parameters, in training."""
    model.train()
    x = x.clone().requires_grad_()
    y = model(x)
    grad = torch.linspace(-1, 1, y.numel()).view_as(y)
    return [y, *torch.autograd.grad(y, [x, *model.parameters()], grad)]


def assert_near(one: Tensor, other: Tensor) -> None:
    assert (one - other).abs().max() <= 1e-5 * other.abs().max() + 1e-6


@pytest.mark.parametrize("name", MODELS)
def test_values_and_gradients_stay(name: str) -> None:
    make, shape = MODELS[name]
    model, x = make(), torch.randn(shape)
    fast = atrous.accelerate(model, x)
    assert fast.acceleration.changed, fast.acceleration
    assert fast.acceleration.error < 1e-5
    assert fast.state_dict().keys() == model.state_dict().keys()
    assert_near(copy.deepcopy(fast).eval()(x), copy.deepcopy(model).eval()(x))
    # A bias before a batch norm has gradients of rounding alone: these are as small as it.
    fast, model, x = fast.double(), model.double(), x.double()
    for one, other in zip(trained(fast, x), trained(model, x), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_the_model_stays_as_it_is() -> None:
    model, x = separable(2), torch.randn(1, 32, 33, 35)
    model[0].eval()
    state, kinds = copy.deepcopy(model.state_dict()), list(map(type, model))
    before = torch.get_rng_state()
    fast = atrous.accelerate(model, x)
    assert torch.equal(torch.get_rng_state(), before)
    assert list(map(type, model)) == kinds
    for one in (model, fast):
        assert [module.training for module in one] == [False, True, True, True]
        assert all(torch.equal(value, state[key]) for key, value in one.state_dict().items())
    with torch.no_grad():
        next(fast.parameters()).zero_()
    assert torch.equal(next(model.parameters()), state["0.weight"])


@pytest.mark.parametrize("name", ["2-D", "plain calls"])
def test_it_is_copied_saved_compiled_exported_and_undone(name: str) -> None:
    make, shape = MODELS[name]
    model, x = make().eval(), torch.randn(shape)
    fast = atrous.accelerate(model, x)
    wanted = fast(x)
    for made in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
        assert torch.equal(made(x), wanted)
    compiled: Any = torch.compile(fast, backend="aot_eager", fullgraph=True)
    assert_near(compiled(x), wanted)
    exported = torch.export.export(fast, (x,))
    assert_near(exported.module()(x), wanted)
    assert "atrous.convolution.default" in {str(node.target) for node in exported.graph.nodes}
    plain = atrous.accelerate(fast, undo=True)
    assert torch.equal(plain(x), model(x))
    assert list(map(type, plain.modules())) == list(map(type, model.modules()))
    again = atrous.accelerate(fast, x)
    assert len(again.acceleration.layers) == len(fast.acceleration.layers)


def test_a_weight_norm_can_be_taken_off() -> None:
    model, x = normed(), torch.randn(1, 32, 700)
    fast = atrous.accelerate(model, x)
    assert isinstance(fast[0], FastConvolution)
    torch.nn.utils.parametrize.remove_parametrizations(fast[0], "weight")
    assert isinstance(fast[0], FastConvolution)
    assert_near(fast(x), model(x))


def test_a_dense_model_becomes_fast() -> None:
    layers = (nn.Conv2d(32, 32, 2, 2, groups=32), nn.Conv2d(32, 32, 3, 2, groups=32))
    model, x = nn.Sequential(*layers).eval(), torch.randn(1, 32, 41, 43)
    dense = atrous.densify(model, x, output_stride=1)
    fast = atrous.accelerate(dense, x)
    assert any(isinstance(module, FastCalls | FastConvolution) for module in fast)
    assert_near(fast(x), dense(x))
    assert_near(fast(x)[..., ::4, ::4], model(x))
    assert torch.equal(pickle.loads(pickle.dumps(fast))(x), fast(x))


def test_an_exported_program_becomes_fast() -> None:
    model, x = Plain().eval(), torch.randn(1, 32, 33, 35)
    fast = atrous.accelerate(torch.export.export(model, (x,)), x)
    assert fast.acceleration.changed
    assert_near(fast(x), model(x))


class Centred(nn.Conv1d):
    """A convolution that computes its weights in its own forward."""

    def forward(self, input: Tensor) -> Tensor:
        return F.conv1d(input, self.weight - self.weight.mean(), None, 1, 4, 4, self.groups)


class Counting(nn.Module):
    """Writes to its input and to a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(32, 32, 3, groups=32)
        self.register_buffer("seen", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        x += 1
        out: Tensor = self.conv(x) + self.seen
        return out


def test_what_a_model_writes_to_stays() -> None:
    model, x = Counting(), torch.zeros(1, 32, 40)
    fast = atrous.accelerate(model, x)
    assert fast.acceleration.error < 1e-5
    assert not x.any()
    assert fast.seen == model.seen == 0


def test_a_forward_of_its_own_is_redirected() -> None:
    model, x = nn.Sequential(Centred(32, 32, 3, groups=32)), torch.randn(1, 32, 40)
    fast = atrous.accelerate(model, x)
    assert isinstance(fast[0], FastCalls)
    exported = torch.export.export(fast, (x,))
    assert "atrous.convolution.default" in {str(node.target) for node in exported.graph.nodes}
    assert_near(fast(x), model(x))


def test_hooks_may_convolve() -> None:
    model, x = separable(1).eval(), torch.randn(1, 32, 90)
    kernel = torch.randn(32, 1, 1)
    model.register_forward_pre_hook(lambda _, given: (F.conv1d(given[0], kernel, groups=32),))
    assert_near(atrous.accelerate(model, x)(x), model(x))


def test_values_that_are_no_numbers_count_as_differences() -> None:
    assert acceleration._difference(torch.ones(3), torch.full((3,), float("nan"))) == float("inf")
    assert acceleration._difference(torch.tensor([float("nan")]), torch.tensor([float("nan")])) == 0


def test_what_was_done_is_told() -> None:
    fast = atrous.accelerate(separable(1), torch.randn(2, 32, 700))
    found = fast.acceleration
    text = as_text(found, width=160)
    assert text.startswith(f"Sequential: {len(found.changed)} of 2 convolutions changed")
    assert "2x32x700 -> 32, kernel 3, dilation 4, depthwise" in text
    assert "loops" in text
    assert "the output differs by" in text
    assert "kernel 3, dilation 4, depthwise</td>" in found._repr_html_()
    before, after = found.seconds()
    assert 0 < after < before
    told = found.to_dict()
    assert told["schema"] == "atrous.accelerate/1"
    assert [layer["path"] for layer in told["layers"]] == ["0", "3"]


def test_what_cannot_be_done_is_told() -> None:
    with pytest.raises(ValueError, match="x must be an input of the model"):
        atrous.accelerate(separable(1))
    with pytest.raises(ValueError, match="model must be one that `accelerate` made"):
        atrous.accelerate(separable(1), undo=True)


def test_a_model_without_convolutions_stays_slow() -> None:
    fast = atrous.accelerate(nn.Linear(3, 4), torch.randn(2, 3))
    assert fast.acceleration.layers == ()
    assert str(fast.acceleration).startswith("Linear: 0 of 0 convolutions changed")

"""Capture leaves the model as it is, after success and after failure, and says what is wrong."""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous.graph.capture import capture
from atrous.graph.shell import CaptureError


class Stateful(nn.Module):
    """Everything a capture could disturb."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(1, 2, 3))
        self.norm = nn.BatchNorm1d(2)
        self.drop = nn.Dropout(0.5)
        self.cache: Tensor | None = None
        self.seen: list[tuple[int, ...]] = []
        self.calls = 0
        self.register_buffer("late", None)

    def forward(self, x: Tensor) -> Tensor:
        y = self.drop(self.norm(self.conv(x)))
        self.cache = y
        self.seen.append(tuple(y.shape))
        self.calls += 1
        if random.random() < 0:
            np.random.rand()
        return y + torch.rand_like(y)


class Refused(Stateful):
    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        if y.sum() > 0:
            y = y * 2
        return y


def state_of(model: nn.Module) -> dict[str, Any]:
    """Values, flags, hooks, attributes and random states, copied."""
    return {
        "tensors": {k: (id(v), v.clone()) for k, v in model.state_dict(keep_vars=True).items()},
        "training": {k: m.training for k, m in model.named_modules()},
        "grads": {k: (p.requires_grad, p.grad) for k, p in model.named_parameters()},
        "hooks": {
            k: [list(getattr(m, name)) for name in vars(m) if name.endswith("_hooks")]
            for k, m in model.named_modules()
        },
        "attributes": {
            k: {
                name: copy.copy(value)
                for name, value in vars(m).items()
                if not name.startswith("_")
            }
            for k, m in model.named_modules()
        },
        "buffers": {k: list(m._buffers) for k, m in model.named_modules()},
        "torch": torch.get_rng_state(),
        "python": random.getstate(),
        "numpy": np.random.get_state()[1],
    }


def assert_same(before: Any, after: Any, path: str = "") -> None:
    if isinstance(before, dict):
        assert before.keys() == after.keys(), path
        for key in before:
            assert_same(before[key], after[key], f"{path}.{key}")
    elif isinstance(before, list | tuple):
        assert len(before) == len(after), path
        for number, (a, b) in enumerate(zip(before, after, strict=True)):
            assert_same(a, b, f"{path}[{number}]")
    elif isinstance(before, Tensor | np.ndarray):
        assert type(before) is type(after), path
        assert (before == after).all(), path
    else:
        assert before == after, path


def prepared(kind: type[nn.Module]) -> nn.Module:
    model = kind()
    model.train()
    model.norm.eval()  # type: ignore[union-attr]
    model.conv.parametrizations.weight.original0.requires_grad_(False)  # type: ignore[union-attr]
    model.norm.register_forward_hook(lambda *_: None)  # type: ignore[union-attr]
    return model


@pytest.mark.parametrize(
    ("kind", "shape"), [(Stateful, (2, 1, 16)), (Refused, (2, 1, 16)), (Stateful, (2, 3, 16))]
)
def test_the_model_is_untouched(kind: type[nn.Module], shape: tuple[int, ...]) -> None:
    model = prepared(kind)
    before = state_of(model)
    x = torch.rand(shape)
    kept = x.clone()
    before |= {k: v for k, v in state_of(model).items() if k == "torch"}
    fails = kind is Refused or shape[1] != 1
    if fails:
        reason = "control flow depends" if shape[1] == 1 else "expected input"
        with pytest.raises(CaptureError, match=reason):
            capture(model, x)
    else:
        capture(model, x)
    assert_same(before, state_of(model))
    assert (x == kept).all()


class Counting(nn.Module):
    """Writes into its buffers, and into what a hook and a closure enclose."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)
        self.norm = nn.BatchNorm1d(1)
        self.register_buffer("count", torch.zeros(()))
        self.register_buffer("mean", torch.zeros(1))
        self.free = nn.Parameter(torch.ones(1))
        self.kept: list[Tensor] = []
        kept = self.kept
        self.conv.register_forward_hook(lambda m, a, y: kept.append(y))

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.mean.copy_(x.mean((0, 2)))
        self.free.data = torch.ones(1) * 7
        self.norm.train()
        return self.conv(self.norm(x))


def wrapped_in_place() -> nn.Module:
    model = Counting()
    original = model.forward
    model.forward = lambda x: original(x) * 2  # type: ignore[method-assign]
    return model.train()


@pytest.mark.parametrize("make", [Counting, wrapped_in_place])
@pytest.mark.parametrize("channels", [1, 2])
def test_what_forward_writes_stays_in_the_copy(
    make: Callable[[], nn.Module], channels: int
) -> None:
    model = make()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    modes = [m.training for m in model.modules()]
    with contextlib.suppress(CaptureError):
        capture(model, (2, channels, 9))
    after = model.state_dict()
    assert all((before[k] == after[k]).all() and not after[k].is_meta for k in before)
    assert [m.training for m in model.modules()] == modes
    assert model.kept == []


def test_the_untouched_test_would_notice() -> None:
    for wrong, spoil in (
        (".training", lambda m: m.eval()),
        (".attributes", lambda m: m.seen.append((1,))),
        (".tensors", lambda m: m.norm.running_mean.add_(1)),
        (".torch", lambda m: torch.rand(1)),
        (".hooks", lambda m: m.register_forward_hook(lambda *_: None)),
    ):
        model = prepared(Stateful)
        before = state_of(model)
        spoil(model)  # type: ignore[no-untyped-call]
        with pytest.raises(AssertionError, match=wrong):
            assert_same(before, state_of(model))


def test_parameters_are_shared_not_copied() -> None:
    model = nn.Conv1d(1, 1, 3)
    program = capture(model, (1, 1, 9))
    weight = next(v for k, v in program.constants.items() if k.endswith("weight"))
    assert isinstance(weight, Tensor)
    assert weight.data_ptr() == model.weight.data_ptr()


def test_modules_come_before_nodes_of_the_same_name() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.conv1d = nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 7)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv1d(self.first(x))

    assert capture(Named(), (1, 1, 20)).find("conv1d").shape == (1, 1, 12)


def test_views_are_written_without_gradients() -> None:
    class Chunks(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            a, b = x.clone().chunk(2, 2)
            a.add_(b)
            return a

    assert capture(Chunks(), (1, 1, 8)).output().shape == (1, 1, 4)


def test_shared_modules_count_once() -> None:
    shared = nn.Conv1d(1, 1, 3, padding=1)
    program = capture(nn.Sequential(shared, shared), (1, 1, 9))
    assert sum(program.parameters.values()) == 4
    assert [n.kind for n in program.nodes.values()] == ["input", "conv1d", "conv1d"]


@pytest.mark.parametrize(
    ("x", "message"),
    [
        ((1, 0, 9), r"x must have at least one element, got shape \(1, 0, 9\)"),
        (torch.zeros(1, 1, 0), r"x must have at least one element, got shape \(1, 1, 0\)"),
        (torch.zeros(1, 1, 9, dtype=torch.complex64), r"got a complex tensor .*view_as_real"),
        ({"input": torch.zeros(0)}, r"at x\['input'\]"),
    ],
)
def test_inputs_are_checked_first(x: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        capture(nn.Conv1d(1, 1, 3), x)


@pytest.mark.filterwarnings("ignore:.*quantize.*")
def test_quantised_inputs_are_refused() -> None:
    x = torch.quantize_per_tensor(torch.zeros(1, 1, 9), 0.1, 0, torch.qint8)
    with pytest.raises(ValueError, match=r"got a quantised tensor .* Dequantise it"):
        capture(nn.Conv1d(1, 1, 3), x)


def test_an_input_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match=r"x must be a tensor, a shape, .* got str"):
        capture(nn.Conv1d(1, 1, 3), "1x3")


def test_a_wrong_shape_is_told_with_one_that_fits() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    with pytest.raises(CaptureError, match=r"to have 3 channels, but got 4") as caught:
        capture(model, (1, 4, 16, 16))
    assert "An input of shape (1, 3, 16, 16) fits." in str(caught.value)
    assert "at '0'" in str(caught.value)
    with pytest.raises(CaptureError, match=r"An input of shape \(1, 3, 16, 16\) fits"):
        capture(model, (16, 16))


def test_a_wrong_size_is_told_with_one_that_fits() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 5), nn.Flatten(), nn.Linear(2 * 24 * 24, 3))
    with pytest.raises(CaptureError, match=r"at '2'.* An input of shape \(1, 1, 28, 28\) fits"):
        capture(model, (1, 1, 30, 30))


def item(x: Tensor) -> Tensor:
    return x * float(x.sum())


def branch(x: Tensor) -> Tensor:
    if x.sum() > 0:
        return x + 1
    return x


def shaped(x: Tensor) -> Tensor:
    return x.view(int(x.sum()), -1)


@pytest.mark.parametrize(
    ("function", "line", "remedy"),
    [
        (item, "return x * float(x.sum())", "Keep it a tensor"),
        (branch, "if x.sum() > 0:", "Use torch.where"),
        (shaped, "return x.view(int(x.sum()), -1)", "Keep it a tensor"),
    ],
)
def test_what_cannot_be_exported_is_told_with_its_line(
    function: Callable[[Tensor], Tensor], line: str, remedy: str
) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return function(x)

    with pytest.raises(CaptureError, match="Model cannot be captured") as caught:
        capture(Model(), (1, 1, 9))
    message = str(caught.value)
    assert line in message
    assert "test_capture.py" in message
    assert remedy in message
    assert "\n" not in message


def test_what_cannot_be_copied_is_told() -> None:
    import threading

    model = nn.Conv1d(1, 1, 3)
    model.lock = threading.Lock()  # type: ignore[assignment]
    with pytest.raises(CaptureError, match=r"Conv1d is not: .*lock.*Keep locks, files"):
        capture(model, (1, 1, 9))


def test_unknown_nodes_are_told_with_the_nearest() -> None:
    program = capture(nn.Sequential(nn.Conv1d(1, 1, 3)), (1, 1, 9))
    with pytest.raises(KeyError, match=r"got 'conv1b'\. Did you mean 'conv1d'"):
        program.find("conv1b")


@pytest.mark.parametrize("ask", [capture, atrous.cost, atrous.effective_field])
def test_parameters_that_are_not_there_yet_are_told(ask: Callable[..., Any]) -> None:
    model = nn.Sequential(nn.ReLU(), nn.LazyConv2d(3, 3))
    with pytest.raises(CaptureError, match=r"'1.weight' of LazyConv2d is not .* Call the model"):
        ask(model, (1, 3, 16, 16))
    model(torch.zeros(1, 3, 16, 16))
    ask(model, (1, 3, 16, 16))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3)

    def forward(self, a: Tensor, b: Tensor, size: tuple[int, int] = (1, 1)) -> Tensor:
        return self.conv(a) + self.conv(b) * size[1]


def test_shapes_by_keyword_stand_for_tensors_where_there_are_none() -> None:
    model, shapes = Two(), {"b": (1, 1, 16), "a": [1, 1, 16]}
    assert capture(model, shapes).inputs == ("a", "b")
    assert atrous.receptive_field(model, shapes, input="b").axes[0].size == 3
    assert atrous.coverage(model, shapes).counts.tolist() == [1, 1, 1]
    assert atrous.cost(model, shapes).macs == 2 * 3 * 14
    assert atrous.effective_field(model, shapes).samples == 8
    assert atrous.inspect(model, shapes, effective=1).to_dict()["stages"]
    # Beside tensors they are what they are.
    mixed = {"a": torch.rand(1, 1, 16), "b": torch.rand(1, 1, 16), "size": (1, 2)}
    assert capture(model, mixed).inputs == ("a", "b")
    assert atrous.inspect(model, mixed, effective=1).to_dict()["stages"]


def test_batches_that_do_not_fit_are_told_with_what_to_do() -> None:
    loader = [{"image": torch.rand(1, 1, 16), "label": torch.tensor([1])}]
    with pytest.raises(
        ValueError, match=r"data must hold what forward\(input\) takes, got 'image'"
    ):
        atrous.effective_field(nn.Conv1d(1, 1, 3), loader)
    found = atrous.effective_field(nn.Conv1d(1, 1, 3), loader, unpack=lambda item: item["image"])
    assert found.samples == 1
    pairs = [{"a": torch.rand(2, 1, 16), "b": torch.rand(2, 1, 16)}] * 2
    assert atrous.effective_field(Two(), pairs, input="b").samples == 4


def test_an_empty_output_is_told_not_stumbled_over() -> None:
    class Empty(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"none": x[..., 3:3], "all": x * 2}

    x = torch.ones(1, 1, 5)
    inspected = atrous.inspect(Empty(), x)
    assert "slice_1" in str(inspected)
    assert inspected.to_dict()["schema"]
    field = atrous.receptive_field(Empty(), x).axes[0]
    assert (field.size, len(field.taps()[0])) == (0, 0)
    assert atrous.coverage(Empty(), x).counts.size == 0
    assert atrous.matrix(Empty(), x).structure is None
    with pytest.raises(ValueError, match=r"node must have a value, but 'slice_1' .* is empty"):
        atrous.effective_field(Empty(), x)
    assert atrous.effective_field(Empty(), x, output="all").area() == 1

"""Hooks take part in a capture if they compute, and keep nothing of it if they record."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

import atrous
from atrous.graph.capture import capture
from atrous.graph.evaluation import evaluate

KEPT: dict[str, Any] = {}
SEEN: list[Any] = []
calls = 0


def evaluated(model: nn.Module, x: Tensor) -> Tensor:
    """What the captured program computes."""
    program = capture(model, x)
    name = program.output().name
    with torch.no_grad():
        return evaluate(program, {program.inputs[0]: x}, [name])[name]


def old_weight_norm(conv: nn.Module) -> nn.Module:
    return torch.nn.utils.weight_norm(conv)


def pruned_and_normed(conv: nn.Module) -> nn.Module:
    prune.l1_unstructured(conv, "weight", 0.5)
    conv.register_forward_hook(lambda m, a, y: y * 2)
    conv.register_forward_pre_hook(lambda m, a: (a[0] + 1,))
    return conv


def writes_in_place(conv: nn.Module) -> nn.Module:
    def triple(m: nn.Module, a: Any, y: Tensor) -> None:
        y.mul_(3)

    conv.register_forward_hook(triple)
    return conv


def sets_a_weight(conv: nn.Module) -> nn.Module:
    """A weight computed before each call from another parameter, by hand."""
    conv.raw = nn.Parameter(conv.weight.detach().clone())
    del conv._parameters["weight"]
    conv.weight = conv.raw.detach() * 0  # type: ignore[assignment]

    def compute(m: nn.Module, a: Any) -> None:
        m.weight = m.raw * 2  # type: ignore[assignment,operator]

    conv.register_forward_pre_hook(compute)
    return conv


@pytest.mark.filterwarnings("ignore:.*weight_norm.*")
@pytest.mark.filterwarnings("ignore:.*spectral_norm.*")
@pytest.mark.parametrize(
    "make",
    [
        old_weight_norm,
        torch.nn.utils.spectral_norm,
        torch.nn.utils.parametrizations.weight_norm,
        torch.nn.utils.parametrizations.spectral_norm,
        lambda conv: prune.random_unstructured(conv, "weight", 0.5),
        lambda conv: prune.ln_structured(conv, "weight", 0.5, 2, 0),
        pruned_and_normed,
        writes_in_place,
        sets_a_weight,
    ],
)
def test_hooks_that_compute_take_part(make: Callable[[nn.Module], nn.Module]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(make(nn.Conv1d(2, 3, 3)), nn.ReLU()).eval()
    x = torch.randn(1, 2, 9)
    expected = model(x).detach()
    torch.testing.assert_close(evaluated(model, x), expected)
    torch.testing.assert_close(model(x).detach(), expected)
    found = atrous.cost(model, x)
    assert found.training is not None


def into_a_global(m: nn.Module, a: Any, y: Tensor) -> None:
    global calls
    calls += 1
    KEPT["y"] = y
    SEEN.append(y.abs().mean().item())


def into_a_default(m: nn.Module, a: Any, y: Tensor, kept: list[Any] = SEEN) -> None:
    kept.append(y.detach().cpu().numpy())


class Recorder:
    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, m: nn.Module, a: Any, y: Tensor) -> None:
        self.values.append(y.detach())

    def method(self, m: nn.Module, a: Any) -> None:
        self.values.append(a[0].numpy().sum())


def test_hooks_that_record_keep_nothing_of_a_capture() -> None:
    recorder, near = Recorder(), {"list": []}
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Conv1d(2, 1, 3))

    def into_a_closure(m: nn.Module, a: Any, y: Tensor) -> None:
        near["list"].append(float(y.detach().std()))
        if y.max() > 5:
            near["list"].append("large")

    for layer in model:
        for hook in (into_a_global, into_a_default, recorder, into_a_closure):
            layer.register_forward_hook(hook)
        layer.register_forward_pre_hook(recorder.method)
    before = calls
    x = torch.randn(1, 1, 16)
    plain = nn.Sequential(*(nn.Conv1d(*c, 3) for c in ((1, 2), (2, 1))))
    plain.load_state_dict(model.state_dict())
    assert [n.kind for n in capture(model, x).nodes.values()] == ["input", "conv1d", "conv1d"]
    assert atrous.cost(model, x).training == atrous.cost(plain, x).training
    torch.testing.assert_close(evaluated(model, x), plain(x).detach())
    assert atrous.effective_field(model, x).total == atrous.effective_field(plain, x).total
    assert (KEPT, SEEN, calls, recorder.values, near) == ({}, [], before, [], {"list": []})
    # They still record what the model itself computes.
    with torch.no_grad():
        model(x)
    assert len(recorder.values) == 4
    assert calls == before + 2
    assert type(KEPT.pop("y")) is Tensor
    SEEN.clear()

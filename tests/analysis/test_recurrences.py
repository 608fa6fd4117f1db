"""Fields and costs of recurrent networks, against perturbation and torch's own counter."""

from __future__ import annotations

from itertools import product
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import atrous
from atrous.analysis.fields.field import fields
from atrous.graph.build import build_program
from atrous.graph.capture import capture
from atrous.graph.rule import Call, Unknown, describe
from atrous.graph.shell import CaptureError
from atrous.run.regions import run_box

STEPS = 5


class Recurrent(nn.Module):
    """A recurrent network and what is taken of its result."""

    def __init__(self, kind: str, taken: str, **settings: Any) -> None:
        super().__init__()
        self.net = getattr(nn, kind)(2, 3, **settings)
        self.taken = taken

    def forward(self, x: Tensor) -> Tensor:
        y, h = self.net(x)
        if self.taken == "state":
            return h if isinstance(h, Tensor) else h[0] + h[1].mean(2, keepdim=True)
        if self.taken == "last":
            return y[:, -1] if self.net.batch_first else y[-1]
        return y[..., {"all": slice(None), "half": slice(1, 3), "end": slice(-2, None)}[self.taken]]


def drawn(kind: str, taken: str, layers: int, both: bool, batch_first: bool) -> tuple[Any, Tensor]:
    torch.manual_seed(0)
    model = Recurrent(
        kind, taken, num_layers=layers, bidirectional=both, batch_first=batch_first
    )  # fmt: skip
    shape = (2, STEPS, 2) if batch_first else (STEPS, 2, 2)
    return model.double().eval(), torch.rand(shape, dtype=torch.float64)


@torch.no_grad()
def support(model: nn.Module, x: Tensor, axis: int) -> np.ndarray:
    """Which outputs change with each position of an axis: bumps that saturate nothing."""
    base, rows = model(x), []
    for position in range(x.shape[axis]):
        raised = x.clone()
        raised.select(axis, position).add_(0.5)
        rows.append((model(raised) != base).numpy())
    return np.stack(rows)


@pytest.mark.parametrize("taken", ["all", "half", "end", "last", "state"])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_rows_are_what_perturbation_finds(kind: str, taken: str) -> None:
    for layers, both, batch_first in product((1, 2), (False, True), (False, True)):
        model, x = drawn(kind, taken, layers, both, batch_first)
        program = capture(model, x)
        for axis in fields(program, axes=(0, 1, 2))[program.output().name].axes:
            found = support(model, x, axis.axis)
            if axis.output_axis is None:
                rows = found.any(axis=tuple(range(1, found.ndim)))[None]
            else:
                others = tuple(k for k in range(1, found.ndim) if k != axis.output_axis + 1)
                rows = found.any(axis=others).T
            for output, row in enumerate(rows):
                assert axis.taps(output)[0].tolist() == np.flatnonzero(row).tolist()


@pytest.mark.parametrize("taken", ["all", "state"])
@pytest.mark.parametrize("layers", [1, 2])
def test_the_axis_told_by_default_is_time(taken: str, layers: int) -> None:
    for both, batch_first in product((False, True), (False, True)):
        model, x = drawn("GRU", taken, layers, both, batch_first)
        field = atrous.receptive_field(model, x)
        assert [axis.axis for axis in field.axes] == [1 if batch_first else 0]
        assert field.status == "global"


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_any_box_is_computed_from_what_it_needs(kind: str) -> None:
    rng = Random(0)
    for taken, layers, both in product(("all", "state"), (1, 2), (False, True)):
        model, x = drawn(kind, taken, layers, both, True)
        program = capture(model, x)
        with torch.no_grad():
            whole = model(x)
            for _ in range(5):
                starts = [rng.randrange(length) for length in whole.shape]
                box = tuple(
                    (lo, rng.randint(lo + 1, length))
                    for lo, length in zip(starts, whole.shape, strict=True)
                )
                part = run_box(program, {program.inputs[0]: x}, program.output().name, box)
                expected = whole[tuple(slice(*side) for side in box)]
                torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"batch_sizes": None}, "packed sequences; pass the padded sequence"),
        (
            {"train": True, "dropout": 0.5, "num_layers": 2},
            "dropout between layers; call eval() on it",
        ),
    ],
)
def test_what_a_recurrence_does_not_tell_is_unknown(given: dict[str, Any], reason: str) -> None:
    call = Call("aten.gru", given, (1, 1, 1), torch.float32, 0, torch.ops.aten.gru.input)
    description = describe(call)
    assert isinstance(description, Unknown)
    assert description.reason == f"aten.gru: {reason}"


class Both(nn.Module):
    """The sequence and the state, so that both results of one call are used."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Any:
        return self.net(x)


@pytest.mark.parametrize(
    "net",
    [
        nn.LSTM(5, 3),
        nn.LSTM(5, 3, num_layers=2, bidirectional=True),
        nn.LSTM(5, 3, proj_size=2),
        nn.GRU(5, 3, num_layers=2, bias=False),
        nn.RNN(5, 3, bidirectional=True),
        nn.RNN(5, 3, nonlinearity="relu", batch_first=True),
    ],
)
def test_cost_is_what_torch_counts(net: nn.Module) -> None:
    model, x = Both(net).double().eval(), torch.rand(7, 2, 5, dtype=torch.float64)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model(x)
    assert atrous.inspect(model, x).inspection.macs * 2 == counter.get_total_flops()


def test_each_half_of_two_directions_keeps_its_side() -> None:
    past = np.tri(STEPS, dtype=bool)
    for taken, rows in (("half", past), ("end", past.T)):
        model, x = drawn("GRU", taken, 1, True, True)
        axis = atrous.receptive_field(model, x).axes[0]
        for output, row in enumerate(rows):
            assert axis.taps(output)[0].tolist() == np.flatnonzero(row).tolist()


@pytest.mark.filterwarnings("ignore:The tensor attributes")
@pytest.mark.parametrize(
    "net",
    [
        nn.LSTM(4, 6, 2, batch_first=True, bidirectional=True),
        nn.LSTM(4, 6, proj_size=2),
        nn.GRU(4, 6, batch_first=True),
        nn.RNN(4, 6, nonlinearity="relu"),
    ],
)
def test_traced_whole_is_as_traced_step_by_step(net: nn.Module) -> None:
    x = torch.empty(3, 5, 4)
    found = capture(net, x)
    with torch.no_grad():
        plain = build_program(torch.export.export(net.eval(), (x,), strict=False))
    told = [
        [(n.name, n.kind, n.shape, n.dtype, n.memory, n.allocated, n.place.calls, n.parameters)
         for n in program.nodes.values()]
        for program in (found, plain)
    ]  # fmt: skip
    assert told[0] == told[1]
    assert found.outputs == plain.outputs


def test_long_sequences_are_captured_at_once() -> None:
    # Step by step this takes many minutes.
    net = nn.LSTM(4, 6, batch_first=True, bidirectional=True)
    program = capture(net, (2, 100_000, 4))
    assert program.output().shape == (2, 100_000, 12)
    with pytest.raises(CaptureError, match="input"):
        capture(net, (2, 100_000, 5))

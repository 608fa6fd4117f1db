"""Memory of activations: by arithmetic on hand-made graphs, and against programs that run."""

from __future__ import annotations

import io
import weakref
from collections.abc import Callable

import pytest
import torch
import torchvision
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

import atrous
from atrous.analysis.cost.memory import liveness
from atrous.analysis.cost.metering import inference_memory, training_memory
from atrous.graph.capture import capture

N = 400
"""Bytes of a value of 100 floats."""


class Of(nn.Module):
    """A function of the input as a module, with a convolution to call."""

    def __init__(self, function: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.conv = nn.Conv1d(1, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.conv, x)


def skip(conv: nn.Module, x: Tensor) -> Tensor:
    a = conv(x)
    b = conv(a)
    c = conv(b)
    return a + c


def branch(conv: nn.Module, x: Tensor) -> Tensor:
    a = conv(x)
    return torch.cat([conv(a), conv(a), conv(a)], 1)


def view(conv: nn.Module, x: Tensor) -> Tensor:
    a = conv(x)
    b = a.reshape(1, 10, 10).transpose(1, 2)
    c = conv(x)
    return b.reshape(1, 1, 100) + c


def in_place(conv: nn.Module, x: Tensor) -> Tensor:
    a = conv(x)
    a = a.relu_()
    return a.mul_(2).view(100)


def chain(conv: nn.Module, x: Tensor) -> Tensor:
    return conv(conv(conv(x)))


def unread(conv: nn.Module, x: Tensor) -> Tensor:
    conv(x).cos()
    return conv(x)


@pytest.mark.parametrize(
    ("function", "values"),
    [
        # The input stays; a step of a chain holds what it reads and what it gives.
        (chain, [1, 2, 3, 3]),
        # From the second on `a` is held too, for the sum.
        (skip, [1, 2, 3, 4, 4]),
        # `a` until the third branch, all three branches, then three more for the result.
        (branch, [1, 2, 3, 4, 5, 7]),
        # The two views take nothing; the second reshape of a transposed one is a copy; `a` goes.
        (view, [1, 2, 2, 2, 3, 4, 4]),
        # All in the memory of the first convolution.
        (in_place, [1, 2, 2, 2, 2]),
        # What nothing reads is no part of a program.
        (unread, [1, 2]),
    ],
)
def test_liveness_of_hand_made_graphs(
    function: Callable[[nn.Module, Tensor], Tensor], values: list[int]
) -> None:
    found = liveness(capture(Of(function), (1, 1, 100)))
    assert list(found.live.values()) == [N * value for value in values]
    assert found.peak == N * max(values)


def test_a_small_view_keeps_the_whole_alive() -> None:
    # 100 in, 100 of the convolution kept by its one position that is read last, 100 more, 1 sum.
    net = Of(lambda conv, x: conv(x)[..., :1] + conv(x).cos().sum())
    found = liveness(capture(net, (1, 1, 100)))
    assert found.peak == 4 * N
    assert list(found.live.values())[-1] == 2 * N + 4 + 4


@pytest.mark.parametrize(
    ("dtype", "size"), [(torch.float16, 2), (torch.bfloat16, 2), (torch.float64, 8)]
)
def test_types_have_their_size(dtype: torch.dtype, size: int) -> None:
    found = atrous.cost(nn.Conv1d(1, 3, 1).to(dtype), (2, 1, 10))
    assert found.inference == (20 + 60) * size
    assert found.weight_bytes == 6 * size
    assert found.nodes[-1].dtype == str(dtype).removeprefix("torch.")
    flags = atrous.cost(Of(lambda conv, x: conv(x) > 0), (1, 1, 100))
    assert flags.nodes[-1].allocated == 100


def test_a_result_in_a_buffer_takes_no_memory() -> None:
    class Keeps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("kept", torch.zeros(1, 1, 100))

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.kept.copy_(x))

    assert liveness(capture(Keeps(), (1, 1, 100))).peak == 2 * N


class _Live(fx.Interpreter):
    """Runs an exported graph on data, lets go of each value after its last use, and tells the most
    bytes of storages that are alive: the oracle for liveness."""

    peak = 0

    def __init__(self, module: fx.GraphModule, own: set[int]) -> None:
        super().__init__(module)
        self.own = own
        self.alive: dict[int, tuple[weakref.ref[torch.UntypedStorage], int]] = {}

    def run_node(self, n: fx.Node) -> object:
        result = super().run_node(n)
        for value in pytree.tree_leaves(result):
            if isinstance(value, Tensor) and value.untyped_storage().data_ptr() not in self.own:
                storage = value.untyped_storage()
                self.alive[id(storage)] = weakref.ref(storage), storage.nbytes()
        held = {ref().data_ptr(): size for ref, size in self.alive.values() if ref() is not None}  # type: ignore[union-attr]
        _Live.peak = max(_Live.peak, sum(held.values()))
        return result


def peak_of_a_run(model: nn.Module, x: Tensor) -> int:
    exported = torch.export.export(model.eval(), (x,), strict=False)
    state = [*exported.state_dict.values(), *exported.constants.values()]
    own = {t.untyped_storage().data_ptr() for t in state if isinstance(t, Tensor)}
    _Live.peak = 0
    module = exported.graph_module
    by_name = {**exported.state_dict, **exported.constants}
    leaves = [by_name.get(spec.target or "", x) for spec in exported.graph_signature.input_specs]
    with torch.no_grad():
        _Live(module, own).run(*leaves)
    return _Live.peak


@pytest.mark.parametrize(
    "name",
    ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5", "alexnet"],
)
def test_liveness_is_that_of_a_program_that_runs(name: str) -> None:
    model = torchvision.models.get_model(name, weights=None)
    x = torch.randn(1, 3, 96, 96)
    assert liveness(capture(model, x)).peak == peak_of_a_run(model, x)


def test_a_loaded_program_needs_as_much_as_the_model() -> None:
    for model, shape in (
        (Of(view), (1, 1, 100)),
        (Of(in_place), (1, 1, 100)),
        (torchvision.models.squeezenet1_1(), (1, 3, 64, 64)),
    ):
        exported = torch.export.export(model.eval(), (torch.zeros(shape),), strict=False)
        file = io.BytesIO()
        torch.export.save(exported, file)
        file.seek(0)
        loaded = atrous.cost(torch.export.load(file), shape)
        assert loaded.inference == liveness(capture(model, shape)).peak
        assert (loaded.eager, loaded.training) == (None, None)
        assert "exported program" in loaded.untrainable


def saved_by_a_run(model: nn.Module, x: Tensor) -> int:
    """Bytes of the storages that autograd saves on data, by address, without the model's own."""
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    kept: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.detach()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        _result = model.train()(x)
    return sum(t.untyped_storage().nbytes() for at, t in kept.items() if at not in own)


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_training_saves_what_autograd_saves(name: str) -> None:
    model = torchvision.models.get_model(name, weights=None)
    x = torch.randn(2, 3, 64, 64)
    assert training_memory(model, x).saved == saved_by_a_run(model, x)


class First(nn.Module):
    """The sequence that a recurrent network gives, without its states."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.net(x)[0]
        return found


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(6, 8, batch_first=True),
        lambda: nn.LSTM(6, 5, 2, bidirectional=True, dropout=0.5),
        lambda: nn.LSTM(6, 5, proj_size=2, bias=False),
        lambda: nn.GRU(6, 4, 2),
        lambda: nn.GRU(6, 4, bidirectional=True, batch_first=True),
        lambda: nn.RNN(6, 4, nonlinearity="relu"),
    ],
)
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("steps", [3, 37])
def test_training_of_a_recurrent_network_saves_every_step(
    make: Callable[[], nn.Module], steps: int
) -> None:
    net = nn.Sequential(nn.Linear(3, 6), First(make()), nn.Tanh())
    x = torch.randn(*((2, steps) if net[1].net.batch_first else (steps, 2)), 3)
    # The reserve of a fused kernel is that library's own.
    with torch.backends.mkldnn.flags(enabled=False):
        expected = saved_by_a_run(net, x)
    assert training_memory(net, x).saved == expected


def test_an_lstm_saves_seven_values_per_unit_and_step() -> None:
    # The input of 5; per unit of 3 the four gates, tanh of the cell, and the cell and the output
    # of the step before.
    assert training_memory(nn.LSTM(5, 3), (40, 1, 5)).saved == 4 * 40 * (5 + 7 * 3)


def test_memory_of_long_sequences_is_that_of_every_step(monkeypatch: pytest.MonkeyPatch) -> None:
    for net in (nn.LSTM(6, 8, batch_first=True), nn.GRU(6, 8)):
        model, x = First(net), (20, 32, 6) if net.batch_first else (32, 20, 6)
        carried = training_memory(model, x), inference_memory(model, x)
        with monkeypatch.context() as patch:
            # Now every sequence is run whole.
            patch.setattr("atrous.analysis.cost.recurrences._LENGTHS", (80, 90, 100))
            whole = training_memory(model, x), inference_memory(model, x)
        assert carried[0].by_module == whole[0].by_module
        assert carried[0].peak == pytest.approx(whole[0].peak, rel=0.02)
        assert carried[1] == pytest.approx(whole[1], rel=0.06)


class _Held(TorchDispatchMode):
    """The most bytes of storages alive at one time in what really runs, but for `own`."""

    def __init__(self, own: set[int]) -> None:
        super().__init__()
        self.own, self.peak = own, 0
        self.alive: dict[int, weakref.ref[torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        result = func(*args, **(kwargs or {}))
        for value in pytree.tree_leaves((args, result)):
            if isinstance(value, Tensor):
                storage = value.untyped_storage()
                if storage.data_ptr() not in self.own:
                    self.alive[id(storage)] = weakref.ref(storage)
        held = {s.data_ptr(): s.nbytes() for ref in self.alive.values() if (s := ref()) is not None}
        self.peak = max(self.peak, sum(held.values()))
        return result


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "shufflenet_v2_x0_5"])
def test_eager_memory_is_that_of_a_call(name: str) -> None:
    model = torchvision.models.get_model(name, weights=None).eval()
    x = torch.randn(2, 3, 64, 64)
    own = {t.untyped_storage().data_ptr() for t in (*model.parameters(), *model.buffers())}
    with torch.no_grad(), _Held(own) as held:
        _result = model(x)
    assert inference_memory(model, x) == held.peak


def test_training_of_a_chain_by_arithmetic() -> None:
    net = nn.Sequential(nn.Conv1d(1, 4, 1), nn.ReLU(), nn.Conv1d(4, 1, 1))
    found = training_memory(net, (1, 1, 100))
    # Saved: the input for the first convolution, the ReLU's result for itself and the second.
    assert found.saved == N + 4 * N
    assert found.by_module == {(): N, ("1",): 4 * N}
    # At the peak: input, ReLU's result, output and its gradient, the gradient of the ReLU's result
    # and, from that, the one of its input.
    assert found.peak == N + 4 * N + N + N + 4 * N + 4 * N
    # Where the ReLU overwrites the convolution's result, as much is saved.
    net[1].inplace = True
    assert training_memory(net, (1, 1, 100)).saved == 5 * N


def test_modules_add_up_to_the_whole() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv1d(4, 4, 3, padding=1), nn.Tanh())

        def forward(self, x: Tensor) -> Tensor:
            return self.body(self.body(x)) + x

    found = atrous.cost(Shared(), (1, 4, 25))
    rows = {row.path: row for row in found.modules(1)}
    assert list(rows) == ["", "body", "body@2"]
    assert [rows[path].parameters for path in rows] == [0, 52, 0]
    assert [rows[path].macs for path in rows] == [0, 1200, 1200]
    # A hyperbolic tangent saves its result; the input is saved by the first convolution.
    assert [rows[path].saved for path in rows] == [N, N, N]
    for depth in (1, 2, 9):
        rows = {row.path: row for row in found.modules(depth)}
        assert sum(row.saved or 0 for row in rows.values()) == found.training.saved
        assert sum(row.macs for row in rows.values()) == found.macs
        assert max(row.live for row in rows.values()) == found.inference
    with pytest.raises(ValueError, match="depth must be at least 1, got 0"):
        found.modules(0)


def test_models_that_do_not_train_say_why() -> None:
    net = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(3))
    found = atrous.cost(net, (1, 3, 8, 8))
    assert found.training is None
    assert "Expected more than 1 value per channel" in found.untrainable
    assert "not known" in str(found)
    assert "no output depends on a parameter" in atrous.cost(nn.ReLU(), (1, 3)).untrainable
    assert atrous.cost(net, (2, 3, 8, 8)).training is not None


def test_the_model_and_the_random_state_stay_as_they_are() -> None:
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2), nn.Dropout())
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    flags = [m.training for m in net.modules()]
    state = torch.get_rng_state()
    atrous.cost(net, torch.randn(2, 1, 20, generator=torch.Generator().manual_seed(0)))
    assert [m.training for m in net.modules()] == flags
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in net.modules())

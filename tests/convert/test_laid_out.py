"""Dense models with values laid out for one size of map: windows, embeddings, recurrences."""

from __future__ import annotations

import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from atrous.convert.densify import Densified, densified
from atrous.convert.densities import DensifyError
from atrous.convert.proof import DenseRunError
from atrous.convert.study import Wish


def made(model: nn.Module, shape: tuple[int, ...], *, as_graph: bool = False) -> Densified:
    return densified(model.eval(), shape, Wish(1), as_graph=as_graph)


def grid(model: nn.Module, dense: nn.Module, x: Tensor, step: int) -> tuple[Tensor, Tensor]:
    """The dense model's values on the grid of 1-D or 2-D maps, and those of the model."""
    with torch.no_grad():
        found, wanted = dense(x), model(x)
    assert found.shape[-1] > wanted.shape[-1]
    return found[(..., *(slice(None, None, step),) * (x.dim() - 2))], wanted


def mixed_windows(x: Tensor) -> Tensor:
    """Every position of a window of 2 x 2 made of all at its place in all windows."""
    b, c, h, w = x.shape
    cut = x.reshape(b, c, h // 2, 2, w // 2, 2).permute(0, 1, 3, 5, 2, 4)
    rows = cut.reshape(b, c, 4, (h // 2) * (w // 2))
    rows = rows.softmax(-1) + rows
    joined = rows.reshape(b, c, 2, 2, h // 2, w // 2).permute(0, 1, 4, 2, 5, 3)
    return joined.reshape(b, c, h, w)


class Windows(nn.Module):
    """Cuts maps into windows and lays them together again; resizes those that cannot be cut."""

    def __init__(self, *, resizes: bool) -> None:
        super().__init__()
        self.resizes = resizes
        self.mix = nn.Conv2d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[-2:]
        if self.resizes and (size[0] % 2 or size[1] % 2):
            even = (size[0] + size[0] % 2, size[1] + size[1] % 2)
            x = F.interpolate(x, size=even, mode="bilinear", align_corners=False)
        x = mixed_windows(x)
        if x.shape[-2:] != size:
            x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        out: Tensor = self.mix(x)
        return out


@pytest.mark.parametrize(
    ("resizes", "size"), [(False, (64, 96)), (True, (64, 96)), (True, (58, 70))]
)
def test_maps_cut_into_windows_hold_their_positions(resizes: bool, size: tuple[int, int]) -> None:
    # No shortcut leads past the windows, and each layer behind them is dense as well.
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1), Windows(resizes=resizes),
        nn.Conv2d(4, 4, 3, 1, 1),
    ).double()  # fmt: skip
    result = made(model, (1, 1, *size))
    assert {change.path: change.how for change in result.plan.changes} == {
        "0": "settings", "1": "settings", "2": "phases", "3": "settings",
    }  # fmt: skip
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    torch.testing.assert_close(*grid(model, result.model, x, 4))


class Placed(nn.Module):
    """Adds a weight for every position."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight


class Row(nn.Module):
    """A channel from -1 at the first position to 1 at the last."""

    def forward(self, x: Tensor) -> Tensor:
        row = torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype)
        return torch.cat([x, row.expand(len(x), 1, -1)], 1)


class Flat(nn.Module):
    """Adds what is the same at every position, and a value for every channel."""

    def forward(self, x: Tensor) -> Tensor:
        return (
            x + torch.ones(x.shape[-1], dtype=x.dtype) + torch.arange(4.0, dtype=x.dtype)[:, None]
        )


@pytest.mark.parametrize(
    ("laid", "how"), [(Placed(torch.randn(1, 4, 16)), "phases"), (Row(), "phases"), (Flat(), None)]
)
def test_what_has_a_value_for_each_position_keeps_it(laid: nn.Module, how: str | None) -> None:
    channels = 5 if isinstance(laid, Row) else 4
    model = nn.Sequential(nn.Conv1d(1, 4, 3, 2, 1), laid, nn.Conv1d(channels, 2, 3, 1, 1)).double()
    result = made(model, (1, 1, 32))
    assert {c.path: c.how for c in result.plan.changes}.get("1") == how
    torch.testing.assert_close(*grid(model, result.model, torch.randn(1, 1, 32).double(), 2))


class Embedded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 2, 4, 4)
        self.place = nn.Parameter(torch.zeros(1, 2, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.stem(x) + self.place
        return out


def test_a_weight_for_each_position_in_a_plain_call_changes_in_a_graph() -> None:
    with pytest.raises(DensifyError, match=r"do not: add at .*self\.stem\(x\) \+ self\.place"):
        made(Embedded(), (1, 1, 32, 32))
    model = Embedded().double()
    torch.nn.init.normal_(model.place)
    result = made(model, (1, 1, 32, 32), as_graph=True)
    torch.testing.assert_close(*grid(model, result.model, torch.randn(2, 1, 32, 32).double(), 4))


class Uneven(nn.Module):
    """Tells even lengths apart: a row that is 0 throughout where they are odd."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        row = torch.linspace(-1, 1, x.shape[-1], dtype=x.dtype) * (x.shape[-1] % 2 == 0)
        out: Tensor = self.down(x + row)
        return out


def test_what_is_equal_at_odd_lengths_alone_is_refused() -> None:
    with pytest.raises(DensifyError, match=r"on random input 1x3x96x128 .*differs by"):
        made(Uneven(), (1, 3, 97, 105))


class OneSize(nn.Module):
    """Takes maps of one size alone."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.length = length
        self.conv = nn.Conv1d(4, 4, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[-1] == self.length, "another size"
        out: Tensor = self.conv(x)
        return out


def test_a_module_for_one_size_runs_on_phases() -> None:
    block = nn.Sequential(nn.ReLU(), OneSize(16))
    model = nn.Sequential(nn.Conv1d(1, 4, 3, 2, 1), block, OneSize(16)).double()
    result = made(model, (1, 1, 32))
    assert {c.path: c.how for c in result.plan.changes} == {
        "0": "settings", "1.1": "phases", "2": "phases",
    }  # fmt: skip
    torch.testing.assert_close(*grid(model, result.model, torch.randn(2, 1, 32).double(), 2))


def test_a_model_for_one_size_is_told_with_the_line() -> None:
    class Whole(OneSize):
        def forward(self, x: Tensor) -> Tensor:
            x = F.relu(self.conv(x))
            assert x.shape[-1] == self.length, "another size"
            return x

    model = Whole(16)
    model.conv = nn.Conv1d(1, 4, 3, 2, 1)
    with pytest.raises(
        DenseRunError, match=r"fails in its forward .*assert x\.shape.*another size"
    ):
        made(model, (1, 1, 32))


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_recurrences_run_along_every_phase(
    kind: type[nn.RNNBase], batch_first: bool, bidirectional: bool
) -> None:
    class Heard(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv1d(2, 4, 3, 2, 1)
            self.memory: nn.RNNBase = kind(
                4, 3, num_layers=2, batch_first=batch_first, bidirectional=bidirectional
            )

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.stem(x)
            x = x.transpose(1, 2) if batch_first else x.permute(2, 0, 1)
            begin: Tensor | tuple[Tensor, Tensor]
            begin = x.new_full(
                (2 * (1 + bidirectional), len(x) if batch_first else x.shape[1], 3), 0.3
            )
            if kind is nn.LSTM:
                begin = (begin, begin)
            x, state = self.memory(x, begin)
            x = x.transpose(1, 2) if batch_first else x.permute(1, 2, 0)
            return x, state[0] if isinstance(state, tuple) else state

    model = Heard().double()
    result = made(model, (3, 2, 40))
    x = torch.randn(3, 2, 41, dtype=torch.float64)
    with torch.no_grad():
        (dense, state), (wanted, wanted_state) = result.model(x), model(x)
    torch.testing.assert_close(dense[..., ::2], wanted)
    # The grid's own state, as whatever reads all positions reads the grid.
    torch.testing.assert_close(state, wanted_state)
    assert dense.shape[-1] == 41
    loaded = pickle.loads(pickle.dumps(result.model.memory))
    assert type(loaded) is type(result.model.memory) and repr(loaded) == repr(result.model.memory)


@pytest.mark.filterwarnings("ignore")
def test_a_dense_model_is_traced() -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, 2, 1), nn.MaxPool2d(2, ceil_mode=True), nn.Conv2d(4, 4, 4, 2)
    ).eval()
    dense = densified(model, (1, 3, 41, 44), Wish(2)).model
    x = torch.randn(1, 3, 41, 44)
    traced = torch.jit.trace(dense, x)  # type: ignore[no-untyped-call]
    torch.testing.assert_close(traced(x), dense(x))

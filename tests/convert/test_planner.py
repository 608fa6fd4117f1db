"""Which modules change: layers that run at once, axes of the batch, what reads all positions."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from atrous.convert.densify import Densified, densified
from atrous.convert.densities import DensifyError
from atrous.convert.study import Wish


def assert_equal_on_the_grid(
    model: nn.Module, result: Densified, shape: tuple[int, ...], step: int
) -> None:
    x = torch.randn(shape, dtype=torch.float64)
    with torch.no_grad():
        found, wanted = result.model(x), model(x)
    assert found.shape[-1] > wanted.shape[-1]
    torch.testing.assert_close(found[(..., *(slice(None, None, step),) * (x.dim() - 2))], wanted)


def hows(result: Densified) -> dict[str, str]:
    return {change.path: change.how for change in result.plan.changes}


class Heard(nn.Module):
    """A layer over steps in time, between convolutions."""

    def __init__(self, layer: nn.Module, *, batch_first: bool) -> None:
        super().__init__()
        self.stem, self.layer, self.down = nn.Conv1d(1, 4, 3, 2), layer, nn.Conv1d(4, 4, 3, 2)
        self.order = (0, 2, 1) if batch_first else (2, 0, 1)
        self.back = (0, 2, 1) if batch_first else (1, 2, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).permute(self.order)
        if isinstance(self.layer, nn.MultiheadAttention):
            # The weights are computed, and not used.
            x = x + self.layer(x, x, x)[0]
        else:
            x = self.layer(x)
        out: Tensor = self.down(x.permute(self.back))
        return out


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("items", [1, 2])
def test_a_transformer_layer_that_runs_at_once_changes_as_a_whole(
    batch_first: bool, items: int
) -> None:
    # In inference mode PyTorch computes it without calling the attention in it.
    layer = nn.TransformerEncoderLayer(4, 2, 8, dropout=0, batch_first=batch_first)
    model = Heard(layer, batch_first=batch_first).double().eval()
    result = densified(model, (items, 1, 64), Wish(1))
    assert hows(result)["layer"] == "phases" and "layer.self_attn" not in hows(result)
    for n in (2, 3):
        assert_equal_on_the_grid(model, result, (n, 1, 65), 4)


@pytest.mark.parametrize("batch_first", [True, False])
def test_attention_whose_weights_are_computed_too_runs_on_phases(batch_first: bool) -> None:
    attention = nn.MultiheadAttention(4, 2, batch_first=batch_first)
    model = Heard(attention, batch_first=batch_first).double().eval()
    result = densified(model, (2, 1, 64), Wish(1))
    assert hows(result)["layer"] == "phases"
    assert_equal_on_the_grid(model, result, (3, 1, 65), 4)


class Rows(nn.Module):
    """A strided layer along rows, which a view makes items of the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.row = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv1d(4, 4, 3, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        b, c, h, w = x.shape
        x = self.row(x.permute(0, 2, 1, 3).reshape(b * h, c, w))
        return x.reshape(b, h, c, -1).permute(0, 2, 1, 3)


def test_positions_along_the_batch_are_told_and_two_items_keep_them_apart() -> None:
    model = Rows().double().eval()
    wish: Any = Wish((2, 1))
    with pytest.raises(DensifyError, match=r"conv1d of 'row' at .*single item, give two"):
        densified(model, (1, 1, 32, 32), wish)
    result = densified(model, (2, 1, 32, 32), wish)
    assert hows(result) == {"stem": "settings", "row": "settings"}
    x = torch.randn(3, 1, 33, 31, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(result.model(x)[..., ::4], model(x))


class Flipped(nn.Module):
    """Tokens of a map, normalised over all of them."""

    def forward(self, x: Tensor) -> Tensor:
        rows = x.flatten(2)
        return (rows + rows.softmax(-1)).reshape(x.shape)


@pytest.mark.parametrize("pooling", ["grid", "all"])
def test_a_module_on_phases_has_no_choice_of_pooling(pooling: Any) -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), Flipped(), nn.Conv2d(4, 4, 3, 2, 1)).double()
    result = densified(model.eval(), (2, 1, 32, 32), Wish(1, pooling=pooling))
    assert hows(result)["1"] == "phases" and result.plan.pooled == ()
    assert result.certificate.other_pooling is None
    # Values are equal whatever is chosen: both sizes are compared.
    assert result.certificate.again == ((2, 1, 96, 128),)
    assert_equal_on_the_grid(model, result, (2, 1, 33, 40), 4)


class Named(nn.Module):
    """Layers with two names each, called by either."""

    def __init__(self, stride: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3, 2, 1)
        self.pool = nn.AvgPool2d(2)
        self.again = nn.Conv2d(4, 4, 3, stride, 1)
        self.layers = nn.ModuleList([self.stem, self.pool, self.again])

    def forward(self, x: Tensor) -> Tensor:
        x = self.again(self.layers[1](self.layers[0](x)))
        out: Tensor = self.layers[2](x)
        return out


@pytest.mark.parametrize("node", [None, "layers.2"])
def test_a_module_of_two_names_changes_once(node: str | None) -> None:
    model = Named(1).double().eval()
    result = densified(model, (1, 1, 32, 32), Wish(1, node=node))
    assert hows(result) == {"stem": "settings", "pool": "phases", "again": "settings"}
    assert result.model.get_submodule("layers.2") is result.model.get_submodule("again")
    assert_equal_on_the_grid(model, result, (2, 1, 33, 40), 4)


def test_a_module_called_by_two_names_on_different_strides_is_told() -> None:
    with pytest.raises(DensifyError, match=r"'again': called on maps of different strides"):
        densified(Named(2).eval(), (1, 1, 64, 64), Wish(1))

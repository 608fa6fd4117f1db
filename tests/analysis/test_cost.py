"""Parameters and multiply-accumulates: against another counter and arithmetic."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

import atrous


class Of(nn.Module):
    """A function of inputs and of parameters of some shapes."""

    def __init__(self, function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.function = function
        self.given = nn.ParameterList(nn.Parameter(torch.randn(shape)) for shape in shapes)

    def forward(self, *inputs: Tensor) -> Tensor:
        return self.function(*inputs, *self.given)


def flops(model: nn.Module, *inputs: Tensor) -> int:
    """What PyTorch's own counter says of a real call."""
    # The counter sees attention only where it is written as two products.
    plain = sdpa_kernel(SDPBackend.MATH)
    with plain, FlopCounterMode(display=False) as counter, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model(*inputs)
    return int(counter.get_total_flops())


@pytest.mark.parametrize(
    ("name", "size"),
    [("resnet18", 64), ("mobilenet_v3_small", 64)],
)
def test_two_flops_per_mac_in_torchvision_models(name: str, size: int) -> None:
    model = torchvision.models.get_model(name, weights=None).eval()
    x = torch.randn(2, 3, size, size)
    found = atrous.cost(model, x)
    assert 2 * found.macs == flops(model, x)
    assert found.parameters == sum(p.numel() for p in model.parameters())
    assert sum(node.parameters for node in found.nodes) == found.parameters
    assert not found.unknown


@pytest.mark.parametrize(
    ("model", "shapes"),
    [
        (nn.Conv1d(4, 6, 3, 2, 1, 2, groups=2), [(2, 4, 17)]),
        (nn.Conv2d(4, 6, (2, 4), stride=(3, 5)), [(2, 4, 17, 20)]),
        (nn.Conv2d(3, 4, 3), [(3, 9, 9)]),
        (nn.Conv2d(6, 6, 3, groups=6, padding=1), [(1, 6, 9, 9)]),
        (nn.Conv3d(4, 6, 3, dilation=2), [(1, 4, 9, 9, 9)]),
        (nn.ConvTranspose1d(4, 6, 5, 3), [(2, 4, 7)]),
        (nn.ConvTranspose2d(4, 6, 3, 2, 1, output_padding=1, groups=2), [(2, 4, 7, 8)]),
        (nn.ConvTranspose3d(4, 6, 3, 2), [(2, 4, 3, 4, 5)]),
        (nn.Linear(4, 6), [(2, 3, 4)]),
        (nn.MultiheadAttention(8, 2, batch_first=True), [(2, 5, 8)] * 3),
        (Of(F.scaled_dot_product_attention), [(2, 3, 5, 8), (2, 3, 7, 8), (2, 3, 7, 4)]),
        (nn.GRU(4, 6, 2), [(5, 2, 4)]),
        (nn.LSTM(4, 6, proj_size=3), [(5, 2, 4)]),
        (Of(lambda x, w: x @ w, (4, 5)), [(2, 3, 4)]),
        (Of(lambda x, w: x @ w, (2, 1, 4, 5)), [(3, 6, 4)]),
        (Of(lambda x, w: torch.baddbmm(w, x, x.mT), (2, 3, 3)), [(2, 3, 4)]),
        (Of(lambda x, w: torch.addmm(w, x, x.mT), (3,)), [(3, 4)]),
        (Of(lambda x, w: torch.einsum("bc,dc->bd", x, w), (5, 4)), [(3, 4)]),
        (Of(lambda x, v, w: torch.einsum("ab,bc,cd->ad", x, v, w), (4, 5), (5, 6)), [(3, 4)]),
        (Of(lambda x, w: torch.einsum("ab,bc->a", x, w), (4, 5)), [(3, 4)]),
        (Of(lambda x: torch.einsum("ab->a", x)), [(3, 4)]),
        (Of(lambda x, w: torch.tensordot(x, w, 1), (4, 5)), [(2, 3, 4)]),
    ],
)
def test_two_flops_per_mac_of_each_operator(
    model: nn.Module, shapes: list[tuple[int, ...]]
) -> None:
    x = tuple(torch.randn(shape) for shape in shapes)
    assert 2 * atrous.cost(model, x).macs == flops(model, *x)


@pytest.mark.filterwarnings("ignore:TF32 acceleration")
@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
@pytest.mark.parametrize("layers", [1, 3])
def test_two_flops_per_mac_of_recurrent_networks(kind: type[nn.LSTM], layers: int) -> None:
    model = kind(4, 6, layers, bidirectional=True, batch_first=True)
    x = torch.randn(3, 7, 4)
    # The other counter knows no fused kernels.
    with torch.backends.mkldnn.flags(enabled=False):
        expected = flops(model, x)
    assert 2 * atrous.cost(model, x).macs == expected > 0


def test_macs_that_the_other_counter_does_not_know() -> None:
    # Four gates per direction; the second layer reads both directions of the first.
    lstm = nn.LSTM(4, 6, 2, bidirectional=True)
    once = 2 * 4 * 6 * (4 + 6) + 2 * 4 * 6 * (12 + 6)
    assert atrous.cost(lstm, (5, 2, 4)).macs == 5 * 2 * once
    assert atrous.cost(Of(F.linear, (0, 4)), (2, 4)).macs == 0


def test_constants_are_counted_apart() -> None:
    class Positions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Parameter(torch.randn(10, 3))
            self.layer = nn.Linear(3, 4)

        def forward(self, x: Tensor) -> Tensor:
            return x @ self.layer(self.table).t()

    found = atrous.cost(Positions(), (7, 4))
    assert (found.macs, found.constant_macs) == (7 * 4 * 10, 10 * 3 * 4)


def test_parameters_are_counted_once_and_biases_apart() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv1d(2, 2, 3, padding=1)
            self.b = nn.Conv1d(2, 2, 3, padding=1)
            self.b.weight = self.a.weight
            self.unread = nn.Linear(5, 5, bias=False)
            self.attention = nn.MultiheadAttention(2, 1, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            y = self.b(self.a(x)).mT
            out: Tensor = self.attention(y, y, y)[0]
            return out

    found = atrous.cost(Twice(), (1, 2, 9))
    # One kernel, two biases; 25 unread; in 6x2 + 6 and out 2x2 + 2.
    assert found.parameters == 12 + 4 + 25 + (12 + 6) + (4 + 2)
    assert found.biases == 4 + 6 + 2
    assert found.weights == found.parameters - found.biases
    assert atrous.cost(nn.ReLU(), (3, 4)).parameters == 0


def test_unknown_operators_are_named() -> None:
    found = atrous.cost(Of(lambda x: torch.special.bessel_j0(x)), (1, 1, 9))
    assert found.unknown
    assert "at least 0 MACs" in str(found)


def test_text_and_json_say_the_same() -> None:
    found = atrous.cost(torchvision.models.resnet18(), (2, 3, 64, 64))
    text = str(found)
    assert max(map(len, text.splitlines())) <= 100
    assert "11,689,512 parameters (46.8 MB), 5,800 of them biases" in text
    assert "layer1" in text
    told: dict[str, Any] = json.loads(found.to_json())
    assert told["schema"] == "atrous.cost/1"
    assert told["parameters"] == 11_689_512
    assert told["training_saved_bytes"] == found.training.saved
    assert sum(node["macs"] for node in told["nodes"]) == told["macs"]

"""Trees of routes against gradients between the values of every layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous.analysis.coverage.route_tree import RouteTree


def conv(channels: tuple[int, int] = (1, 1), k: int = 3, **how: int) -> nn.Conv1d:
    return nn.Conv1d(*channels, k, **how)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inner = conv(dilation=3, padding=3)
        self.outer = conv(k=2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return self.outer(torch.relu(self.inner(x)) + x)


class Halves(nn.Module):
    """Two channels, each seen by its own layer: one of three taps, one of one."""

    def __init__(self, dilation: int, wide: int) -> None:
        super().__init__()
        both = [conv(k=1), conv(k=1)]
        both[wide] = conv(dilation=dilation, padding=dilation)
        self.parts = nn.ModuleList(both)

    def forward(self, x: Tensor) -> Tensor:
        halves = zip(self.parts, x.split(1, dim=1), strict=True)
        return torch.cat([part(half) for part, half in halves], 1)


class Gate(nn.Module):
    """All of the input is read through a value without positions."""

    def __init__(self) -> None:
        super().__init__()
        self.near = conv()

    def forward(self, x: Tensor) -> Tensor:
        return self.near(x) * x.mean(-1, keepdim=True)


NETS = {
    "dilated": (nn.Sequential(conv(dilation=2), conv(dilation=3), conv()), 24),
    "padded": (nn.Sequential(conv(padding=1), nn.ReLU(), conv(padding=4, dilation=4)), 15),
    "causal": (
        nn.Sequential(nn.ConstantPad1d((4, 0), 0.0), conv(dilation=2), nn.ReLU(), conv(k=2)), 14
    ),
    "strided, stride above kernel": (nn.Sequential(conv(k=2, stride=3), conv(padding=1)), 31),
    "transposed": (
        nn.Sequential(conv(stride=2), nn.ConvTranspose1d(1, 1, 3, stride=2), conv(dilation=2)), 23
    ),
    "pooled": (nn.Sequential(nn.AvgPool1d(3, 2, 1), conv((1, 1), 4, padding=2)), 20),
    "residual": (Residual(), 22),
    "grouped": (nn.Sequential(conv((2, 4), groups=2), conv((4, 2), groups=2, dilation=2)), 20),
    "nearest": (nn.Sequential(nn.Upsample(scale_factor=2), conv(dilation=2)), 12),
    "halves": (nn.Sequential(conv((1, 2)), Halves(4, 0), conv((2, 1))), 24),
    # One position of the first is reached through one channel and, by another route, the other.
    "crossed": (nn.Sequential(conv((1, 2), 1), Halves(5, 1), Halves(2, 0), conv((2, 1), 1)), 30),
    "gate": (nn.Sequential(conv(dilation=2), Gate()), 14),
}  # fmt: skip


def values(net: nn.Module, x: Tensor) -> dict[str, Tensor]:
    """The value of every module, by path."""
    kept: dict[str, Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda m, i, out, name=name: kept.__setitem__(name, out))
        for name, module in net.named_modules()
        if name
    ]
    kept["output"] = net(x)
    for hook in hooks:
        hook.remove()
    return kept


def touched(of: Tensor, at: int, by: Tensor) -> set[int]:
    """Positions of a value on which one position of another depends, by autograd."""
    (found,) = torch.autograd.grad(of[..., at].sum(), by, retain_graph=True, allow_unused=True)
    return set() if found is None else set(torch.nonzero(found.sum((0, 1))).flatten().tolist())


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("where", [0, 0.5, 0.99])
def test_positions_of_every_layer_equal_those_that_gradients_reach(name: str, where: float) -> None:
    net, length = NETS[name]
    net = net.double()
    for parameter in net.parameters():
        parameter.data.fill_(1.0)
    channels = 2 if name == "grouped" else 1
    # Above 0 everywhere, so that no activation hides a route.
    x = torch.rand(1, channels, length, dtype=torch.double).add(1).requires_grad_()
    kept = values(net, x)
    at = int(where * kept["output"].shape[-1])
    tree = atrous.routes(net, (1, channels, length), at=at)
    assert set(tree.levels[0].positions) == touched(kept["output"], at, x)
    checked = 0
    for level in tree.levels[1:]:
        # The value of a node that ends a module is the module's.
        if level.label not in kept or level.length != kept[level.label].shape[-1]:
            continue
        reached = touched(kept["output"], at, kept[level.label])
        alive = {p for p in reached if touched(kept[level.label], p, x)}
        assert set(level.positions) == alive, level.label
        checked += 1
    assert checked >= 1


def test_readings_are_the_taps_between_neighbours() -> None:
    net, length = NETS["dilated"]
    tree = atrous.routes(net, (1, 1, length), at=5)
    # Tap a of output o reads o + a * dilation: layers of dilation 2, 3 and 1.
    expected = {
        (reader, o, o + a * dilation)
        for reader, dilation in ((1, 2), (2, 3), (3, 1))
        for o in tree.levels[reader].positions
        for a in range(3)
    }
    found = {(r.reader, r.position, i) for r in tree.readings for i in r.inputs}
    assert found == expected
    assert all(r.source == r.reader - 1 for r in tree.readings)
    assert tree.edges == len(expected)


def test_a_gradient_of_another_network_is_told_apart() -> None:
    tree = atrous.routes(nn.Sequential(conv(dilation=2), conv(dilation=3)), (1, 1, 24), at=5)
    other = nn.Sequential(conv(dilation=2), conv(dilation=4))
    x = torch.ones(1, 1, 24, requires_grad=True)
    assert set(tree.levels[0].positions) != touched(other(x), 5, x)


def test_levels_leave_out_what_only_passes_on() -> None:
    net, length = NETS["causal"]
    tree = atrous.routes(net, (1, 1, length))
    assert [level.label for level in tree.levels] == ["input", "1", "3"]


def test_rates_place_levels_on_the_input() -> None:
    net, length = NETS["strided, stride above kernel"]
    assert [level.rate for level in atrous.routes(net, (1, 1, length)).levels] == [1, 3, 3]


def test_one_axis_of_an_image() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, dilation=2), nn.Conv2d(1, 1, (1, 3), dilation=4))
    rows = atrous.routes(net, (1, 1, 20, 20), axis=2, at=3)
    columns = atrous.routes(net, (1, 1, 20, 20), axis=-1, at=3)
    assert rows.levels[0].positions == (3, 5, 7)
    assert columns.levels[0].positions == (3, 5, 7, 9, 11, 13, 15)
    with pytest.raises(ValueError, match=r"axis must be given where positions lie along several"):
        atrous.routes(net, (1, 1, 20, 20))


def test_batches_and_a_node_inside() -> None:
    net = nn.Sequential(conv(dilation=2), conv(dilation=3))
    tree = atrous.routes(net, (4, 1, 20), node="0", at=-1)
    assert (tree.node, tree.at, tree.levels[0].positions) == ("0", 15, (15, 17, 19))


def test_an_output_of_padding_alone_reads_nothing() -> None:
    net = nn.Sequential(nn.ConstantPad1d((6, 0), 0.0), conv())
    tree = atrous.routes(net, (1, 1, 8), at=0)
    assert isinstance(tree, RouteTree)
    assert tree.levels[-1].positions == (0,)
    assert tree.edges == 0
    assert "reads 0 positions" in str(tree)


def test_errors_name_the_argument() -> None:
    net = nn.Sequential(conv(), conv())
    with pytest.raises(ValueError, match=r"a whole number among the 16 positions of '1', got 16"):
        atrous.routes(net, (1, 1, 20), at=16)
    with pytest.raises(ValueError, match=r"axes must be whole numbers between -3 and 2 .* got 5"):
        atrous.routes(net, (1, 1, 20), axis=5)
    with pytest.raises(ValueError, match=r"at most 200,000 edges"):
        atrous.routes(nn.Sequential(conv(k=501), conv(k=501)), (1, 1, 2000))

"""`atrous.densify`: what users get, against their own model run beside it."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn
from torch.export import Dim

import atrous


class Plain(nn.Module):
    """Strides and pooling as plain calls of the model itself."""

    def __init__(self, branches: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1)
        self.classes = nn.Linear(4, 3)
        self.branches = branches

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.first(x)))
        x = F.max_pool2d(x, 2)
        if self.branches and x.shape[-1] > 4:
            x = x + 1
        x = F.max_pool2d(F.relu(self.second(x)), 3, 2, 1)
        out: Tensor = self.classes(x.mean((2, 3)))
        return out


def mixed() -> nn.Module:
    """Every way to change: settings, borders, phases."""
    layers = (
        nn.Conv2d(1, 4, 2, 2),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Conv2d(4, 4, 3, 2, 1),
        nn.AvgPool2d(2),
        nn.Conv2d(4, 4, 2, 1, 1),
    )
    return nn.Sequential(*layers).eval()


def certificate(model: nn.Module) -> atrous.Certificate:
    found = model.__dict__["certificate"]
    assert isinstance(found, atrous.Certificate)
    return found


@pytest.mark.parametrize("size", [(33, 47), (64, 64), (65, 71), (80, 93), (17, 16)])
def test_values_are_equal_on_the_grid_at_any_size(size: tuple[int, int]) -> None:
    net = mixed().double()
    dense = atrous.densify(net, (1, 1, 64, 64), output_stride=2)
    assert {change.how for change in certificate(dense).changes} == {
        "settings", "borders", "phases",
    }  # fmt: skip
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    coarse = net(x)
    torch.testing.assert_close(dense(x)[..., ::8, ::8], coarse, rtol=0, atol=1e-12)


def test_in_between_it_gives_what_shifted_inputs_give() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3, 2), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3)).eval().double()
    dense = atrous.densify(net, (1, 1, 64, 64), output_stride=1)
    x = torch.randn(1, 1, 43, 44, dtype=torch.float64)
    for row in range(4):
        for column in range(4):
            mine = dense(x)[..., row::4, column::4]
            shifted = net(x[..., row:, column:])
            rows, columns = (
                min(a, b) for a, b in zip(mine.shape[2:], shifted.shape[2:], strict=True)
            )
            assert rows and columns
            torch.testing.assert_close(
                mine[..., :rows, :columns], shifted[..., :rows, :columns], rtol=0, atol=1e-12
            )


def test_the_result_is_a_model_like_the_given_one() -> None:
    net = mixed()
    net.train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    dense = atrous.densify(net, (1, 1, 64, 64), output_stride=2)
    assert type(dense) is type(net) and dense.training and net.training
    assert dense.state_dict().keys() == before.keys()
    dense.load_state_dict(before)
    x = torch.randn(2, 1, 65, 71)
    dense(x).sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in dense.parameters())
    assert all(p.grad is None for p in net.parameters())
    with torch.no_grad():
        dense.get_parameter("0.weight").zero_()
    assert torch.equal(net.state_dict()["0.weight"], before["0.weight"])


def test_it_is_copied_and_pickled() -> None:
    dense = atrous.densify(mixed(), (1, 1, 64, 64), output_stride=2).eval()
    x = torch.randn(2, 1, 65, 71)
    for made in (copy.deepcopy(dense), pickle.loads(pickle.dumps(dense))):
        assert torch.equal(made(x), dense(x))
        assert certificate(made) == certificate(dense)


# PyTorch takes 10 seconds for every two lengths that are free at once.
@pytest.mark.parametrize("axes", [(3,), pytest.param((0, 2, 3), marks=pytest.mark.full)])
def test_it_is_exported_with_free_lengths(axes: tuple[int, ...]) -> None:
    dense = atrous.densify(mixed(), (1, 1, 64, 64), output_stride=2).eval()
    shape, longer = [2, 1, 65, 71], [2, 1, 65, 71]
    for axis in axes:
        longer[axis] += 22
    free = dict.fromkeys(axes, Dim.AUTO)
    exported = torch.export.export(dense, (torch.randn(shape),), dynamic_shapes=(free,)).module()
    other = torch.randn(longer)
    assert torch.equal(exported(other), dense(other))


@pytest.mark.parametrize("axes", [(3,), pytest.param((2, 3), marks=pytest.mark.full)])
def test_it_is_compiled_for_free_lengths(axes: tuple[int, ...]) -> None:
    dense = atrous.densify(mixed(), (1, 1, 64, 64), output_stride=2).eval()
    compiled: Any = torch.compile(dense, backend="eager")
    for more in (0, 1, 2, 7):
        given = torch.randn(1, 1, *(64 + (axis in axes) * more for axis in (2, 3)))
        for axis in axes:
            torch._dynamo.mark_dynamic(given, axis)
        assert torch.equal(compiled(given), dense(given))


@pytest.mark.parametrize("branches", [False, True])
def test_plain_calls_change_in_a_graph(branches: bool) -> None:
    net = Plain(branches).eval()
    named = r"max_pool2d at .*: x = F.max_pool2d\(x, 2\).*as_graph=True"
    with pytest.raises(atrous.DensifyError, match=named):
        atrous.densify(net, (1, 1, 64, 64), 2)
    dense = atrous.densify(net, (1, 1, 64, 64), 2, as_graph=True)
    assert isinstance(dense, torch.fx.GraphModule)
    assert dense.state_dict().keys() == net.state_dict().keys()
    assert certificate(dense).outputs["output"] < 1e-12
    assert certificate(dense).compared[0].density == (4, 4)
    for size in ((64, 64), (65, 71), (81, 96)):
        x = torch.randn(2, 1, *size)
        torch.testing.assert_close(dense(x), net(x))
    # The graph calls functions where nothing had to change.
    assert [name for name, _ in dense.get_submodule("calls").named_children()] == [
        "max_pool2d", *(["conv2d_1"] if branches else []), "max_pool2d_1", "mean",
    ]  # fmt: skip
    dense(x).sum().backward()
    assert dense.get_parameter("first.weight").grad is not None


def test_an_exported_program_becomes_a_graph() -> None:
    net = mixed()
    free = {0: Dim.AUTO, 2: Dim.AUTO, 3: Dim.AUTO}
    x = torch.randn(2, 1, 64, 64)
    exported = torch.export.export(net, (x,), dynamic_shapes=(free,))
    dense = atrous.densify(exported, (1, 1, 64, 64), output_stride=2)
    other = torch.randn(3, 1, 65, 71)
    torch.testing.assert_close(dense(other)[..., ::8, ::8], net(other))
    fixed = atrous.densify(torch.export.export(net, (x,)), (2, 1, 64, 64), output_stride=2)
    assert certificate(fixed).valid_for == "inputs of 2x1x64x64 alone"
    torch.testing.assert_close(fixed(x)[..., ::8, ::8], net(x))


def test_a_vgg_without_pools_has_the_smaller_field() -> None:
    net = torchvision.models.vgg16(weights=None).features.eval()
    options: dict[str, Any] = {"output_stride": 1, "node": "29", "sizes": (33, 35)}
    with_pools = atrous.densify(net, (1, 3, 224, 224), **options)
    dilations = {
        module.dilation[0] for module in with_pools.modules() if isinstance(module, nn.Conv2d)
    }
    assert dilations == {1, 2, 4, 8, 16}
    without = atrous.densify(net, (1, 3, 224, 224), pools="drop", **options)
    # Yu and Koltun 2016; the fields of conv5_3 from the sums of (k - 1) * stride.
    (fields,) = certificate(without).fields
    assert (fields.before, fields.after) == ((196, 196), (181, 181))
    left = [path for path, module in without.named_children() if isinstance(module, nn.Identity)]
    assert left == ["4", "9", "16", "23"]
    assert atrous.receptive_field(without, (1, 3, 224, 224), node="29").size == (181, 181)


def test_nothing_to_change_is_said() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 3, 2, 1)).eval()
    told = str(certificate(atrous.densify(net, (1, 1, 32, 32), 8)))
    assert "nothing to change, the stride at output is not larger" in told


def test_inputs_by_keyword_and_of_several_kinds() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(5, 3)
            self.conv = nn.Conv1d(3, 3, 3, 2, 1)
            self.other = nn.Conv1d(2, 3, 4, 2, 1)

        def forward(self, tokens: Tensor, wave: Tensor) -> Tensor:
            out: Tensor = self.conv(self.embed(tokens).transpose(1, 2)) + self.other(wave)
            return out

    net = Two().eval()
    x = {"wave": torch.zeros(1, 2, 64), "tokens": torch.randint(0, 5, (1, 64))}
    dense = atrous.densify(net, x, output_stride=1)
    given = {"wave": torch.randn(1, 2, 50), "tokens": torch.randint(0, 5, (1, 50))}
    torch.testing.assert_close(dense(**given)[..., ::2], net(**given))


def test_choices_are_checked() -> None:
    net = mixed()
    choices: list[dict[str, Any]] = [{"pooling": "max"}, {"pools": "none"}]
    for options in choices:
        with pytest.raises(ValueError, match=r"must be '\w+' or '\w+', got '\w+'. Leave it out"):
            atrous.densify(net, (1, 1, 64, 64), 2, **options)
    with pytest.raises(ValueError, match="sizes must hold one length for each of the 2 axes"):
        atrous.densify(net, (1, 1, 64, 64), 2, sizes=(97,))
    with pytest.raises(KeyError, match="node must be a module path"):
        atrous.densify(net, (1, 1, 64, 64), 2, node="9")
    with pytest.raises(atrous.DensifyError, match="pools can be dropped only where"):
        atrous.densify(nn.Conv2d(1, 1, 3, 2), (1, 1, 64, 64), 1, pools="drop")


def test_a_wrong_conversion_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    # The proof must notice: padding that lags behind by one.
    from atrous.convert import change

    right = change._set

    def wrong(module: Any, planned: Any) -> None:
        right(module, planned)
        module.padding = tuple(p + 1 for p in module.padding)

    monkeypatch.setattr(change, "_set", wrong)
    net = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 2, 3, 2, 1)).eval()
    with pytest.raises(atrous.DensifyError, match="must give equal values on the grid"):
        atrous.densify(net, (1, 1, 64, 64), 1)

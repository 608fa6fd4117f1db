"""The published HDC rule beside the truth."""

from __future__ import annotations

import pytest
import torchvision
from torch import Tensor, nn

from atrous.lint.rule import find_rule
from linting import linted, only


def _chain(*rates: int) -> nn.Module:
    return nn.Sequential(*(nn.Conv1d(1, 1, 3, padding=d, dilation=d) for d in rates))


@pytest.mark.parametrize(
    ("rates", "path", "says"),
    [
        ((1, 2, 9), "1", "rejects rates (1, 2, 9): M_2 is 5, kernel 3, and one output misses 4"),
        ((1, 5, 2), "1", "rejects rates (1, 5, 2): M_2 is 8, kernel 3; it errs, an output reads"),
        ((2, 2, 5, 9), "0", "accepts rates (2, 2, 5, 9): M_2 is 2, kernel 3; it errs, one output"),
        ((1, 2, 9, 1, 2, 9), "1", "rejects rates (1, 2, 9): M_2 is 5, kernel 3, and one output"),
    ],
)
def test_what_it_says_of_chains(rates: tuple[int, ...], path: str, says: str) -> None:
    finding = only(linted(_chain(*rates), (1, 1, 128), "hdc"))
    assert finding.path == path
    assert says in finding.message
    assert (finding.severity == "note") is (finding.numbers["holes"] == 0)


@pytest.mark.parametrize("rates", [(1, 2, 5), (1, 2, 3), (1, 2, 5, 1, 2, 5), (1, 1, 1), (4,)[:0]])
def test_it_is_silent_where_both_accept(rates: tuple[int, ...]) -> None:
    assert linted(nn.Sequential(nn.Conv1d(1, 1, 1), *_chain(*rates)), (1, 1, 128), "hdc") == []


def test_a_single_layer_has_no_bound_and_is_not_judged() -> None:
    assert linted(_chain(4), (1, 1, 64), "hdc") == []
    # Two have one: M_2 = r_2.
    assert "rates (4, 4): M_2 is 4" in only(linted(_chain(4, 4), (1, 1, 64), "hdc")).message


def test_branches_side_by_side_are_no_schedule() -> None:
    class Pyramid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branches = nn.ModuleList(
                nn.Conv1d(1, 1, 3, padding=d, dilation=d) for d in (6, 12, 18)
            )

        def forward(self, x: Tensor) -> Tensor:
            return sum((branch(x) for branch in self.branches), x)

    assert linted(Pyramid(), (1, 1, 128), "hdc") == []


def test_it_runs_only_if_asked() -> None:
    assert not find_rule("hdc").default
    assert all(f.code != "ATR901" for f in linted(_chain(1, 5, 2), (1, 1, 64)))


def test_planted_rates_in_a_backbone() -> None:
    net = torchvision.models.resnet18(weights=None)
    layers = [net.layer3[0].conv2, net.layer3[1].conv1, net.layer3[1].conv2]
    for layer, rate in zip(layers, (5, 9, 17), strict=True):
        layer.dilation = layer.padding = (rate, rate)
    finding = only(linted(net, (1, 3, 224, 224), "ATR901"))
    assert finding.path == "layer3.1.conv1"
    assert finding.numbers["rates"] == [9, 17]

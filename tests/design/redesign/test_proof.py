"""What a changed model must keep at the ends of its maps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import atrous
from atrous.design.redesign.goals import goals_of
from atrous.design.redesign.layers import layers_of
from atrous.design.redesign.proof import broken, broken_ends
from atrous.graph.capture import capture
from samples import Cut


def causal(dilations: tuple[int, ...], cuts: tuple[int, ...]) -> nn.Sequential:
    """Layers that pad at both ends, each with what is cut behind it."""
    layers: list[nn.Module] = []
    for dilation, cut in zip(dilations, cuts, strict=True):
        conv = nn.Conv1d(1, 1, 3, padding=2 * dilation, dilation=dilation)
        nn.init.ones_(conv.weight)
        layers += [conv, Cut(cut)]
    return nn.Sequential(*layers)


def read(model: nn.Module, output: int) -> set[int]:
    x = torch.ones(1, 1, 40, requires_grad=True)
    (gradient,) = torch.autograd.grad(model(x)[0, 0, output], x)
    return set(gradient[0, 0].nonzero()[:, 0].tolist())


def proof(changed: nn.Module) -> tuple[str, str]:
    """What the proof says of a model made from dilations 2, 4, away from the ends and there."""
    x = torch.zeros(1, 1, 40)
    model = causal((2, 4), (4, 8))
    before, after = capture(model, x), capture(changed, x)
    goals, reached = goals_of(before), goals_of(after)
    first, second = layers_of(before, model, before.nodes)
    changes = [(first, {2: 1}), (second, {2: 3})]
    return broken(before, after, goals, reached, smaller=True), broken_ends(goals, reached, changes)


def test_cuts_behind_their_layers_are_proven() -> None:
    assert proof(causal((1, 3), (2, 6))) == ("", "")


@pytest.mark.parametrize("cuts", [(6, 2), (4, 4), (3, 5)])
def test_cuts_that_changed_places_are_refused(cuts: tuple[int, int]) -> None:
    right, wrong = causal((1, 3), (2, 6)), causal((1, 3), cuts)
    # The middle reads the same, and the map is as long; the last output does not see its own.
    assert read(right, 20) == read(wrong, 20)
    assert 39 in read(right, 39)
    assert read(right, 39) != read(wrong, 39)
    away, ends = proof(wrong)
    assert away == ""
    assert "the last output" in ends


@pytest.mark.parametrize("mode", ["zeros", "circular", "reflect", "replicate"])
def test_padding_of_every_mode_is_mended(mode: str) -> None:
    layers = [nn.Conv1d(1, 1, 3, padding=2, dilation=2, padding_mode=mode) for _ in range(3)]
    mended = atrous.redesign(nn.Sequential(*layers), (1, 1, 64))
    assert mended.after[0].holes == 0

"""What public functions say of an input that an output does not depend on."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import atrous


class Two(nn.Module):
    """Two inputs, each with an output of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, padding=1)

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        return self.conv(a), b * 2


X = (torch.zeros(1, 1, 16), torch.zeros(1, 1, 16))


@pytest.mark.parametrize("ask", [atrous.receptive_field, atrous.coverage, atrous.routes])
def test_an_input_that_does_not_reach_the_output_is_told(ask: Callable[..., object]) -> None:
    says = "the output' does not depend on 'b'. Other inputs: 'a'. Choose another with input="
    with pytest.raises(ValueError, match=says):
        ask(Two(), X, input="b")
    ask(Two(), X, input="a")


def test_lint_judges_the_outputs_an_input_reaches() -> None:
    assert len(atrous.lint(Two(), X, input="b").outputs) == 1
    first = atrous.lint(Two(), X, input="a").outputs[0]
    with pytest.raises(ValueError, match=f"'{first}' does not depend on 'b'"):
        atrous.lint(Two(), X, input="b", output=first)


def test_an_output_in_padding_alone_reads_nothing_and_is_no_error() -> None:
    net = nn.Conv1d(1, 1, 1, padding=2)
    assert atrous.coverage(net, (1, 1, 8), at=0).counts.size == 0
    assert not atrous.routes(net, (1, 1, 8), at=0).levels[0].positions

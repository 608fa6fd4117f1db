"""What is refused because values or shapes differ."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from atrous.convert.densify import densified
from atrous.convert.densities import DensifyError
from atrous.convert.study import Wish


class Read(nn.Module):
    """Letters of a line: the mean over the height, and a recurrence along the width."""

    def __init__(self) -> None:
        super().__init__()
        self.maps = nn.Sequential(nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 2, 1))
        self.memory = nn.GRU(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.memory(self.maps(x).mean(2).permute(2, 0, 1))[0]
        return out


def test_an_output_of_another_length_is_refused_with_what_makes_it_so() -> None:
    model = Read().double().eval()
    with pytest.raises(DensifyError, match=r"another shape: .* mean at .*as_graph=True"):
        densified(model, (1, 1, 16, 64), Wish(1))
    result = densified(model, (1, 1, 16, 64), Wish(1), as_graph=True)
    x = torch.randn(2, 1, 16, 65, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(result.model(x), model(x))


class Counted(nn.Module):
    """A layer in windows of 4 x 4."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Conv2d(2, 2, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        cut = x.reshape(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).reshape(-1, c, 4, 4)
        cut = self.inside(cut).reshape(b, h // 4, w // 4, c, 4, 4)
        return cut.permute(0, 3, 1, 4, 2, 5).reshape(b, c, h, w)


def test_a_single_window_is_refused_and_a_larger_input_does() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), Counted()).double().eval()
    # At 8 x 8 pixels there is one window, and nothing tells it from the map.
    with pytest.raises(DensifyError, match=r"differs by .*number of windows, give a larger x"):
        densified(model, (1, 1, 8, 8), Wish(1))
    result = densified(model, (1, 1, 16, 16), Wish(1))
    x = torch.randn(2, 1, 24, 40, dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(result.model(x)[..., ::2, ::2], model(x))


def test_sizes_compared_are_two_different_ones_or_one_is_told() -> None:
    model = nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), Counted()).double().eval()
    # Odd lengths cannot be cut; those of x are the next that are tried anyway.
    given = densified(model, (1, 1, 96, 128), Wish(1)).certificate
    assert given.shapes == ((1, 1, 96, 128),) and given.again == ()
    assert densified(model, (1, 1, 16, 16), Wish(1)).certificate.again == ((1, 1, 16, 16),)

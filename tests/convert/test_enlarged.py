"""Values between positions of the grid, against the model on shifted inputs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from atrous.convert.densify import densified
from atrous.convert.study import Wish


class Windows(nn.Module):
    """A layer in every window of 2 positions."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = nn.Conv1d(2, 2, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        b, c, n = x.shape
        cut = x.reshape(b, c, n // 2, 2).transpose(1, 2).reshape(-1, c, 2)
        out: Tensor = self.inside(cut).reshape(b, n // 2, c, 2).transpose(1, 2).reshape(b, c, n)
        return out


def down() -> nn.Module:
    return nn.Conv1d(2, 2, 3, 2, 1)


def up() -> nn.Module:
    return nn.ConvTranspose1d(2, 2, 2, 2)


def same() -> nn.Module:
    return nn.Conv1d(2, 2, 3, 1, 1)


CHAINS = {
    "downwards": ([down, down, same, down], 8, False),
    "up at last": ([down, down, down, up, same], 4, False),
    "up twice at last": ([down, down, down, down, up, up], 4, False),
    "up and down": ([down, down, up, same, down], 4, True),
    "up before everything": ([up, down, down], 2, False),
    "up and down, but denser at the end": ([down, down, up, down, up], 2, False),
    "windows at last": ([down, down, Windows, same], 4, False),
    "windows before a stride": ([down, Windows, same, down], 4, True),
    "windows of a whole": ([Windows, down], 2, True),
}


@pytest.mark.parametrize(
    ("name", "wanted"),
    [(name, wanted) for name in CHAINS for wanted in (1, 2) if wanted < CHAINS[name][1]],
)
def test_values_between_are_of_shifted_inputs_unless_told(name: str, wanted: int) -> None:
    layers, stride, is_told = CHAINS[name]
    torch.manual_seed(0)
    model = nn.Sequential(*(layer() for layer in layers)).double()
    model = nn.Sequential(nn.Conv1d(1, 2, 1).double(), *model)
    result = densified(model, (1, 1, 256), Wish(wanted), sizes=(256,))
    density = stride // wanted
    x = torch.randn(1, 1, 256, dtype=torch.float64)
    with torch.no_grad():
        dense = result.model(x)
        errors = []
        for phase in range(1, density):
            # Zeros at the end keep the length; the ends themselves are left out.
            shifted = nn.functional.pad(x[..., phase * wanted :], (0, phase * wanted))
            coarse, mine = model(shifted), dense[..., phase::density]
            inner = slice(12, min(coarse.shape[-1], mine.shape[-1]) - 12)
            assert coarse[..., inner].numel() > 0
            errors.append(float((coarse - mine)[..., inner].abs().max()))
    assert (max(errors) > 1e-6) == is_told, errors
    told = result.certificate.enlarged
    assert (told != "") == is_told
    assert (told in str(result.certificate)) and result.certificate.to_dict()["enlarged"] == told

"""Values between positions of the grid, against the model on shifted inputs."""

from __future__ import annotations

import random

import pytest
import torch
from torch import Tensor, nn

from atrous.convert.densify import densified
from atrous.convert.densities import DensifyError
from atrous.convert.study import Wish
from strided import Strided, draw_strided, wanted_strides


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


def pool() -> nn.Module:
    # No convolution: it runs on phases, which begin 2 apart where 2 of its 4 steps are left.
    return nn.AvgPool1d(4, 4)


CHAINS = {
    "part of a stride": ([pool, same], 4, False),
    "part of a stride, and another": ([pool, down], 8, False),
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
    error = error_between(model, result.model, torch.randn(1, 1, 256), wanted, stride // wanted)
    assert (error > 1e-9) == is_told, error
    told = result.certificate.enlarged
    assert (told != "") == is_told
    assert (told in str(result.certificate)) and result.certificate.to_dict()["enlarged"] == told


def error_between(
    model: nn.Module, dense: nn.Module, x: Tensor, wanted: int, density: int
) -> float:
    """The largest difference from the model on shifted inputs, far from the ends, as a share."""
    x, errors = x.double(), []
    with torch.no_grad():
        made = last(dense(x))
        for phase in range(1, density):
            # Zeros at the end keep the length.
            shifted = nn.functional.pad(x[..., phase * wanted :], (0, phase * wanted))
            pair = [last(model(shifted)), made[..., phase::density]]
            length = min(value.shape[-1] for value in pair)
            one, other = (value[..., length // 3 : length - length // 3] for value in pair)
            assert one.numel() > 0
            errors.append(float((one - other).abs().max() / pair[0].abs().max()))
    return max(errors)


def last(result: Tensor | tuple[Tensor, ...]) -> Tensor:
    return result if isinstance(result, Tensor) else result[-1]


# Of what reads all positions the ends are everywhere.
GLOBAL = ("gate", "norm", "group norm", "instance norm", "layer norm", "head")


def test_values_between_of_random_networks_are_of_shifted_inputs_unless_told() -> None:
    numbers, told, compared = iter(range(600, 2000)), 0, 0
    while compared < 30:
        rng = random.Random(next(numbers))
        network = draw_strided(rng)
        found = asked(network, rng)
        if found is not None:
            compared, told = compared + 1, told + found
    # Both kinds occur.
    assert 0 < told < compared


def asked(network: Strided, rng: random.Random) -> bool | None:
    """Whether it is told that not all values are of shifted inputs; None if nothing is compared."""
    wanted = wanted_strides(rng, network)
    length, own = 1536, network.strides[-1]
    if network.axes > 1 or wanted is None or own is None or own[0] <= wanted[0]:
        return None
    if any(network.features[name] for name in GLOBAL) or len(network.taken) > 1:
        return None
    shape = (1, network.channels, length)
    try:
        result = densified(network, shape, Wish(wanted[0]), sizes=(length,))
    except DensifyError:
        return None
    error = error_between(
        network, result.model, torch.randn(shape), wanted[0], int(own[0] / wanted[0])
    )
    told = result.certificate.enlarged
    assert (error > 1e-9) == (told != ""), (network, wanted, error, told)
    return told != ""

"""Outputs behind an upsampling: what each of them reads, by gradients of all outputs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous


class Chomp(nn.Module):
    """Causal: padded on both sides, the end cut off."""

    def __init__(self, kernel: int, dilation: int) -> None:
        super().__init__()
        self.cut = (kernel - 1) * dilation
        self.conv = nn.Conv1d(1, 1, kernel, dilation=dilation, padding=self.cut)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)[..., : -self.cut]
        return y


class Decoder(nn.Module):
    """Down and up again, beside a way around."""

    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(1, 1, 3, stride=2, padding=1)
        self.inner = nn.Conv2d(1, 1, 3, padding=dilation, dilation=dilation)
        self.up = nn.ConvTranspose2d(1, 1, 2, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.up(self.inner(self.down(x)))
        return y


def doubled(first: nn.Module, last: nn.Module) -> nn.Module:
    return nn.Sequential(first, nn.Upsample(scale_factor=2), last)


CASES = {
    "odd steps": (doubled(Chomp(5, 2), nn.Conv1d(1, 1, 2, dilation=3)), (1, 1, 48)),
    "even steps": (doubled(Chomp(5, 2), nn.Conv1d(1, 1, 2, dilation=4)), (1, 1, 48)),
    "thrice": (
        nn.Sequential(
            nn.Conv1d(1, 1, 3, padding=2, dilation=2),
            nn.Upsample(scale_factor=3),
            nn.Conv1d(1, 1, 3, padding=2, dilation=2),
        ),
        (1, 1, 40),
    ),
    "decoder": (Decoder(2), (1, 1, 32, 32)),
    "decoder without": (Decoder(1), (1, 1, 32, 32)),
    "transposed": (
        nn.Sequential(nn.Conv1d(1, 1, 3, dilation=3), nn.ConvTranspose1d(1, 1, 5, stride=2)),
        (1, 1, 60),
    ),
}


def densities(model: nn.Module, shape: tuple[int, ...]) -> list[float]:
    """Of outputs away from the borders, the share of their spans that gradients reach."""
    for parameter in model.double().parameters():
        nn.init.ones_(parameter)
    x = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    y = model(x)
    found = []
    places = [range(n // 2 - min(6, n // 4), n // 2 + min(6, n // 4)) for n in y.shape[2:]]
    for at in np.ndindex(*(len(own) for own in places)):
        index = tuple(own[k] for own, k in zip(places, at, strict=True))
        (gradient,) = torch.autograd.grad(y[(0, 0, *index)], x, retain_graph=True)
        read = gradient[0, 0].numpy() != 0
        where = np.argwhere(read)
        span = tuple(slice(a, b + 1) for a, b in zip(where.min(0), where.max(0), strict=True))
        found.append(float(read[span].mean()))
    return found


@pytest.mark.parametrize("name", CASES)
def test_the_sparsest_phase_is_that_of_gradients(name: str) -> None:
    model, shape = CASES[name]
    wanted = densities(model, shape)
    cover = atrous.coverage(model.float(), shape)
    patterns = {round(c.density, 9) for c in (cover, *cover.unlike)}
    assert patterns == {round(share, 9) for share in wanted}
    assert cover.sparsest.density == pytest.approx(min(wanted), abs=1e-12)


def test_the_oracle_sees_phases_with_and_without_holes() -> None:
    model, shape = CASES["odd steps"]
    found = densities(model, shape)
    # Every second output reads 10 positions in a row, every other 6 of 11.
    assert {round(share, 6) for share in found} == {1.0, round(6 / 11, 6)}


def test_holes_of_a_phase_are_found_and_a_dilation_that_closes_them_in_all() -> None:
    model, shape = CASES["odd steps"]
    (found,) = atrous.lint(model.float(), shape, select=["holes"])
    assert "(47, as all of its phase; 46 reads all)" in found.message
    assert found.numbers["holes"] == 5
    (dilation,) = found.numbers["dilation"]  # type: ignore[misc]
    changed = doubled(Chomp(5, 2), nn.Conv1d(1, 1, 2, dilation=dilation))
    assert min(densities(changed, shape)) == 1.0


def test_several_outputs_and_nets_without_upsampling_have_no_other_patterns() -> None:
    model, shape = CASES["odd steps"]
    several = atrous.coverage(model.float(), shape, at=([30, 31],))
    assert several.unlike == ()
    assert several.sparsest is several
    plain = atrous.coverage(nn.Conv1d(1, 1, 3, dilation=2), (1, 1, 20))
    assert plain.unlike == ()


def test_a_redesign_closes_the_holes_of_every_phase() -> None:
    class Net(nn.Module):
        def __init__(self, d: int, e: int) -> None:
            super().__init__()
            self.first = nn.Conv1d(1, 1, 3, padding=d, dilation=d)
            self.second = nn.Conv1d(1, 1, 3, padding=1)
            self.up = nn.Upsample(scale_factor=2)
            self.last = nn.Conv1d(1, 1, 3, padding=e, dilation=e)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.last(self.up(self.second(self.first(x))))
            return y

    net = Net(4, 9)
    assert min(densities(net, (1, 1, 64))) < 1
    found = atrous.redesign(net.float(), (1, 1, 64))
    assert min(densities(found.model, (1, 1, 64))) == 1.0
    assert found.before[0].holes > 0 == found.after[0].holes


def causal(*dilations: int) -> nn.Module:
    layers: list[nn.Module] = []
    for d in dilations:
        layers += [nn.ConstantPad1d((d, 0), 0.0), nn.Conv1d(1, 1, 2, dilation=d)]
    return nn.Sequential(*layers)


def test_holes_of_a_causal_net_are_seen_where_the_central_output_is_cut_off() -> None:
    # Kernels of 2: the field is 1 + 1 + 1 + 2 + 4 + 8 + 24 = 41; 17 to 23 back are not read.
    net, shape = causal(1, 1, 2, 4, 8, 24), (1, 1, 44)
    assert len(atrous.coverage(net, shape).holes) == 0
    (found,) = atrous.lint(net, shape, select=["holes"])
    assert found.numbers["holes"] == 7
    mended = atrous.redesign(net, shape)
    for parameter in mended.model.double().parameters():
        nn.init.ones_(parameter)
    x = torch.ones(shape, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(mended.model(x)[0, 0, -1], x)
    assert gradient[0, 0].nonzero()[:, 0].tolist() == list(range(44 - 41, 44))


def test_the_clearest_output_is_the_central_one_where_that_is_not_cut_off() -> None:
    for net, wanted in (
        (causal(1, 2, 4), 32),
        (causal(1, 2, 4, 8, 40), 55),
        (causal(60, 60), 63),
        (nn.Conv1d(1, 1, 3, padding=40, dilation=40), 32),
    ):
        (axis,) = atrous.receptive_field(net, (1, 1, 64)).axes
        assert axis.clearest == wanted

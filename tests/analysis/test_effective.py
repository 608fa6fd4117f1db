"""The effective field against arithmetic, finite differences and another script's algorithm."""

from __future__ import annotations

import copy
import json
import math

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import atrous
from atrous.analysis.effective.curves import box_fit, gaussian_fit, moments
from atrous.report.json.parts import effective_to_dict
from atrous.report.results.saving import printed

SHAPES = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


def chain(kernels: list[int], dilations: list[int], axes: int = 1) -> nn.Sequential:
    """Convolutions of one channel and equal positive weights that keep the size."""
    layers = []
    for k, d in zip(kernels, dilations, strict=True):
        layer = SHAPES[axes](1, 1, k, dilation=d, padding="same", bias=False).double()
        nn.init.constant_(layer.weight, 0.37)
        layers.append(layer)
    return nn.Sequential(*layers)


def random_net() -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 6, 3, dilation=2, padding=2),
        nn.Dropout(0.5),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 4, 3, dilation=3, padding=3),
    )


@pytest.mark.parametrize("seed", range(6))
def test_std_of_equal_weights_is_the_formula(seed: int) -> None:
    rng = np.random.default_rng(seed)
    axes = int(rng.integers(1, 4))
    kernels = [int(k) for k in rng.choice([1, 2, 3, 5], 3)]
    dilations = [int(d) for d in rng.integers(1, 4, 3)]
    length = sum((k - 1) * d for k, d in zip(kernels, dilations, strict=True)) + 6
    found = atrous.effective_field(
        chain(kernels, dilations, axes),
        torch.zeros(1, 1, *[length] * axes, dtype=torch.float64),
    )
    variance = sum((k**2 - 1) / 12 * d**2 for k, d in zip(kernels, dilations, strict=True))
    assert found.std == pytest.approx((math.sqrt(variance),) * axes, abs=1e-9)
    assert found.expected_std == pytest.approx((math.sqrt(variance),) * axes, abs=1e-12)
    assert found.energy.sum() == pytest.approx(1, abs=1e-12)


def test_equal_weights_on_branches_are_what_geometry_expects() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.small, self.large = chain([3, 3], [1, 2], 2), chain([5], [3], 2)
            for p in self.parameters():
                nn.init.ones_(p)

        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.avg_pool2d(x + self.small(x) + self.large(x), 2) * 4

    found = atrous.effective_field(Branches(), torch.zeros(1, 1, 40, 36).double())
    # Per output: 4 ways by the skip, 4 * 81 of variance 10 / 3, 4 * 25 of 18, and 1/4 of the pool.
    variance = (81 * 10 / 3 + 25 * 18) / (1 + 81 + 25) + 1 / 4
    assert found.std == pytest.approx((math.sqrt(variance),) * 2, abs=1e-9)
    assert found.expected_std == pytest.approx((math.sqrt(variance),) * 2, abs=1e-9)


def test_many_equal_layers_are_nearly_gaussian() -> None:
    found = atrous.effective_field(chain([3] * 40, [1] * 40), torch.zeros(1, 1, 201).double())
    # The excess kurtosis of {-1, 0, 1} is -1.5, and cumulants of sums add up: -1.5 / 40.
    assert found.kurtosis == pytest.approx((-1.5 / 40,), abs=1e-9)
    axis = found.axes[0]
    assert axis.gaussian.r_squared > 0.9999
    assert axis.gaussian.width == pytest.approx(axis.std, rel=0.01)
    assert axis.shape == "gaussian"


def test_an_exponential_schedule_of_kernel_2_is_a_box() -> None:
    dilations = [2**k for k in range(10)]
    x = torch.zeros(1, 1, 1301, dtype=torch.float64)
    found = atrous.effective_field(chain([2] * 10, dilations), x)
    axis = found.axes[0]
    # Uniform on n = 1024 positions: -6/5 (n^2 + 1) / (n^2 - 1).
    assert axis.kurtosis == pytest.approx(-1.2 * (1024**2 + 1) / (1024**2 - 1), abs=1e-9)
    assert (axis.box.width, axis.box.r_squared) == (1024, pytest.approx(1))
    # The largest sqrt(pi) erf(u)^2 / (sqrt(2) u), where a Gaussian meets a box.
    u = torch.linspace(0.5, 2, 10001, dtype=torch.float64)
    best = float((math.sqrt(math.pi / 2) * torch.erf(u) ** 2 / u).max())
    assert axis.gaussian.r_squared == pytest.approx(best, abs=1e-5)
    assert axis.shape == "box"
    assert found.share_of_field(1) == 1
    assert "a box of 1024 fits (R2 1.000), no Gaussian" in str(found)


def test_a_narrow_peak_on_wide_tails_is_neither_curve() -> None:
    class Peak(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 0.5 * nn.functional.avg_pool1d(x, 65, 1, 32)

    axis = atrous.effective_field(Peak(), torch.zeros(1, 1, 129)).axes[0]
    # Two thirds at one position, one third on 65: R squared sees the first, the moment the rest.
    assert axis.gaussian.r_squared > 0.99
    assert axis.std == pytest.approx(math.sqrt((65**2 - 1) / 12 / 3), rel=1e-6)
    assert axis.shape == "neither"
    assert axis.kurtosis is not None
    assert axis.kurtosis > 0


def replknet_scores(model: nn.Module, images: list[Tensor]) -> np.ndarray:
    """Contribution scores as the script beside RepLKNet's paper forms them, image by image."""
    scores = []
    for image in images:
        image = image.clone().requires_grad_()
        out = model(image)
        middle = out[:, :, out.shape[2] // 2, out.shape[3] // 2]
        middle.clamp(min=0).sum().backward()
        assert image.grad is not None
        scores.append(image.grad.clamp(min=0).sum(dim=(0, 1)).double().numpy())
    return np.mean(scores, axis=0)


def replknet_square(scores: np.ndarray, share: float) -> tuple[int, float] | None:
    """Side and area of its square, growing ring by ring around the middle."""
    scores = np.log10(scores + 1)
    h, w = scores.shape
    for reach in range(1, h // 2):
        part = scores[h // 2 - reach : h // 2 + reach + 1, w // 2 - reach : w // 2 + reach + 1]
        if part.sum() / scores.sum() > share:
            side = 2 * reach + 1
            return side, side / h * (side / w)
    return None


def trunk_of_resnet18() -> nn.Module:
    torch.manual_seed(0)
    whole = torchvision.models.resnet18()
    for module in whole.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.1, 0.3)
    return nn.Sequential(*list(whole.children())[:7])


@pytest.mark.parametrize("make", [trunk_of_resnet18, random_net])
def test_equals_the_algorithm_of_replknet(make: object) -> None:
    model = make().double()  # type: ignore[operator]
    images = [torch.randn(1, 3, 64, 64, dtype=torch.float64) for _ in range(3)]
    position = [n // 2 for n in model.eval()(images[0]).shape[2:]]
    scores = replknet_scores(model, images)
    model.zero_grad()
    found = atrous.effective_field(
        model, [(i, torch.tensor(0)) for i in images], at=position, convention="replknet"
    )
    assert found.contributions == pytest.approx(scores, rel=1e-9, abs=1e-15)
    for share in (0.2, 0.3, 0.5, 0.9, 0.99):
        assert found.high_contribution(share) == replknet_square(scores, share)
    together = atrous.effective_field(model, torch.cat(images), at=position, convention="replknet")
    assert together.contributions == pytest.approx(scores, rel=1e-9, abs=1e-15)
    other = atrous.effective_field(model, torch.cat(images), at=position, convention="positive")
    if isinstance(model[-1], nn.Conv2d):
        # Without an activation at the end some outputs lie below 0.
        assert other.contributions != pytest.approx(scores, rel=1e-2)


@pytest.mark.parametrize("channels", [2, [0, 3], slice(1, 4), -1, None])
def test_a_choice_of_channels_is_what_finite_differences_say(channels: object) -> None:
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv1d(2, 6, 3, stride=2, groups=2), nn.ConvTranspose1d(6, 4, 4, stride=2)
    ).double()
    x = torch.randn(1, 2, 25, dtype=torch.float64)
    at = 9
    listed = list(range(4)) if channels is None else np.atleast_1d(np.arange(4)[channels]).tolist()

    def chosen(x: Tensor) -> float:
        with torch.no_grad():
            return float(model(x)[0, listed, at].sum())

    expected = np.zeros(25)
    for channel in range(2):
        for i in range(25):
            moved = x.clone()
            moved[0, channel, i] += 1
            expected[i] += abs(chosen(moved) - chosen(x))
    found = atrous.effective_field(model, x, channels=channels, at=at)  # type: ignore[arg-type]
    assert found.contributions == pytest.approx(expected, abs=1e-12)
    squared = atrous.effective_field(
        model,
        x,
        channels=channels,
        at=at,
        convention="squared",  # type: ignore[arg-type]
    )
    assert squared.total != pytest.approx(found.total)


def test_no_energy_lies_outside_the_theoretical_field() -> None:
    model = random_net()
    for at in ((0, 0), (7, 20), (30, 4)):
        found = atrous.effective_field(model, (2, 3, 33, 31), at=at, batches=2)
        rows, columns = (axis.span for axis in found.axes)
        assert rows is not None
        assert columns is not None
        inside = found.energy[rows.start : rows.stop, columns.start : columns.stop]
        assert inside.sum() == pytest.approx(1, abs=1e-12)
        for axis in found.axes:
            assert axis.span is not None
            filled = np.flatnonzero(axis.profile)
            assert (filled[0], filled[-1] + 1) == (axis.span.start, axis.span.stop)


def test_the_model_and_random_numbers_stay_as_they_were() -> None:
    model = random_net().train()
    model[2].eval()
    model[0].weight.requires_grad_(False)
    x = torch.randn(4, 3, 32, 32)
    model(x).sum().backward()
    before = copy.deepcopy(model.state_dict())
    grads = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
    flags = [m.training for m in model.modules()]
    wants = [p.requires_grad for p in model.parameters()]
    attributes = [set(vars(m)) for m in model.modules()]
    state, kept = torch.get_rng_state(), x.clone()
    loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x), 2, shuffle=True)
    with torch.no_grad():
        atrous.effective_field(model, loader)
        atrous.effective_field(model, (2, 3, 32, 32), batches=2, mode="current")
        atrous.effective_field(model, x, node="3")
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(x, kept)
    assert not x.requires_grad
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags
    assert [p.requires_grad for p in model.parameters()] == wants
    assert [set(vars(m)) for m in model.modules()] == attributes
    for p, old in zip(model.parameters(), grads, strict=True):
        assert (p.grad is None and old is None) or torch.equal(p.grad, old)  # type: ignore[arg-type]
    assert not any(m._forward_hooks for m in model.modules())


def test_a_frozen_model_under_inference_mode_is_measured() -> None:
    model = random_net().eval()
    expected = atrous.effective_field(model, torch.ones(1, 3, 32, 32))
    with torch.inference_mode():
        frozen = copy.deepcopy(model).requires_grad_(False)
        found = atrous.effective_field(frozen, torch.ones(1, 3, 32, 32))
    assert np.array_equal(found.energy, expected.energy)


def test_training_for_a_far_pixel_widens_the_effective_field() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 8, 5, padding=8, dilation=4), nn.Tanh(), nn.Conv1d(8, 1, 5, padding=2)
    )
    with torch.no_grad():
        model[0].weight[:, :, [0, 4]] *= 0.1
    shape = (16, 1, 64)
    before = atrous.effective_field(model, shape)
    optimiser = torch.optim.Adam(model.parameters(), 0.02)
    for _ in range(200):
        x = torch.randn(16, 1, 64)
        wanted = torch.roll(x, 8, -1) + torch.roll(x, -8, -1)
        loss = (model(x) - wanted)[..., 12:-12].square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    after = atrous.effective_field(model, shape)
    told = before.compare(after)
    assert type(told).__name__ == "FieldChange"
    # All weight at +-8 has a standard deviation of 8.
    assert before.std[0] < 6 < after.std[0] < 9
    assert told.std == (after.std[0] / before.std[0],)
    assert told.overlap is not None
    assert 0 < told.overlap < 1
    assert f"std {before.std[0]:.4g} -> {after.std[0]:.4g}" in str(told)
    assert before.compare(before).std == (1,)
    assert before.compare(before).overlap == pytest.approx(1)


def test_areas_radii_and_squares_are_what_counting_says() -> None:
    found = atrous.effective_field(chain([3], [1], 2), torch.zeros(1, 1, 9, 9).double())
    # Nine equal ninths around (4, 4): edges lie 1 away, corners sqrt(2).
    assert found.area(1 / 9) == 1
    assert (found.area(0.5), found.area(5 / 9), found.area(0.6), found.area(1)) == (5, 5, 6, 9)
    assert found.radius(1 / 9) == pytest.approx(0)
    assert found.radius(5 / 9) == pytest.approx(1)
    assert found.radius(0.6) == pytest.approx(2**0.5)
    assert (found.square(0.1), found.square(0.5), found.square(1)) == (1, 3, 3)
    assert found.share_of_field(0.5) == pytest.approx(5 / 9)
    with pytest.raises(ValueError, match="share must be above 0 and at most 1, got 0"):
        found.area(0)


def test_a_dead_network_is_told_not_divided_by() -> None:
    model = nn.Sequential(nn.Conv1d(1, 2, 3), nn.ReLU())
    with torch.no_grad():
        model[0].bias.fill_(-1e6)
    found = atrous.effective_field(model, (2, 1, 20), batches=1)
    assert found.zero
    assert (found.area(), found.radius(), found.square()) == (0, 0, 0)
    assert np.isnan([found.std[0], found.centre[0], found.axes[0].std]).all()
    assert (found.kurtosis, found.axes[0].shape, found.share_of_field()) == ((None,), "few", 0)
    assert found.axes[0].span is not None
    assert found.axes[0].span.size == 3
    assert found.expected_std == pytest.approx(((2 / 3) ** 0.5,))
    told = effective_to_dict(found)
    assert (told["centre"], told["std"]) == ([None], [None])
    json.dumps(told, allow_nan=False)
    assert found.high_contribution() is None
    assert found.energy.sum() == 0
    assert "zero gradient everywhere" in str(found)
    assert "zero gradient everywhere" in printed(found)
    with pytest.raises(ValueError, match="before must have an energy above 0, got 0 everywhere"):
        found.compare(found)


def test_weights_of_zero_are_told() -> None:
    model = nn.Conv2d(1, 1, 3)
    nn.init.zeros_(model.weight)
    found = atrous.effective_field(model, torch.ones(1, 1, 9, 9))
    assert found.zero
    assert len(found.std) == len(found.axes) == 2
    assert "Weights of 0" in found.note


class Root(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x).sqrt()


def test_samples_without_finite_gradient_are_left_out_and_counted() -> None:
    model = Root()
    nn.init.ones_(model.conv.weight)
    x = torch.ones(3, 1, 9)
    x[1] = -1
    found = atrous.effective_field(model, x)
    assert (found.samples, found.skipped) == (2, 1)
    assert np.isfinite(found.energy).all()
    assert "1 skipped" in str(found)
    none = atrous.effective_field(model, -x[:1])
    assert (none.zero, none.samples, none.skipped) == (True, 0, 1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_nearly_the_same(dtype: torch.dtype) -> None:
    model = random_net()
    expected = atrous.effective_field(model, (2, 3, 32, 32), batches=1)
    found = atrous.effective_field(copy.deepcopy(model).to(dtype), (2, 3, 32, 32), batches=1)
    assert found.std == pytest.approx(expected.std, rel=0.03)


def test_fits_find_the_curves_they_are_given() -> None:
    x = np.arange(301)
    bell = np.exp(-0.5 * ((x - 140.25) / 11.5) ** 2)
    fit = gaussian_fit(bell / bell.sum())
    assert (fit.centre, fit.width) == pytest.approx((140.25, 11.5), abs=1e-6)
    assert fit.height == pytest.approx(1 / bell.sum(), rel=1e-6)
    assert fit.r_squared == pytest.approx(1, abs=1e-10)
    box = ((x >= 30) & (x < 55)) / 25
    assert (box_fit(box).centre, box_fit(box).width) == (42, 25)
    rng = np.random.default_rng(0)
    noise = rng.random(60) ** 4
    noise /= noise.sum()
    brute = max(noise[a:b].sum() ** 2 / (b - a) for a in range(60) for b in range(a + 1, 61)) / (
        noise @ noise
    )
    assert box_fit(noise).r_squared == pytest.approx(brute, abs=1e-12)
    long = np.repeat(noise, 60)
    assert box_fit(long / 60).r_squared >= brute - 1e-3
    one = moments(np.array([0.0, 1.0, 0.0]))
    assert (one.std, one.kurtosis) == (0, None)


@pytest.mark.parametrize("kind", ["noise", "spikes", "two", "peak"])
def test_no_gaussian_on_a_grid_fits_better(kind: str) -> None:
    rng = np.random.default_rng(2)
    y = rng.random(40) * np.hanning(40)
    if kind == "spikes":
        y[np.arange(40) % 5 > 0] = 0
    elif kind == "two":
        y[1:-1] *= 0.01
        y[[3, 30]] += 5
    elif kind == "peak":
        y[22] += 4
    y /= y.sum()
    fit = gaussian_fit(y)
    wide = np.concatenate([np.zeros(40), y, np.zeros(40)])
    x = np.arange(-40, 80)
    best = 0.0
    for centre in np.linspace(0, 40, 161):
        for width in np.geomspace(0.2, 80, 120):
            bell = np.exp(-0.5 * ((x - centre) / width) ** 2)
            best = max(best, (bell @ wide) ** 2 / (bell @ bell) / (wide @ wide))
    assert best - 1e-9 <= fit.r_squared <= 1

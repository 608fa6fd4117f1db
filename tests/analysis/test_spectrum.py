"""Responses, chains, alias energy and limits against transforms of dilated kernels, real runs on
waves and noise, and arithmetic shown."""

from __future__ import annotations

import json
import re
from math import pi

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous.analysis.spectrum.aliasing import (
    covariance,
    energy_on_grid,
    periodogram,
    power_on_grid,
)
from atrous.analysis.spectrum.chains import chain
from atrous.cli.main import run
from atrous.graph.capture import capture


def seeded(*shape: int) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.double
    )


def zero_stuffed(weight: Tensor, dilation: tuple[int, ...]) -> Tensor:
    """The kernel with its zeros written out."""
    axes = len(dilation)
    taps = weight.shape[-axes:]
    full = [(k - 1) * d + 1 for k, d in zip(taps, dilation, strict=True)]
    out = torch.zeros(*weight.shape[:-axes], *full, dtype=weight.dtype)
    out[(..., *(slice(None, None, d) for d in dilation))] = weight
    return out


def low_pass(taps: int, cutoff: float) -> np.ndarray:
    """A windowed sinc with half its amplitude at `cutoff * pi`, gain 1 at frequency 0."""
    at = np.arange(taps) - (taps - 1) / 2
    found = np.sinc(cutoff * at) * np.hamming(taps)
    return found / found.sum()


@pytest.mark.parametrize("taps", [(5,), (3, 4), (2, 3, 3)])
@pytest.mark.parametrize("step", [1, 3])
def test_response_is_the_transform_of_the_kernel_with_its_zeros(
    taps: tuple[int, ...], step: int
) -> None:
    weight = seeded(4, 2, *taps)
    dilation = tuple(step + k for k in range(len(taps)))
    sizes = [20 + k for k in range(len(taps))]
    axes = tuple(range(-len(taps), 0))
    expected = torch.fft.fftn(zero_stuffed(weight, dilation), s=sizes, dim=axes)
    at = [2 * pi * torch.fft.fftfreq(n, dtype=torch.double) for n in sizes]
    found = atrous.frequency_response(weight, at, dilation=dilation)
    torch.testing.assert_close(found, expected)
    wrong = atrous.frequency_response(weight, at, dilation=tuple(d + 1 for d in dilation))
    assert (wrong - expected).abs().max() > 0.1


def test_response_is_that_of_a_textbook_filter() -> None:
    signal = pytest.importorskip("scipy.signal")
    taps = signal.firwin(17, 0.3)
    at, expected = signal.freqz(taps, worN=50)
    found = atrous.frequency_response(torch.from_numpy(taps), torch.from_numpy(at))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-12)


def test_dilation_makes_d_images_and_not_a_lower_cutoff() -> None:
    conv = nn.Conv1d(1, 1, 41, dilation=4, bias=False)
    conv.weight.data = torch.from_numpy(low_pass(41, 0.5)).float()[None, None]
    axis = atrous.spectrum(conv, (1, 1, 400)).rows[0].axes[0]
    assert axis.images == 4
    # Of the 4 images over the circle [0, pi] holds half of that at 0, one around pi / 2, and half
    # of that at pi.
    centres = [0.0, pi / 2, pi]
    assert len(axis.bands) == 3
    for (low, high), centre in zip(axis.bands, centres, strict=True):
        assert low <= centre <= high
    widths = [high - low for low, high in axis.bands]
    assert widths == pytest.approx([axis.cutoff / 4, axis.cutoff / 2, axis.cutoff / 4])
    # The half-power frequency on a fine transform.
    power = np.abs(np.fft.rfft(conv.weight.detach().numpy()[0, 0], n=2**17)) ** 2
    expected = 2 * pi * np.argmax(power < power.max() / 2) / 2**17
    assert axis.cutoff == pytest.approx(expected, abs=1e-4)
    assert axis.nyquist == pytest.approx(axis.dc)


@pytest.mark.parametrize(
    ("taps", "kind"),
    [
        ([1.0, 1.0], "low-pass"),
        ([1.0, -1.0], "high-pass"),
        ([1.0, 0.0, -1.0], "band-pass"),
        ([1.0, 0.0, 1.0], "band-stop"),
        ([2.0], "all-pass"),
        ([0.1, 1.0, 0.0], "all-pass"),
        ([1.0, 0.0, 0.0, 0.0, 1.0], "several bands"),
        ([0.0, 0.0], "nothing"),
        ([float("nan"), 1.0], "not finite"),
        ([float("inf"), 1.0], "not finite"),
    ],
)
def test_what_a_filter_passes(taps: list[float], kind: str) -> None:
    conv = nn.Conv1d(1, 1, len(taps), bias=False)
    conv.weight.data = torch.tensor([[taps]])
    report = atrous.spectrum(conv, (1, 1, 16))
    assert report.rows[0].axes[0].kind == kind
    assert kind in str(report)
    assert report.to_json()


def test_gain_is_the_power_of_an_output_on_uncorrelated_channels() -> None:
    conv = nn.Conv2d(6, 4, (3, 5), dilation=(2, 3), groups=2).double()
    row = atrous.spectrum(conv, torch.zeros(1, 6, 40, 40, dtype=torch.double)).rows[0]
    # A wave along one axis, constant along the other, through each input channel by itself.
    for k, axis in enumerate(row.axes):
        frequency = 0.7 + k
        position = torch.arange(60, dtype=torch.double).reshape((-1, 1) if k == 0 else (1, -1))
        waves = [torch.cos(frequency * position), torch.sin(frequency * position)]
        power = 0.0
        for channel in range(6):
            for wave in waves:
                x = torch.zeros(1, 6, 60, 60, dtype=torch.double)
                x[0, channel] = wave.expand(60, 60)
                y = nn.functional.conv2d(x, conv.weight, dilation=(2, 3), groups=2)
                # cos^2 + sin^2: the squared modulus at any position.
                power += float(y[0, :, 3, 3].square().sum().detach()) / 4
        assert axis.gain(frequency) == pytest.approx(power**0.5)


def test_depthwise_filters_are_told_singly() -> None:
    conv = nn.Conv1d(3, 3, 2, groups=3, bias=False)
    conv.weight.data = torch.tensor([[[1.0, 1.0]], [[1.0, -1.0]], [[0.5, 0.5]]])
    axis = atrous.spectrum(conv, (1, 3, 16)).rows[0].axes[0]
    assert axis.filters == {"low-pass": 2, "high-pass": 1}
    # Together they pass all: |1 + z|^2 + |1 - z|^2 is constant, and 1/4 of the first more.
    assert axis.kind == "all-pass"


def test_layer_behind_strides_sees_multiples_of_the_input_frequency() -> None:
    net = nn.Sequential(
        nn.Conv1d(1, 1, 1, stride=3), nn.AvgPool1d(2, 1), nn.ConvTranspose1d(1, 1, 4, 2)
    )
    rows = atrous.spectrum(net, (1, 1, 90)).rows
    assert [row.axes[0].rate for row in rows] == [1, 3, pytest.approx(1.5)]
    # The mean of two passes up to pi/2 of its own frequency: pi/6 of the input's, and images.
    bands = rows[1].axes[0].input_bands
    assert bands is not None
    assert bands[0] == pytest.approx((0, pi / 6))
    assert bands[1] == pytest.approx((pi / 2, 5 * pi / 6))
    assert rows[2].axes[0].upsampling == 2


def test_weights_in_half_precision_and_parametrised() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(2, 3, 5))
    plain = nn.Conv1d(2, 3, 5)
    plain.weight.data = conv.weight.detach().clone()
    found = atrous.spectrum(conv, (1, 2, 20)).rows[0].axes[0]
    expected = atrous.spectrum(plain, (1, 2, 20)).rows[0].axes[0]
    assert found.gain(1.0) == pytest.approx(expected.gain(1.0))
    half = atrous.spectrum(plain.half(), (1, 2, 20)).rows[0].axes[0]
    assert half.gain(1.0) == pytest.approx(expected.gain(1.0), rel=1e-3)


CHAINS = [
    (nn.Sequential(nn.Conv1d(2, 3, 3, dilation=2), nn.ReLU(), nn.Conv1d(3, 2, 4, stride=2)), 1),
    (nn.Sequential(nn.Conv2d(2, 4, 3, groups=2, padding=1), nn.BatchNorm2d(4), nn.AvgPool2d(2)), 2),
    (nn.Sequential(nn.ZeroPad2d((3, 0, 2, 1)), nn.Conv2d(2, 2, (2, 3), stride=(1, 2))), 2),
    (nn.Sequential(nn.Conv3d(2, 2, 2, dilation=(1, 2, 1)), nn.Conv3d(2, 3, (1, 2, 3))), 3),
]


@pytest.mark.parametrize(("net", "axes"), CHAINS)
def test_chain_is_what_the_linear_network_makes_of_waves(net: nn.Sequential, axes: int) -> None:
    net = net.double().eval()
    for parameter in net.parameters():
        parameter.data = seeded(*parameter.shape)
    for module in net:
        if isinstance(module, nn.BatchNorm2d):
            module.running_var.data = torch.tensor([0.5, 1.0, 2.0, 4.0], dtype=torch.double)
            module.weight.data = torch.tensor([1.0, -2.0, 3.0, 0.5], dtype=torch.double)
    linear = nn.Sequential(*(m for m in net if not isinstance(m, nn.ReLU)))
    length = 24 if axes < 3 else 10
    shape = (1, 2, *[length] * axes)
    frequency = [0.9, 2.1, 1.3][:axes]
    found = atrous.chain_response(
        net,
        torch.zeros(shape, dtype=torch.double),
        [torch.tensor([f], dtype=torch.double) for f in frequency],
    ).reshape(-1, 2)
    grid = torch.meshgrid(*[torch.arange(length, dtype=torch.double)] * axes, indexing="ij")
    phase = sum(f * n for f, n in zip(frequency, grid, strict=True))
    program = capture(net, torch.zeros(shape, dtype=torch.double))
    rates = [float(r) for r in chain(program, program.output()).rates()]
    with torch.no_grad():
        rest = linear(torch.zeros(shape, dtype=torch.double))
        for channel in range(2):
            out = []
            for wave in (torch.cos(phase), torch.sin(phase)):
                x = torch.zeros(shape, dtype=torch.double)
                x[0, channel] = wave
                out.append(linear(x) - rest)
            at = [n // 2 for n in out[0].shape[2:]]
            turn = sum(f * r * o for f, r, o in zip(frequency, rates, at, strict=True))
            expected = torch.complex(*(y[(0, slice(None), *at)] for y in out))
            torch.testing.assert_close(found[:, channel] * np.exp(1j * turn), expected)


def test_chain_is_the_transform_of_the_impulse_response() -> None:
    net = nn.Sequential(
        nn.Conv1d(1, 4, 3, dilation=2, padding=2, bias=False),
        nn.Conv1d(4, 2, 3, dilation=4, padding=4, bias=False),
        nn.ConvTranspose1d(2, 1, 3, padding=1, bias=False),
    ).double()
    n = 64
    impulse = torch.zeros(1, 1, n, dtype=torch.double)
    impulse[0, 0, n // 2] = 1
    with torch.no_grad():
        answer = net(impulse)[0, 0]
    # A wave comes out as the conjugate transform of the answer turned back, its centre at 0.
    expected = torch.fft.fft(torch.roll(answer, -n // 2))
    at = 2 * pi * torch.fft.fftfreq(n, dtype=torch.double)
    found = atrous.chain_response(net, impulse, at).flatten()
    torch.testing.assert_close(found, expected)


def test_upsampling_in_a_chain_tells_the_image_at_the_wave_itself() -> None:
    net = nn.Sequential(
        nn.ConvTranspose1d(1, 2, 4, stride=2, padding=1, bias=False),
        nn.Conv1d(2, 1, 3, padding=1, bias=False),
    ).double()
    n, k = 32, 3
    # A whole number of turns: the output's DFT holds the wave at k and its image at k + n.
    x = torch.exp(2j * pi * k * torch.arange(3 * n, dtype=torch.double) / n)
    with torch.no_grad():
        y = torch.complex(*(net(part[None, None])[0, 0] for part in (x.real, x.imag)))
    middle = y[2 * n : 4 * n]
    at = torch.tensor([2 * pi * k / n], dtype=torch.double)
    found = atrous.chain_response(net, torch.zeros(1, 1, 3 * n, dtype=torch.double), at)
    torch.testing.assert_close(found.flatten()[0], torch.fft.fft(middle)[k] / (2 * n))


def test_chain_that_is_none_says_where_it_ends() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(2, 2, 3, padding=1)
            self.last = nn.Conv1d(2, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(torch.relu(self.conv(x) + x))

    at = torch.tensor([0.0])
    found = atrous.chain_response(Residual(), (1, 2, 16), at)
    assert found.shape == (1, 2, 2)  # of the last layer alone
    with pytest.raises(ValueError, match="start must lie on a chain of single layers"):
        atrous.chain_response(Residual(), (1, 2, 16), at, start="conv")
    with pytest.raises(ValueError, match="node must end a chain with a convolution"):
        atrous.chain_response(nn.ReLU(), (1, 2, 16), at)


class TwoHeads(nn.Module):
    """A common layer, and two outputs of different filters."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 2, 3)
        self.fine = nn.Conv1d(2, 1, 3)
        self.wide = nn.Conv1d(2, 3, 3, dilation=4)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        shared = self.stem(x)
        return {"fine": self.fine(shared), "wide": self.wide(shared), "raw": x * 2}


def test_output_chooses_what_is_told() -> None:
    model, x, at = TwoHeads(), (1, 1, 40), torch.linspace(0, pi, 5)
    labels = {
        output: [row.label for row in atrous.spectrum(model, x, output=output).rows]
        for output in (None, "fine", "wide")
    }
    assert labels == {
        None: ["stem", "fine", "wide"],
        "fine": ["stem", "fine"],
        "wide": ["stem", "wide"],
    }
    for output in ("fine", "wide"):
        path = nn.Sequential(model.stem, getattr(model, output))
        torch.testing.assert_close(
            atrous.chain_response(model, x, at, output=output),
            atrous.chain_response(path, x, at),
        )
    with pytest.raises(ValueError, match="node and output must not both be given"):
        atrous.spectrum(model, x, node="stem", output="fine")
    with pytest.raises(ValueError, match="node and output must not both be given"):
        atrous.chain_response(model, x, at, node="stem", output="fine")
    with pytest.raises(KeyError, match="output must be one of 'fine', 'wide', 'raw'"):
        atrous.spectrum(model, x, output="none")
    with pytest.raises(ValueError, match="output must hold a convolution or an average"):
        atrous.spectrum(model, x, output="raw")


def band_split(x: np.ndarray, strides: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """A signal's part at frequencies that strides keep, and the rest."""
    spectrum = np.fft.fftn(x)
    grids = np.meshgrid(*(np.fft.fftfreq(n) for n in x.shape), indexing="ij")
    inside = np.ones(x.shape, dtype=bool)
    for grid, s in zip(grids, strides, strict=True):
        inside &= np.abs(grid) <= 0.5 / s
    return np.fft.ifftn(spectrum * inside).real, np.fft.ifftn(spectrum * ~inside).real


@pytest.mark.parametrize(
    ("taps", "dilation", "stride", "size"),
    [
        ((7,), (3,), (4,), (4096,)),
        ((3, 4), (1, 2), (2, 3), (120, 126)),
        ((3, 2), (2, 2), (1, 2), (20, 1000)),
    ],
)
def test_alias_energy_is_that_of_filtered_noise_split_at_the_new_nyquist(
    taps: tuple[int, ...], dilation: tuple[int, ...], stride: tuple[int, ...], size: tuple[int, ...]
) -> None:
    weight = seeded(1, 1, *taps)
    rng = np.random.default_rng(0)
    kernel = zero_stuffed(weight, dilation)[0, 0].numpy()
    kept = lost = 0.0
    for _ in range(40):
        noise = rng.standard_normal(size)
        out = np.fft.ifftn(
            np.fft.fftn(noise) * np.fft.fftn(kernel, s=size, axes=range(len(size)))
        ).real
        inside, outside = band_split(out, stride)
        every = tuple(slice(None, None, s) for s in stride)
        kept += (inside[every] ** 2).mean() / 40
        lost += (outside[every] ** 2).mean() / 40
    found = atrous.alias_energy(weight, stride=stride, dilation=dilation)
    assert found.in_band == pytest.approx(kept, rel=0.08)
    assert found.aliased == pytest.approx(lost, rel=0.08)
    assert found.fraction == pytest.approx(lost / (kept + lost), abs=0.02)


def power_law(lengths: tuple[int, ...], exponent: float) -> np.ndarray:
    """Power on the frequencies of a DFT, its mean 1, none at frequency 0."""
    squares = np.asarray(sum(np.ix_(*(np.fft.fftfreq(n) ** 2 for n in lengths)), np.zeros(lengths)))
    squares.flat[0] = np.inf
    power = squares ** (-exponent / 2)
    return np.asarray(power / power.mean())


def test_alias_energy_on_a_grid_is_exact() -> None:
    weight = seeded(3, 2, 4, 3)
    size, stride, dilation = (15, 21), (3, 2), (2, 1)
    power = power_law(size, 1.5)
    response = torch.fft.fftn(zero_stuffed(weight, dilation), s=size, dim=(2, 3)).abs().square()
    # Each input has the spectrum and they are uncorrelated: powers add up.
    output = (response.sum(1).mean(0)).numpy() * power
    f, g = np.meshgrid(np.fft.fftfreq(15), np.fft.fftfreq(21), indexing="ij")
    inside = (np.abs(f) <= 1 / 6) & (np.abs(g) <= 1 / 4)
    found = atrous.alias_energy(
        weight, stride=stride, dilation=dilation, power=torch.from_numpy(power)
    )
    assert found.total == pytest.approx(output.mean())
    assert found.fraction == pytest.approx(output[~inside].sum() / output.sum())


@pytest.mark.parametrize("dilation", [2, 4])
def test_rule_of_thumb_aliases_half_to_three_quarters_of_white_power(dilation: int) -> None:
    # A 41-tap low-pass of w_c = pi / 2. The rule allows M = pi d / w_c = 2 d: the image at 0 ends
    # at w_c / d = pi / M. All d images hold the same power, and only the one at 0 lies below that:
    # (d - 1) / d of the power aliases, 1/2 and 3/4, but for what the filter's slope adds.
    weight = torch.from_numpy(low_pass(41, 0.5))[None, None]
    advice = atrous.safe_stride(pi / 2, dilation)
    assert (advice.stride, advice.holds, advice.safe) == (2 * dilation, False, 1)
    found = atrous.alias_energy(weight, stride=advice.stride, dilation=dilation)
    assert found.fraction == pytest.approx((dilation - 1) / dilation, abs=0.01)
    # Limited to what the rule needs the input loses next to nothing.
    size = 1200
    white = np.abs(2 * pi * np.fft.fftfreq(size)) < 0.9 * advice.condition
    limited = atrous.alias_energy(
        weight, stride=advice.stride, dilation=dilation, power=torch.from_numpy(white * 1.0)
    )
    assert limited.fraction < 0.03
    assert atrous.safe_stride(pi / 2, dilation, band=0.9 * advice.condition).safe == 2 * dilation


def test_periodogram_finds_a_known_spectrum() -> None:
    rng = np.random.default_rng(1)
    power = power_law((64, 48), 2.0)
    noise = np.fft.fft2(rng.standard_normal((400, 64, 48)))
    signal = torch.from_numpy(np.fft.ifft2(noise * np.sqrt(power)).real)
    found = periodogram(signal[:, None], 2)
    assert found.mean() == pytest.approx(1.0, rel=0.1)
    expected = energy_on_grid(power, (2, 2)).fraction
    assert energy_on_grid(found, (2, 2)).fraction == pytest.approx(expected, rel=0.15)


def test_covariance_behind_a_stride_is_that_of_the_folded_spectrum() -> None:
    found = covariance(seeded(2, 3, 5), [2])
    # Every third position: the three images of the spectrum add up.
    images = power_on_grid(found, [60]).reshape(3, 20).mean(0)
    np.testing.assert_allclose(power_on_grid(found.kept([3]), [20]), images, atol=1e-12)


@pytest.mark.parametrize(("exponent", "stride"), [(2.0, 2), (1.0, 3), (0.5, 2), (-1.0, 4)])
def test_falling_power_is_integrated_from_the_lowest_frequency(
    exponent: float, stride: int
) -> None:
    def integral(a: float, b: float) -> float:
        p = 1 - exponent
        return float(np.log(b / a)) if p == 0 else (b**p - a**p) / p

    for length, given in ((64, None), (64, 0.05), (1000, None), (1000, 0.05)):
        lowest = 2 * pi / length if given is None else given
        report = atrous.aliasing(
            nn.Conv1d(1, 1, 1, stride=stride), (1, 1, length), spectrum=exponent, lowest=given
        )
        (row,) = report.rows
        assert row.energy is not None
        assert row.lowest == pytest.approx((lowest,))
        beyond = integral(pi / stride, pi) / integral(lowest, pi)
        assert row.energy.fraction == pytest.approx(beyond, rel=1e-9)
        assert f"{2 * pi / lowest:.4g}" in str(report)


@pytest.mark.parametrize("lengths", [(64, 64), (40, 160)])
def test_falling_power_in_two_dimensions_is_that_of_a_fine_grid(lengths: tuple[int, int]) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3, dilation=(2, 1), stride=(1, 2), bias=False), nn.ReLU(), nn.MaxPool2d(2)
    )
    weight = net[0].weight.detach()
    found = [row.energy for row in atrous.aliasing(net, (1, 2, *lengths), spectrum=2.0).rows]
    fine = [(np.arange(-n, n) + 0.5) * pi / n for n in (1600, 1600)]
    v, h = np.meshgrid(*fine, indexing="ij", sparse=True)
    given = 1 / (v**2 + h**2)
    given[(np.abs(v) < 2 * pi / lengths[0]) & (np.abs(h) < 2 * pi / lengths[1])] = 0
    response = np.zeros(given.shape)
    for kernel in weight.flatten(0, 1).numpy():
        rows = np.exp(-2j * v * np.arange(3)) @ kernel @ np.exp(-1j * h.T * np.arange(3)).T
        response += np.abs(rows) ** 2 / 3
    passed = given * response
    # Its own stride is 1 x 2; what the maximum reads was folded along the last axis before.
    own = np.abs(h) <= pi / 2
    folded = np.abs((2 * h + pi) % (2 * pi) - pi)
    then = (np.abs(v) <= pi / 2) & (folded <= pi / 2)
    for energy, kept in zip(found, (own, then), strict=True):
        assert energy is not None
        assert energy.total == pytest.approx(passed.sum() / given.sum(), rel=1e-3)
        assert energy.fraction == pytest.approx((passed * ~kept).sum() / passed.sum(), rel=1e-3)


def test_lowest_frequency_is_checked() -> None:
    net = nn.Conv1d(1, 1, 1, stride=2)
    for spectrum, lowest in (("white", 0.1), (2.0, 0.0), (2.0, 4.0)):
        with pytest.raises(ValueError, match="lowest must be above 0 and below pi"):
            atrous.aliasing(net, (1, 1, 64), spectrum=spectrum, lowest=lowest)  # type: ignore[arg-type]
    (row,) = atrous.aliasing(net, (1, 1, 2), spectrum=2.0).rows
    assert (row.energy, row.reason) == (None, "no wave fits into 2 positions")


def test_aliasing_of_a_model_measured_given_and_through_a_maximum() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.AvgPool1d(4, 1), nn.ReLU(), nn.MaxPool1d(2), nn.Conv1d(2, 2, 1, stride=2)
    )
    x = torch.randn(8, 2, 4000)
    state = torch.get_rng_state()
    white = atrous.aliasing(net, x)
    measured = atrous.aliasing(net[3], x, spectrum="measured")
    assert torch.equal(state, torch.get_rng_state())
    assert [row.label for row in white.rows] == ["2", "3"]
    maximum, one = white.rows
    assert (maximum.is_linear, maximum.through) == (False, "0")
    # The mean of 4 has autocorrelation 4, 3, 2, 1 (/16); up to pi/2 lies 1/2 r0 + sum over odd t of
    # 2 r_t sin(pi t / 2) / (pi t) = 2 + 2 (3 / pi - 1 / (3 pi)) of 4.
    kept = (2 + 2 * (3 / pi - 1 / (3 * pi))) / 4
    assert maximum.energy is not None
    assert maximum.energy.fraction == pytest.approx(1 - kept)
    assert one.energy is not None
    assert one.energy.fraction == pytest.approx(0.5)
    (row,) = measured.rows
    assert row.energy is not None
    assert row.energy.fraction == pytest.approx(0.5, abs=0.02)
    pink = atrous.aliasing(net, x, spectrum=2.0).rows
    assert all(row.energy is not None and row.energy.fraction < 0.01 for row in pink)
    assert "behind 0" in str(white)
    # Behind a stride of 2 lags 0 and 2 are left, 4 and 2: 2 + 2 * 2 / pi of 4 lie up to pi/2.
    strided = nn.Sequential(nn.AvgPool1d(4, 2), nn.MaxPool1d(2))
    for spectrum in ("white", 0.001):
        energy = atrous.aliasing(strided, (1, 2, 4001), spectrum=spectrum).rows[1].energy
        assert energy is not None
        assert energy.fraction == pytest.approx(1 - (2 + 4 / pi) / 4, abs=1e-3)
    # A maximum alone takes every third position of white noise.
    energy = atrous.aliasing(nn.MaxPool1d(3), (1, 1, 30)).rows[0].energy
    assert energy is not None
    assert energy.fraction == pytest.approx(2 / 3)


def test_measured_aliasing_tells_what_really_reaches_a_layer() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Conv2d(1, 1, 1, stride=2, bias=False))
    slow = torch.cos(2 * pi * torch.arange(64) / 16)
    fast = torch.cos(2 * pi * torch.arange(64) * 7 / 16)
    low = slow[:, None] * slow[None]
    found = [
        atrous.aliasing(net[1:], image[None, None], spectrum="measured").rows[0].energy
        for image in (low, fast[:, None] * slow[None], low + fast[:, None] * slow[None])
    ]
    fractions = [energy.fraction for energy in found if energy is not None]
    assert fractions == pytest.approx([0.0, 1.0, 0.5], abs=1e-3)
    # The rectifier makes high frequencies of its own: they count.
    (row,) = atrous.aliasing(
        net, (fast[:, None] * slow[None])[None, None], spectrum="measured"
    ).rows
    assert row.energy is not None
    assert 0.2 < row.energy.fraction < 0.95
    with pytest.raises(ValueError, match="x must hold a tensor for each of"):
        atrous.aliasing(net, (1, 1, 64, 64), spectrum="measured")


class Pyramid(nn.Module):
    """Branches of a smooth filter at several rates, with or without a 1x1 branch."""

    def __init__(self, rates: tuple[int, ...], one: bool) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(nn.Conv1d(1, 1, 9, dilation=r, padding=4 * r), nn.ReLU()) for r in rates
        )
        for branch in self.branches:
            taps = torch.from_numpy(low_pass(9, 0.3)).float()
            branch[0].weight.data = taps[None, None]
        self.one = nn.Conv1d(1, 1, 1) if one else None

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(x)
        ones = [] if self.one is None else [self.one(x)]
        return torch.cat([b(x) for b in self.branches] + ones, 1)


def test_limit_of_branches_is_the_input_where_one_passes_all() -> None:
    with_one = atrous.limiting_branch(Pyramid((1, 2, 4), True), (1, 1, 64))
    assert (with_one.limiting, with_one.by_input, with_one.stride) == ("one", True, 1)
    half = atrous.limiting_branch(Pyramid((1, 2, 4), True), (1, 1, 64), band=pi / 2)
    assert (half.by_input, half.stride) == (True, 2)
    # All rates pass the same part of the spectrum; only the undilated one ends at w_c.
    shares = [branch.axes[0].passed for branch in with_one.branches[:3]]
    assert shares == pytest.approx([shares[0]] * 3)
    assert with_one.branches[0].axes[0].highest < pi / 2
    assert with_one.branches[1].axes[0].highest == pytest.approx(pi)
    # Without the 1x1 it is a branch of even rate, through its image at pi: not the smallest rate.
    without = atrous.limiting_branch(Pyramid((1, 2), False), (1, 1, 64))
    assert (without.limiting, without.by_input) == ("branches.1.1", False)
    assert "branches.1.1 limits" in str(without)


def test_chain_of_branch_layers_has_the_taps_of_both() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.deep = nn.Conv1d(4, 4, 3, dilation=2, padding=2, groups=4, bias=False)
            self.point = nn.Conv1d(4, 3, 1, bias=False)
            self.other = nn.Conv1d(4, 3, 1, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.point(self.deep(x)) + self.other(x)

    net = Two().double()
    found = atrous.limiting_branch(net, torch.zeros(1, 4, 20, dtype=torch.double))
    axis = found.branches[0].axes[0]
    assert (axis.distance, axis.taps, found.branches[0].layers) == (2, 3, ("deep", "point"))
    at = torch.linspace(0, pi, 7, dtype=torch.double)
    response = atrous.chain_response(
        net, torch.zeros(1, 4, 20, dtype=torch.double), at, node="point"
    )
    expected = response.abs().square().sum((1, 2)).numpy() / 3
    np.testing.assert_allclose(axis.profile.power(2 * at.numpy()), expected)


def test_errors_tell_what_to_do() -> None:
    net = nn.Sequential(nn.Conv1d(1, 1, 3), nn.ReLU())
    with pytest.raises(ValueError, match="node must hold a convolution or an average"):
        atrous.spectrum(net, (1, 1, 16), node="1")
    with pytest.raises(ValueError, match="node must have branches that meet"):
        atrous.limiting_branch(net, (1, 1, 16))
    with pytest.raises(ValueError, match=re.escape('spectrum must be "white", "measured"')):
        atrous.aliasing(net, (1, 1, 16), spectrum="pink")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="cutoff must be above 0 and at most pi"):
        atrous.safe_stride(0.0, 2)
    with pytest.raises(ValueError, match="weight must have shape"):
        atrous.alias_energy(torch.ones(3), stride=2)
    with pytest.raises(ValueError, match="stride must be a whole number from 1"):
        atrous.alias_energy(torch.ones(1, 1, 3), stride=0)
    with pytest.raises(ValueError, match="frequencies must be one tensor per axis of taps"):
        atrous.frequency_response(torch.ones(3), [torch.zeros(1), torch.zeros(1)])


def test_command_prints_the_spectrum(capsys: pytest.CaptureFixture[str]) -> None:
    def call(*arguments: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            run(["inspect", "atrous:tcn", "--input", "1x200", "--spectrum", *arguments])
        assert not stopped.value.code
        return capsys.readouterr().out

    lines = call("--node", "7").splitlines()
    assert [line.split()[0] for line in lines[2:]] == ["7.first", "7.second"]
    # Two convolutions of kernel 8, dilation 128: 128 images.
    assert lines[2].split()[1:6] == ["2", "8", "128", "128", "1"]
    told = json.loads(call("--json"))
    assert told["schema"] == "atrous.spectrum/1"
    assert len(told["layers"]) == 18


def test_input_without_batch_and_one_shorter_than_the_kernel() -> None:
    net = nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(2, 3, 3, stride=2), nn.Dropout())
    at = torch.linspace(0, 3, 5, dtype=torch.double)
    whole = atrous.chain_response(net, (1, 2, 20), at)
    torch.testing.assert_close(atrous.chain_response(net, (2, 20), at), whole)
    assert atrous.spectrum(net, (2, 20)).rows[0].axes[0].rate == 1
    assert len(atrous.aliasing(net, (2, 20)).rows) == 1
    wide = nn.Conv1d(1, 1, 5, dilation=4, padding=8, stride=2)
    (row,) = atrous.aliasing(wide, torch.randn(1, 1, 12), spectrum="measured").rows
    assert row.energy is None
    assert "longer than the kernel" in row.reason
    (row,) = atrous.aliasing(wide, torch.randn(1, 1, 12), spectrum=1.0).rows
    assert row.energy is not None


def test_model_and_random_state_stay_as_they_are() -> None:
    net = nn.Sequential(nn.Conv1d(1, 2, 3), nn.Dropout(0.5), nn.BatchNorm1d(2)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    x = torch.randn(2, 1, 32, generator=torch.Generator().manual_seed(0))
    atrous.spectrum(net, x)
    atrous.aliasing(nn.Sequential(net, nn.AvgPool1d(2)), x, spectrum="measured")
    found = atrous.chain_response(net, x, torch.tensor([0.5]))
    assert found.shape == (1, 2, 1)
    assert net.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_branch_that_reads_all_is_not_told() -> None:
    class WithMean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.near = nn.Conv1d(2, 2, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            return self.near(x) + x.mean(-1, keepdim=True)

    found = atrous.limiting_branch(WithMean(), (1, 2, 30))
    assert [bool(branch.axes) for branch in found.branches] == [True, False]
    assert "not told" in str(found)

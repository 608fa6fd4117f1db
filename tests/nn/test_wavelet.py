"""The stationary transform equals PyWavelets', at any length it inverts, and sees what it says."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import pywt
import torch
from torch import Tensor

import atrous
from atrous.nn import (
    FilterBank,
    StationaryWavelet1d,
    StationaryWavelet2d,
    compare_continuous,
    wavelet_redundancy,
)
from samples import drawn

WAVELETS = ("haar", "db2", "db5", "sym4", "coif1", "bior1.3", "bior2.4", "rbio3.1", "dmey")


def assert_equal(found: Tensor, expected: np.ndarray, allowed: float = 1e-12) -> None:
    assert found.shape == expected.shape
    assert float((found - torch.from_numpy(expected)).abs().max()) < allowed


def swt(x: Tensor, wavelet: str, levels: int) -> np.ndarray:
    return np.stack(pywt.swt(x.numpy(), wavelet, levels, trim_approx=True), 2)


@pytest.mark.parametrize("wavelet", WAVELETS)
@pytest.mark.parametrize(("length", "levels"), [(8, 3), (40, 2), (96, 4)])
def test_signals_have_the_coefficients_of_pywavelets(
    wavelet: str, length: int, levels: int
) -> None:
    x = drawn(2, 3, length)
    assert_equal(StationaryWavelet1d(wavelet, levels)(x), swt(x, wavelet, levels))


@pytest.mark.parametrize("wavelet", WAVELETS[:-1])
def test_images_have_the_coefficients_of_pywavelets(wavelet: str) -> None:
    x = drawn(2, 2, 12, 8)
    approximation, *details = pywt.swt2(x.numpy(), wavelet, 2, trim_approx=True, axes=(2, 3))
    expected = np.stack([approximation, *(band for level in details for band in level)], 2)
    assert_equal(StationaryWavelet2d(wavelet, 2)(x), expected)


def test_another_wavelet_is_told_apart() -> None:
    x = drawn(1, 1, 16)
    with pytest.raises(AssertionError, match=r"assert \d.* < 1e-12"):
        assert_equal(StationaryWavelet1d("db2", 2)(x), swt(x, "sym4", 2))


@pytest.mark.parametrize("wavelet", WAVELETS[:-1])
def test_coefficients_of_no_signal_are_inverted_as_pywavelets_does(wavelet: str) -> None:
    coefficients = drawn(1, 2, 4, 24)
    expected = pywt.iswt([coefficients[:, :, k].numpy() for k in range(4)], wavelet, axis=-1)
    assert_equal(StationaryWavelet1d(wavelet, 3).inverse(coefficients), expected)


@pytest.mark.parametrize("wavelet", WAVELETS[:-1])
@pytest.mark.parametrize("length", [1, 2, 3, 7, 29, 101])
def test_any_length_is_reconstructed(wavelet: str, length: int) -> None:
    one, two = StationaryWavelet1d(wavelet, 4), StationaryWavelet2d(wavelet, 2)
    x, image = drawn(2, 2, length), drawn(1, 2, length, 5)
    # PyWavelets lists the taps of some families to eleven digits.
    allowed = 1e-12 + 100 * one.bank.error
    assert_equal(one.inverse(one(x)), x.numpy(), allowed)
    assert_equal(two.inverse(two(image)), image.numpy(), allowed)
    assert one.bank.error < (1e-15 if wavelet != "sym4" else 1e-11)


@pytest.mark.parametrize("wavelet", WAVELETS)
def test_any_length_is_the_periodic_signal(wavelet: str) -> None:
    # 2^levels periods of any length are a length that PyWavelets takes.
    x = drawn(1, 1, 9)
    expected = swt(x.repeat(1, 1, 8), wavelet, 3)[..., :9]
    assert_equal(StationaryWavelet1d(wavelet, 3)(x), expected)


def test_the_error_of_a_bank_tells_how_well_it_inverts() -> None:
    transform = StationaryWavelet1d("dmey", 1)
    x = drawn(1, 1, 200)
    off = float((transform.inverse(transform(x)) - x).abs().max())
    # The largest deviation of one tap, against the sum over all 123 of them.
    assert 1e-3 < transform.bank.error < off < 123 * transform.bank.error * float(x.abs().max())
    assert StationaryWavelet1d("db3", 1).bank.error < 1e-12


@pytest.mark.parametrize("wavelet", ["haar", "db3", "bior2.2"])
@pytest.mark.parametrize("levels", [1, 3])
def test_the_declared_field_is_the_analysed_one(wavelet: str, levels: int) -> None:
    module = StationaryWavelet1d(wavelet, levels)
    field = atrous.receptive_field(module, (1, 1, 200), axes=2)
    assert field.size == (module.receptive_field,)
    assert field.status == "exact"
    image = StationaryWavelet2d(wavelet, levels)
    found = atrous.receptive_field(image, (1, 1, 90, 81), axes=(2, 3))
    assert found.size == (image.receptive_field,) * 2


def test_the_transform_is_its_matrix() -> None:
    x = drawn(1, 1, 16)
    found = atrous.matrix(StationaryWavelet1d("db2", 2), x)
    assert_equal(found.apply(x), swt(x, "db2", 2))


def test_single_precision_loses_no_taps() -> None:
    x = drawn(1, 1, 32)
    assert_equal(StationaryWavelet1d("db4", 2).float().half().double()(x), swt(x, "db4", 2))
    assert StationaryWavelet1d("db4", 2)(x.float()).dtype == torch.float32


@pytest.mark.parametrize("name", ["haar", "db4", "sym6", "coif2"])
def test_taps_alone_give_the_filters_of_the_name(name: str) -> None:
    wavelet = pywt.Wavelet(name)
    found = FilterBank.orthogonal(wavelet.dec_lo)
    np.testing.assert_allclose(np.array(found.filters), np.array(wavelet.filter_bank), atol=1e-15)
    assert FilterBank.of(wavelet) == FilterBank.of(name)


@pytest.mark.parametrize(
    ("wavelet", "message"),
    [
        ("db99", "must be the name of a discrete wavelet, got 'db99'"),
        ("mexh", "must be the name of a discrete wavelet"),
        ([0.5, 0.5], "must be orthonormal .* got taps off by 0.5"),
        ([1.0, 0.0, 0.0], "must be taps of an even number"),
        ([float("nan")] * 2, "must be orthonormal"),
        (3, "must be a name, taps, or have a filter_bank, got int"),
    ],
)
def test_unusable_wavelets_are_refused(wavelet: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StationaryWavelet1d(wavelet, 1)


def test_without_pywavelets_taps_still_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pywt", None)
    with pytest.raises(ImportError, match=r'pip install "atrous\[wavelets\]"'):
        StationaryWavelet1d("haar", 1)
    assert StationaryWavelet1d([0.5**0.5] * 2, 1)(torch.ones(1, 1, 4)).shape == (1, 1, 2, 4)


def test_unusable_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="levels must be a whole number of at least 1, got 0"):
        StationaryWavelet1d("haar", 0)
    haar = StationaryWavelet1d("haar", 2)
    with pytest.raises(ValueError, match=r"x must have the shape \(batch, channels, length\)"):
        haar(torch.zeros(4, 8))
    with pytest.raises(ValueError, match=r"x must be floating-point, got torch.int64"):
        haar(torch.zeros(1, 1, 8, dtype=torch.int64))
    with pytest.raises(ValueError, match="coefficients must have 3 bands, got 4"):
        haar.inverse(torch.zeros(1, 1, 4, 8))
    with pytest.raises(ValueError, match="four filters of one even length, got"):
        FilterBank((1.0, 0.0), (1.0,), (1.0, 0.0), (1.0, 0.0))


@pytest.mark.parametrize(("length", "levels"), [(64, 3), (64, 6), (96, 2), (50, 3), (37, 5)])
def test_redundancy_is_what_pywavelets_returns(length: int, levels: int) -> None:
    found = wavelet_redundancy(length, levels)
    x = np.random.default_rng(0).normal(size=length)
    decimated = pywt.wavedec(x, "haar", "periodization", levels)
    assert found.decimated == sum(map(len, decimated))
    if length % 2**levels == 0:
        assert found.decimated == length
        undecimated = pywt.swt(x, "haar", levels, trim_approx=True)
        assert found.undecimated == sum(map(len, undecimated))
    own = StationaryWavelet1d("haar", levels)(torch.from_numpy(x).reshape(1, 1, -1))
    assert found.undecimated == own.numel() == length * (levels + 1)
    continuous, _ = pywt.cwt(x, [2**j for j in range(levels)], "mexh")
    assert found.continuous == continuous.size == length * levels


def test_lengths_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="levels must be a whole number of at least 1, got 0"):
        wavelet_redundancy(8, 0)


def test_the_smoothed_stack_nears_the_continuous_transform() -> None:
    for wavelet in ("db2", "db4", "sym8"):
        found = compare_continuous(wavelet, levels=6)
        errors = [scale.stack_error for scale in found]
        assert errors == sorted(errors, reverse=True)
        assert errors[-1] < 0.05
        assert min(errors) > 1e-3
        # Zeros inserted alone are another filter: a comb.
        assert all(scale.zeros_correlation < 0.75 for scale in found[2:])
        assert found[-1].zeros_correlation < 0.3


def test_the_haar_stack_is_the_continuous_transform_at_whole_samples() -> None:
    # Its function is constant between samples, so that resampling it is exact.
    found = compare_continuous("haar", levels=4, signal=drawn(300).tolist())
    assert max(scale.stack_error for scale in found) < 1e-10
    # One dilated Haar convolution of white noise: 1 of 2^(j-1) samples of each half is read.
    for scale in found:
        share = (scale.scale / 2) ** -0.5
        assert abs(scale.zeros_correlation - share) < 0.15


def test_a_comparison_needs_an_orthogonal_wavelet_and_a_signal() -> None:
    with pytest.raises(ValueError, match=r"wavelet must be orthogonal, got 'bior2.2'"):
        compare_continuous("bior2.2")
    with pytest.raises(ValueError, match="signal must be a sequence of finite numbers"):
        compare_continuous("haar", signal=[1.0])

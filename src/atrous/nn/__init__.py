"""Modules built on dilated convolution.

StationaryWavelet1d, StationaryWavelet2d   the undecimated wavelet transform and its inverse
wavelet_redundancy(length, levels)         how many coefficients each kind of transform has
compare_continuous(wavelet)                how far dilated stacks are from the continuous transform
"""

from atrous.nn.continuous import ScaleComparison as ScaleComparison
from atrous.nn.continuous import compare_continuous as compare_continuous
from atrous.nn.filters import FilterBank as FilterBank
from atrous.nn.redundancy import WaveletRedundancy as WaveletRedundancy
from atrous.nn.redundancy import wavelet_redundancy as wavelet_redundancy
from atrous.nn.wavelet import StationaryWavelet1d as StationaryWavelet1d
from atrous.nn.wavelet import StationaryWavelet2d as StationaryWavelet2d

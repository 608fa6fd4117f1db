"""Dilated convolutions, computed in the fastest exact way.

conv1d, conv2d, conv3d   PyTorch's functions, with causal padding
"""

from atrous.ops.convolution import conv1d as conv1d
from atrous.ops.convolution import conv2d as conv2d
from atrous.ops.convolution import conv3d as conv3d

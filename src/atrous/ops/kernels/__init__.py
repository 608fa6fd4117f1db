"""Loops compiled by Numba."""

from atrous.ops.kernels import channels_last as channels_last
from atrous.ops.kernels import numbers as numbers
from atrous.ops.kernels import planes as planes
from atrous.ops.kernels import rows as rows

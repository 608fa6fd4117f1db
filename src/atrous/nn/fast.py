"""Modules whose convolutions are computed in the fastest exact way."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from atrous import ops
from atrous.nn.mixing import Mixin, mix, unmix

_BY_AXES = {1: ops.conv1d, 2: ops.conv2d, 3: ops.conv3d}
_ATEN: Any = torch.ops.aten
AXES: dict[Any, int] = {
    torch.conv1d: 1, torch.conv2d: 2, torch.conv3d: 3,
    _ATEN.conv1d.default: 1, _ATEN.conv2d.default: 2, _ATEN.conv3d.default: 3,
    _ATEN.conv1d.padding: 1, _ATEN.conv2d.padding: 2, _ATEN.conv3d.padding: 3,
}  # fmt: skip
"""Functions that are redirected, and along how many axes they convolve."""
_PLAIN = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class FastConvolution(Mixin):
    """Mixed into the class of a convolution by `make_fast`."""

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        conv: Any = self
        padding = conv.padding
        if conv.padding_mode != "zeros":
            sides = conv._reversed_padding_repeated_twice
            input, padding = F.pad(input, sides, mode=conv.padding_mode), 0
        convolution = _BY_AXES[len(conv.kernel_size)]
        return convolution(input, weight, bias, conv.stride, padding, conv.dilation, conv.groups)


class FastCalls(Mixin):
    """Mixed by `make_fast` into the class of a module that calls convolutions itself."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own forward, with other functions in place of PyTorch's."""
        with _Redirected():
            return super().forward(*args, **kwargs)


class _Redirected(TorchFunctionMode):
    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        fast = _BY_AXES[AXES[func]] if func in AXES else func
        return fast(*args, **(kwargs or {}))


def make_fast(module: nn.Module) -> None:
    """Make a module compute its convolutions in the fastest exact way, in place.

    Its parameters and their names stay. A convolution calls another function; any other module
    runs as it is, with what it calls itself redirected.

    Example:
        >>> conv, x = nn.Conv1d(4, 4, 3, dilation=8, padding=8, groups=4), torch.randn(1, 4, 90)
        >>> before = conv(x)
        >>> make_fast(conv)
        >>> bool(torch.allclose(conv(x), before, atol=1e-6)), type(conv).__name__
        (True, 'Conv1d')
    """
    if not is_fast(module):
        mix(_what(module), module)


def make_plain(module: nn.Module) -> None:
    """Undo `make_fast`, in place."""
    for what in (FastConvolution, FastCalls):
        if isinstance(module, what):
            unmix(what, module)


def is_fast(module: nn.Module) -> bool:
    """Whether a module was made fast."""
    return isinstance(module, FastConvolution | FastCalls)


def _what(module: nn.Module) -> type[Mixin]:
    kind: Any = type(module)
    for plain in _PLAIN:
        if isinstance(module, plain):
            same = kind._conv_forward is plain._conv_forward and kind.forward is plain.forward
            return FastConvolution if same else FastCalls
    return FastCalls

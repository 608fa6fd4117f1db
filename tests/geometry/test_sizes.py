"""Sizes and index maps against PyTorch and hand arithmetic."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F

from atrous.geometry.index_map import index_map
from atrous.geometry.primitives import Window
from atrous.geometry.sizes import (
    conv_length,
    effective_kernel,
    pool_length,
    same_padding,
    transposed_length,
)


@pytest.mark.parametrize(("kernel", "dilation"), list(itertools.product(range(1, 6), range(1, 5))))
def test_lengths_are_those_of_pytorch(kernel: int, dilation: int) -> None:
    w = torch.zeros(1, 1, kernel)
    for length in (1, 2, 7, 12):
        x = torch.zeros(1, 1, length)
        for stride in (1, 2, 3):
            for padding in range(4):
                if length + 2 * padding >= effective_kernel(kernel, dilation):
                    y = F.conv1d(x, w, stride=stride, padding=padding, dilation=dilation)
                    assert y.shape[2] == conv_length(
                        length, kernel, stride=stride, dilation=dilation, padding=2 * padding
                    )
                for extra in range(max(stride, dilation)):
                    size = transposed_length(
                        length, kernel, stride=stride, dilation=dilation, padding=padding,
                        output_padding=extra,
                    )  # fmt: skip
                    if size > 0:
                        up = F.conv_transpose1d(
                            x, w, stride=stride, padding=padding, output_padding=extra,
                            dilation=dilation,
                        )  # fmt: skip
                        assert up.shape[2] == size
                for ceil in (False, True):
                    size = pool_length(
                        length, kernel, stride=stride, dilation=dilation, padding=padding,
                        ceil_mode=ceil,
                    )  # fmt: skip
                    if padding <= kernel // 2 and size > 0:
                        pooled = F.max_pool1d(x, kernel, stride, padding, dilation, ceil_mode=ceil)
                        assert pooled.shape[2] == size


@pytest.mark.parametrize(("kernel", "dilation"), list(itertools.product(range(1, 6), range(1, 5))))
def test_same_padding_keeps_the_length(kernel: int, dilation: int) -> None:
    left, right = same_padding(kernel, dilation)
    assert right - left == (dilation * (kernel - 1)) % 2
    assert conv_length(20, kernel, dilation=dilation, padding=left + right) == 20
    for length, stride in itertools.product(range(1, 15), (2, 3)):
        total = sum(same_padding(kernel, dilation, length=length, stride=stride))
        if length + total >= effective_kernel(kernel, dilation):
            assert conv_length(
                length, kernel, stride=stride, dilation=dilation, padding=total
            ) == -(-length // stride)


def test_index_map_of_the_textbook_case() -> None:
    # 5x6 input, 3x3 kernel, padding 1, dilation 2, output (0, 0): 4 of 9 taps inside.
    taps = index_map((5, 6), (Window(3, dilation=2, left=1),) * 2, (0, 0)).taps
    inside = [tap.input_index for tap in taps if not tap.is_padding]
    assert inside == [(1, 1), (1, 3), (3, 1), (3, 3)]
    assert len(taps) == 9


def test_index_map_is_what_the_convolution_reads() -> None:
    windows = (Window(3, 2, 2, 3), Window(2, 1, 3, 1))
    x = torch.randn(1, 1, 7, 6, requires_grad=True)
    y = F.conv2d(x, torch.ones(1, 1, 3, 2), stride=(2, 1), padding=(3, 1), dilation=(2, 3))
    for i, j in itertools.product(range(y.shape[2]), range(y.shape[3])):
        (gradient,) = torch.autograd.grad(y[0, 0, i, j], x, retain_graph=True)
        read = {tuple(at) for at in gradient[0, 0].nonzero().tolist()}
        taps = index_map((7, 6), windows, (i, j)).taps
        assert {tap.input_index for tap in taps if not tap.is_padding} == read


def test_drawings_of_one_and_three_axes() -> None:
    assert str(index_map((6,), (Window(3, dilation=2, left=2),), (0,))) == "x   # . # . . ."
    text = str(index_map((2, 2, 2), (Window(2),) * 3, (0, 0, 0)))
    assert text == "0:\n# #\n# #\n\n1:\n# #\n# #"


def test_errors_say_what_to_do() -> None:
    with pytest.raises(ValueError, match="dilation must be at least 1, got 0"):
        Window(3, dilation=0)
    with pytest.raises(ValueError, match=r"at least the kernel's span of 9, got 3 \+ 2. Pad more"):
        conv_length(3, 3, dilation=4, padding=2)
    with pytest.raises(ValueError, match="length must be given when stride is not 1"):
        same_padding(3, stride=2)
    with pytest.raises(ValueError, match="one entry per axis, got 2, 1 and 1"):
        index_map((2, 2), (Window(2),), (0,))

"""Kernel extents, output lengths and same-size padding: the arithmetic of one axis."""

from __future__ import annotations


def effective_kernel(kernel_size: int, dilation: int = 1) -> int:
    """Inputs spanned by a kernel: `(kernel_size - 1) * dilation + 1`.

    >>> effective_kernel(3, dilation=15)
    31
    """
    check_window(kernel_size, 1, dilation)
    return (kernel_size - 1) * dilation + 1


def conv_length(
    length: int, kernel_size: int, *, stride: int = 1, dilation: int = 1, padding: int = 0
) -> int:
    """Outputs of a convolution with `padding` positions added in all (both sides together).

    Raises:
        ValueError: if the kernel spans more than the padded axis.

    >>> conv_length(513, 3, stride=2, padding=2)
    257
    """
    span = effective_kernel(kernel_size, dilation)
    check_window(kernel_size, stride, dilation)
    if length + padding < span:
        raise ValueError(
            f"the padded length must be at least the kernel's span of {span}, "
            f"got {length} + {padding}. Pad more, or use a smaller kernel or dilation."
        )
    return (length + padding - span) // stride + 1


def pool_length(
    length: int,
    kernel_size: int,
    *,
    stride: int,
    dilation: int = 1,
    padding: int = 0,
    ceil_mode: bool = False,
) -> int:
    """Outputs of PyTorch's pooling with `padding` on each side.

    With `ceil_mode` a last partial window counts, unless it would begin in the right padding.

    >>> pool_length(6, 3, stride=2), pool_length(6, 3, stride=2, ceil_mode=True)
    (2, 3)
    """
    check_window(kernel_size, stride, dilation)
    slack = length + 2 * padding - effective_kernel(kernel_size, dilation)
    outputs = -(-slack // stride) + 1 if ceil_mode else slack // stride + 1
    if ceil_mode and (outputs - 1) * stride >= length + padding:
        outputs -= 1
    return outputs


def transposed_length(
    length: int,
    kernel_size: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: int = 0,
    output_padding: int = 0,
) -> int:
    """Outputs of a transposed convolution with `padding` taken off each side.

    >>> transposed_length(5, 4, stride=2, padding=1)
    10
    """
    span = effective_kernel(kernel_size, dilation)
    check_window(kernel_size, stride, dilation)
    return (length - 1) * stride - 2 * padding + span + output_padding


def same_padding(
    kernel_size: int, dilation: int = 1, *, length: int | None = None, stride: int = 1
) -> tuple[int, int]:
    """Left and right padding that keep the size: `ceil(length / stride)` outputs.

    The right side gets the odd position (TensorFlow's and PyTorch's rule). With a stride the
    amount depends on `length`.

    Raises:
        ValueError: if `stride` is not 1 and `length` is not given.

    >>> same_padding(3, dilation=2), same_padding(4), same_padding(3, length=6, stride=2)
    ((2, 2), (1, 2), (0, 1))
    """
    span = effective_kernel(kernel_size, dilation)
    check_window(kernel_size, stride, dilation)
    if stride == 1:
        total = span - 1
    elif length is None:
        raise ValueError(f"length must be given when stride is not 1, got stride {stride}.")
    else:
        total = max((-(-length // stride) - 1) * stride + span - length, 0)
    return total // 2, total - total // 2


def check_window(kernel_size: int, stride: int, dilation: int) -> None:
    """Raise `ValueError` unless all three are at least 1."""
    for name, value in (("kernel_size", kernel_size), ("stride", stride), ("dilation", dilation)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}.")

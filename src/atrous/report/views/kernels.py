"""Kernels as masks, for every kind of picture."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import numpy as np

from atrous.geometry.relation import Flags
from atrous.geometry.sizes import effective_kernel


def kernel_mask(
    kernel_size: int | Sequence[int], dilation: int | Sequence[int] = 1
) -> tuple[Flags, str]:
    """Where the taps of a dilated kernel lie in its span, and a title that says so.

    Raises:
        TypeError: if one is no whole number and no sequence of whole numbers.
        ValueError: if a number is below 1, or the two do not have the same number of axes.

    >>> mask, title = kernel_mask(3, 2)
    >>> mask.astype(int), title
    (array([1, 0, 1, 0, 1]), '3 taps, dilation 2: spans 5')
    """
    for name, value in (("kernel_size", kernel_size), ("dilation", dilation)):
        several = value if isinstance(value, Sequence) else (value,)
        if isinstance(value, str) or not all(isinstance(number, Integral) for number in several):
            raise TypeError(
                f"{name} must be a whole number, or one per axis, got {value!r}. "
                "Of a layer give layer.kernel_size and layer.dilation."
            )
    sizes = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
    rates = (dilation,) * len(sizes) if isinstance(dilation, int) else tuple(dilation)
    if not sizes or len(sizes) != len(rates):
        raise ValueError(
            f"dilation must be one number, or one for each of the {len(sizes)} axes of "
            f"kernel_size, got {dilation!r}."
        )
    spans = [effective_kernel(k, d) for k, d in zip(sizes, rates, strict=True)]
    mask = np.zeros(spans, dtype=bool)
    mask[tuple(slice(None, None, d) for d in rates)] = True
    taps, span = (" x ".join(map(str, numbers)) for numbers in (sizes, spans))
    rate = str(rates[0]) if len(set(rates)) == 1 else " x ".join(map(str, rates))
    return mask, f"{taps} {'tap' if taps == '1' else 'taps'}, dilation {rate}: spans {span}"

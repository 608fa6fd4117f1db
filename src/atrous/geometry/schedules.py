"""Schedules of dilations: even ones, what a chain reads, and the published HDC rule."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from atrous.geometry.sizes import effective_kernel
from atrous.geometry.taps import Counts, Ints


def chain_counts(schedule: Sequence[tuple[int, int]]) -> Counts:
    """In how many ways one output of a stride-1 chain reads each position of its span.

    Args:
        schedule: (kernel size, dilation) of every layer.

    Returns:
        One count per position, exact: int64 while all ways together fit, Python integers beyond.
        The order of the layers makes no difference.

    Example:
        >>> chain_counts([(3, 1), (3, 2)]).tolist()
        [1, 1, 2, 1, 2, 1, 1]
    """
    # Python integers do not overflow: forty layers of kernel 3 have 3**40 ways.
    kind = np.int64 if prod(kernel for kernel, _ in schedule) < 2**62 else object
    counts: Counts = np.ones(1, dtype=kind)
    for kernel_size, dilation in schedule:
        wider = np.zeros(len(counts) + effective_kernel(kernel_size, dilation) - 1, dtype=kind)
        for tap in range(kernel_size):
            wider[tap * dilation : tap * dilation + len(counts)] += counts
        counts = wider
    return counts


def chain_holes(schedule: Sequence[tuple[int, int]]) -> Ints:
    """Positions inside the span of a stride-1 chain that it does not read.

    >>> chain_holes([(3, 1), (3, 2), (3, 9)]).tolist()
    [7, 8, 16, 17]
    """
    return np.flatnonzero(chain_counts(schedule) == 0).astype(np.int64)


def even_schedule(span: int, kernel_size: int = 3, *, base: int | None = None) -> tuple[int, ...]:
    """Dilations of the shortest stride-1 chain that reads all of `span`, nearly evenly.

    The powers of the kernel size reach every position in exactly one way: the digits of a number in
    that base. The last dilation is cut to the span that is left, where ways begin to overlap.

    Args:
        span: positions to read; for kernels of 3 it must be odd.
        kernel_size: of every layer.
        base: from one dilation to the next; the kernel size by default. A smaller one, as the usual
            2, takes more layers and piles ways up.

    Raises:
        ValueError: if no chain of such kernels has that span, or the base is not from 1 to the
            kernel size.

    Example:
        >>> even_schedule(27), even_schedule(61), even_schedule(1024, 2)[-1]
        ((1, 3, 9), (1, 3, 9, 17), 512)
        >>> even_schedule(33, base=2)
        (1, 1, 2, 4, 8)
    """
    if kernel_size < 2:
        raise ValueError(f"kernel_size must be at least 2, got {kernel_size}. A 1 reads no span.")
    if span < 1 or (span - 1) % (kernel_size - 1):
        raise ValueError(
            f"span must be 1 plus a multiple of {kernel_size - 1} for kernels of {kernel_size}, "
            f"got {span}."
        )
    factor = kernel_size if base is None else base
    if not 1 <= factor <= kernel_size:
        raise ValueError(
            f"base must be from 1 to the kernel size {kernel_size}, got {factor}. A larger one "
            "leaves holes."
        )
    found: list[int] = []
    left, dilation = (span - 1) // (kernel_size - 1), 1
    while left > 0:
        found.append(min(dilation, left))
        left -= found[-1]
        dilation *= factor
    return tuple(sorted(found))


def filled_schedule(schedule: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    """Dilations for the same kernels and the same span that leave no holes, as near as can be.

    In the order of the layers. Every dilation is at most one more than what the smaller ones span
    together; what that takes from the large ones is given back as far as they may grow, the largest
    first. Where that is not enough the span shrinks.

    Args:
        schedule: (kernel size, dilation) of every layer, kernels of at least 2.

    Example:
        >>> filled_schedule([(3, 2)] * 4), filled_schedule([(3, 8)] * 4)
        ((1, 2, 2, 3), (1, 3, 8, 20))
        >>> filled_schedule([(2, 6), (3, 2)])
        (3, 1)
    """
    order = sorted(range(len(schedule)), key=lambda k: schedule[k][1])
    layers = [schedule[k] for k in order]
    span = sum((kernel - 1) * dilation for kernel, dilation in layers)
    found: list[int] = []
    reach = 0
    for kernel, dilation in layers:
        found.append(min(dilation, reach + 1))
        reach += (kernel - 1) * found[-1]
    # From the last on; what grows before a layer leaves room for that layer, too.
    grown = True
    while grown:
        grown = False
        for k in range(len(layers) - 1, -1, -1):
            kernel = layers[k][0]
            before = sum((layers[j][0] - 1) * found[j] for j in range(k))
            more = min((span - reach) // (kernel - 1), before + 1 - found[k])
            found[k] += more
            reach += more * (kernel - 1)
            grown = grown or more > 0
    return tuple(found[order.index(k)] for k in range(len(schedule)))


def hdc_bound(dilations: Sequence[int]) -> int:
    """`M_2` of the HDC rule (Wang et al. 2018, "Understanding Convolution for Semantic
    Segmentation", equation 2): the largest distance between two values read, by its recursion.

    `M_n = r_n` and `M_i = max(M_(i+1) - 2 r_i, M_(i+1) - 2 (M_(i+1) - r_i), r_i)`. A single layer
    has no `M_2`; its dilation is returned.

    Raises:
        ValueError: if there are no dilations, or one is less than 1.

    >>> hdc_bound([1, 2, 5]), hdc_bound([1, 2, 9])
    (2, 5)
    """
    if not dilations or min(dilations) < 1:
        raise ValueError(f"dilations must be numbers of at least 1, got {list(dilations)}.")
    bound = dilations[-1]
    for rate in reversed(dilations[1:-1]):
        bound = max(bound - 2 * rate, 2 * rate - bound, rate)
    return bound


def hdc_accepts(dilations: Sequence[int], kernel_size: int = 3) -> bool:
    """Whether the HDC rule accepts a schedule: `M_2 <= kernel_size`.

    A rule of thumb that errs both ways; `hole_free` is the exact test.

    >>> hdc_accepts([1, 2, 5]), hdc_accepts([2, 2, 5, 9]), hdc_accepts([1, 5, 2])
    (True, True, False)
    """
    return hdc_bound(dilations) <= kernel_size

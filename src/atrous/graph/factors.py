"""Axes as products of factors (mixed radix): how views regroup them, and boxes follow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from math import prod

from atrous.graph.region import Box, is_empty

Factors = tuple[tuple[int, ...], ...]
"""Per axis the lengths it is a product of, the slowest first; `()` for a dropped length of 1."""


def factors_of(shape: Sequence[int]) -> Factors:
    """Every axis as the one factor it is."""
    return tuple((length,) for length in shape)


def joined(factors: Factors) -> tuple[int, ...]:
    """The factors of all axes, one behind the other.

    >>> joined(((2, 3), (), (4,)))
    (2, 3, 4)
    """
    return tuple(itertools.chain.from_iterable(factors))


def common_factors(before: tuple[int, ...], after: tuple[int, ...]) -> tuple[Factors, Factors]:
    """Both shapes, of equally many elements, as products of the same factors.

    >>> common_factors((6, 4), (2, 12))
    (((2, 3), (4,)), ((2,), (3, 4)))

    Raises:
        ValueError: if their axes do not nest, or there is no element.
    """
    if prod(before) == 0:
        raise ValueError(f"shape must hold an element, got {before}.")
    ends = sorted({*_suffix_products(before), *_suffix_products(after)}, reverse=True)
    if any(high % low for high, low in itertools.pairwise(ends)):
        raise ValueError(f"axes must nest, got {before} and {after}.")
    return _cut(before, ends), _cut(after, ends)


def _suffix_products(shape: tuple[int, ...]) -> list[int]:
    return [prod(shape[axis:]) for axis in range(len(shape) + 1)]


def _cut(shape: tuple[int, ...], ends: list[int]) -> Factors:
    products = _suffix_products(shape)
    return tuple(
        tuple(a // b for a, b in itertools.pairwise(e for e in ends if low <= e <= high))
        for high, low in itertools.pairwise(products)
    )


def split_box(factors: Factors, box: Box) -> Box:
    """The smallest box over the factors that holds a box over the axes."""
    sides: list[tuple[int, int]] = []
    for (lo, hi), parts in zip(box, factors, strict=True):
        first, last = lo, hi - 1
        mine: list[tuple[int, int]] = []
        same = True
        for k, length in enumerate(parts):
            weight = prod(parts[k + 1 :])
            a, b = first // weight % length, last // weight % length
            # Once a slower factor varies, the faster ones take every value.
            mine.append((a, b + 1) if same else (0, length))
            same = same and a == b
        sides += mine
    return tuple(sides) if not is_empty(box) else ((0, 0),) * len(joined(factors))


def merge_box(factors: Factors, box: Box) -> Box:
    """The smallest box over the axes that holds a box over the factors."""
    if is_empty(box):
        return ((0, 0),) * len(factors)
    sides = iter(box)
    merged = []
    for parts in factors:
        lo = hi = 0
        for k, (a, b) in enumerate(itertools.islice(sides, len(parts))):
            weight = prod(parts[k + 1 :])
            lo, hi = lo + a * weight, hi + (b - 1) * weight
        merged.append((lo, hi + 1))
    return tuple(merged)

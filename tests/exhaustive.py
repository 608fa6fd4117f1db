"""All schedules of small cases, by multiplying polynomials: an oracle that shares no code."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import combinations_with_replacement, product

import numpy as np

Row = tuple[int, int, tuple[int, ...]]
"""Holes, sum of the squares of the path counts, dilations."""


def path_counts(layers: Iterable[tuple[int, int]]) -> np.ndarray:
    """Path counts of (kernel, step) layers: coefficients of a product of polynomials."""
    found = np.ones(1, dtype=np.int64)
    for kernel, step in layers:
        comb = np.zeros((kernel - 1) * step + 1, dtype=np.int64)
        comb[::step] = 1
        found = np.convolve(found, comb)
    return found


def row_of(layers: Iterable[tuple[int, int]], dilations: tuple[int, ...]) -> tuple[int, Row]:
    """The field, and what else counts."""
    counts = path_counts(layers)
    return len(counts), (int((counts == 0).sum()), int((counts * counts).sum()), dilations)


def alike(kernel: int, layers: int, most: int) -> dict[int, list[Row]]:
    """Every schedule of layers alike, by its field."""
    found: dict[int, list[Row]] = {}
    for dilations in combinations_with_replacement(range(1, most + 1), layers):
        field, row = row_of([(kernel, d) for d in dilations], dilations)
        found.setdefault(field, []).append(row)
    return found


def any_layers(
    kernels: tuple[int, ...],
    strides: tuple[int, ...],
    most: int,
    front: tuple[tuple[int, int], ...] = (),
) -> dict[int, list[Row]]:
    """Every schedule of given layers, by its field; `front` as (kernel, step) of layers before,
    all of stride 1."""
    found: dict[int, list[Row]] = {}
    scales = [int(np.prod(strides[:k], dtype=np.int64)) for k in range(len(kernels))]
    for dilations in product(range(1, most + 1), repeat=len(kernels)):
        layers = [(k, s * d) for k, s, d in zip(kernels, scales, dilations, strict=True)]
        field, row = row_of([*front, *layers], dilations)
        found.setdefault(field, []).append(row)
    return found


def best(rows: list[Row], holes: bool) -> tuple[int, int] | None:
    """The fewest holes, and with them the least sum of squares; None without any schedule."""
    return min(((h, q) for h, q, _ in rows if holes or h == 0), default=None)

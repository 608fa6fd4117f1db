"""Batches of model inputs out of whatever holds data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import DataLoader, Dataset

from atrous.graph.capture import Inputs, arguments, is_shape, only_shapes

Batch = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of one call of a model."""

Data = Inputs | Iterable[Any]
"""A tensor, a shape, a tuple of arguments, a dict of keyword arguments, or batches of these."""

RANDOM_BATCHES = 8
"""How many batches a shape stands for."""


@dataclass(frozen=True)
class Batches:
    """Batches of inputs, to be gone through once.

    Attributes:
        description: where they come from, in words.
        count: how many there are; None if that is not known.
        each: the batches.
    """

    description: str
    count: int | None
    each: Iterator[Batch]

    @classmethod
    def of(
        cls,
        data: Data,
        *,
        dtype: torch.dtype | None = None,
        limit: int | None = None,
        seed: int = 0,
        unpack: Callable[[Any], Inputs] | None = None,
    ) -> Batches:
        """Batches out of data.

        Args:
            data: a tensor, tuple of arguments or dict of keyword arguments is one batch. Shapes,
                alone, in a tuple or in a dict without tensors, stand for standard normal numbers,
                drawn on the CPU. A dataset gives batches of one sample, all else that can be
                iterated its items.
            dtype: type of random numbers.
            limit: how many batches at most.
            seed: of random numbers.
            unpack: from an item to the model's input; by default the first of a tuple or list, as
                in (input, target), and anything else as it is.

        Raises:
            TypeError: if the data is none of these.
            ValueError: if the limit is below 1.
        """
        if limit is not None and limit < 1:
            raise ValueError(f"batches must be at least 1, got {limit}. Leave it out for all.")
        if isinstance(data, Mapping) and only_shapes(data) and any(map(is_shape, data.values())):
            names, shapes = list(data), tuple(data.values())
            count = RANDOM_BATCHES if limit is None else limit
            drawn = _drawn(shapes, dtype or torch.get_default_dtype(), count, seed)
            named = (((), dict(zip(names, args, strict=True))) for args, _ in drawn)
            return cls(f"random normal data (seed {seed})", count, named)
        if isinstance(data, Tensor | Mapping):
            return cls("the given data", 1, iter([checked(data)]))
        if is_shape(data) or (
            isinstance(data, tuple) and any(isinstance(v, Tensor) or is_shape(v) for v in data)
        ):
            own: tuple[Any, ...] = (data,) if is_shape(data) else tuple(data)
            if not any(is_shape(item) for item in own):
                return cls("the given data", 1, iter([checked(own)]))
            count = RANDOM_BATCHES if limit is None else limit
            drawn = _drawn(own, dtype or torch.get_default_dtype(), count, seed)
            return cls(f"random normal data (seed {seed})", count, drawn)
        if isinstance(data, Dataset):
            data = DataLoader(data, batch_size=1)
        if isinstance(data, str) or not isinstance(data, Iterable):
            raise TypeError(
                "data must be a tensor, a shape, a tuple of arguments, a dict of keyword arguments "
                f"or batches of these, got {type(data).__name__}. Use (1, 3, 64, 64) for random "
                "values of that shape."
            )
        count_known = _length(data)
        if limit is not None and count_known is not None:
            count_known = min(limit, count_known)
        items = islice(iter(data), limit)
        return cls("the given data", count_known, (checked(_input(i, unpack)) for i in items))


def checked(x: Inputs) -> Batch:
    """Arguments of a model, none of them the same tensor twice."""
    seen: set[int] = set()

    def own(leaf: Any) -> Any:
        again = isinstance(leaf, Tensor) and id(leaf) in seen
        seen.add(id(leaf))
        return leaf.clone() if again else leaf

    return arguments(pytree.tree_map(own, x))


def _input(item: Any, unpack: Callable[[Any], Inputs] | None) -> Inputs:
    if unpack is not None:
        found: Inputs = unpack(item)
        return found
    if isinstance(item, tuple | list) and item:
        item = item[0]
    if not isinstance(item, Tensor | Mapping):
        raise TypeError(
            "data must hold batches that are tensors, dicts, or tuples whose first entry is one, "
            f"got {type(item).__name__}. Turn an item into the model's input with unpack=."
        )
    return item


def _drawn(own: Sequence[Any], dtype: torch.dtype, count: int, seed: int) -> Iterator[Batch]:
    generator = torch.Generator().manual_seed(seed)
    # Few generators know half precision.
    kind = torch.float64 if dtype == torch.float64 else torch.float32
    for item in own:
        if is_shape(item) and min(item) < 1:
            arguments(item)
    for _ in range(count):
        yield checked(
            tuple(
                torch.randn(tuple(map(int, item)), generator=generator, dtype=kind).to(dtype)
                if is_shape(item)
                else item
                for item in own
            )
        )


def _length(data: Iterable[Any]) -> int | None:
    try:
        return len(data)  # type: ignore[arg-type]
    except TypeError:
        return None

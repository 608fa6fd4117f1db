"""Random calls of an operator, for the contract that every rule must keep."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Example:
    """One call.

    Attributes:
        overload: the operator's overload, as "default" or "Tensor".
        args: arguments in the order of the schema, keyword-only ones too; tensors of positive
            values.
        data: positions of the arguments that carry data; the other tensors are constants.
        values: all that an operand may hold, by its name (numbered where it stands in a list), as
            indices that must lie in an axis; the other operands may hold anything.
    """

    overload: str
    args: tuple[Any, ...]
    data: tuple[int, ...] = (0,)
    values: Mapping[str, Sequence[float]] = field(default_factory=dict)


class Draw(random.Random):
    """A source of random arguments."""

    def tensor(self, *shape: int) -> Tensor:
        """Positive float64 values, none of them equal by design."""
        generator = torch.Generator().manual_seed(self.getrandbits(32))
        return torch.rand(shape, generator=generator, dtype=torch.float64) + 0.5

    def indices(self, length: int, *shape: int) -> Tensor:
        """Random positions on an axis."""
        return (self.tensor(*shape) * 1e6).long() % length

    def lengths(self, axes: int, low: int, high: int) -> tuple[int, ...]:
        """One length per axis."""
        return tuple(self.randint(low, high) for _ in range(axes))

    def some(self, values: Sequence[Any]) -> Any:
        """One of the values."""
        return self.choice(list(values))


Examples = Callable[[Draw, str], Example]
"""Draws a call of the operator named."""

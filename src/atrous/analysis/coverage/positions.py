"""Which outputs a question is about: positions as users give them, checked."""

from __future__ import annotations

from collections.abc import Sequence
from operator import index
from typing import Any

import numpy as np

from atrous.geometry.taps import Ints
from atrous.graph.program import Node

Position = int | slice | Sequence[int]
"""Where along an axis: one output, or several together."""


def checked_positions(
    at: Position | Sequence[Position] | None, lengths: Sequence[int], node: Node
) -> list[Ints]:
    """The positions asked for along each axis that holds positions, the centre by default.

    Raises:
        ValueError: if they do not fit the node.
    """
    if at is None:
        return [np.array([length // 2], dtype=np.int64) for length in lengths]
    at = _plain(at)
    at = tuple(at) if isinstance(at, Sequence) else (at,)
    if len(at) != len(lengths):
        raise ValueError(
            f"at must have one entry for each of the {len(lengths)} axes of {node.label!r} that "
            f"hold positions (lengths {tuple(lengths)}), got {at!r}."
        )
    found = []
    for entry, length in zip(at, lengths, strict=True):
        every = range(length)
        try:
            if isinstance(entry, slice):
                mine = list(every[entry])
            else:
                several = _plain(entry)
                mine = [
                    every[index(k)]
                    for k in (several if isinstance(several, Sequence) else [several])
                ]
        except (IndexError, TypeError):
            mine = []
        if not mine:
            raise ValueError(
                f"at must lie inside {node.label!r} (lengths {tuple(lengths)}), in whole numbers, "
                f"slices or lists of whole numbers, got {at!r}. Leave it out for the centre."
            )
        found.append(np.unique(np.array(mine, dtype=np.int64)))
    return found


def _plain(value: Any) -> Any:
    """Arrays and tensors as lists."""
    return value.tolist() if hasattr(value, "tolist") else value

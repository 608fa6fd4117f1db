"""`atrous inspect A --against B`: designs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils import _pytree as pytree

import atrous
from atrous.analysis.cost.shifts import drawn
from atrous.cli.resolve import Resolved, resolve
from atrous.report.results.comparison import Comparison
from atrous.report.text.progress import working


def resolve_all(names: Sequence[str]) -> dict[str, Resolved]:
    """The models of several names, by names as short as tells them apart."""
    found = {}
    for label, name in zip(short_names(names), names, strict=True):
        with working(f"loading {name}"):
            found[label] = resolve(name)
    return found


def short_names(names: Sequence[str]) -> list[str]:
    """What follows the colon where that tells all apart, else all; numbered where names repeat."""
    ends = [name.rpartition(":")[2] for name in names]
    chosen = ends if len(set(ends)) == len(set(names)) else list(names)
    return [
        name if chosen.count(name) == 1 else f"{name} ({chosen[: k + 1].count(name)})"
        for k, name in enumerate(chosen)
    ]


def compared(models: Mapping[str, Resolved], x: Any, *, repeats: int, shifts: str) -> Comparison:
    """The comparison of models on inputs like `x`, filled with random values.

    Raises:
        ValueError: if the options do not fit.
    """
    moves = shift_list(shifts)
    filled = pytree.tree_map(
        lambda v: drawn(v.shape, v.dtype, 0) if isinstance(v, Tensor) else v, x
    )
    with working(f"comparing {', '.join(models)}"):
        return atrous.compare(
            {name: found.model for name, found in models.items()},
            filled,
            shifts=moves,
            repeats=repeats,
        )


def shift_list(text: str) -> tuple[int, ...]:
    """Shifts from their text, as "1,2"; none from "".

    Raises:
        ValueError: if they are no whole numbers of 1 or more.
    """
    try:
        found = tuple(int(part) for part in text.split(",")) if text else ()
    except ValueError:
        found = (0,)
    if any(shift < 1 for shift in found):
        raise ValueError(f"--shifts must be whole numbers of 1 or more, as 1,2, got {text!r}.")
    return found

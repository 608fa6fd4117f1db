"""The arguments of `atrous.schedule`, checked and normalised to a request."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import isfinite

from atrous.design.schedule.checks import whole
from atrous.design.schedule.objective import Objective
from atrous.design.schedule.request import MOST_FIELD, Request


def request(
    field: int | tuple[int, int] | None,
    kernel: int | Iterable[int] | None,
    *,
    layers: int | None = None,
    max_dilation: int | None = None,
    map_size: int | None = None,
    causal: bool = False,
    reach: int | None = None,
    budget: int | None = None,
    parameters: int | None = None,
    strides: Sequence[int] | None = None,
    front: Sequence[Sequence[int]] = (),
    holes: bool = False,
    objective: str | Mapping[str, float] = "uniform",
    channels: int = 1,
    dims: int = 1,
    effort: float = 1.0,
) -> Request:
    """A request, checked; arguments as in `atrous.schedule`.

    Raises:
        ValueError: if an argument breaks its rule, or two contradict each other.
    """
    if field is None and reach is None:
        raise ValueError("field or reach must be given, got neither. Say how much is to be seen.")
    low, high = _range(field)
    kernels, sizes = _kernels(kernel, causal)
    layers, max_dilation, map_size, budget, parameters = (
        None if value is None else whole(name, value, 1)
        for name, value in (
            ("layers", layers), ("max_dilation", max_dilation), ("map_size", map_size),
            ("budget", budget), ("parameters", parameters),
        )
    )  # fmt: skip
    channels, dims = whole("channels", channels, 1), whole("dims", dims, 1)
    reach = None if reach is None else whole("reach", reach, 0)
    if strides is not None and (isinstance(strides, str) or not isinstance(strides, Iterable)):
        raise ValueError(f"strides must hold one stride per layer, got {strides!r}.")
    given = tuple(whole("each of strides", s, 1) for s in strides) if strides is not None else ()
    counts = {n for n in (len(kernels), len(given), layers or 0) if n}
    if len(counts) > 1:
        raise ValueError(
            "kernel, strides and layers must agree on how many layers there are, got "
            f"{len(kernels) or 'any'}, {len(given) or 'any'} and {layers or 'any'}."
        )
    if isinstance(front, str) or not isinstance(front, Iterable):
        raise ValueError(f"front must hold layers as (kernel, dilation, stride), got {front!r}.")
    before = tuple(_front(row) for row in front)
    if dims not in (1, 2, 3):
        raise ValueError(f"dims must be 1, 2 or 3, got {dims!r}.")
    if causal and dims > 1:
        raise ValueError(f"dims must be 1 for a causal schedule, got {dims}. Plan the time axis.")
    if not isinstance(effort, int | float) or not (isfinite(effort) and effort > 0):
        raise ValueError(
            f"effort must be above 0 and finite, got {effort!r}. Use 1 for the usual search."
        )
    made = Request(
        low, high, kernels, sizes, layers, max_dilation, map_size, bool(causal), reach, budget,
        parameters, given, before, bool(holes), Objective.of(objective), channels, dims,
        float(effort),
    )  # fmt: skip
    _check_reach(made)
    _check_size(made)
    return made


def _check_reach(made: Request) -> None:
    """That there can be such a reach.

    Raises:
        ValueError: if the field has no room for it, or outputs have no middle to see from.
    """
    given, high, reach = made.strides, made.high, made.reach
    strided = max((*given, *(row[2] for row in made.front)), default=1) > 1
    every = (*made.kernels, *made.sizes, *(row[0] for row in made.front))
    if reach is not None and not made.causal and strided and any(k % 2 == 0 for k in every):
        raise ValueError(
            f"reach must be given with odd kernels where strides are above 1, got {reach} with "
            f"kernels {sorted(set(every))}. Give field instead."
        )
    if high is not None and made.least > high:
        raise ValueError(
            f"field must have room for the reach, got at most {high} and a reach of {reach}: that "
            f"takes {made.least}. Raise the field or lower the reach."
        )


def _check_size(made: Request) -> None:
    """That no field is beyond those that can be looked through.

    Raises:
        ValueError: if one is.
    """
    wanted = made.least if made.high is None else made.high
    if wanted > MOST_FIELD:
        raise ValueError(
            f"field must be at most {MOST_FIELD:,} to be decided exactly, got {wanted:,}"
            + (f" for a reach of {made.reach:,}" if made.reach and made.high is None else "")
            + ". Use a family: atrous.schedules.base_k."
        )
    frame = made.frame(max(made.sizes, default=None), made.count or 1)
    smallest = 1 + sum((kernel - 1) * step for kernel, step in frame.fixed)
    smallest += sum(slot.weight for slot in frame.slots)
    if smallest > MOST_FIELD:
        raise ValueError(
            f"kernel, front and strides must leave room for a field of at most {MOST_FIELD:,}, got "
            f"at least {smallest:,} with all dilations 1. Make them smaller."
        )


def _range(field: int | tuple[int, int] | None) -> tuple[int, int | None]:
    if field is None:
        return 1, None
    if isinstance(field, tuple | list):
        if len(field) != 2:
            raise ValueError(
                f"field must be a number or a pair of the smallest and the largest, got {field!r}."
            )
        low, high = (whole("field", n, 1) for n in field)
        if low > high:
            raise ValueError(f"field must be a range upwards, got {field!r}. Turn it round.")
        return low, high
    return whole("field", field, 1), None


def _kernels(
    kernel: int | Iterable[int] | None, causal: bool
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Kernel sizes of the layers, or else those to choose from."""
    if kernel is None:
        return (), (2, 3, 4, 5, 6, 7) if causal else (3, 5, 7)
    if not isinstance(kernel, Iterable):
        return (), (whole("kernel", kernel, 2),)
    found = tuple(whole("each of kernel", k, 2) for k in kernel)
    if isinstance(kernel, set | frozenset):
        if not found:
            raise ValueError("kernel must name at least one size, got an empty set.")
        return (), tuple(sorted(found))
    if not found:
        raise ValueError("kernel must hold one size per layer, got none.")
    return found, ()


def _front(row: Sequence[int]) -> tuple[int, int, int]:
    if isinstance(row, str) or not isinstance(row, Sequence) or not 1 <= len(row) <= 3:
        raise ValueError(
            "front must hold layers as (kernel, dilation, stride), dilation and stride 1 where "
            f"left out, got {row!r}."
        )
    kernel, dilation, stride = (*(whole("front", n, 1) for n in row), 1, 1)[:3]
    return kernel, dilation, stride

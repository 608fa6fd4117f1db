"""Designs side by side on one input: field, resolution, cost, time, and what shifts do."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from atrous.analysis.cost.cost import Costs, costs
from atrous.analysis.cost.shifts import ShiftError, drawn, shift_errors
from atrous.analysis.cost.timing import Timing, timed_in_turns
from atrous.analysis.coverage.question import coverage
from atrous.analysis.fields.field import Field, traced
from atrous.graph.build import labelled_leaves
from atrous.graph.capture import Inputs, arguments, capture, floating_type, is_shape, quiet
from atrous.graph.program import Program
from atrous.graph.shell import shell_copy

Model = nn.Module | ExportedProgram


@dataclass(frozen=True)
class Design:
    """One of several designs.

    Attributes:
        name: what to call it.
        cost: what it costs.
        output: label of the output that is compared: the first.
        output_shape: its shape.
        field: its field on the first input; None if it does not depend on it.
        read: share of the positions of the field, as a box of all its axes, that the central
            output reads (see `read_share`); None where that is not known.
        shifts: what the shifts asked for do to the output (see
            `atrous.analysis.cost.shifts.shift_error`); None where no output can be compared.
        time: of one call in inference; None if it was not measured.
    """

    name: str
    cost: Costs
    output: str
    output_shape: tuple[int, ...]
    field: Field | None
    read: float | None
    shifts: tuple[ShiftError | None, ...]
    time: Timing | None


def compared(
    designs: Mapping[str, Model],
    x: Inputs,
    *,
    shifts: Sequence[int],
    repeats: int,
    seed: int,
) -> tuple[Design, ...]:
    """Every design on the same input.

    Args:
        designs: models by name.
        x: their input; where it is a shape, random values are drawn.
        shifts: by how many positions to shift the input.
        repeats: rounds of timing; 0 for none.
        seed: of the random values.
    """
    found = []
    calls: list[Callable[[], object]] = []
    for name, model in designs.items():
        program = capture(model, x)
        node = program.output()
        output = next(iter(program.outputs))
        field = traced(program).field(node)
        args, kwargs = _with_values(x, model, seed)
        forward = partial(_first, _callable(model), args, kwargs, output)
        moves: tuple[ShiftError | None, ...] = (None,) * len(shifts)
        if shifts and field is not None and len(program.inputs) == 1:
            with quiet():
                moves = shift_errors(forward, _tensors(args, kwargs)[0], field, shifts)
        found.append(
            Design(
                name=name,
                cost=costs(program, model, x),
                output=output,
                output_shape=node.shape,
                field=field,
                read=None if field is None else read_share(program, field),
                shifts=moves,
                time=None,
            )
        )
        calls.append(partial(forward, None))
    if not repeats:
        return tuple(found)
    with quiet(), torch.no_grad():
        timings = timed_in_turns(calls, repeats, _wait)
    return tuple(replace(d, time=timing) for d, timing in zip(found, timings, strict=True))


def read_share(program: Program, field: Field) -> float | None:
    """The share of the positions in the box of a field's axes that the central output reads.

    Of an axis that is read whole, the field without that counts. In a chain of operators that work
    axis by axis it is the product of the axes' shares; elsewhere the coverage tells, if no border
    clips it. None if nothing does.
    """
    own = [axis.local if axis.status == "global" and axis.local else axis for axis in field.axes]
    axes = [axis for axis in own if axis.size and axis.status != "unknown"]
    if len(axes) < len(own) or not axes:
        return None
    whole = any(axis.status == "global" for axis in own)
    if not whole and (len(axes) == 1 or _is_chain(program)):
        return prod(axis.density for axis in axes)
    local = not whole and any(axis.status == "global" for axis in field.axes)
    try:
        found = coverage(
            program, program.output(), axes=tuple(axis.axis for axis in axes), local=local
        )
    except ValueError:
        return None
    return found.density if found.counts.size else None


def _is_chain(program: Program) -> bool:
    """Whether every value the first output depends on reads one value, axis by axis."""
    node = program.output()
    while node.description is not None:
        reads = node.reads
        if len(reads) != 1 or reads[0].split is not None or reads[0].merge is not None:
            return False
        node = program.nodes[reads[0].operand.name]
    return True


def _callable(model: Model) -> Callable[..., Any]:
    """The model in inference mode, itself left as it is."""
    return model.module() if isinstance(model, ExportedProgram) else shell_copy(model)


def _first(
    model: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    output: str,
    x: Tensor | None,
) -> Tensor:
    """One output of a model, on another first input if one is given."""
    if x is not None:
        leaves, structure = pytree.tree_flatten((args, kwargs))
        at = next(k for k, leaf in enumerate(leaves) if isinstance(leaf, Tensor))
        leaves[at] = x
        args, kwargs = pytree.tree_unflatten(leaves, structure)
    found: Tensor = dict(labelled_leaves(model(*args, **kwargs)))[output]
    return found


def _tensors(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    return [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]


def _with_values(x: Inputs, model: Model, seed: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments that `x` stands for; shapes become random tensors."""
    dtype = floating_type(model) if isinstance(model, nn.Module) else torch.get_default_dtype()
    place = _device(model)

    def value(item: Any) -> Any:
        return drawn(item, dtype, seed).to(place) if is_shape(item) else item

    if not isinstance(x, Tensor | Mapping):
        x = value(x) if is_shape(x) else tuple(value(item) for item in x)
    return arguments(x, dtype)


def _device(model: Model) -> torch.device:
    return next((p.device for p in model.parameters()), torch.device("cpu"))


def device(designs: Mapping[str, Model]) -> str:
    """Where designs run, and with how many threads."""
    places = dict.fromkeys(_device(model).type for model in designs.values())
    threads = torch.get_num_threads()
    return ", ".join(
        f"cpu with {threads} thread{'s' if threads > 1 else ''}" if place == "cpu" else place
        for place in places
    )


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()

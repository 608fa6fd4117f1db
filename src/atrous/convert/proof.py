"""Both models on the same random input, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from atrous.convert.certificate import Certificate
from atrous.convert.change import apply
from atrous.convert.comparison import Point, Run, compare, run, shaken, share
from atrous.convert.densities import DensifyError
from atrous.convert.plan import Plan
from atrous.convert.study import Pooling, Study, Wish
from atrous.graph.capture import Inputs, arguments, capture, in_order, quiet
from atrous.graph.diagnosis import told_failure
from atrous.graph.program import Node
from atrous.graph.shell import shell_copy

TOLERANCE = 1e-9
"""The largest difference on the grid, in double precision, as a share of the largest value."""

_SINGLE = 1e-4
"""The same where the model computes in single precision whatever it is fed."""

_SIZES: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((1009,), (1024,)),
    2: ((97, 105), (96, 128)),
    3: ((33, 37, 41), (32, 48, 64)),
}
"""Lengths to try, by number of axes: odd first, so that borders of all kinds occur."""


def certified(
    model: nn.Module, x: Inputs, wish: Wish, found: Study, sizes: Sequence[int] | None
) -> Certificate:
    """Compare both models on small random inputs, weights shaken.

    Raises:
        DensifyError: if values that ought to be equal are not.
    """
    tried = shaken(model)
    at = found.points
    trials = _trials(model, x, found, sizes)
    args, kwargs, before = _first_run(tried, trials, at)
    for point in at:
        if not all(bool(torch.isfinite(value).all()) for value in before.at(point)):
            raise DensifyError(
                f"model must give finite values on random input to be compared, but those of "
                f"{point.label!r} are not. Look for weights that are infinite or no numbers."
            )
    after = _dense_run(tried, found.plan, args, kwargs, at)
    compared = tuple(compare(point, before, after) for point in at)
    told = {point.label for point in at if point.path is None}
    plain = [label for label in found.program.outputs if label in after.outputs.keys() - told]
    leaves = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    certificate = Certificate(
        type(model).__name__,
        found.stride,
        wish.pooling,
        (),
        tuple(tuple(leaf.shape) for leaf in leaves),
        tuple(found.axes[name] for name in found.program.inputs),
        compared,
        {label: share(after.outputs[label], before.outputs[label]) for label in plain},
        pooled=_told(found.plan.pooled),
        resized=_told(found.plan.resized),
        coarser=found.coarser,
    )
    way = found.on_the_way
    ought = not any(node in found.plan.pooled for node in way)
    if wish.pooling == "grid" or ought:
        _check(certificate, found, tried, (args, kwargs))
        _check_outputs(certificate, found, tried, (args, kwargs))
        certificate = replace(certificate, again=_again(certificate, found, tried, trials))
    if not way:
        return certificate
    other: Pooling = "all" if wish.pooling == "grid" else "grid"
    plan = found.replanned(model, other)
    if plan.stuck:
        return certificate
    try:
        otherwise = _dense_run(tried, plan, args, kwargs, at)
    except DensifyError:
        # Not every model has the choice.
        return certificate
    error = max(compare(point, before, otherwise).error for point in at)
    return replace(certificate, other_pooling=error)


def _told(nodes: Sequence[Node]) -> tuple[str, ...]:
    told = (f"{n.kind} of {n.label}" if n.place.module else f"{n.kind}" for n in nodes)
    return tuple(dict.fromkeys(told))


def _check(
    certificate: Certificate,
    found: Study,
    tried: nn.Module,
    given: tuple[tuple[Any, ...], dict[str, Any]],
) -> None:
    """Check that values are equal on the grid.

    Raises:
        DensifyError: if they are not.
    """
    if certificate.error <= TOLERANCE:
        return
    if certificate.error <= _SINGLE and _is_single(tried, given):
        return
    worst = max(certificate.compared, key=lambda entry: entry.error)
    told = f"on random input {certificate.size} {worst}"
    plain = [node for node in found.on_the_way if node in found.plan.pooled]
    if plain:
        places = "; ".join(f"{n.kind} at {n.place.source}: {n.place.code}" for n in plain)
        raise DensifyError(
            f"pooling must be of the grid for equal values, but these plain calls of the model "
            f"itself read all positions: {places}; {told}. Put them into modules, make it dense "
            'with as_graph=True, or choose pooling="all".'
        )
    raise DensifyError(
        f"model must give equal values on the grid when it is dense, but {told}. This is a case "
        "that is not understood: please report it, with the model. A larger output_stride, or "
        "node= before that place, may do."
    )


def _check_outputs(
    certificate: Certificate,
    found: Study,
    tried: nn.Module,
    given: tuple[tuple[Any, ...], dict[str, Any]],
) -> None:
    """Check that outputs that are to read the grid are as they were.

    Raises:
        DensifyError: if they are not.
    """
    program = found.program
    apart = {
        name for n in (*found.plan.pooled, *found.plan.resized) for name in program.ahead(n)
    }  # fmt: skip
    wrong = {
        label: error
        for label, error in certificate.outputs.items()
        if error > TOLERANCE and program.outputs[label] not in apart
    }
    if not wrong or (max(wrong.values()) <= _SINGLE and _is_single(tried, given)):
        return
    label = next(iter(wrong))
    where = found.cut
    told = (
        f"after {where.place.source} ({where.place.code}) positions are not followed"
        if where is not None
        else "this is a case that is not understood"
    )
    raise DensifyError(
        f"model must give the same output {label!r} of the grid when what is before is dense, but "
        f"on random input {certificate.size} it differs by {wrong[label]:.1e}: {told}. Choose a "
        "node= before that place, or a larger output_stride."
    )


def _again(
    certificate: Certificate,
    found: Study,
    tried: nn.Module,
    trials: Iterator[tuple[tuple[Any, ...], dict[str, Any]]],
) -> tuple[tuple[int, ...], ...]:
    """Check that values are equal on the grid at the next size too, if the model runs on it.

    On maps of odd lengths the last dense position may lie on the grid: what is laid from end to
    end, as coordinates are, is equal there and nowhere else.

    Raises:
        DensifyError: if they are not.
    """
    at = found.points
    for args, kwargs in islice(trials, 1):
        try:
            before = run(tried, args, kwargs, at)
        except Exception:
            return ()
        after = _dense_run(tried, found.plan, args, kwargs, at)
        leaves = [leaf for leaf in pytree.tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        other = replace(
            certificate,
            shapes=tuple(tuple(leaf.shape) for leaf in leaves),
            compared=tuple(compare(point, before, after) for point in at),
            outputs={
                label: share(after.outputs[label], before.outputs[label])
                for label in certificate.outputs
            },
        )
        _check(other, found, tried, (args, kwargs))
        _check_outputs(other, found, tried, (args, kwargs))
        return other.shapes
    return ()


def _is_single(model: nn.Module, given: tuple[tuple[Any, ...], dict[str, Any]]) -> bool:
    """Whether a model in double precision computes in less."""
    args, kwargs = given
    program = capture(model, kwargs or args)
    return any(
        node.dtype.is_floating_point and node.dtype != torch.float64
        for node in program.nodes.values()
    )


def _first_run(
    model: nn.Module,
    trials: Iterator[tuple[tuple[Any, ...], dict[str, Any]]],
    at: Sequence[Point],
) -> tuple[tuple[Any, ...], dict[str, Any], Run]:
    """The first of the inputs that the model runs on."""
    for args, kwargs in trials:
        try:
            return args, kwargs, run(model, args, kwargs, at)
        except Exception as error:
            failed, last = error, (args, kwargs)
    with quiet():
        where = told_failure(failed, model, *last)
    raise DensifyError(
        f"sizes must be lengths that the model runs on in double precision, but it fails {where}. "
        "Give sizes=, as (96, 128)."
    ) from failed


def _dense_run(
    model: nn.Module,
    plan: Plan,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    at: Sequence[Point],
) -> Run:
    dense = apply(shell_copy(model), plan)
    try:
        return run(dense, args, kwargs, at)
    except Exception as error:
        with quiet():
            where = told_failure(error, dense, args, kwargs)
        todo = "What is written for one size of map there has to follow the map, or node= be chosen"
        todo += " before it"
        if plan.pooled:
            todo += "; or as_graph=True lets what takes all positions take those of the grid"
        raise DensifyError(
            f"model must run on values that are denser, but it fails {where}. {todo}."
        ) from error


def _trials(
    model: nn.Module, x: Inputs, found: Study, sizes: Sequence[int] | None
) -> Iterator[tuple[tuple[Any, ...], dict[str, Any]]]:
    """Random inputs of the lengths asked for, or of small odd ones, even ones, those of `x`."""
    args, kwargs = arguments(x, torch.float64)
    kwargs = in_order(model, kwargs)
    leaves, spec = pytree.tree_flatten((args, kwargs))
    numbers = [k for k, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]
    names = dict(zip(numbers, found.program.inputs, strict=True))
    count = len(found.axes[found.program.input().name])
    if sizes is not None and len(sizes) != count:
        raise ValueError(
            f"sizes must hold one length for each of the {count} axes of positions, got "
            f"{tuple(sizes)}."
        )
    tried = [sizes] if sizes is not None else [*_SIZES.get(count, ()), None]
    for lengths in tried:
        generator = torch.Generator().manual_seed(0)
        made = list(leaves)
        for k, name in names.items():
            shape = list(leaves[k].shape)
            # Axes that one input has beyond the first keep their lengths.
            pairs = zip(reversed(found.axes[name]), reversed(lengths or ()), strict=False)
            for axis, length in pairs:
                shape[axis] = length
            made[k] = _random(leaves[k], shape, generator)
        new_args, new_kwargs = pytree.tree_unflatten(made, spec)
        yield new_args, new_kwargs


def _random(given: Tensor, shape: Sequence[int], generator: torch.Generator) -> Tensor:
    if given.is_floating_point():
        return torch.randn(tuple(shape), generator=generator, dtype=torch.float64)
    if given.dtype == torch.bool:
        return torch.rand(tuple(shape), generator=generator) < 0.5
    low, high = (int(v) for v in given.aminmax())
    return torch.randint(low, high + 1, tuple(shape), generator=generator, dtype=given.dtype)

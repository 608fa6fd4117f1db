"""Both models on the same random input, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from atrous.convert.certificate import Certificate
from atrous.convert.change import apply
from atrous.convert.comparison import Run, compare, run, shaken, share
from atrous.convert.densities import DensifyError
from atrous.convert.plan import Plan
from atrous.convert.study import Pooling, Study, Wish
from atrous.graph.capture import Inputs, arguments, capture, in_order, quiet
from atrous.graph.diagnosis import told_failure
from atrous.graph.program import Node
from atrous.graph.shell import shell_copy

Given = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a call."""

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


@dataclass(frozen=True)
class _Trial:
    """Both models on one input.

    Attributes:
        found: what was found to change.
        model: the model as it was, in double precision.
        args, kwargs: the input.
        before: what the model gives.
    """

    found: Study
    model: nn.Module
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    before: Run

    @classmethod
    def of(cls, found: Study, model: nn.Module, given: Given) -> _Trial:
        """A trial of an input that the model runs on; it raises what the model raises."""
        return cls(found, model, *given, run(model, *given, found.points))

    def after(self, plan: Plan) -> Run:
        """What the model gives when it is dense.

        Raises:
            DensifyError: if it fails then.
        """
        dense = apply(shell_copy(self.model), plan)
        try:
            return run(dense, self.args, self.kwargs, self.found.points)
        except Exception as error:
            with quiet():
                where = told_failure(error, dense, self.args, self.kwargs)
            todo = "What is written for one size of map there has to follow the map, or node= be "
            todo += "chosen before it"
            if plan.pooled:
                todo += "; or as_graph=True lets what takes all positions take those of the grid"
            raise DensifyError(
                f"model must run on values that are denser, but it fails {where}. {todo}."
            ) from error

    def certified(self, pooling: Pooling) -> Certificate:
        """What differs between both models, with all that is known of it."""
        found, after = self.found, self.after(self.found.plan)
        told = {point.label for point in found.points if point.path is None}
        plain = [label for label in found.program.outputs if label in after.outputs.keys() - told]
        leaves = pytree.tree_leaves((self.args, self.kwargs))
        return Certificate(
            type(self.model).__name__,
            tuple(found.wanted.values()),
            pooling,
            (),
            tuple(tuple(leaf.shape) for leaf in leaves if isinstance(leaf, Tensor)),
            tuple(found.axes[name] for name in found.program.inputs),
            tuple(compare(point, self.before, after) for point in found.points),
            {label: share(after.outputs[label], self.before.outputs[label]) for label in plain},
            pooled=_told(found.plan.pooled),
            resized=_told(found.plan.resized),
            coarser=found.coarser,
        )

    def error(self, plan: Plan) -> float:
        """The largest difference on the grid after another plan."""
        after = self.after(plan)
        return max(compare(point, self.before, after).error for point in self.found.points)

    def check(self, certificate: Certificate) -> None:
        """Check that values are equal on the grid, and outputs as they were.

        Raises:
            DensifyError: if they are not.
        """
        self._check_values(certificate)
        self._check_outputs(certificate)

    def _check_values(self, certificate: Certificate) -> None:
        if self._is_small(certificate.error):
            return
        worst = max(certificate.compared, key=lambda entry: entry.error)
        told = f"on random input {certificate.size} {worst}"
        plain = [node for node in self.found.on_the_way if node in self.found.plan.pooled]
        if plain:
            places = "; ".join(f"{n.kind} at {n.place.source}: {n.place.code}" for n in plain)
            raise DensifyError(
                f"pooling must be of the grid for equal values, but these plain calls of the model "
                f"itself read all positions: {places}; {told}. Put them into modules, make it "
                'dense with as_graph=True, or choose pooling="all".'
            )
        raise DensifyError(
            f"model must give equal values on the grid when it is dense, but {told}. This is a "
            "case that is not understood: please report it, with the model. A larger "
            "output_stride, or node= before that place, may do."
        )

    def _check_outputs(self, certificate: Certificate) -> None:
        program, plan = self.found.program, self.found.plan
        apart = {name for n in (*plan.pooled, *plan.resized) for name in program.ahead(n)}
        errors = {k: e for k, e in certificate.outputs.items() if program.outputs[k] not in apart}
        label = max(errors, key=lambda k: errors[k], default=None)
        if label is None or self._is_small(errors[label]):
            return
        where = self.found.cut
        told = (
            f"after {where.place.source} ({where.place.code}) positions are not followed"
            if where is not None
            else "this is a case that is not understood"
        )
        raise DensifyError(
            f"model must give the same output {label!r} of the grid when what is before is dense, "
            f"but on random input {certificate.size} it differs by {errors[label]:.1e}: {told}. "
            "Choose a node= before that place, or a larger output_stride."
        )

    def _is_small(self, error: float) -> bool:
        return error <= TOLERANCE or (error <= _SINGLE and self._is_single)

    @property
    def _is_single(self) -> bool:
        """Whether the model in double precision computes in less."""
        program = capture(self.model, self.kwargs or self.args)
        return any(
            node.dtype.is_floating_point and node.dtype != torch.float64
            for node in program.nodes.values()
        )


def certified(
    model: nn.Module, x: Inputs, wish: Wish, found: Study, sizes: Sequence[int] | None
) -> Certificate:
    """Compare both models on small random inputs, weights shaken.

    On maps of odd lengths the last dense position may lie on the grid: what is laid from end to
    end, as coordinates are, is equal there and nowhere else. So two sizes are compared.

    Raises:
        DensifyError: if values that ought to be equal are not.
    """
    inputs = _inputs(model, x, found, sizes)
    trial = _first(found, shaken(model), inputs)
    for point in found.points:
        if not all(bool(torch.isfinite(value).all()) for value in trial.before.at(point)):
            raise DensifyError(
                f"model must give finite values on random input to be compared, but those of "
                f"{point.label!r} are not. Look for weights that are infinite or no numbers."
            )
    certificate = trial.certified(wish.pooling)
    way = found.on_the_way
    if wish.pooling == "grid" or not any(node in found.plan.pooled for node in way):
        trial.check(certificate)
        again = _next(trial, inputs)
        if again is not None:
            other = again.certified(wish.pooling)
            again.check(other)
            certificate = replace(certificate, again=other.shapes)
    if not way:
        return certificate
    plan = found.planner.plan(pool_grid=wish.pooling == "all")
    if plan.stuck:
        return certificate
    try:
        return replace(certificate, other_pooling=trial.error(plan))
    except DensifyError:
        # Not every model has the choice.
        return certificate


def _told(nodes: Sequence[Node]) -> tuple[str, ...]:
    told = (f"{n.kind} of {n.label}" if n.place.module else f"{n.kind}" for n in nodes)
    return tuple(dict.fromkeys(told))


def _first(found: Study, model: nn.Module, inputs: Iterator[Given]) -> _Trial:
    """A trial of the first of the inputs that the model runs on."""
    for given in inputs:
        try:
            return _Trial.of(found, model, given)
        except Exception as error:
            failed, last = error, given
    with quiet():
        where = told_failure(failed, model, *last)
    raise DensifyError(
        f"sizes must be lengths that the model runs on in double precision, but it fails {where}. "
        "Give sizes=, as (96, 128)."
    ) from failed


def _next(trial: _Trial, inputs: Iterator[Given]) -> _Trial | None:
    """A trial of the next input, if the model runs on it."""
    for given in islice(inputs, 1):
        try:
            return _Trial.of(trial.found, trial.model, given)
        except Exception:
            return None
    return None


def _inputs(
    model: nn.Module, x: Inputs, found: Study, sizes: Sequence[int] | None
) -> Iterator[Given]:
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

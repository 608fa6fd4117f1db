"""Both models on the same random input, and what is to be said of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from math import inf
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from atrous.convert.calls import origin, places
from atrous.convert.certificate import Certificate
from atrous.convert.change import apply
from atrous.convert.comparison import Run, compare, run, shaken, share
from atrous.convert.densities import DensifyError
from atrous.convert.plan import Plan
from atrous.convert.study import Pooling, Study, Wish
from atrous.graph.capture import Inputs, arguments, capture, in_order, quiet
from atrous.graph.diagnosis import run_on_fakes, told_failure
from atrous.graph.program import Node
from atrous.graph.shell import shell_copy

Given = tuple[tuple[Any, ...], dict[str, Any]]
"""Arguments of a call."""

TOLERANCE = 1e-9
"""The largest difference on the grid, in double precision, as a share of the largest value."""

_SINGLE = 1e-4
"""The same where the model computes in single precision whatever it is fed."""

BETWEEN_MAPS = "all from where maps are cut up to where they are maps again"
"""What runs on phases as a whole, in messages."""

_SIZES: dict[int, tuple[tuple[int, ...], ...]] = {
    1: ((1009,), (1024,)),
    2: ((97, 105), (96, 128)),
    3: ((33, 37, 41), (32, 48, 64)),
}
"""Lengths to try, by number of axes: odd first, so that borders of all kinds occur."""


class DenseRunError(DensifyError):
    """A model that does not run on denser values.

    Attributes:
        module: the path of the module that fails; "" if none is known.
    """

    def __init__(self, message: str, module: str = "") -> None:
        super().__init__(message)
        self.module = module


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
            DenseRunError: if it fails then.
        """
        dense = apply(shell_copy(self.model), plan)
        try:
            return run(dense, self.args, self.kwargs, self.found.points)
        except Exception as error:
            with quiet():
                where, module = told_failure(error, dense, self.args, self.kwargs)
            line = origin(dense, module)
            todo = "What is written for one size of map there has to follow the map"
            if line:
                todo = f"Put {BETWEEN_MAPS} into one module"
            todo += ", or node= be chosen before it"
            if plan.pooled:
                todo += "; or as_graph=True lets what takes all positions take those of the grid"
            raise DenseRunError(
                f"model must run on values that are denser, but it fails {where}{line}. {todo}.",
                module,
            ) from error

    def failing(self, plan: Plan) -> str | None:
        """The module that fails when the model is dense, tried without data; None if none does."""
        dense = apply(shell_copy(self.model), plan)
        with quiet():
            failure, module = run_on_fakes(dense, self.args, self.kwargs)
        return module if failure is not None else None

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
            enlarged=found.enlarged,
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
            raise DensifyError(
                f"pooling must be of the grid for equal values, but these calls read all "
                f"positions: {places(plain)}; {told}. Put them into modules, make it dense with "
                'as_graph=True, or choose pooling="all".'
            )
        raise DensifyError(
            f"model must give equal values on the grid when it is dense, but {told}. Where a "
            "value depends on how many positions there are, choose node= before that place; where "
            "a length in x is 1 by chance, as a number of windows, give a larger x. If it is "
            "neither, please report it, with the model."
        )

    def _check_outputs(self, certificate: Certificate) -> None:
        program, plan = self.found.program, self.found.plan
        apart = {name for n in (*plan.pooled, *plan.resized) for name in program.ahead(n)}
        # What reads all positions may give other values, but as many as before.
        errors = {
            label: error for label, error in certificate.outputs.items()
            if program.outputs[label] not in apart or error == inf
        }  # fmt: skip
        label = max(errors, key=lambda k: errors[k], default=None)
        if label is None or self._is_small(errors[label]):
            return
        node, where = program.output(label), self.found.cut
        pooled = [n for n in plan.pooled if n in program.behind(node)]
        differs = f"differs by {errors[label]:.1e}" if errors[label] < inf else "has another shape"
        todo = "Choose a node= before that place, or a larger output_stride"
        if pooled:
            told = f"these calls read all positions: {places(pooled)}"
            todo = "Put them into modules, or make it dense with as_graph=True"
        elif where is not None:
            told = f"after {where.place.source} ({where.place.code}) positions are not followed"
        else:
            told = "this is a case that is not understood"
        raise DensifyError(
            f"model must give the same output {label!r} of the grid when what is before is dense, "
            f"but on random input {certificate.size} it {differs}: {told}. {todo}."
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
) -> tuple[Certificate, Study]:
    """Compare both models on small random inputs, weights shaken; and what was changed for it.

    On maps of odd lengths the last dense position may lie on the grid: what is laid from end to
    end, as coordinates are, is equal there and nowhere else. So two sizes are compared. What does
    not run on dense values runs as it is on phases, if it can.

    Raises:
        DenseRunError: if the dense model does not run.
        DensifyError: if values that ought to be equal are not.
    """
    inputs = _inputs(model, x, found, sizes)
    trials = [_first(found, shaken(model), inputs)]
    for point in found.points:
        if not all(bool(torch.isfinite(value).all()) for value in trials[0].before.at(point)):
            raise DensifyError(
                f"model must give finite values on random input to be compared, but those of "
                f"{point.label!r} are not. Look for weights that are infinite or no numbers."
            )
    reads_all = any(node in found.plan.pooled for node in found.on_the_way)
    ought = wish.pooling == "grid" or not reads_all
    if ought:
        trials += _next(trials[0], inputs)
    try:
        certificates = [trial.certified(wish.pooling) for trial in trials]
    except DenseRunError as error:
        found = _widened(error, trials, wish.pooling)
        trials = [replace(trial, found=found) for trial in trials]
        certificates = [trial.certified(wish.pooling) for trial in trials]
    certificate = certificates[0]
    if ought:
        for trial, own in zip(trials, certificates, strict=True):
            trial.check(own)
        if len(trials) > 1:
            certificate = replace(certificate, again=certificates[1].shapes)
    if found.on_the_way:
        other = found.planner.plan(pool_grid=wish.pooling == "all", whole=found.whole)
        if not other.is_like(found.plan) and not other.stuck:
            # Not every model runs with the other choice.
            with suppress(DensifyError):
                certificate = replace(certificate, other_pooling=trials[0].error(other))
    return certificate, found


def _widened(error: DenseRunError, trials: Sequence[_Trial], pooling: Pooling) -> Study:
    """What changes if modules that do not run on dense values run as they are, on phases.

    Raises:
        DenseRunError: the one given, if some cannot.
    """
    found, module = trials[0].found, error.module
    while True:
        wider = found.around(module, pooling)
        if wider is None:
            raise error from error.__cause__
        found = wider
        for trial in trials:
            failing = trial.failing(found.plan)
            if failing is not None:
                module = failing
                break
        else:
            return found


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
        where, _ = told_failure(failed, model, *last)
    raise DensifyError(
        f"sizes must be lengths that the model runs on in double precision, but it fails {where}. "
        "Give sizes=, as (96, 128)."
    ) from failed


def _next(trial: _Trial, inputs: Iterator[Given]) -> list[_Trial]:
    """A trial of the next of the inputs that the model runs on, if there is one."""
    for given in inputs:
        with suppress(Exception):
            return [_Trial.of(trial.found, trial.model, given)]
    return []


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
    tried = [sizes] if sizes is not None else [*_SIZES.get(count, ()), found.lengths]
    for lengths in dict.fromkeys(map(tuple, tried)):
        generator = torch.Generator().manual_seed(0)
        made = list(leaves)
        for k, name in names.items():
            shape = list(leaves[k].shape)
            # Axes that one input has beyond the first keep their lengths.
            pairs = zip(reversed(found.axes[name]), reversed(lengths), strict=False)
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

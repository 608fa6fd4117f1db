"""A model whose convolutions are computed in the fastest exact way, and what that gains."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Any

import torch
import torch.utils._pytree as pytree
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.overrides import TorchFunctionMode

from atrous.graph.capture import Inputs, arguments, floating_type, in_order
from atrous.graph.shell import own_copy
from atrous.nn.fast import AXES, is_fast, make_fast, make_plain
from atrous.ops.chooser import CHOOSER, Choice
from atrous.ops.convolution import problems
from atrous.ops.problem import JOBS, Job, Problem
from atrous.shown import Shown

SCHEMA = "atrous.accelerate/1"
Told = Callable[[int, int], None]


@dataclass(frozen=True)
class Accelerated:
    """One convolution of a model.

    Attributes:
        path: the module that computes it.
        problem: what is computed, without data.
        calls: how often it is computed in one run of the model.
        choices: per job the algorithm that was chosen, and why.
    """

    path: str
    problem: Problem
    calls: int
    choices: Mapping[Job, Choice]

    @property
    def is_changed(self) -> bool:
        """Whether anything is computed in another way than PyTorch's own."""
        return any(choice.algorithm != "aten" for choice in self.choices.values())

    def seconds(self, *jobs: Job) -> tuple[float, float]:
        """Of one run, by PyTorch and as chosen; of all jobs if none is named."""
        before = after = 0.0
        for job in jobs or JOBS:
            choice = self.choices[job]
            taken = choice.seconds[choice.algorithm]
            before += choice.seconds.get("aten", taken) * self.calls
            after += taken * self.calls
        return before, after


@dataclass(frozen=True)
class Acceleration(Shown):
    """What was made faster in a model, by how much, and how far its output differs.

    Attributes:
        model: name of the model's class.
        layers: its convolutions, in order of their first call.
        error: largest difference between the outputs of both models, as a share of the largest
            value.
    """

    model: str
    layers: tuple[Accelerated, ...]
    error: float

    @property
    def changed(self) -> tuple[Accelerated, ...]:
        """The convolutions that are computed in another way than before."""
        return tuple(layer for layer in self.layers if layer.is_changed)

    def seconds(self, *jobs: Job) -> tuple[float, float]:
        """Of all convolutions of one run, by PyTorch and as chosen."""
        pairs = [layer.seconds(*jobs) for layer in self.layers]
        return sum(before for before, _ in pairs), sum(after for _, after in pairs)

    def told(self) -> list[str]:
        """All but the layers, a sentence each."""
        lines = []
        for what, jobs in (("forward", JOBS[:1]), ("with gradients", JOBS)):
            before, after = self.seconds(*jobs)
            if after:
                lines.append(
                    f"convolutions {what}: {before * 1e3:.2f} -> {after * 1e3:.2f} ms, "
                    f"{before / after:.1f} times as fast"
                )
        return [*lines, f"the output differs by {self.error:.1g} of its largest value"]

    def __str__(self) -> str:
        count = len(self.changed)
        head = f"{self.model}: {count} of {len(self.layers)} convolutions changed"
        return "\n".join([head, *self.told()])

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "error": self.error,
            "layers": [
                {
                    "path": layer.path,
                    "problem": str(layer.problem),
                    "calls": layer.calls,
                    "jobs": {
                        job: {"algorithm": choice.algorithm, "seconds": dict(choice.seconds)}
                        for job, choice in layer.choices.items()
                    },
                }
                for layer in self.layers
            ],
        }


def accelerated(
    model: nn.Module | ExportedProgram, x: Inputs, told: Told | None = None
) -> tuple[nn.Module, Acceleration]:
    """A copy of a model with its convolutions made fast, and what was gained.

    Args:
        model: the model; stays as it is.
        x: an input of the sizes to be fast at.
        told: is called with how many convolutions have been measured, and of how many.
    """
    given = model.module() if isinstance(model, ExportedProgram) else model
    kind = "exported program" if isinstance(model, ExportedProgram) else type(model).__name__
    made = own_copy(given)
    for module in made.modules():
        make_plain(module)
    args, kwargs = arguments(x, floating_type(given))
    kwargs = in_order(given, kwargs)
    with _inference(made):
        calls, before = _recorded(made, *_own(args, kwargs))
        layers = _chosen(calls, told)
    for layer in layers:
        if layer.is_changed:
            make_fast(made.get_submodule(layer.path))
    with _inference(made):
        args, kwargs = _own(args, kwargs)
        after = made(*args, **kwargs)
    return made, Acceleration(kind, layers, _difference(before, after))


def undone(model: nn.Module) -> nn.Module:
    """A copy of a fast model that computes as PyTorch does."""
    made = own_copy(model)
    for module in made.modules():
        make_plain(module)
    return made


def is_accelerated(model: nn.Module) -> bool:
    """Whether any module of a model was made fast."""
    return any(map(is_fast, model.modules()))


Call = tuple[str, tuple[Problem, Problem, Problem]]
"""The module that computes a convolution, and what is computed."""


def _recorded(model: nn.Module, args: Any, kwargs: Any) -> tuple[dict[Call, int], Any]:
    """The convolutions of one run, how often each is computed, and what the model gives."""
    calls: dict[Call, int] = {}
    within: list[str] = [""]
    handles = []
    for path, module in model.named_modules():
        handles += [
            module.register_forward_pre_hook(partial(_enter, within, path), prepend=True),
            module.register_forward_hook(partial(_leave, within), always_call=True),
        ]

    class Recorder(TorchFunctionMode):
        def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None):  # type: ignore[no-untyped-def]
            if func in AXES:
                call = within[-1], problems(AXES[func], *args, **(kwargs or {}))
                calls[call] = calls.get(call, 0) + 1
            return func(*args, **(kwargs or {}))

    try:
        with Recorder():
            return calls, model(*args, **kwargs)
    finally:
        for handle in handles:
            handle.remove()


def _enter(within: list[str], path: str, *_: Any) -> None:
    within.append(path)


def _leave(within: list[str], *_: Any) -> None:
    within.pop()


def _chosen(calls: dict[Call, int], told: Told | None) -> tuple[Accelerated, ...]:
    """What is chosen for each call, measured."""
    every = list(dict.fromkeys(problem for _, three in calls for problem in three))
    found: dict[Problem, Choice] = {}
    for number, problem in enumerate(every):
        if told:
            told(number, len(every))
        choice = CHOOSER.explain(problem)
        can_gain = len(choice.seconds) > 1 and not problem.is_empty and problem.device == "cpu"
        if can_gain and not choice.is_measured:
            choice = CHOOSER.measure(problem)
        found[problem] = choice
    return tuple(
        Accelerated(path, three[0], count, {one.job: found[one] for one in three})
        for (path, three), count in calls.items()
    )


@contextmanager
def _inference(model: nn.Module) -> Iterator[None]:
    """Every module in inference mode, then each in its own; buffers and random numbers stay."""
    modes = [(module, module.training) for module in model.modules()]
    state = [(buffer, buffer.clone()) for buffer in model.buffers()]
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        model.eval()
        try:
            yield
        finally:
            for module, mode in modes:
                module.training = mode
            for buffer, value in state:
                buffer.copy_(value)


def _own(args: Any, kwargs: Any) -> Any:
    """Arguments that a model may write to."""
    return pytree.tree_map_only(Tensor, Tensor.clone, (args, kwargs))


def _difference(before: Any, after: Any) -> float:
    pairs = zip(pytree.tree_leaves(before), pytree.tree_leaves(after), strict=True)
    largest = 0.0
    for one, other in pairs:
        if isinstance(one, Tensor) and one.is_floating_point() and one.numel():
            same = (one == other) | (one.isnan() & other.isnan())
            apart = torch.where(same, 0.0, (one - other).abs()).nan_to_num(inf).max().item()
            sizes = one.abs().nan_to_num(0.0, posinf=0.0)
            largest = max(largest, apart / (sizes.max().item() or 1.0))
    return largest

"""All exact ways to compute a convolution or one of its gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

from torch import Tensor

from atrous.ops import aten, flipped, loops, phases, products, reference, shifts, widened
from atrous.ops.problem import Problem


@dataclass(frozen=True)
class Algorithm:
    """One way to compute, for some jobs.

    Its module has a function for each of them, `forward(problem, x, weight, bias)`,
    `input_gradient(problem, grad, weight)` or `weight_gradient(problem, grad, x)`, and `can_run`.

    Attributes:
        name: of its module.
        source: the module.
    """

    name: str
    source: ModuleType

    def can_run(self, problem: Problem) -> str:
        """Why it cannot compute this; "" if it can."""
        if not hasattr(self.source, _function(problem)):
            return f"does not compute the {problem.job}"
        if problem.device != "cpu" and self.name not in ("aten", "reference"):
            return "is for CPUs"
        why: str = self.source.can_run(problem)
        return why

    def run(self, problem: Problem, *tensors: Tensor | None) -> Tensor:
        """The result."""
        function: Callable[..., Tensor] = getattr(self.source, _function(problem))
        return function(problem, *tensors)


def _function(problem: Problem) -> str:
    return problem.job.replace(" ", "_")


ALGORITHMS = {
    module.__name__.rpartition(".")[2]: Algorithm(module.__name__.rpartition(".")[2], module)
    for module in (aten, widened, loops, flipped, products, phases, shifts, reference)
}
"""By name. The first can compute nearly everything, and the last is not for use."""

USABLE = tuple(name for name in ALGORITHMS if name != "reference")
"""The names of all but the reference."""


def runnable(problem: Problem) -> list[Algorithm]:
    """Those that can compute it, but for the reference."""
    return [ALGORITHMS[name] for name in USABLE if not ALGORITHMS[name].can_run(problem)]

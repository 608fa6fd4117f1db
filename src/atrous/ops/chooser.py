"""Which algorithm computes a convolution: by estimate, by measurement where it is worth it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass

import torch

from atrous.ops import choices, costs
from atrous.ops.algorithms import ALGORITHMS, Algorithm, runnable
from atrous.ops.measuring import measured
from atrous.ops.problem import Problem

OFTEN = 50
"""Calls of the same sizes after which they are measured."""
_LONGEST = 0.1
"""Seconds that one call of an algorithm may take for it to be measured unasked."""
GAIN = 0.97
"""PyTorch's own way is left for one that takes no more than this share of its time."""


@dataclass(frozen=True)
class Choice:
    """Why an algorithm computes a problem.

    Attributes:
        problem: the problem.
        algorithm: the name of the one that was chosen.
        seconds: of all that can compute it, by name: measured, or else estimated.
        is_measured: whether they were measured, here or before.
        reasons: of the others why they cannot, by name.
    """

    problem: Problem
    algorithm: str
    seconds: dict[str, float]
    is_measured: bool
    reasons: dict[str, str]


class Chooser:
    """Choices for the problems of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._chosen: dict[tuple[Problem, int], Algorithm] = {}
        self._calls: Counter[Problem] = Counter()

    def algorithm(self, problem: Problem) -> Algorithm:
        """The algorithm for a problem; the same call after call, until it is measured."""
        threads = torch.get_num_threads()
        found = self._chosen.get((problem, threads))
        if found is None:
            found = ALGORITHMS[self.explain(problem).algorithm]
            self._chosen[problem, threads] = found
        return found

    def seen(self, problem: Problem) -> None:
        """Count a call, and measure what is called often, unless results have to be repeatable."""
        calls = self._calls[problem] = self._calls[problem] + 1
        if calls != OFTEN or torch.are_deterministic_algorithms_enabled():
            return
        if problem.is_empty or problem.device != "cpu":
            return
        choice = self.explain(problem)
        if not choice.is_measured and max(choice.seconds.values()) < _LONGEST:
            self.measure(problem)

    def measure(self, problem: Problem) -> Choice:
        """Measure all algorithms that can compute a problem, and keep the times."""
        # One at a time: measurements side by side would measure each other.
        with self._lock:
            choices.keep(problem, measured(problem, runnable(problem)))
        choice = self.explain(problem)
        self._chosen[problem, torch.get_num_threads()] = ALGORITHMS[choice.algorithm]
        return choice

    def explain(self, problem: Problem) -> Choice:
        """Which algorithm is chosen, and why."""
        able = runnable(problem)
        kept = choices.kept(problem)
        is_measured = kept is not None and {one.name for one in able} <= kept.keys()
        seconds = {
            one.name: kept[one.name] if is_measured and kept else costs.seconds(one, problem)
            for one in able
        }
        best = min(seconds, key=lambda name: seconds[name])
        if "aten" in seconds and seconds[best] > GAIN * seconds["aten"]:
            best = "aten"
        reasons = {one.name: one.can_run(problem) for one in ALGORITHMS.values()}
        return Choice(
            problem, best, seconds, is_measured, {n: why for n, why in reasons.items() if why}
        )


CHOOSER = Chooser()

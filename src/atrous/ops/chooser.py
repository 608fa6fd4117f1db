"""Which algorithm computes a convolution: by estimate, by measurement where it is worth it."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from math import inf

import torch

from atrous.ops import choices, costs
from atrous.ops.algorithms import ALGORITHMS, USABLE, Algorithm, runnable
from atrous.ops.measuring import measured
from atrous.ops.problem import Problem

OFTEN = 50
"""Calls of the same sizes after which they are measured."""
_MOST = 10_000
"""Problems that are remembered."""
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
        self.asked = 0
        """How often a measurement was asked for."""
        self._chosen: dict[tuple[Problem, int, bool], Algorithm] = {}
        self._calls: Counter[Problem] = Counter()

    def algorithm(self, problem: Problem) -> Algorithm:
        """The algorithm for a problem; the same call after call, until it is measured."""
        key = problem, torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
        found = self._chosen.get(key)
        if found is None:
            if len(self._chosen) >= _MOST:
                self._chosen.clear()
                self._calls.clear()
            found = self._chosen[key] = ALGORITHMS[self.explain(problem).algorithm]
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
            # Nobody asked for it: what goes wrong is not the caller's.
            with suppress(Exception):
                self._measure(problem)

    def measure(self, problem: Problem) -> Choice:
        """Measure all algorithms that can compute a problem, and keep the times."""
        self._measure(problem)
        self.asked += 1
        return self.explain(problem)

    def _measure(self, problem: Problem) -> None:
        # One at a time: measurements side by side would measure each other.
        with self._lock:
            choices.keep(problem, measured(problem, runnable(problem)))
        self._chosen.clear()

    def explain(self, problem: Problem) -> Choice:
        """Which algorithm is chosen, and why."""
        reasons = {name: one.can_run(problem) for name, one in ALGORITHMS.items()}
        able = [ALGORITHMS[name] for name in USABLE if not reasons[name]]
        if problem.is_empty:
            able = [ALGORITHMS["aten"]]
        # What is measured differs from time to time.
        repeatable = torch.are_deterministic_algorithms_enabled()
        kept = None if repeatable else choices.kept(problem)
        seconds = {
            # What failed when it was measured has no time.
            one.name: costs.seconds(one, problem) if kept is None else kept.get(one.name, inf)
            for one in able
        }
        best = min(seconds, key=lambda name: seconds[name])
        if "aten" in seconds and seconds[best] > GAIN * seconds["aten"]:
            best = "aten"
        unable = {name: why for name, why in reasons.items() if why}
        return Choice(problem, best, seconds, kept is not None, unable)


CHOOSER = Chooser()

"""Choices of dilations for all axes and layers together, the least change first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice, product

from atrous.analysis.coverage.blame import windowed_reads
from atrous.design.redesign.goals import Goal
from atrous.design.redesign.layers import Layer, Wanted
from atrous.design.redesign.problem import Choice, Problem
from atrous.design.redesign.search import Solutions, solved
from atrous.graph.program import Program
from atrous.graph.rule import Local

_COMBINED = 36
_JOINT = 400
"""Choices of all axes together that are looked at, and that are asked in all dimensions where
single axes do not tell."""

Plan = list[tuple[Layer, Wanted]]
"""The layers that are to change, and the dilations they are to have."""


@dataclass
class Candidates:
    """What could be changed.

    Attributes:
        program: the captured model.
        goals: what must hold.
        layers: what can change.
        stuck: labels of layers that must stay.
        ties: labels of layers that must have one dilation.
        smaller: whether fields may become smaller where no dilations keep them.
        whole: the stretches that must have no holes and keep their fields too.
        solutions: what was found along each axis.
    """

    program: Program
    goals: Sequence[Goal]
    layers: tuple[Layer, ...]
    stuck: Collection[str]
    ties: Sequence[Collection[str]]
    smaller: bool
    whole: Collection[Goal]
    solutions: list[tuple[Problem, Solutions]] = field(default_factory=list)

    @cached_property
    def is_solved(self) -> bool:
        """Whether each axis has a solution, for itself."""
        for place in range(len(self.goals[0].axes)):
            problem = self._problem(place)
            known = (own for other, own in self.solutions if other.is_like(problem))
            self.solutions.append((problem, next(known, None) or solved(problem)))
        return all(found.choices for _, found in self.solutions)

    def plans(self) -> Iterator[Plan]:
        """Those that are right as far as can be told before the model is changed."""
        if not self.is_solved:
            return
        held = False
        for wanted in chain(
            self._wanted_of(self._combined()), (None,), self._wanted_of(self._jointly())
        ):
            if wanted is None:
                if held:
                    return
                continue
            if self._holds(wanted):
                held = True
                yield wanted

    def _problem(self, place: int, also: Callable[[Choice], bool] | None = None) -> Problem:
        return Problem(
            self.goals, place, self.layers, self.stuck, self.ties, also, self.smaller, self.whole
        )

    def _wanted_of(self, combined: Iterable[tuple[Choice, ...]]) -> Iterator[Plan]:
        found = (self._wanted(choices) for choices in combined)
        return (wanted for wanted in found if wanted)

    def _jointly(self) -> Iterator[tuple[Choice, ...]]:
        """Choices that are right in all axes together, the same along each: where ways meet, what
        closes the holes along every axis may leave some between them."""
        problems = [problem for problem, _ in self.solutions]
        first = problems[0]
        if any(problem.now != first.now for problem in problems):
            return
        looked = 0

        def holds(choice: Choice) -> bool:
            nonlocal looked
            looked += 1
            return looked <= _JOINT and self._holds(self._wanted([choice] * len(problems)))

        again = self._problem(first.place, holds)
        solutions = solved(again)
        self.solutions = [(problem, solutions) for problem in problems]
        for choice in solutions.choices:
            yield (choice,) * len(problems)

    def _combined(self) -> list[tuple[Choice, ...]]:
        """Choices of all axes together, the least change first."""

        def cost(choices: tuple[Choice, ...]) -> tuple[int, int, int]:
            layers: set[int] = set()
            excess = change = 0
            for (problem, _), choice in zip(self.solutions, choices, strict=True):
                excess += problem.excess(choice) or 0 if problem.lines else 0
                change += problem.cost(choice)[1]
                layers |= {k for k, d in enumerate(choice) if d != problem.now[k]}
            return excess, len(layers), change

        every = product(*(solutions.choices for _, solutions in self.solutions))
        return sorted(islice(every, 4 * _COMBINED), key=cost)[:_COMBINED]

    def _wanted(self, choices: Sequence[Choice]) -> Plan:
        found: Plan = []
        for k, layer in enumerate(self.layers):
            wanted = {
                problem.axes[k]: choice[k]
                for (problem, _), choice in zip(self.solutions, choices, strict=True)
                if choice[k] != problem.now[k]
            }
            if wanted:
                found.append((layer, wanted))
        return found

    def _holds(self, wanted: Plan) -> bool:
        """Whether a choice is right in all dimensions and through all channels, borders included,
        as far as that can be told before the model is changed."""
        replaced = {}
        for layer, dilations in wanted:
            windows = {a: layer.window(a, d) for a, d in dilations.items()}
            for name in layer.names:
                node = self.program.nodes[name]
                assert isinstance(node.description, Local)
                every = {**node.description.windows, **windows}
                replaced[name] = windowed_reads(node, every)
        for goal in self.goals:
            for own in goal.covers:
                cover = own.with_reads(replaced)
                if not goal.holds(cover) or (goal in self.whole and not cover.read.all()):
                    return False
        return self._in_all_phases(wanted)

    def _in_all_phases(self, wanted: Plan) -> bool:
        """Whether a choice leaves no holes along any axis in any phase of an upsampled output."""
        for goal in self.goals:
            for lines in goal.phases.values() if goal.kind == "holes" else ():
                windows = {
                    name: layer.window(lines[0].axis[name], dilations[lines[0].axis[name]])
                    for layer, dilations in wanted
                    for name in layer.names
                    if name in lines[0].windows and lines[0].axis[name] in dilations
                }
                reads = [line.offsets(windows) for line in lines if len(lines) > 1]
                if any(read is not None and read.holes for read in reads):
                    return False
        return True

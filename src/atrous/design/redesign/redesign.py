"""A model with holes made hole-free: the least change that is proven to do it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from torch import nn

from atrous.design.redesign.candidates import Candidates
from atrous.design.redesign.carriers import Carriers, Changing
from atrous.design.redesign.edits import Edit, make
from atrous.design.redesign.goals import Goal, again, goals_of
from atrous.design.redesign.layers import Layer, Wanted, layers_of
from atrous.design.redesign.problem import Problem
from atrous.design.redesign.proof import broken, broken_ends, broken_stretch, same_weights
from atrous.design.redesign.reasons import reason
from atrous.design.redesign.result import Change, Redesign, RedesignError
from atrous.design.redesign.search import Solutions
from atrous.graph.capture import Inputs, capture
from atrous.graph.program import Node, Program
from atrous.graph.shell import own_copy

_PROVEN = 4
"""Changes that are proven to find the best."""

Accept = Callable[[nn.Module, Program], int]
"""What is wrong with a changed model, which is given captured too, as a number."""


def redesigned(
    program: Program,
    model: nn.Module,
    x: Inputs,
    *,
    input: str | None = None,
    outputs: Sequence[str] = (),
    node: Node | None = None,
    smaller: bool = False,
    accept: Accept | None = None,
) -> Redesign:
    """Close the holes of a model by other dilations.

    Args:
        program: the captured model.
        model: the model; stays as it is.
        x: what it was captured at.
        input: the input that is looked at; the first by default.
        outputs: labels of the outputs to mend; by default all that depend on it.
        node: a value to mend instead.
        smaller: whether the field may become smaller where no dilations keep it.
        accept: of several changes that do it, the one with the smallest number is taken.

    Raises:
        RedesignError: if no change does it.
        ValueError: if an operator on the way has no rule.
    """
    goals = goals_of(program, input=input, outputs=outputs, node=node)
    if all(goal.is_met for goal in goals):
        return Redesign(own_copy(model), program, (), goals, goals, True, (), 0)
    work = _Work(program, model, x, goals, input, tuple(outputs), node, smaller)
    best: tuple[int, Redesign] | None = None
    for found in islice(work.proven(), _PROVEN if accept is not None else 1):
        wrong = accept(found.model, found.program) if accept is not None else 0
        if best is None or wrong < best[0]:
            best = wrong, found
        if wrong == 0:
            break
    if best is None:
        raise RedesignError(
            reason(goals, work.solutions, work.carriers.stuck.values(), work.failed)
        )
    return best[1]


@dataclass
class _Work:
    program: Program
    model: nn.Module
    x: Inputs
    goals: tuple[Goal, ...]
    input: str | None
    outputs: tuple[str, ...]
    node: Node | None
    smaller: bool
    failed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = {name for goal in self.goals for name in goal.program.nodes}
        layers = layers_of(self.program, self.model, names)
        self.carriers = Carriers(
            self.program, self.model, self.x, self.goals, layers, self._goals_of
        )
        self.candidates: Candidates | None = None

    @property
    def solutions(self) -> Sequence[tuple[Problem, Solutions]]:
        """What was found along each axis when it was last looked for."""
        return self.candidates.solutions if self.candidates is not None else ()

    def proven(self) -> Iterator[Redesign]:
        """Changed models that are as they must be, the least changed first."""
        own = self.carriers
        while True:
            before = len(own.stuck) + len(own.ties)
            for whole, shy in self._aims():
                found = False
                for one in self._with(shy, whole):
                    found = True
                    yield one
                if found or len(own.stuck) + len(own.ties) > before:
                    break
            if len(own.stuck) + len(own.ties) == before:
                return

    def _aims(self) -> Iterator[tuple[frozenset[Goal], bool]]:
        """What is tried in turn: the stretches that are to be left without holes, and whether
        strided layers without a dilation stay as they are."""
        mixed = [goal for goal in self.goals if goal.kind == "mixed"]
        some = frozenset(goal for goal in mixed if goal.is_whole)
        yield some, True
        yield some, False
        tried = {some}
        # Where one is hopeless the others are not left as they are.
        for fewer in (self._hopeful, lambda own: frozenset(g for g in own if g.is_met), _none):
            less = fewer(some)
            if less not in tried:
                tried.add(less)
                yield less, True
                yield less, False

    def _hopeful(self, stretches: frozenset[Goal]) -> frozenset[Goal]:
        """Those that can be left without holes, each by itself."""
        return frozenset(
            goal
            for goal in stretches
            if goal.is_met or self._candidates((goal,), False, (goal,)).is_solved
        )

    def _candidates(self, goals: Sequence[Goal], shy: bool, whole: Collection[Goal]) -> Candidates:
        own = self.carriers
        reserved = {layer.label for layer in own.layers if _is_kept(self.model, layer, shy)}
        stuck = {*reserved, *own.stuck}
        return Candidates(self.program, goals, own.layers, stuck, own.ties, self.smaller, whole)

    def _with(self, shy: bool, whole: frozenset[Goal]) -> Iterator[Redesign]:
        """Solutions; `shy` ones leave strided layers without a dilation as they are, and `whole`
        stretches are left without holes."""
        own = self.carriers
        self.candidates = self._candidates(self.goals, shy, whole)
        for plan in self.candidates.plans():
            edits = own.edits(plan)
            if edits is None:
                return
            made = self._made(edits, whole)
            if made is not None:
                yield made

    def _made(self, changes: Sequence[Changing], whole: frozenset[Goal]) -> Redesign | None:
        """The changed model, if it is proven."""
        made = own_copy(self.model)
        make(made, dict.fromkeys(edit for *_, edits in changes for edit in edits))
        try:
            after = capture(made, self.x)
            reached = self._goals_of(after)
        except (RuntimeError, ValueError, KeyError) as error:
            self.failed.append(str(error).splitlines()[0])
            return None
        wrong = broken(self.program, after, self.goals, reached, smaller=self.smaller)
        if not wrong:
            wrong = broken_ends(self.goals, reached, [change[:2] for change in changes])
        wrong = wrong or broken_stretch(after, whole, smaller=self.smaller)
        if not wrong and not same_weights(self.model, made):
            wrong = "the weights are not the same"
        if wrong:
            self.failed.append(wrong)
            return None
        return Redesign(
            made,
            after,
            tuple(_change(*change) for change in changes),
            self.goals,
            (*reached, *self._others(after, reached)),
            all(solutions.is_least for _, solutions in self.solutions),
            self._told(whole),
            self.carriers.levers.trials,
        )

    def _others(self, after: Program, reached: Sequence[Goal]) -> Iterator[Goal]:
        """The stretches that nothing need be asked of any more, to tell what became of them."""
        known = {(goal.source.label, goal.node.label) for goal in reached if goal.kind == "mixed"}
        for goal in self.goals:
            if goal.kind == "mixed" and (goal.source.label, goal.node.label) not in known:
                other = again(goal, after)
                if other is not None:
                    yield other

    def _told(self, whole: frozenset[Goal]) -> tuple[str, ...]:
        told = [s.how for _, s in self.solutions if s.how != "nothing to change"]
        for goal in self.goals:
            if goal.kind == "mixed" and goal not in whole and not goal.is_met:
                told.append(
                    f"none was found that keeps the field from {goal.source.label!r} to "
                    f"{goal.node.label!r} and leaves it no holes: these layers only mix"
                )
        return tuple(dict.fromkeys(told))

    def _goals_of(self, program: Program) -> tuple[Goal, ...]:
        node = None if self.node is None else program.find(self.node.label)
        return goals_of(program, input=self.input, outputs=self.outputs, node=node)


def _none(_: frozenset[Goal]) -> frozenset[Goal]:
    return frozenset()


def _is_kept(model: nn.Module, layer: Layer, shy: bool) -> bool:
    """Whether a layer stays as it is: pools without a dilation, at first strided layers too."""
    if any(window.dilation > 1 for window in layer.windows.values()):
        return False
    module: Any = model.get_submodule(layer.path)
    convolves = isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
    strided = any(window.stride > 1 for window in layer.windows.values())
    return not (convolves or not layer.is_module) or (shy and strided)


def _change(layer: Layer, wanted: Wanted, edits: tuple[Edit, ...]) -> Change:
    axes = sorted(layer.windows)
    return Change(
        layer.path,
        layer.label,
        tuple(layer.windows[axis].kernel_size for axis in axes),
        tuple(layer.windows[axis].dilation for axis in axes),
        tuple(wanted.get(axis, layer.windows[axis].dilation) for axis in axes),
        edits,
    )

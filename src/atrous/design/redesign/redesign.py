"""A model with holes made hole-free: the least change that is proven to do it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice, product
from typing import Any

from torch import nn

from atrous.analysis.coverage.blame import windowed_reads
from atrous.design.redesign.edits import Edit, make
from atrous.design.redesign.goals import Goal, goals_of
from atrous.design.redesign.layers import Layer, layers_of, tied
from atrous.design.redesign.levers import Layers, Levers, Wanted
from atrous.design.redesign.nearby import alike, near, read_shape
from atrous.design.redesign.problem import Choice, Problem
from atrous.design.redesign.proof import (
    broken,
    broken_ends,
    broken_stretch,
    moved_alike,
    paired,
    same_weights,
)
from atrous.design.redesign.reasons import reason
from atrous.design.redesign.search import Solutions, solved
from atrous.graph.capture import Inputs, capture
from atrous.graph.program import Node, Program
from atrous.graph.rule import Local
from atrous.graph.shell import own_copy, shell_copy

_COMBINED = 36
_PROVEN = 4
_JOINT = 400
"""Choices of all axes together that are looked at, that are proven to find the best, and that are
asked in all dimensions where single axes do not tell."""


class RedesignError(ValueError):
    """A model whose holes cannot be closed as asked; the message says why and what to do."""


@dataclass(frozen=True)
class Change:
    """One layer that changes.

    Attributes:
        path: its module, or for a call of a function the module that makes it.
        label: what to call it.
        kernel_size: taps per axis.
        before: dilations per axis.
        after: dilations per axis, changed.
        edits: the settings that change for it: the dilation first, then paddings.
    """

    path: str
    label: str
    kernel_size: tuple[int, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
    edits: tuple[Edit, ...]


@dataclass(frozen=True)
class Redesign:
    """What became of a model.

    Attributes:
        model: a copy of it with the changes made.
        changes: one entry per layer that changes; empty if there was nothing to mend.
        before: what was asked of the model, and what it was.
        after: the same of the changed model.
        is_least: whether fewer or smaller changes are proven not to be enough.
        searched: how the changes were found, per axis that has any, in words.
        trials: changed models that were looked at to find which settings carry a padding.
    """

    model: nn.Module
    changes: tuple[Change, ...]
    before: tuple[Goal, ...]
    after: tuple[Goal, ...]
    is_least: bool
    searched: tuple[str, ...]
    trials: int

    @property
    def edits(self) -> tuple[Edit, ...]:
        """Every setting that changes, once."""
        return tuple(dict.fromkeys(edit for change in self.changes for edit in change.edits))


Changing = tuple[Layer, Wanted, tuple[Edit, ...]]
"""A layer, the dilations it is to have, and the settings that change for it."""

Accept = Callable[[nn.Module], int]
"""What is wrong with a changed model that was not wrong before, as a number."""


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
        return Redesign(own_copy(model), (), goals, goals, True, (), 0)
    work = _Work(program, model, x, goals, input, tuple(outputs), node, smaller)
    best: tuple[int, Redesign] | None = None
    for found in islice(work.proven(), _PROVEN if accept is not None else 1):
        wrong = accept(found.model) if accept is not None else 0
        if best is None or wrong < best[0]:
            best = wrong, found
        if wrong == 0:
            break
    if best is None:
        raise RedesignError(reason(goals, work.last, work.stuck.values(), work.failed))
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
    whole: bool = True
    stuck: dict[str, Layer] = field(default_factory=dict)
    ties: list[frozenset[str]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    last: list[tuple[Problem, Solutions]] = field(default_factory=list)

    def __post_init__(self) -> None:
        names = {name for goal in self.goals for name in goal.program.nodes}
        self.layers = layers_of(self.program, self.model, names)
        self.ties += tied(self.layers)
        self.levers = Levers(self.model, self._works, self._around)

    def proven(self) -> Iterator[Redesign]:
        """Changed models that are as they must be, the least changed first."""
        while True:
            before = len(self.stuck) + len(self.ties)
            for whole, shy in product((True, False), (True, False)):
                if not whole and all(goal.kind == "holes" for goal in self.goals):
                    break
                found = False
                self.whole = whole
                for one in self._with(shy):
                    found = True
                    yield one
                if found or len(self.stuck) + len(self.ties) > before:
                    break
            if len(self.stuck) + len(self.ties) == before:
                return

    def _with(self, shy: bool) -> Iterator[Redesign]:
        """Solutions; `shy` ones leave strided layers without a dilation as they are."""
        reserved = [layer.label for layer in self.layers if _is_kept(self.model, layer, shy)]
        count = len(self.goals[0].axes) if self.goals else 0
        self.last = []
        stuck = {*reserved, *self.stuck}
        for place in range(count):
            problem = self._problem(place, stuck)
            self.last.append((problem, solved(problem)))
        if not all(solutions.choices for _, solutions in self.last):
            return
        held = False
        for wanted in chain(
            self._wanted_of(self._combined()), (None,), self._wanted_of(self._jointly(stuck))
        ):
            if wanted is None:
                if held:
                    return
                continue
            if not self._holds(wanted):
                continue
            held = True
            edits = self._edits(wanted)
            if edits is None:
                return
            made = self._made(edits)
            if made is not None:
                yield made

    def _problem(
        self, place: int, stuck: Collection[str], also: Callable[[Choice], bool] | None = None
    ) -> Problem:
        return Problem(
            self.goals, place, self.layers, stuck, self.ties, also, self.smaller, self.whole
        )

    def _wanted_of(
        self, combined: Iterable[tuple[Choice, ...]]
    ) -> Iterator[list[tuple[Layer, Wanted]]]:
        found = (self._wanted(choices) for choices in combined)
        return (wanted for wanted in found if wanted)

    def _jointly(self, stuck: Collection[str]) -> Iterator[tuple[Choice, ...]]:
        """Choices that are right in all axes together, the same along each: where ways meet, what
        closes the holes along every axis may leave some between them."""
        problems = [problem for problem, _ in self.last]
        first = problems[0]
        if any(problem.now != first.now for problem in problems):
            return
        looked = 0

        def holds(choice: Choice) -> bool:
            nonlocal looked
            looked += 1
            return looked <= _JOINT and self._holds(self._wanted([choice] * len(problems)))

        again = self._problem(first.place, stuck, holds)
        solutions = solved(again)
        self.last = [(problem, solutions) for problem in problems]
        for choice in solutions.choices:
            yield (choice,) * len(problems)

    def _combined(self) -> list[tuple[Choice, ...]]:
        """Choices of all axes together, the least change first."""

        def cost(choices: tuple[Choice, ...]) -> tuple[int, int, int]:
            layers: set[int] = set()
            excess = change = 0
            for (problem, _), choice in zip(self.last, choices, strict=True):
                excess += problem.excess(choice) or 0 if problem.lines else 0
                change += problem.cost(choice)[1]
                layers |= {k for k, d in enumerate(choice) if d != problem.now[k]}
            return excess, len(layers), change

        every = product(*(solutions.choices for _, solutions in self.last))
        return sorted(islice(every, 4 * _COMBINED), key=cost)[:_COMBINED]

    def _wanted(self, choices: Sequence[Choice]) -> list[tuple[Layer, Wanted]]:
        found: list[tuple[Layer, Wanted]] = []
        for k, layer in enumerate(self.layers):
            wanted = {
                problem.axes[k]: choice[k]
                for (problem, _), choice in zip(self.last, choices, strict=True)
                if choice[k] != problem.now[k]
            }
            if wanted:
                found.append((layer, wanted))
        return found

    def _holds(self, wanted: Sequence[tuple[Layer, Wanted]]) -> bool:
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
            cover = goal.cover.with_reads(replaced)
            if not goal.holds(cover) or (self._is_whole(goal) and not cover.read.all()):
                return False
        return True

    def _is_whole(self, goal: Goal) -> bool:
        """Whether it is a stretch that must have no holes."""
        return self.whole and goal.kind == "mixed" and goal.is_whole

    def _edits(self, wanted: Sequence[tuple[Layer, Wanted]]) -> list[Changing] | None:
        """The settings to change; None if those of some layers were not found, or only together
        with those of others."""
        found: list[Changing] = []
        by_label = {layer.label: (layer, dilations) for layer, dilations in wanted}
        done: set[str] = set()
        missing = False
        for layer, dilations in wanted:
            if layer.label in done:
                continue
            tie = next((tie for tie in self.ties if layer.label in tie), {layer.label})
            members = tuple(own for own in self.layers if own.label in tie)
            done |= tie
            edits = self.levers.edits(members, dilations, most=1)
            if edits is None and len(members) == 1 and self._tied(layer, dilations):
                return None
            if edits is None:
                edits = self.levers.edits(members, dilations)
            if edits is None:
                self.stuck.update((own.label, own) for own in members)
                missing = True
                continue
            paths = {own.path for own in members if own.is_module}
            for own in members:
                # What they share is told with the first.
                mine = tuple(
                    edit
                    for edit in edits
                    if (edit.slot.path == own.path and own.is_module)
                    or (own is members[0] and edit.slot.path not in paths)
                )
                found.append((own, by_label.get(own.label, (own, dilations))[1], mine))
        return None if missing else found

    def _tied(self, layer: Layer, dilations: Wanted) -> bool:
        """Whether a layer changes only together with others of its block, as where one number cuts
        what all of them pad; then they are tied, in all blocks of the kind."""
        block = layer.path.rpartition(".")[0]
        some = alike(self.layers, layer, block)
        if len(some) < 2 or self.levers.edits(some, dilations, most=2) is None:
            return False
        modules = dict(self.model.named_modules())
        for path, module in modules.items():
            if type(module) is type(modules[block]):
                ends = [own.path[len(block) :] for own in some]
                mine = [own for own in self.layers if own.path in {path + end for end in ends}]
                if len(mine) > 1 and len({tuple(own.windows.items()) for own in mine}) == 1:
                    self.ties.append(frozenset(own.label for own in mine))
        return True

    def _made(self, changes: Sequence[Changing]) -> Redesign | None:
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
        if not wrong and self.whole:
            wrong = broken_stretch(after, filter(self._is_whole, self.goals), smaller=self.smaller)
        if not wrong and not same_weights(self.model, made):
            wrong = "the weights are not the same"
        if wrong:
            self.failed.append(wrong)
            return None
        return Redesign(
            made,
            tuple(_change(*change) for change in changes),
            self.goals,
            reached,
            all(solutions.is_least for _, solutions in self.last),
            self._told(),
            self.levers.trials,
        )

    def _told(self) -> tuple[str, ...]:
        told = [s.how for _, s in self.last if s.how != "nothing to change"]
        for goal in self.goals:
            if not self.whole and goal.kind == "mixed" and not goal.is_met:
                told.append(
                    f"none was found that keeps the field from {goal.source.label!r} to "
                    f"{goal.node.label!r} and leaves it no holes: these layers only mix"
                )
        return tuple(dict.fromkeys(told))

    def _goals_of(self, program: Program) -> tuple[Goal, ...]:
        node = None if self.node is None else program.find(self.node.label)
        return goals_of(program, input=self.input, outputs=self.outputs, node=node)

    def _works(self, layers: Layers, wanted: Wanted, edits: Sequence[Edit]) -> bool:
        """Whether settings change layers as planned: other dilations, all else in its place."""
        shell = shell_copy(self.model)
        try:
            make(shell, edits)
            after = capture(shell, self.x)
            reached = self._goals_of(after)
        except (RuntimeError, ValueError, KeyError, TypeError):
            return False
        pairs = paired(self.goals, reached)
        if pairs is None or not self._cut_behind(layers, edits, after):
            return False
        free = not all(layer.padded for layer in layers)
        if not free and any(
            self.program.nodes[name].shape != after.nodes[after.outputs[label]].shape
            for label, name in self.program.outputs.items()
        ):
            return False
        told = False
        for goal, other in pairs:
            for axis, lines in goal.lines.items():
                theirs = other.lines.get(axis, ())
                if len(theirs) != len(lines):
                    return False
                for line, new in zip(lines, theirs, strict=True):
                    windows = {
                        name: layer.window(line.axis[name], wanted[line.axis[name]])
                        for layer in layers
                        for name in layer.names
                        if name in line.windows and line.axis[name] in wanted
                    }
                    told = told or bool(windows)
                    if not moved_alike(line.offsets(windows), new.offsets(), anywhere=free):
                        return False
        own = [(layer, wanted) for layer in layers]
        return told and not broken_ends(self.goals, reached, own)

    def _cut_behind(self, layers: Layers, edits: Sequence[Edit], after: Program) -> bool:
        """Whether what a layer pads by itself is cut behind it: cut in front instead, the middle of
        the map reads the same, but its end lacks values that are there."""
        own = {layer.path for layer in layers if layer.is_module}
        if not any(edit.slot.name == "padding" and edit.slot.path in own for edit in edits):
            return True
        return all(
            read_shape(self.program, name) == read_shape(after, name)
            for name in layers[0].names
            if name in after.nodes
        )

    def _around(self, layers: Layers) -> list[str]:
        """The modules around layers: their own, those next to them, and those they lie in."""
        found = {layer.path: None for layer in layers}
        for name in (name for layer in layers for name in layer.names):
            node = self.program.nodes[name]
            for other in near(self.program, node):
                found[other.place.module] = None
            for call in reversed(node.place.calls):
                found[call.partition("@")[0]] = None
        found[""] = None
        return list(found)


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

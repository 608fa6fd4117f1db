"""The settings of a model that carry planned dilations, and the paddings that go with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from torch import nn

from atrous.design.redesign.edits import Edit, make
from atrous.design.redesign.goals import Goal
from atrous.design.redesign.layers import Layer, Wanted, tied
from atrous.design.redesign.levers import Layers, Levers
from atrous.design.redesign.nearby import alike, near, read_shape
from atrous.design.redesign.proof import broken_ends, moved_alike, paired
from atrous.graph.capture import Inputs, capture, runs
from atrous.graph.program import Program
from atrous.graph.shell import shell_copy

Changing = tuple[Layer, Wanted, tuple[Edit, ...]]
"""A layer, the dilations it is to have, and the settings that change for it."""


@dataclass
class Carriers:
    """What carries the dilations of layers, as it is found out.

    Attributes:
        program: the captured model.
        model: the model.
        x: what it was captured at.
        goals: what is asked of it.
        layers: what can change.
        asked: the same goals, of a changed model.
        stuck: by label, layers whose padding was not found.
        ties: labels of layers that must have one dilation, as one number pads for all of them.
    """

    program: Program
    model: nn.Module
    x: Inputs
    goals: Sequence[Goal]
    layers: tuple[Layer, ...]
    asked: Callable[[Program], tuple[Goal, ...]]
    stuck: dict[str, Layer] = field(default_factory=dict)
    ties: list[frozenset[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ties += tied(self.layers)
        self.levers = Levers(self.model, self._works, self._around)

    def edits(self, wanted: Sequence[tuple[Layer, Wanted]]) -> list[Changing] | None:
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

    def _works(self, layers: Layers, wanted: Wanted, edits: Sequence[Edit]) -> bool:
        """Whether settings change layers as planned: other dilations, all else in its place."""
        shell = shell_copy(self.model)
        try:
            make(shell, edits)
            if not runs(shell, self.x):
                return False
            after = capture(shell, self.x)
            reached = self.asked(after)
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
                for line in lines:
                    new = other.line(axis, line.at)
                    if new is None:
                        return False
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

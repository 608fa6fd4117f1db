"""What became of a model that was to be mended."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from atrous.design.redesign.edits import Edit
from atrous.design.redesign.goals import Goal
from atrous.graph.program import Program


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
        program: that copy, captured.
        changes: one entry per layer that changes; empty if there was nothing to mend.
        before: what was asked of the model, and what it was.
        after: the same of the changed model.
        is_least: whether fewer or smaller changes are proven not to be enough.
        searched: how the changes were found, per axis that has any, in words.
        trials: changed models that were looked at to find which settings carry a padding.
    """

    model: nn.Module
    program: Program
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

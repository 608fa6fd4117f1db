"""A redesign as plain data."""

from __future__ import annotations

from typing import Any

from atrous.design.redesign.result import Change, Redesign
from atrous.design.redesign.state import State, state_of

SCHEMA = "atrous.redesign/1"


def redesign_to_dict(found: Redesign) -> dict[str, Any]:
    """Changes, fields before and after, and how they were found."""
    return {
        "schema": SCHEMA,
        "changes": [_change(change) for change in found.changes],
        "before": [_state(state_of(goal)) for goal in found.before],
        "after": [_state(state_of(goal)) for goal in found.after],
        "is_least": found.is_least,
        "searched": list(found.searched),
        "trials": found.trials,
        "code": [edit.code for edit in found.edits],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "path": change.path,
        "label": change.label,
        "kernel_size": list(change.kernel_size),
        "dilation": {"before": list(change.before), "after": list(change.after)},
        "settings": [
            {
                "path": edit.slot.path,
                "attribute": edit.slot.name,
                "key": edit.slot.key,
                "before": edit.before,
                "after": edit.after,
            }
            for edit in change.edits
        ],
    }


def _state(state: State) -> dict[str, Any]:
    return {
        "output": state.output,
        "node": state.node,
        "reads": state.reads,
        "kind": state.kind,
        "field": list(state.field),
        "span": list(state.cover.span),
        "holes": state.holes,
        "density": state.density,
        "cv": state.cv,
        "factor": list(state.factor),
    }

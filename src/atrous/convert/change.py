"""Changes made in a model, and what they are called."""

from __future__ import annotations

from typing import Any

from torch import nn

from atrous.convert.calls import Call
from atrous.convert.certificate import Changed, short
from atrous.convert.plan import Change, Plan
from atrous.nn.dense import in_phases, on_dense


def apply(model: nn.Module, plan: Plan) -> nn.Module:
    """A model with all changes made, in place."""
    for change in plan.changes:
        _change(model.get_submodule(change.path), change)
    return model


def told(model: nn.Module, made: nn.Module, plan: Plan) -> tuple[Changed, ...]:
    """What was changed, in order of the model.

    Args:
        model: the model as it was.
        made: the changed one.
        plan: what was changed.
    """
    order = {path: k for k, (path, _) in enumerate(model.named_modules())}
    return tuple(
        Changed(
            change.path,
            type(model.get_submodule(change.path)).__name__,
            change.how,
            change.before,
            change.after,
            _settings(made.get_submodule(change.path)) if change.how == "settings" else "",
        )
        for change in sorted(plan.changes, key=lambda change: order[change.path])
    )


def _settings(module: Any) -> str:
    """The settings that were changed, where they are not the usual ones."""
    usual = {"stride": (1,), "dilation": (1,), "padding": (0,)}
    named = [(name, getattr(module, name)) for name in usual]
    return ", ".join(
        f"{name} {value if isinstance(value, str) else short(value)}"
        for name, value in named
        if name != "stride" or set(value) != {1}
    )


def _change(module: Any, change: Change) -> None:
    if change.how in ("phases", "grid"):
        reads, gives = change.axes
        in_phases(
            module,
            change.before,
            change.after,
            stride=change.stride,
            reads=reads,
            gives=gives,
            weights=module.weights if isinstance(module, Call) else (),
        )
    elif change.how == "borders":
        on_dense(module, change.before, change.after)
    else:
        _set(module, change)


def _set(module: Any, change: Change) -> None:
    """A convolution or pool whose padding keeps the map, by its own settings."""
    module.stride = tuple(map(int, change.stride))
    dense = [w.dilated(r) for w, r in zip(change.windows, change.before, strict=True)]
    module.dilation = tuple(window.dilation for window in dense)
    if isinstance(module.padding, str):
        return
    module.padding = tuple(window.left for window in dense)

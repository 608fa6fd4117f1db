"""Modules that compute in another way: the same object, of a class made of its own and another.

Parameters, their names and the class's name stay, and so does what a program knows of the module.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from typing import Any

from torch import nn
from torch.nn.utils.parametrize import is_parametrized


class Mixin(nn.Module):
    """What is mixed into a module's class; saved by the classes it was made of."""

    def __reduce_ex__(self, protocol: Any) -> Any:
        """The classes, and the state as the module's own class gives it."""
        state = nn.Module.__reduce_ex__(self, protocol)
        whats, kind = _parts(type(self))
        if not whats:
            # Of a class that computes weights, which PyTorch does not save.
            return state
        # The state is what the class says it is: a recurrence leaves out what cannot be saved.
        return _blank, (whats, kind), state[2]


def mix(what: Any, module: nn.Module) -> None:
    """Make a module compute as `what` says, in place."""
    _change(module, partial(_mixed, what))


def unmix(what: Any, module: nn.Module) -> None:
    """Take off what was mixed in, in place."""
    _change(module, partial(_below, what))


def _change(module: nn.Module, changed: Callable[[Any], Any]) -> None:
    """Give a module the class that is made of its own."""
    kind: Any = type(module)
    if _computes_weights(module):
        # The class that computes weights stays the outermost, so that it can be taken off again.
        module.__class__ = _outermost(kind, changed(kind.__bases__[0]))
    else:
        module.__class__ = changed(kind)


def _below(what: Any, kind: Any) -> Any:
    whats, below = _parts(kind)
    kept = [one for one in whats if one is not what]
    for one in reversed(kept):
        below = _mixed(one, below)
    return below


def _computes_weights(module: nn.Module) -> bool:
    kind = type(module)
    named = f"Parametrized{kind.__bases__[0].__name__}"
    return bool(is_parametrized(module)) and kind.__name__ == named


def _outermost(kind: Any, base: Any) -> Any:
    own = {k: v for k, v in kind.__dict__.items() if k not in ("__dict__", "__weakref__")}
    return type(kind.__name__, (base,), own)


def _parts(kind: Any) -> tuple[list[Any], Any]:
    """What was mixed into a class, the last first, and the class."""
    whats = []
    while "_made_of" in vars(kind):
        what, kind = kind._made_of
        whats.append(what)
    return whats, kind


@cache
def _mixed(what: Any, kind: Any) -> Any:
    names = {"__module__": kind.__module__, "_made_of": (what, kind)}
    return type(kind.__name__, (what, kind), names)


def _blank(whats: list[Any], kind: Any) -> Any:
    for what in reversed(whats):
        kind = _mixed(what, kind)
    return kind.__new__(kind)

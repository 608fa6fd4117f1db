"""The names of the bundled networks and what is known of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn


@dataclass(frozen=True)
class Card:
    """What is known of a bundled network.

    Attributes:
        name: what it is called by.
        input_shape: shape of a usual input, batch included.
        summary: one line.
        source: the paper it follows.
    """

    name: str
    input_shape: tuple[int, ...]
    summary: str
    source: str


_MODELS: dict[str, tuple[Card, Callable[[], nn.Module]]] = {}


def model(
    name: str, *, input_shape: tuple[int, ...], source: str
) -> Callable[[Callable[[], nn.Module]], Callable[[], nn.Module]]:
    """Register a function that makes a network; its docstring's first line is the summary.

    Raises:
        ValueError: if the name is taken.
    """

    def register(function: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
        if name in _MODELS:
            raise ValueError(f"name must be new, got {name!r} twice.")
        summary = (function.__doc__ or "").strip().splitlines()[0]
        _MODELS[name] = Card(name, input_shape, summary, source), function
        return function

    return register


def names() -> list[str]:
    """The names of all bundled networks."""
    return sorted(_MODELS)


def card(name: str) -> Card:
    """What is known of a network.

    Raises:
        KeyError: if there is none of that name.
    """
    return _MODELS[name][0]


def create(name: str) -> nn.Module:
    """A new network with random weights.

    Raises:
        KeyError: if there is none of that name.
    """
    return _MODELS[name][1]()

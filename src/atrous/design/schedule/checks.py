"""Whole numbers that arguments must be."""

from __future__ import annotations

from operator import index


def whole(name: str, value: object, least: int) -> int:
    """A whole number, whoever's type it has.

    Args:
        name: what to call it.
        value: the number; those of numpy are whole numbers, too.
        least: the smallest that is allowed.

    Raises:
        ValueError: if it is none, or smaller.

    >>> whole("layers", 3, 1)
    3
    """
    try:
        found = index(value)  # type: ignore[arg-type]
    except TypeError:
        found = least - 1
    if isinstance(value, bool) or found < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}.")
    return found

"""What the options of `atrous schedule` say, as arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

_Number = TypeVar("_Number", int, float)


def field_of(text: str | None) -> int | tuple[int, int] | None:
    """A field or a range of fields: "1024", "1000:1100"."""
    if text is None:
        return None
    try:
        found = [int(part) for part in text.split(":")]
    except ValueError:
        found = []
    if not 1 <= len(found) <= 2:
        raise ValueError(f"--field must be a number as 1024 or a range as 1000:1100, got {text!r}.")
    return found[0] if len(found) == 1 else (found[0], found[1])


def kernel_of(text: str) -> int | list[int] | set[int] | None:
    """A kernel size, one per layer, or a set to choose from: "3", "3,3,5", "3/5", "any"."""
    if text == "any":
        return None
    if "/" in text and "," not in text:
        return set(whole_of("--kernel", text.replace("/", ",")) or ())
    found = whole_of("--kernel", text) or []
    return found[0] if len(found) == 1 else found


def one_kernel_of(text: str | None) -> int | None:
    """The kernel size of a family."""
    if text is None:
        return None
    found = kernel_of(text)
    if not isinstance(found, int):
        raise ValueError(f"--kernel must be one number with --family, got {text!r}.")
    return found


def layer_of(text: str) -> list[int]:
    """A layer that is there already."""
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not 1 <= len(found) <= 3:
        raise ValueError(
            "--front must be a layer as kernel,dilation,stride, such as 7,1,2 (dilation and stride "
            f"are 1 where left out), got {text!r}. Give it once per layer."
        )
    return found


def objective_of(text: str) -> str | dict[str, float]:
    """A name or weights: "cheap", "cv=1,macs=0.1"."""
    if "=" not in text:
        return text
    found: dict[str, float] = {}
    for part in text.split(","):
        term, _, weight = part.partition("=")
        values = numbers_of("--objective", weight)
        if values is None or len(values) != 1:
            raise ValueError(f"--objective must look like cv=1,macs=0.1, got {text!r}.")
        found[term.strip()] = values[0]
    return found


def whole_of(option: str, text: str | None) -> list[int] | None:
    """Whole numbers: "1,2,4"."""
    return _parts(option, text, int, "whole numbers as 1,2,4")


def numbers_of(option: str, text: str | None) -> list[float] | None:
    """Numbers: "60,180"."""
    return _parts(option, text, float, "numbers as 60,180")


def _parts(
    option: str, text: str | None, kind: Callable[[str], _Number], rule: str
) -> list[_Number] | None:
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option} must be {rule}, got {text!r}.") from error

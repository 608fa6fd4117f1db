"""What makes one schedule better than another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from atrous.geometry.coincidences import squared_variation

Key = tuple[Fraction | float, ...]
"""What is compared, the smaller the better; exact but for weighted sums."""

_NAMES = ("uniform", "cheap")
_TERMS = ("holes", "cv", "macs", "field")


@dataclass(frozen=True)
class Score:
    """What a schedule is judged by.

    Attributes:
        holes: positions of its field that it does not read.
        squares: pairs of routes that end together.
        ways: routes.
        field: its field.
        macs: multiply-adds per position of the output.
        least: the smallest field that was asked for.
    """

    holes: int
    squares: int
    ways: int
    field: int
    macs: int
    least: int

    @property
    def variation(self) -> Fraction:
        """The square of the coefficient of variation of the path counts."""
        return squared_variation(self.ways, self.field, self.squares)


@dataclass(frozen=True)
class Objective:
    """Which schedule is best.

    Attributes:
        name: "uniform" (fewest holes, then the most even, then the cheapest), "cheap" (fewest
            holes, then the cheapest, then the most even) or "weighted".
        weights: (term, weight) of a weighted sum.
    """

    name: str
    weights: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, given: str | Mapping[str, float]) -> Objective:
        """From a name or from weights.

        Raises:
            ValueError: if there is no such name or term, or a weight is negative.
        """
        if isinstance(given, str):
            if given not in _NAMES:
                raise ValueError(
                    f"objective must be {' or '.join(map(repr, _NAMES))} or weights of "
                    f"{', '.join(_TERMS)}, got {given!r}."
                )
            return cls(given)
        if not isinstance(given, Mapping):
            raise ValueError(
                f"objective must be {' or '.join(map(repr, _NAMES))} or weights as {{'cv': 1}}, "
                f"got {given!r}."
            )
        for term, weight in given.items():
            known = term in _TERMS and isinstance(weight, int | float)
            if not known or not 0 <= weight < float("inf"):
                raise ValueError(
                    f"objective must weigh {', '.join(_TERMS)} by numbers of at least 0, got "
                    f"{term!r}: {weight!r}."
                )
        if not any(given.values()):
            raise ValueError("objective must give a weight above 0, got none.")
        return cls(
            "weighted", tuple((term, float(given[term])) for term in _TERMS if given.get(term))
        )

    def key(self, score: Score) -> Key:
        """What is compared; it never falls as holes or squares grow."""
        even = score.variation
        if self.name == "uniform":
            return Fraction(score.holes), even, Fraction(score.macs), Fraction(score.field)
        if self.name == "cheap":
            return Fraction(score.holes), Fraction(score.macs), even, Fraction(score.field)
        terms = {
            "holes": score.holes / score.field,
            "cv": float(even) ** 0.5,
            "macs": float(score.macs),
            "field": score.field / score.least - 1,
        }
        value = sum(weight * terms[term] for term, weight in self.weights)
        return value, Fraction(score.holes), even, Fraction(score.macs), Fraction(score.field)

    def __str__(self) -> str:
        if self.name == "uniform":
            return "fewest holes, then most even, then cheapest"
        if self.name == "cheap":
            return "fewest holes, then cheapest, then most even"
        return "least " + " + ".join(f"{weight:g} {term}" for term, weight in self.weights)

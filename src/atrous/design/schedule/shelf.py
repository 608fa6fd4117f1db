"""The best schedules found so far, and how much work may still be spent."""

from __future__ import annotations

from dataclasses import dataclass

from atrous.design.schedule.objective import Key, Objective, Score
from atrous.design.schedule.request import Frame

_KEPT = 6


class OutOfWork(Exception):  # noqa: N818 - it ends a search and is always caught
    """No more may be looked at."""


class Work:
    """What may still be looked at, in table look-ups, so that the same is found on any machine."""

    def __init__(self, amount: float) -> None:
        self.left = amount

    def spend(self, amount: float) -> None:
        """Take some away.

        Raises:
            OutOfWork: if there is none left.
        """
        if self.left < amount:
            raise OutOfWork
        self.left -= amount


@dataclass(frozen=True)
class Candidate:
    """A schedule that meets the request.

    Attributes:
        key: what it is compared by.
        frame: its layers.
        dilations: of its slots, ascending where they are alike.
        score: what it is judged by.
    """

    key: Key
    frame: Frame
    dilations: tuple[int, ...]
    score: Score

    @property
    def steps(self) -> list[tuple[int, int]]:
        """Kernel and step on the input of every slot, sorted: those alike read alike."""
        slots = zip(self.frame.slots, self.dilations, strict=True)
        return sorted((slot.kernel, slot.scale * d) for slot, d in slots)

    @property
    def order(self) -> tuple[Key, int, int, tuple[int, ...]]:
        """The key, then fewer layers, the smaller largest step, the dilations: never undecided."""
        steps = (s.scale * d for s, d in zip(self.frame.slots, self.dilations, strict=True))
        return self.key, len(self.dilations), max(steps), self.dilations


class Shelf:
    """Keeps the best few."""

    def __init__(self, objective: Objective) -> None:
        self.objective = objective
        self.kept: list[Candidate] = []

    @property
    def best(self) -> Candidate | None:
        """The best so far."""
        return self.kept[0] if self.kept else None

    def beats(self, key: Key) -> bool:
        """Whether a key is better than the best so far."""
        return not self.kept or key < self.kept[0].key

    def put(self, frame: Frame, dilations: tuple[int, ...], score: Score) -> None:
        """Keep a schedule if it is among the best few; of those that read alike, one."""
        made = Candidate(self.objective.key(score), frame, dilations, score)
        alike = next((c for c in self.kept if c.steps == made.steps), None)
        if alike is not None:
            if alike.order <= made.order:
                return
            self.kept.remove(alike)
        self.kept.append(made)
        self.kept.sort(key=lambda c: c.order)
        del self.kept[_KEPT:]

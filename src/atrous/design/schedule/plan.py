"""The best schedule for a request, with what is proven of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from itertools import zip_longest
from typing import TYPE_CHECKING, Any, Literal

from torch import nn

from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.feasible import Option, fields_of, options
from atrous.design.schedule.objective import Key, Objective, Score
from atrous.design.schedule.relaxation import ImpossibleScheduleError, pairs, relaxations
from atrous.design.schedule.request import Request
from atrous.design.schedule.scan import Space
from atrous.design.schedule.search import exhaust, guess
from atrous.design.schedule.shelf import Shelf, Work
from atrous.shown import Shown, as_dict, as_text

if TYPE_CHECKING:
    from atrous.design.schedule.verify import Verification

_WORK = 40e6
"""Look-ups of the usual search: about half a second."""
_GUESSES = 0.5
"""The share of the work that goes into guesses."""
_GUESSED = 4
"""How many fields of a range are guessed at."""
_MORE = 2
"""How many times the work several fields or kernel sizes are worth."""
_SHARES = 4
"""Of several fields, one may take this part of what work is left."""


@dataclass(frozen=True)
class Proof:
    """What is known of the best possible.

    Attributes:
        by: "bound" if no schedule can be better because whole numbers are not flatter, "search" if
            all that might be better have been looked at, "" if neither.
        bound: no schedule that meets the request has a smaller key; the plan's own where it is
            proven best.
    """

    by: Literal["bound", "search", ""]
    bound: Key


@dataclass(frozen=True, repr=False)
class Plan(Shown):
    """What `atrous.schedule` returns: a schedule that meets a request, with its certificate.

    Attributes:
        request: what was asked.
        schedule: the answer; the front's layers, if there are any, come first.
        proof: what is known of the best possible.
        runners_up: the next best that were found, best first.
    """

    request: Request
    schedule: Schedule
    proof: Proof
    runners_up: tuple[Schedule, ...]

    @property
    def dilations(self) -> tuple[int, ...]:
        """Of the layers that were designed, the first layer first."""
        return self.schedule.dilations[len(self.request.front) :]

    @property
    def kernels(self) -> tuple[int, ...]:
        """Likewise."""
        return self.schedule.kernels[len(self.request.front) :]

    @property
    def field(self) -> int:
        """Positions from the first to the last that one output reads."""
        return self.schedule.field

    @property
    def is_optimal(self) -> bool:
        """Whether it is proven that no schedule that meets the request is better."""
        return self.proof.by != ""

    @property
    def score(self) -> Score:
        """What it is judged by."""
        return score_of(self.request, self.schedule)

    @property
    def key(self) -> Key:
        """What it is compared by, the smaller the better."""
        return self.request.objective.key(self.score)

    @property
    def macs(self) -> int:
        """Multiply-adds per position of the output, of the layers that were designed."""
        return self.score.macs

    @property
    def parameters(self) -> int:
        """Weights of the layers that were designed, without biases."""
        return _own(self.request, self.schedule).parameters(
            self.request.channels, self.request.dims
        )

    def verify(self, *, thorough: bool = False) -> Verification:
        """Check all that is claimed, by other means than those that found it.

        The real module, with weights of 1 in float64, is asked for the gradient of one output:
        field, holes and routes to every position (in whole numbers where floats do not hold them).
        Every constraint is checked, that there are no fewer layers and no smaller field, and that
        none is better: by trying all where they are few, else by the bound.

        Args:
            thorough: try all however many there are.

        Raises:
            InvalidPlanError: if anything claimed is not so; the message tells all of it.

        Example:
            >>> import atrous
            >>> from dataclasses import replace
            >>> plan = atrous.schedule(31, kernel=3)
            >>> print(plan.verify().checked[-1])
            best: all 11 schedules tried
            >>> other = replace(plan.schedule, dilations=(1, 1, 1, 12))
            >>> replace(plan, schedule=other).verify()
            Traceback (most recent call last):
                ...
            atrous.design.schedule.verify.InvalidPlanError: the plan must hold, got 2 that do
            not: holes: 10 positions of its field of 31 are not read; runners_up: one is better
            than one before it.
        """
        from atrous.design.schedule.verify import verify

        return verify(self, thorough=thorough)

    def code(self, channels: int = 64, *, name: str = "context") -> str:
        """A PyTorch module of the schedule, front included, as text that runs.

        Raises:
            ValueError: if there are less than 1 channels.
        """
        return self.schedule.code(channels, dims=self.request.dims, name=name)

    def module(self, channels: int = 64) -> nn.Sequential:
        """The module that `code` makes.

        Raises:
            ValueError: if there are less than 1 channels.
        """
        return self.schedule.module(channels, dims=self.request.dims)

    @property
    def usual(self) -> Schedule | None:
        """What is usually written for such a field: doubling; None where there is no one kernel
        size at one resolution."""
        kernels = set(self.kernels)
        if len(kernels) > 1 or self.schedule.stride > 1 or self.request.front:
            return None
        rates = [1]
        kernel = kernels.pop()
        while 1 + (kernel - 1) * sum(rates) < self.request.least:
            rates.append(2 * rates[-1])
        sizes = (kernel,) * len(rates)
        return Schedule(sizes, tuple(rates), causal=self.request.causal, name="doubling")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return as_dict(self)

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def __str__(self) -> str:
        return as_text(self)

    __repr__ = __str__


def score_of(request: Request, schedule: Schedule) -> Score:
    """What a schedule is judged by."""
    own = _own(request, schedule)
    return Score(
        len(schedule.holes),
        schedule.squares,
        schedule.ways,
        schedule.field,
        own.macs(request.channels, request.dims),
        request.least,
    )


def _own(request: Request, schedule: Schedule) -> Schedule:
    """The layers behind the front."""
    front = len(request.front)
    return Schedule(
        schedule.kernels[front:], schedule.dilations[front:], schedule.strides[front:]
    )  # fmt: skip


def planned(request: Request) -> Plan:
    """The best schedule that is found, and what is proven of it.

    Raises:
        ImpossibleScheduleError: if there is none; it says what to relax.
        ValueError: if the layers are too different, or the field is too large, to be decided.
    """
    found = options(request)
    if not found:
        single = relaxations(request)
        raise ImpossibleScheduleError(request, single, () if single else pairs(request))
    todo = _by_bound(request, found)
    work = Work(_WORK * request.effort * (1 if len(todo) == 1 else _MORE))
    shelf = Shelf(request.objective)
    _guess_all(todo, shelf, Work(work.left * _GUESSES), work)
    unproven = _exhaust_all(todo, shelf, work)
    best = shelf.best
    assert best is not None
    lowest = min([best.key, *unproven])
    by: Literal["bound", "search", ""] = ""
    if lowest == best.key:
        by = "bound" if todo[0][0] == best.key else "search"
    return Plan(
        request,
        best.frame.schedule(best.dilations),
        Proof(by, lowest),
        tuple(c.frame.schedule(c.dilations) for c in shelf.kept[1:]),
    )


_Todo = list[tuple[Key, Space]]
"""Frames and fields with what none of their schedules can beat, those first that may be best."""


def _by_bound(request: Request, found: list[Option]) -> _Todo:
    rated = []
    for option in found:
        macs = request.macs(option.frame)
        for field in option.fields:
            space = Space(option.frame, field, request.holes, macs, request.least)
            rated.append((request.objective.key(space.lowest), space))
    return sorted(rated, key=lambda row: (row[0], len(row[1].frame.slots), row[1].field))


def _guess_all(todo: _Todo, shelf: Shelf, share: Work, work: Work) -> None:
    """Guess in every space that may hold the best, as far as the share goes."""
    each = share.left / min(len(todo), _GUESSED)
    # Neighbours are alike, so that not all guesses go where bounds are lowest.
    spread = todo[:: max(1, 2 * len(todo) // _GUESSED)]
    mixed = [own for both in zip_longest(todo, spread) for own in both if own is not None]
    for bound, space in dict.fromkeys(mixed):
        if not shelf.beats(bound):
            continue
        own = Work(min(each, share.left))
        kept = own.left
        guess(_hole_free(shelf.objective, space), shelf, own)
        share.left -= kept - own.left
        work.left -= kept - own.left
        if share.left < each / 10:
            return


def _exhaust_all(todo: _Todo, shelf: Shelf, work: Work) -> list[Key]:
    """The bounds of those spaces that may hold better ones than have been found."""
    unproven = []
    for k, (bound, space) in enumerate(todo):
        if not shelf.beats(bound):
            break
        left = len(todo) - k
        own = Work(work.left / min(left, _SHARES))
        kept = own.left
        if not exhaust(_hole_free(shelf.objective, space), shelf, own):
            unproven.append(bound)
        work.left -= kept - own.left
    return unproven


def _hole_free(objective: Objective, space: Space) -> Space:
    """The same without holes, where that is best anyway and there are such."""
    if not space.holes or objective.name == "weighted":
        return space
    if fields_of(space.frame, space.field, space.field, False):
        return replace(space, holes=False)
    return space

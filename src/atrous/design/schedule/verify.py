"""A plan checked by other means than those that found it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise, product
from math import inf

from atrous.design.schedule.bounds import best_score
from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.feasible import options
from atrous.design.schedule.measured import counted_macs, counted_weights, measured
from atrous.design.schedule.objective import Key
from atrous.design.schedule.plan import Plan, planned, score_of
from atrous.design.schedule.request import Frame, Request
from atrous.design.schedule.trial import best_of_all, trials

_FEW = 20_000
"""Schedules that are tried one by one without being asked for: about a second."""
_FEW_STEPS = 3e10
"""Bits that are moved to see that there are no fewer layers: seconds."""


class InvalidPlanError(ValueError):
    """A plan claims what is not so.

    Attributes:
        faults: all that is not so.
    """

    def __init__(self, faults: list[str]) -> None:
        self.faults = tuple(faults)
        do = "does" if len(faults) == 1 else "do"
        super().__init__(
            f"the plan must hold, got {len(faults)} that {do} not: {'; '.join(faults)}."
        )


@dataclass(frozen=True)
class Verification:
    """What was checked of a plan, and holds.

    Attributes:
        checked: one line each.
    """

    checked: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join(self.checked)


def verify(plan: Plan, *, thorough: bool = False) -> Verification:
    """Check all that a plan claims.

    Args:
        plan: the plan.
        thorough: try all schedules however many there are.

    Raises:
        InvalidPlanError: if anything claimed is not so.
    """
    faults = list(_shape(plan.request, plan.schedule))
    if faults:
        raise InvalidPlanError(faults)
    checked: list[str] = []
    for check in (_read, _constraints, _smallest):
        _sort(check(plan), faults, checked)
    if not faults:
        _sort(_best(plan, thorough), faults, checked)
    _sort(_others(plan), faults, checked)
    if faults:
        raise InvalidPlanError(faults)
    # What is best comes last: it rests on all the rest.
    return Verification(tuple(sorted(checked, key=lambda line: line.startswith("best"))))


_Told = Iterator[tuple[bool, str]]
"""Whether something holds, and what."""


def _sort(told: _Told, faults: list[str], checked: list[str]) -> None:
    for holds, text in told:
        (checked if holds else faults).append(text)


def _shape(request: Request, schedule: Schedule) -> Iterator[str]:
    """What of the layers is not as was asked."""
    front = len(request.front)
    given = tuple(zip(schedule.kernels, schedule.dilations, schedule.strides, strict=True))
    kernels, strides = schedule.kernels[front:], schedule.strides[front:]
    if given[:front] != request.front:
        yield f"front: layers {given[:front]} are not {request.front}"
    if request.kernels and kernels != request.kernels:
        yield f"kernels: {kernels} are not {request.kernels}"
    elif not request.kernels and (len(set(kernels)) != 1 or kernels[0] not in request.sizes):
        yield f"kernels: {kernels} are not all one of {request.sizes}"
    if request.count is not None and len(kernels) != request.count:
        yield f"layers: there are {len(kernels)}, not {request.count}"
    if strides != (request.strides or (1,) * len(kernels)):
        yield f"strides: {strides} are not {request.strides or 'all 1'}"
    if schedule.causal != request.causal:
        yield f"causal: it is {schedule.causal}, not {request.causal}"
    if schedule.name or schedule.about:
        yield f"name: a plan's schedule has none, got {schedule.name or schedule.about!r}"


def _read(plan: Plan) -> _Told:
    """Field, holes and routes, by the gradient of the real module."""
    schedule, seen = plan.schedule, measured(plan.schedule)
    same = seen.field == schedule.field and seen.reach == schedule.reach
    yield (
        same,
        f"field: the gradient of one output reads {seen.field:,} positions, "
        f"{seen.reach[0]:,} before its own and {seen.reach[1]:,} after"
        + (
            ""
            if same
            else f", not {schedule.field:,}, {schedule.reach[0]:,}, {schedule.reach[1]:,}"
        ),
    )
    if seen.holes and not plan.request.holes:
        told = f"{seen.holes:,} positions of its field of {seen.field:,} are not read"
        yield False, f"holes: {told}"
    else:
        yield seen.holes == len(schedule.holes), f"holes: {seen.holes:,} by the gradient"
    yield (
        seen.squares == schedule.squares,
        f"routes: {int(seen.counts.min()):,} to {int(seen.counts.max()):,} per position by the "
        "gradient",
    )


def _constraints(plan: Plan) -> _Told:
    """Every constraint, from the numbers of the layers."""
    request = plan.request
    yield from _constraints_of(request, plan.schedule)
    macs = counted_macs(plan.schedule, len(request.front), request.channels, request.dims)
    yield (
        macs == plan.macs,
        f"cost: {macs:,} multiply-adds per output, by the weights of the module",
    )
    if request.budget is not None:
        told = f"budget: {macs:,} of at most {request.budget:,} multiply-adds"
        yield macs <= request.budget, told
    if request.parameters is not None:
        weights = counted_weights(plan.schedule, len(request.front), request.channels, request.dims)
        told = f"parameters: {weights:,} of at most {request.parameters:,} weights"
        yield weights <= request.parameters, told


def _constraints_of(request: Request, schedule: Schedule) -> _Told:
    field, most = schedule.field, request.high
    wanted = f"at least {request.low:,}" if most is None else f"{request.low:,} to {most:,}"
    fits = request.low <= field and (most is None or field <= most)
    yield fits, f"field: {field:,}, wanted {wanted}"
    if request.reach is not None:
        sides = schedule.reach[:1] if request.causal else schedule.reach
        told = f"reach: {min(sides):,}, wanted at least {request.reach:,}"
        yield min(sides) >= request.reach, told
    own = schedule.dilations[len(request.front) :]
    if request.max_dilation is not None:
        told = f"max_dilation: {max(own):,}, allowed {request.max_dilation:,}"
        yield max(own) <= request.max_dilation, told
    if request.map_size is not None:
        dead = list(_dead(schedule, request.map_size))[len(request.front) :]
        told = f"map_size: {sum(dead)} taps read padding alone on a map of {request.map_size:,}"
        yield not any(dead), told


def _dead(schedule: Schedule, length: int) -> Iterator[int]:
    """Of every layer, the taps that read padding at all outputs."""
    for kernel, dilation, stride, (before, after) in zip(
        schedule.kernels, schedule.dilations, schedule.strides, schedule.padding, strict=True
    ):
        outputs = range(0, length, stride)
        # An even kernel may have its odd position on either side.
        worst = (before,) if schedule.causal else (before, after)
        yield max(
            sum(
                not any(0 <= at + tap * dilation - left < length for at in outputs)
                for tap in range(kernel)
            )
            for left in worst
        )
        length = len(outputs)


def _smallest(plan: Plan) -> _Told:
    """That there are no fewer layers, and no smaller field."""
    request, schedule = plan.request, plan.schedule
    own = len(schedule) - len(request.front)
    size = None if request.kernels else schedule.kernels[-1]
    if request.count is None:
        # Where a field may be larger, too, one more layer of dilation 1 never hurts: then the next
        # smaller number of layers speaks for all.
        fewer = range(own - 1, 0, -1) if request.high is not None else range(own - 1, 0, -1)[:1]
        found = [_none_reaches(request.frame(size, count), request) for count in fewer]
        if False in found:
            yield False, f"layers: {own} where {fewer[found.index(False)]} would do"
        else:
            told = f"no fewer than {own} do"
            yield True, "layers: " + (told if None not in found else f"{told} (not checked again)")
    if request.high is None and schedule.field > request.least:
        frame = request.frame(size, own)
        none = _none_reaches(frame, request, schedule.field - 2)
        told = f"between {request.least:,} and {schedule.field:,}"
        if none is None:
            yield True, f"field: none {told} (not checked again)"
        else:
            yield none, f"field: {'none' if none else 'there are some'} {told}"


def _none_reaches(frame: Frame, request: Request, last: int | None = None) -> bool | None:
    """Whether no reach from the least one up to the last can be had; None if that takes too long.

    Reaches are the bits of one number, which every dilation of one more layer moves.
    """
    if request.high is not None and last is None:
        last = request.high - 1
    if _largest(frame, request.holes) < request.least - 1:
        return True
    top = 2 * request.least + 64 if last is None else last
    kinds = Counter((slot.kernel, slot.scale, slot.most, 0) for slot in frame.slots)
    kinds.update((kernel, 1, None, step) for kernel, step in frame.fixed)
    work = top * top * len(frame.slots) / 2
    if work > _FEW_STEPS:
        return None
    names = list(kinds)
    mask = (1 << (top + 1)) - 1
    found: dict[tuple[int, ...], int] = {(0,) * len(names): 1}
    for state in product(*(range(kinds[name] + 1) for name in names)):
        if state in found:
            continue
        bits = 0
        for k, (kernel, scale, most, step) in enumerate(names):
            if state[k]:
                before = found[(*state[:k], state[k] - 1, *state[k + 1 :])]
                bits |= _moved(before, kernel, scale, most, step, top, request.holes)
        found[state] = bits & mask
    whole = found[tuple(kinds[name] for name in names)]
    if whole >> (request.least - 1):
        return False
    # Without an end of the range there might be one beyond.
    return True if last is not None or _largest(frame, request.holes) <= top else None


def _largest(frame: Frame, holes: bool) -> float:
    """At least the largest reach of a frame.

    Without holes a layer of k at most makes k times as many positions of those read before.
    """
    reach: float = sum((kernel - 1) * step for kernel, step in frame.fixed)
    for slot in sorted(frame.slots, key=lambda s: inf if s.most is None else s.most * s.scale):
        step: float = inf if slot.most is None else slot.most * slot.scale
        reach += (slot.kernel - 1) * (step if holes else min(step, reach + 1))
    return reach if holes or len(set(frame.slots)) == 1 else min(reach, frame.ways - 1)


def _moved(
    bits: int, kernel: int, scale: int, most: int | None, step: int, top: int, holes: bool
) -> int:
    found = 0
    last = top // ((kernel - 1) * scale) if not step else 1
    for dilation in range(1, min(last, most or last) + 1):
        own = step or scale * dilation
        # Without holes only from a reach that the next step still touches.
        keep = bits if holes else bits >> (own - 1) << (own - 1)
        if not keep:
            break
        found |= keep << ((kernel - 1) * own)
    return found


def _best(plan: Plan, thorough: bool) -> _Told:
    """That nothing is better, as far as the plan says so."""
    request, proof, key = plan.request, plan.proof, plan.key
    found = options(request)
    lowest = min(
        request.objective.key(
            best_score(option.frame, n, request.holes, request.macs(option.frame), request.least)
        )
        for option in found
        for n in option.fields
    )
    if proof.by not in ("bound", "search", ""):
        yield False, f"best: proven by {proof.by!r}, which is no way to"
        return
    if (proof.by == "") == (proof.bound == key) or proof.bound > key:
        yield False, f"best: proven by {proof.by!r}, but the bound is {_told(proof.bound)}"
        return
    few = trials(request, found) <= _FEW
    if few or thorough:
        best, count = best_of_all(request, found)
        if best != key and (proof.by or (best is not None and best < proof.bound)):
            yield (
                False,
                f"best: of all {count:,} schedules the best has {_told(best)}, not {_told(key)}",
            )
            return
        if proof.by and (proof.by == "bound") != (lowest == key):
            yield False, f"best: proven by {proof.by!r}, but the bound is {_told(lowest)}"
            return
        if proof.by:
            yield True, f"best: all {count:,} schedules tried"
            return
    if proof.by == "bound":
        told = "best: no counts are flatter" if lowest == key else (
            f"best: proven by a bound, which is {_told(lowest)}, not {_told(key)}"
        )  # fmt: skip
        yield lowest == key, told
        return
    # The search is the same every time.
    again = planned(request).proof
    if again != proof:
        yield (
            False,
            f"best: proven by {proof.by!r} with bound {_told(proof.bound)}, but searching again by "
            f"{again.by!r} with bound {_told(again.bound)}",
        )
    elif proof.by:
        yield True, "best: searched again, all looked at but what a bound rules out"
    else:
        yield True, "best found: searched again; the bound holds, the best is not proven"


def _others(plan: Plan) -> _Told:
    """That the runners-up meet the request too, and are no better."""
    request = plan.request
    found = [plan.schedule]
    for other in plan.runners_up:
        wrong = list(_shape(request, other))
        if not wrong:
            wrong = [text for holds, text in _constraints_of(request, other) if not holds]
            if not request.holes and not other.is_hole_free:
                wrong.append("it has holes")
        for text in wrong:
            yield False, f"runners_up: {other.dilations}: {text}"
        if wrong:
            return
        found.append(other)
    keys = [request.objective.key(score_of(request, own)) for own in found]
    if any(one > other for one, other in pairwise(keys)):
        yield False, "runners_up: one is better than one before it"
    elif len(set(found)) != len(found):
        yield False, "runners_up: one is there twice"
    elif len(found) > 1:
        yield True, f"runners_up: {len(found) - 1} meet the request, none better"


def _told(key: Key | None) -> str:
    return "none" if key is None else ", ".join(f"{float(value):.6g}" for value in key)

"""The least change of dilations that leaves a chain no holes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import lcm

from atrous.geometry.schedules import filled_schedule


@dataclass(frozen=True)
class Tapped:
    """A layer of a chain along one axis.

    Attributes:
        kernel_size: taps, at least 2.
        dilation: their distance, in positions of what the layer reads.
        step: input positions per position of what it reads.
        fixed: whether its dilation must stay.
    """

    kernel_size: int
    dilation: int
    step: int = 1
    fixed: bool = False

    @property
    def apart(self) -> int:
        """The distance of its taps in input positions."""
        return self.dilation * self.step


@dataclass(frozen=True)
class Repairs:
    """What a search found.

    Attributes:
        found: dilations in the order of the layers, the smallest change first.
        is_complete: whether nothing smaller can exist; False where the search was cut short.
    """

    found: tuple[tuple[int, ...], ...]
    is_complete: bool


def most_span(layers: Sequence[Tapped]) -> int:
    """A bound of the positions that a chain reads without holes, whatever its free dilations are.

    A layer of kernel k multiplies what is read by k at most: its taps are then as far apart as
    what was read before is long. Layers that stay add what they span once what comes before them
    is long enough.

    >>> most_span([Tapped(3, 8)] * 4), most_span([Tapped(3, 9, fixed=True), Tapped(3, 1)])
    (81, 3)
    """
    kernels = Counter(layer.kernel_size for layer in layers if not layer.fixed)
    kept = sorted((layer.apart, layer.kernel_size) for layer in layers if layer.fixed)
    # By how many of every kernel are used: what is read at most. What stays is added as soon as
    # it can be; the order of the others decides when.
    known: dict[tuple[int, ...], tuple[int, int]] = {}
    for used in product(*(range(n + 1) for n in kernels.values())):
        ways = [(1, 0)]
        for kind, kernel_size in enumerate(kernels):
            if used[kind]:
                span, added = known[(*used[:kind], used[kind] - 1, *used[kind + 1 :])]
                ways.append((span * kernel_size, added))
        span, added = max(ways)
        while added < len(kept) and kept[added][0] <= span:
            apart, kernel_size = kept[added]
            span, added = span + (kernel_size - 1) * apart, added + 1
        known[used] = span, added
    return known[tuple(kernels.values())][0]


def least_repairs(
    layers: Sequence[Tapped], *, span: int | None = None, most: int = 4, budget: int = 100_000
) -> Repairs:
    """Dilations that read a span without holes: the fewest layers changed, then the least in sum.

    Exact for chains: the offsets that a chain reads are all sums of one tap of every layer, and
    leave no holes if, sorted by the distance of their taps, no layer's is larger than what the
    ones before it read (see `measures.hole_free`). The search goes through distances from 1 on and
    keeps, for every reach and every balance of layers taken out and put back, the cheapest ways:
    the sum of all changes is the sum of the balances over all distances.

    Args:
        layers: the chain, in any order.
        span: positions to read; by default those that the chain spans now.
        most: how many solutions to give at most; those after the first may change more.
        budget: states to look at; where that is not enough as many are looked at once more, of
            fewer distances, and the least change is not certain.

    Example:
        >>> least_repairs([Tapped(3, 8)] * 4).found[0]
        (1, 3, 8, 20)
        >>> least_repairs([Tapped(3, d) for d in (1, 2, 9)]).found[0]
        (1, 3, 8)
    """
    own = 1 + sum((layer.kernel_size - 1) * layer.apart for layer in layers)
    wanted = own if span is None else span
    if wanted > most_span(layers):
        return Repairs((), True)
    free = sum(not layer.fixed for layer in layers)
    for coarse in (False, True):
        search = _Search(layers, wanted - 1, most, budget, coarse)
        for changed in range(free + 1):
            found = search.run(changed)
            if found is None:
                break
            if found:
                return Repairs(tuple(found), not coarse)
        else:
            return Repairs((), not coarse)
    schedule = [(layer.kernel_size, layer.dilation) for layer in layers]
    if wanted == own and all(layer.step == 1 and not layer.fixed for layer in layers):
        filled = filled_schedule(schedule)
        if sum((k - 1) * d for (k, _), d in zip(schedule, filled, strict=True)) == own - 1:
            return Repairs((filled,), False)
    return Repairs((), False)


def repaired(
    layers: Sequence[Tapped], *, larger: int = 16, budget: int = 20_000
) -> tuple[int, ...] | None:
    """The least change that leaves no holes in the span of a chain, or in the next larger one.

    Args:
        layers: the chain, in any order.
        larger: positions that the span may grow by.
        budget: states to look at, of every span.

    Returns:
        The dilations; None where none were found.

    >>> repaired([Tapped(3, 2), Tapped(3, 2), Tapped(3, 4)]), repaired([Tapped(3, 9)] * 2)
    ((1, 3, 4), None)
    """
    own = 1 + sum((layer.kernel_size - 1) * layer.apart for layer in layers)
    for span in range(own, min(own + larger, most_span(layers)) + 1):
        tried = least_repairs(layers, span=span, budget=budget)
        if tried.found:
            return tried.found[0]
        if not tried.is_complete:
            return None
    return None


Balance = tuple[int, ...]
"""Per kind of layer, how many were taken out and not yet put back; negative where more are back."""


@dataclass(frozen=True)
class _Way:
    """One way to get to a state: its cost, and the distances given to layers, as a linked list."""

    cost: int
    placed: tuple[tuple[int, int], ...] = ()
    kept: tuple[tuple[int, int], ...] = ()


@dataclass
class _Search:
    layers: Sequence[Tapped]
    reach: int
    most: int
    budget: int
    coarse: bool
    kinds: list[tuple[int, int]] = field(init=False)
    free: dict[int, list[int]] = field(init=False)
    fixed: dict[int, int] = field(init=False)
    last: int = field(init=False)

    def __post_init__(self) -> None:
        moving = [layer for layer in self.layers if not layer.fixed]
        self.kinds = sorted({(layer.kernel_size, layer.step) for layer in moving})
        self.free = {}
        self.fixed = {}
        for layer in self.layers:
            if layer.fixed:
                weight = (layer.kernel_size - 1) * layer.apart
                self.fixed[layer.apart] = self.fixed.get(layer.apart, 0) + weight
            else:
                own = self.free.setdefault(layer.apart, [0] * len(self.kinds))
                own[self.kinds.index((layer.kernel_size, layer.step))] += 1
        self.last = max((layer.apart for layer in self.layers), default=0)
        self.unit = lcm(*(step for _, step in self.kinds)) if self.kinds else 1

    def run(self, changed: int) -> list[tuple[int, ...]] | None:
        """The cheapest solutions that change just so many layers; None if the budget is spent."""
        done: list[_Way] = []
        rest_reach, rest_count = self._rest()
        states: dict[tuple[int, Balance, int], list[_Way]] = {
            (0, (0,) * len(self.kinds), 0): [_Way(0)]
        }
        level = 0
        while states:
            level += 1
            after: dict[tuple[int, Balance, int], list[_Way]] = {}
            remaining = rest_count.get(level, rest_count[-1])
            remaining_reach = rest_reach.get(level, 0)
            for (reach, balance, out), ways in states.items():
                for moved in self._moves(level, reach, balance, out, changed, remaining):
                    new_reach, new_balance, new_out, kept, placed = moved
                    self.budget -= 1
                    if self.budget < 0:
                        return None
                    slack = self.reach - new_reach - remaining_reach
                    waiting = sum(new_balance)
                    per_level = sum(
                        abs(n) * self.unit // step
                        for n, (_, step) in zip(new_balance, self.kinds, strict=True)
                    )
                    if level >= self.last and not waiting:
                        if not slack and new_out == changed:
                            done += [self._next(way, 0, level, kept, placed) for way in ways]
                        continue
                    if level > new_reach:
                        # The next taps would lie further apart than all that is read so far.
                        continue
                    if new_out == changed and min(new_balance, default=0) >= 0:
                        # Nothing more is taken out: what waits has to fill what is missing.
                        least = sum(
                            n * (k - 1) * (level + 1)
                            for n, (k, _) in zip(new_balance, self.kinds, strict=True)
                        )
                        if slack < least or (slack > 0 and not waiting):
                            continue
                    key = (new_reach, new_balance, new_out)
                    mine = after.setdefault(key, [])
                    mine += [self._next(way, per_level, level, kept, placed) for way in ways]
                    if len(mine) > self.most:
                        mine.sort(key=lambda way: way.cost)
                        del mine[self.most :]
            states = after
        found = {self._given(way): way.cost for way in sorted(done, key=lambda way: way.cost)}
        return list(found)[: self.most]

    def _rest(self) -> tuple[dict[int, int], dict[int, tuple[int, ...]]]:
        """By distance up to the last: what all layers further apart span, and how many are free."""
        reach: dict[int, int] = {}
        count: dict[int, tuple[int, ...]] = {-1: (0,) * len(self.kinds)}
        behind, own = 0, [0] * len(self.kinds)
        for level in range(self.last, 0, -1):
            reach[level], count[level] = behind, tuple(own)
            behind += self.fixed.get(level, 0)
            for kind, n in enumerate(self.free.get(level, ())):
                behind += n * (self.kinds[kind][0] - 1) * level
                own[kind] += n
        return reach, count

    def _moves(
        self,
        level: int,
        reach: int,
        balance: Balance,
        out: int,
        changed: int,
        remaining: tuple[int, ...],
    ) -> Iterator[tuple[int, Balance, int, tuple[int, ...], tuple[int, ...]]]:
        """What can be kept and put in at one distance."""
        here = self.free.get(level, [0] * len(self.kinds))
        added = self.fixed.get(level, 0)
        fits = level <= reach + 1
        if added and not fits:
            return
        options: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((), ())]
        left = changed - out
        for kind, (_, step) in enumerate(self.kinds):
            own = [(kept, 0) for kept in range(max(0, here[kind] - left), here[kind] + 1)]
            if level % step == 0 and fits and self._is_tried(level, reach, balance):
                room = balance[kind] + min(remaining[kind], left)
                own += [(here[kind], placed) for placed in range(1, room + 1)]
            options = [
                ((*kept, k), (*placed, p))
                for kept, placed in options
                for k, p in own
                if fits or not k
            ]
        for kept, placed in options:
            new_out = out + sum(here) - sum(kept)
            new_balance = tuple(
                b + n - k - p for b, n, k, p in zip(balance, here, kept, placed, strict=True)
            )
            owed = sum(-b for b in new_balance if b < 0)
            if new_out + owed > changed or any(
                -b > r for b, r in zip(new_balance, remaining, strict=True)
            ):
                continue
            new_reach = reach + added
            for (kernel, _), k, p in zip(self.kinds, kept, placed, strict=True):
                new_reach += (kernel - 1) * level * (k + p)
            if new_reach <= self.reach:
                yield new_reach, new_balance, new_out, kept, placed

    def _is_tried(self, level: int, reach: int, balance: Balance) -> bool:
        """Whether layers may be put at a distance; a coarse search tries those the layers have, the
        largest that leaves no holes, and what is missing where one layer is left."""
        if not self.coarse or level in self.free or level == reach + 1:
            return True
        missing = self.reach - reach
        return sum(map(abs, balance)) == 1 and any(
            missing == (kernel - 1) * level for kernel, _ in self.kinds
        )

    def _next(
        self, way: _Way, cost: int, level: int, kept: tuple[int, ...], placed: tuple[int, ...]
    ) -> _Way:
        stays = tuple((level, kind) for kind, n in enumerate(kept) for _ in range(n))
        put = tuple((level, kind) for kind, n in enumerate(placed) for _ in range(n))
        if not stays and not put:
            return _Way(way.cost + cost, way.placed, way.kept)
        return _Way(way.cost + cost, (*way.placed, *put), (*way.kept, *stays))

    def _given(self, way: _Way) -> tuple[int, ...]:
        """The distances as dilations of the layers: in every kind the order of sizes is kept."""
        given = [layer.dilation for layer in self.layers]
        for kind, (kernel, step) in enumerate(self.kinds):
            mine = [
                k
                for k, layer in enumerate(self.layers)
                if not layer.fixed and (layer.kernel_size, layer.step) == (kernel, step)
            ]
            mine.sort(key=lambda k: self.layers[k].apart)
            stays = [level for level, own in way.kept if own == kind]
            put = sorted(level for level, own in way.placed if own == kind)
            moved, still = [], []
            for k in mine:
                if self.layers[k].apart in stays:
                    stays.remove(self.layers[k].apart)
                    still.append(k)
                else:
                    moved.append(k)
            for k, level in zip(moved, put, strict=True):
                given[k] = level // step
            self._in_order(given, mine)
        return tuple(given)

    def _in_order(self, given: list[int], mine: Sequence[int]) -> None:
        """Of layers that were alike, let the first have the smallest: as many change as before."""
        for dilation in {self.layers[k].dilation for k in mine}:
            alike = [k for k in mine if self.layers[k].dilation == dilation]
            for k, new in zip(sorted(alike), sorted(given[k] for k in alike), strict=True):
                given[k] = new

"""The effective field: how much each input position weighs, by gradients."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Literal, get_args

import numpy as np

from atrous.analysis.effective.spread import AxisSpread, Energy, counted
from atrous.analysis.fields.field import Field
from atrous.shown import Shown

Convention = Literal["absolute", "squared", "positive", "replknet"]
"""What of a gradient g counts (see `EffectiveField.convention`)."""

CONVENTIONS: tuple[Convention, ...] = get_args(Convention)


@dataclass(frozen=True, eq=False)
class EffectiveField(Shown):
    """What `atrous.effective_field` returns: how much each input position weighs.

    Attributes:
        node: the value: a module path or a node's name.
        input: name of the input.
        at: the output position, one index per output axis that has positions.
        channels: the channels that were added up; None for all.
        convention: what of a gradient g counts. "absolute": |g|, the usual choice; "squared": g^2;
            "positive": max(g, 0); "replknet": as "positive", and only of outputs above 0. Always
            added up over the input's other axes, as channels, and averaged over samples.
        mode: "eval", or "current" for the modes that the modules are in.
        data: where the samples came from.
        samples: how many were averaged.
        skipped: how many were left out, because their gradient was infinite or not a number.
        energy: the share of each input position, one axis per entry of `axes`; adds up to 1, or is
            0 everywhere (see `zero`).
        total: the sum of what counts, per sample, before it was made to add up to 1.
        axes: how the energy is spread along each input axis.
        theory: the receptive field; None if it is not known.
        note: why it is not known, or ""; what to do if all is 0.
    """

    node: str
    input: str
    at: tuple[int, ...]
    channels: tuple[int, ...] | None
    convention: Convention
    mode: Literal["eval", "current"]
    data: str
    samples: int
    skipped: int
    energy: Energy = field(repr=False)
    total: float
    axes: tuple[AxisSpread, ...]
    theory: Field | None = field(repr=False)
    note: str = ""

    @property
    def zero(self) -> bool:
        """Whether no input position has any weight at all."""
        return not self.energy.any()

    @property
    def centre(self) -> tuple[float, ...]:
        """Centre of mass along each axis; NaN if all is 0."""
        return tuple(axis.centre for axis in self.axes)

    @property
    def std(self) -> tuple[float, ...]:
        """Standard deviation along each axis; NaN if all is 0."""
        return tuple(axis.std for axis in self.axes)

    @property
    def kurtosis(self) -> tuple[float | None, ...]:
        """Excess kurtosis along each axis; None where all lies at one position, or all is 0."""
        return tuple(axis.kurtosis for axis in self.axes)

    @property
    def expected_std(self) -> tuple[float | None, ...]:
        """What `std` would be with equal positive weights in every layer."""
        return tuple(axis.span.expected_std if axis.span else None for axis in self.axes)

    @property
    def contributions(self) -> Energy:
        """What counts at each position, averaged over samples: `energy * total`."""
        return self.energy * self.total

    def area(self, share: float = 0.95) -> int:
        """Positions of the smallest set that holds a share of the energy; 0 if all is 0.

        Raises:
            ValueError: if the share is not above 0 and at most 1.
        """
        _check_share(share)
        if self.zero:
            return 0
        if share == 1:
            return int(np.count_nonzero(self.energy))
        held = np.cumsum(np.sort(self.energy, axis=None)[::-1])
        return _first(held, share) + 1

    def radius(self, share: float = 0.95) -> float:
        """Radius of the smallest ball around the centre of mass that holds a share of the energy.

        In positions; half the length of the interval if there is one axis. 0 if all is 0.
        """
        _check_share(share)
        if self.zero:
            return 0.0
        squares = [
            (np.arange(n) - centre) ** 2
            for n, centre in zip(self.energy.shape, self.centre, strict=True)
        ]
        distance = np.sqrt(sum(np.ix_(*squares), np.zeros(self.energy.shape)))
        order = np.argsort(distance, axis=None, kind="stable")
        held = np.cumsum(self.energy.ravel()[order])
        return float(distance.ravel()[order[_first(held, share)]])

    def square(self, share: float = 0.95) -> int:
        """Side of the smallest square (cube, interval) that holds a share of the energy.

        Its middle is the position nearest to the centre of mass. The side is odd; what lies beyond
        the input counts as part of the square. 0 if all is 0.
        """
        _check_share(share)
        if self.zero:
            return 0
        rings = _rings(self.energy, [round(centre) for centre in self.centre])
        return 2 * _first(np.cumsum(rings), share) + 1

    def high_contribution(self, share: float = 0.99) -> tuple[int, float] | None:
        """Side and area of the square that papers on large kernels compare.

        Contributions A become log10(A + 1); then the smallest square of side 3 or more, around
        position `length // 2` of every axis, that holds more than the share. The logarithm is not
        indifferent to the scale of A: compare models on the same data and convention, which is
        "replknet" in the paper.

        Returns:
            The side, and the square's area over the input's; None if no square inside holds it.

        Source: Ding et al., Scaling Up Your Kernels to 31x31, CVPR 2022, and the script beside it.
        """
        _check_share(share)
        if self.zero:
            return None
        lengths = self.energy.shape
        rings = _rings(np.log10(self.contributions + 1), [n // 2 for n in lengths])
        held = np.cumsum(rings) / rings.sum()
        found = np.flatnonzero(held[1 : min(lengths) // 2] > share)
        if not len(found):
            return None
        side = 2 * (int(found[0]) + 1) + 1
        return side, prod(side / n for n in lengths)

    def share_of_field(self, share: float = 0.95) -> float | None:
        """`area(share)` over the positions inside the theoretical field of that output.

        None if the theoretical field is not known.
        """
        spans = [axis.span for axis in self.axes]
        sizes = [span.size for span in spans if span is not None]
        if not spans or len(sizes) < len(spans):
            return None
        return self.area(share) / prod(sizes)

    def compare(self, after: EffectiveField, *, share: float = 0.95) -> FieldChange:
        """This effective field beside a later one, as before and after training.

        Raises:
            ValueError: if the two are told for other axes, were measured by other conventions, or
                one is 0 everywhere.
        """
        for name, found in (("before", self), ("after", after)):
            if found.zero:
                raise ValueError(
                    f"{name} must have an energy above 0, got 0 everywhere. {found.note}"
                )
        mine, theirs = ([axis.axis for axis in e.axes] for e in (self, after))
        if mine != theirs:
            raise ValueError(
                f"after must be told for the axes {tuple(mine)}, got {tuple(theirs)}. "
                "Measure both with the same axes=."
            )
        if self.convention != after.convention:
            raise ValueError(
                f"after must have the convention {self.convention!r}, got {after.convention!r}. "
                "Measure both with the same one."
            )
        return FieldChange(self, after, share)

    def __str__(self) -> str:
        some = "" if self.channels is None else f", channels {_listed(self.channels)},"
        where = f" at {', '.join(map(str, self.at))}" if self.at else ""
        title = f"effective field of {self.node}{some}{where} on {self.input}"
        lines = [title, f"  {self._source()}"]
        if self.zero:
            lines.append(f"  zero gradient everywhere. {self.note}")
            return "\n".join(lines)
        lines += [f"  axis {axis.axis}: {axis}" for axis in self.axes]
        lines.append(f"  {self._holding()}")
        if self.note:
            lines.append(f"  {self.note}")
        return "\n".join(lines)

    def _source(self) -> str:
        """The samples and the convention, in words."""
        skipped = f" ({self.skipped} skipped: not finite)" if self.skipped else ""
        return (
            f"{counted(self.samples, 'sample')}{skipped} of {self.data}, {_WORDS[self.convention]}"
        )

    def _holding(self, share: float = 0.95) -> str:
        """Where a share of the energy lies, in words."""
        area = self.area(share)
        text = (
            f"{share:.0%} of the energy on {counted(area, 'position')}, within radius "
            f"{self.radius(share):.4g}"
        )
        part = self.share_of_field(share)
        if part is None:
            return text
        sizes = " x ".join(str(axis.span.size) for axis in self.axes if axis.span)
        return f"{text}: {part:.2%} of the field's {sizes}"


@dataclass(frozen=True, eq=False)
class FieldChange(Shown):
    """Two effective fields side by side; ratios are after over before.

    Attributes:
        before: the first.
        after: the second.
        share: the share of the energy that area and radius are told for.
    """

    before: EffectiveField
    after: EffectiveField
    share: float

    @property
    def std(self) -> tuple[float, ...]:
        """Ratio of the standard deviations along each axis."""
        pairs = zip(self.before.std, self.after.std, strict=True)
        return tuple(_ratio(old, new) for old, new in pairs)

    @property
    def radius(self) -> float:
        """Ratio of the radii."""
        return _ratio(self.before.radius(self.share), self.after.radius(self.share))

    @property
    def area(self) -> float:
        """Ratio of the areas."""
        return self.after.area(self.share) / self.before.area(self.share)

    @property
    def total(self) -> float:
        """Ratio of the gradients' sums: how much stronger the output depends on the input."""
        return self.after.total / self.before.total

    @property
    def overlap(self) -> float | None:
        """The energy that both put at the same positions, from 0 to 1; None if sizes differ."""
        if self.before.energy.shape != self.after.energy.shape:
            return None
        return float(np.minimum(self.before.energy, self.after.energy).sum())

    def __str__(self) -> str:
        lines = [f"effective field of {self.before.node}: before -> after"]
        for old, new, ratio in zip(self.before.axes, self.after.axes, self.std, strict=True):
            lines.append(f"  axis {old.axis}: std {old.std:.4g} -> {new.std:.4g} (x {ratio:.3g})")
        before, after = self.before, self.after
        lines.append(
            f"  {self.share:.0%} of the energy: {before.area(self.share)} -> "
            f"{counted(after.area(self.share), 'position')} (x {self.area:.3g}), radius "
            f"{before.radius(self.share):.4g} -> {after.radius(self.share):.4g} "
            f"(x {self.radius:.3g})"
        )
        if self.overlap is not None:
            lines.append(f"  {self.overlap:.0%} of the energy at the same positions")
        return "\n".join(lines)


_WORDS: dict[Convention, str] = {
    "absolute": "mean of |gradient|",
    "squared": "mean of gradient squared",
    "positive": "mean of gradients above 0",
    "replknet": "mean of gradients above 0 of outputs above 0",
}


def _rings(values: Energy, middle: list[int]) -> Energy:
    """Sums over the positions at each largest distance along any axis from the middle."""
    away = [np.abs(np.arange(n) - m) for n, m in zip(values.shape, middle, strict=True)]
    distance = np.zeros(values.shape, dtype=np.int64)
    for part in np.ix_(*away):
        np.maximum(distance, part, out=distance)
    sums: Energy = np.bincount(distance.ravel(), weights=values.ravel()).astype(np.float64)
    return sums


def _first(held: Energy, share: float) -> int:
    """The first entry of a running sum up to 1 that reaches a share, rounding forgiven."""
    return min(int(np.searchsorted(held, share * (1 - 1e-12))), len(held) - 1)


def _check_share(share: float) -> None:
    if not 0 < share <= 1:
        raise ValueError(f"share must be above 0 and at most 1, got {share}. Use 0.95 for 95 %.")


def _ratio(old: float, new: float) -> float:
    return new / old if old else (1.0 if new == old else float("inf"))


def _listed(channels: tuple[int, ...]) -> str:
    if len(channels) > 4:
        return f"{channels[0]}, {channels[1]}, ... {channels[-1]} ({len(channels)})"
    return ", ".join(map(str, channels))

"""Which of the branches that meet passes the highest frequencies."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor, pi

from atrous.analysis.spectrum.chains import Chain, chain
from atrous.analysis.spectrum.passband import Bands, Profile, comb, highest, share
from atrous.graph.program import Node, Program
from atrous.shown import Shown


@dataclass(frozen=True)
class BranchAxis:
    """What a branch passes of waves that vary along one axis, at the fork.

    Attributes:
        axis: the axis.
        distance: from one tap of the whole branch to the next: the dilation of a single layer.
        taps: the taps of the whole branch at that distance.
        profile: its power with these taps side by side.
        band: the input's highest frequency.
    """

    axis: int
    distance: int
    taps: int
    profile: Profile = field(repr=False)
    band: float = pi

    @property
    def bands(self) -> Bands:
        """The frequencies in [0, band] that it passes, radians per position of the fork."""
        return comb(self.profile.bands, self.distance, self.band)

    @property
    def passed(self) -> float:
        """The part of the input's frequencies that it passes."""
        return share(self.bands, self.band)

    @property
    def highest(self) -> float:
        """The highest frequency that it passes; 0 if none."""
        return highest(self.bands, self.band) or 0.0

    @property
    def is_flat(self) -> bool:
        """Whether every frequency gets the same gain."""
        return self.taps == 1


@dataclass(frozen=True)
class BranchSpectrum:
    """One of several branches.

    Attributes:
        name: its last node.
        label: that node's module path, or its name.
        layers: its layers with weights.
        ignored: its non-linear nodes, taken as the identity.
        axes: what it passes along each axis; empty if that is not told.
        reason: why it is not.
    """

    name: str
    label: str
    layers: tuple[str, ...]
    ignored: tuple[str, ...]
    axes: tuple[BranchAxis, ...]
    reason: str = ""

    @property
    def is_flat(self) -> bool:
        """Whether every frequency gets the same gain, as from a 1x1 convolution."""
        return all(axis.is_flat for axis in self.axes)


@dataclass(frozen=True)
class Limit(Shown):
    """What limits a stride behind branches that meet.

    Attributes:
        node: where they meet.
        band: the input's highest frequency at the fork, in radians per position.
        branches: the branches.
        limiting: the label of the branch that passes the highest frequency; "" if none is told.
        highest: that frequency; the input's own where the branch passes everything.
        by_input: whether that branch passes everything, so that the input's band is the limit.
        stride: the largest stride that folds nothing that any branch passes.
    """

    node: str
    band: float
    branches: tuple[BranchSpectrum, ...]
    limiting: str
    highest: float
    by_input: bool
    stride: int

    def __str__(self) -> str:
        lines = [f"branches that meet at {self.node}, input up to {self.band / pi:.3g} pi"]
        for branch in self.branches:
            if not branch.axes:
                lines.append(f"  {branch.label}: not told ({branch.reason})")
                continue
            told = [
                f"taps {a.taps} at distance {a.distance}, {a.profile.kind}, passes {a.passed:.0%}, "
                f"up to {a.highest / pi:.3g} pi"
                for a in branch.axes
            ]
            lines.append(f"  {branch.label}: " + "; ".join(dict.fromkeys(told)))
        if self.by_input:
            lines.append(f"  {self.limiting} passes everything, so the input's band limits")
        elif self.limiting:
            lines.append(f"  {self.limiting} limits")
        return "\n".join([*lines, f"  largest stride that folds nothing passed: {self.stride}"])


def limiting_branch(program: Program, node: Node, *, band: float = pi) -> Limit:
    """What limits a stride behind the branches that meet last before a node.

    Args:
        program: the captured model.
        node: the node.
        band: the input's highest frequency at the fork, in radians per position.

    Raises:
        ValueError: if no branches meet.
    """
    at = node
    while len(at.operands) == 1:
        at = program.nodes[at.operands[0].name]
    names = list(dict.fromkeys(operand.name for operand in at.operands))
    if len(names) < 2:
        raise ValueError(
            f"node must have branches that meet before it, but none do before {node.label!r}. "
            "Choose another."
        )
    chains = {name: _chain(program, name) for name in names}
    told = [found for found in chains.values() if isinstance(found, Chain)]
    fork = _fork(told)
    rows = tuple(_branch(program.nodes[n], found, fork, band) for n, found in chains.items())
    known = [row for row in rows if row.axes]
    # Of those that pass everything, one that does so with the same gain is the clearest.
    best = max(known, key=lambda r: (max(a.highest for a in r.axes), r.is_flat), default=None)
    top = max(a.highest for a in best.axes) if best is not None else 0.0
    return Limit(
        at.label,
        band,
        rows,
        best.label if best is not None else "",
        top,
        best is not None and all(a.passed > 1 - 1e-9 for a in best.axes),
        max(floor(pi / top * (1 + 1e-9)), 1) if top > 0 else 1,
    )


def _chain(program: Program, name: str) -> Chain | str:
    try:
        return chain(program, program.nodes[name], until_fork=True)
    except ValueError:
        return "no chain of layers with weights ends there"
    except NotImplementedError as error:
        return str(error)


def _fork(chains: list[Chain]) -> str:
    """The node at which most branches begin."""
    starts = [found.start.name for found in chains]
    return max(starts, key=starts.count, default="")


def _branch(node: Node, found: Chain | str, fork: str, band: float) -> BranchSpectrum:
    if isinstance(found, str):
        return BranchSpectrum(node.name, node.label, (), (), (), found)
    reason = ""
    axes: tuple[BranchAxis, ...] = ()
    if found.broken_by and found.start.name != fork:
        reason = f"{found.broken_by} cannot be passed"
    elif found.start.name != fork:
        reason = f"it begins at {found.start.label}"
    else:
        try:
            axes = tuple(_axis(found, k, band) for k in range(len(found.kernels[0].stride)))
        except NotImplementedError as error:
            reason = str(error)
    return BranchSpectrum(node.name, node.label, found.layers, found.ignored, axes, reason)


def _axis(found: Chain, axis: int, band: float) -> BranchAxis:
    profile, distance = found.profile(axis)
    return BranchAxis(found.first + axis, distance, len(profile.series), profile, band)

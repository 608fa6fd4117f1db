"""What is wanted of a model, and what has to change in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Literal

from torch import nn

from atrous.analysis.fields.field import default_axes
from atrous.convert.calls import as_written
from atrous.convert.comparison import Point, points
from atrous.convert.densities import DensifyError, Densities, densities, last_positions
from atrous.convert.plan import Plan
from atrous.convert.planner import Planner
from atrous.convert.strides import Strides, axis_parts, axis_strides
from atrous.graph.capture import Inputs, capture
from atrous.graph.program import Node, Program

Pooling = Literal["grid", "all"]


@dataclass(frozen=True)
class Wish:
    """What is wanted of a model.

    Attributes:
        output_stride: the stride wanted, one for all axes of positions or one for each.
        node: the value that is to have it, by a module's path or a node's name; by default every
            output, or where one holds no positions, the last value behind it that does.
        output: that output alone.
        pooling: whether what reads all positions reads those of the grid only.
    """

    output_stride: int | Sequence[int]
    node: str | None = None
    output: str | None = None
    pooling: Pooling = "grid"


@dataclass(frozen=True)
class Study:
    """A captured model and what has to change in it.

    Attributes:
        program: the captured model.
        axes: by input, its axes of positions.
        wanted: the largest stride wanted along each axis of positions, counted from the end.
        strides: of every value, the strides of its axes.
        densities: of every value, how much denser it is to be.
        targets: the values that are to be dense.
        planner: what finds that out.
        plan: what has to change.
        whole: paths of modules that are to run as they are, on phases, whatever is in them.
    """

    program: Program
    axes: Mapping[str, tuple[int, ...]]
    wanted: Mapping[int, int]
    strides: Mapping[str, Strides]
    densities: Mapping[str, Densities]
    targets: tuple[Node, ...]
    planner: Planner
    plan: Plan
    whole: frozenset[str] = frozenset()

    @property
    def points(self) -> list[Point]:
        """Where to compare both models."""
        return points(self.program, self.targets, self.strides, self.densities)

    @property
    def on_the_way(self) -> list[Node]:
        """What reads all positions, of the grid or dense ones, and goes into a target."""
        behind = {n.name for target in self.targets for n in self.program.behind(target)}
        return [n for n in (*self.plan.grid, *self.plan.pooled) if n.name in behind]

    @property
    def coarser(self) -> str:
        """Where positions lie further apart than wanted, if none have to change; "" if nowhere."""
        if self.plan.changes:
            return ""
        behind = {n.name: n for target in self.targets for n in self.program.behind(target)}
        strides = [
            (own.stride, node)
            for name, node in behind.items()
            for own in self.strides[name]
            if own is not None and own.too_far(self.wanted)
        ]
        if not strides:
            return ""
        stride = max(own for own, _ in strides)
        last = [node for own, node in strides if own == stride][-1]
        return f"positions of {last.label!r} lie {stride} apart"

    @property
    def enlarged(self) -> str:
        """Where maps are enlarged that become coarser again on the way to a target; "" if nowhere.

        Such maps are the same of an input shifted by the stride of what they were made of, not by
        their own. What is made dense behind them, and lies further apart than they do, reads them
        between positions of the grid as if they were.
        """
        behind = self.program.behind
        for target in self.targets:
            mine = self._lying(target)
            dense = {axis for axis, stride in mine.items() if stride > self.wanted[axis]}
            coarsest: dict[str, dict[int, Fraction]] = {}
            for node in behind(target):
                own = self._lying(node)
                found = dict(own)
                for operand in node.operands:
                    for axis, stride in coarsest[operand.name].items():
                        found[axis] = max(stride, found.get(axis, stride))
                coarsest[node.name] = found
                if self._is_inside(node):
                    continue
                for axis in dense & own.keys():
                    # Phases up to this step are computed of it; beyond, other positions are read.
                    step = max(own[axis], Fraction(self.wanted[axis]))
                    if step < mine[axis] and step % found[axis]:
                        return f"{node.label!r} is made of what lies further apart"
        return ""

    def _lying(self, node: Node) -> dict[int, Fraction]:
        """The stride of a value along each of the input's axes that it holds positions of."""
        return {own.axis: own.stride for own in self.strides[node.name] if own is not None}

    def _is_inside(self, node: Node) -> bool:
        """Whether a value stays in a module that runs as it is, on phases."""
        holder = self.plan.holder(node.place.module)
        readers = [reader for reader, _ in self.program.readers.get(node.name, ())]
        return holder is not None and all(
            self.plan.holder(reader.place.module) == holder for reader in readers
        )

    @property
    def cut(self) -> Node | None:
        """The first value whose positions along an axis are lost as views cut it up, if any."""
        for node in self.program.nodes.values():
            for read in node.reads:
                had = sum(own is not None for own in self.strides[read.operand.name])
                has = sum(own is not None for own in self.strides[node.name])
                if has < had and (read.split is not None or read.merge is not None):
                    return node
        return None

    def around(self, path: str, pooling: Pooling) -> Study | None:
        """The same, but a module runs as it is, on phases, or the first around it that can.

        None if there is none, or it does so already.
        """
        holder = self.plan.holder(path)
        wider = path if holder is None else holder.path.rpartition(".")[0]
        if not wider:
            return None
        whole = self.whole | {wider}
        plan = self.planner.plan(pool_grid=pooling == "grid", whole=whole)
        found = plan.holder(wider)
        return None if found in (None, holder) else replace(self, plan=plan, whole=whole)

    @property
    def lengths(self) -> tuple[int, ...]:
        """Of the first input, along its axes of positions."""
        source = self.program.input()
        return tuple(source.shape[axis] for axis in self.axes[source.name])


def study(model: nn.Module, x: Inputs, wish: Wish) -> Study:
    """Capture a model and find what has to change in it.

    Raises:
        DensifyError: if a stride is no multiple of the wanted one where it has to be, or no value
            holds positions.
        KeyError: if there is no such node or output.
        ValueError: if the wanted strides do not fit the input's axes.
    """
    captured = capture(model, x)
    program = as_written(captured, model)
    axes = {name: default_axes(program, program.nodes[name]) for name in program.inputs}
    lying = axis_parts(program, axes)
    strides = axis_strides(lying)
    wanted = _per_axis(wish.output_stride, axes[program.input().name])
    if wish.node is not None:
        targets = [_found(wish.node, captured, program)]
    else:
        labels = [wish.output] if wish.output is not None else list(program.outputs)
        targets = [last_positions(program, strides, program.output(label)) for label in labels]
    targets = list({node.name: node for node in targets}.values())
    density, unfit = densities(program, strides, lying, wanted, targets)
    names = {node.name for node in targets}
    planner = Planner(program, model, strides, density, names, unfit)
    plan = planner.plan(pool_grid=wish.pooling == "grid")
    for name, why in unfit.items():
        if plan.holder(program.nodes[name].place.module) is None:
            raise DensifyError(why)
    return Study(program, axes, wanted, strides, density, tuple(targets), planner, plan)


def _found(name: str, captured: Program, program: Program) -> Node:
    """The value of a name, which may be any that its module has."""
    try:
        return program.nodes[captured.find(name).name]
    except KeyError:
        return program.find(name)


def _per_axis(wanted: int | Sequence[int], axes: Sequence[int]) -> dict[int, int]:
    given = tuple(wanted) if isinstance(wanted, Sequence) else (wanted,) * len(axes)
    if len(given) != len(axes) or any(not isinstance(s, int) or s < 1 for s in given):
        raise ValueError(
            f"output_stride must be a whole number from 1 on, or one for each of the {len(axes)} "
            f"axes of positions, got {wanted!r}."
        )
    return {k - len(given): stride for k, stride in enumerate(given)}

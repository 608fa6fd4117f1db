"""Which module has to change so that values become dense, and how."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

from torch import nn

from atrous.convert.densities import Densities
from atrous.convert.plan import Change, How, Plan, is_inside
from atrous.convert.strides import Strides, axis_links
from atrous.geometry.primitives import Window
from atrous.geometry.relation import Relation
from atrous.graph.program import Node, Program
from atrous.graph.rule import Operand, Pointwise
from atrous.nn.dense import batch_axis

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)


@dataclass(frozen=True)
class Side:
    """How a value lies at the border of a module: densities and strides of its axes."""

    axes: tuple[int, ...]
    density: Densities
    strides: tuple[Fraction, ...]


class _Link(NamedTuple):
    """An axis of a result that is made of one of an operand.

    Attributes:
        relation: how.
        axis: of the result.
        place: the operand's name and its axis.
        read: density of what is read.
        given: density of the result.
        moves: whether both axes hold positions.
    """

    relation: Relation
    axis: int
    place: tuple[str, int]
    read: int
    given: int
    moves: bool


class Planner:
    """Finds the smallest modules that can change.

    Args:
        program: the captured model.
        model: the model itself.
        strides: of every value, the strides of its axes.
        densities: of every value, how much denser it is to be.
        targets: names of the values that are to be dense for whoever wants them.
        unfit: names of the values that cannot become denser by themselves.
    """

    def __init__(
        self,
        program: Program,
        model: nn.Module,
        strides: Mapping[str, Strides],
        densities: Mapping[str, Densities],
        targets: Collection[str] = (),
        unfit: Collection[str] = (),
    ) -> None:
        self.program = program
        self.modules = dict(model.named_modules())
        self.strides, self.densities = strides, densities
        self.targets, self.unfit = frozenset(targets), frozenset(unfit)
        self.calls = _calls(program)
        self.links = {name: self._links_of(node) for name, node in program.nodes.items()}

    def _links_of(self, node: Node) -> list[_Link]:
        own, made = self.strides[node.name], self.densities[node.name]
        return [
            _Link(
                relation, axis, (name, other), self.densities[name][other], made[axis],
                self.strides[name][other] is not None and own[axis] is not None,
            )
            for name, axis, other, relation in (
                (read.operand.name, *link)
                for read in node.reads for link in axis_links(read, len(node.shape))
            )
        ]  # fmt: skip

    def plan(self, *, pool_grid: bool, whole: Collection[str] = ()) -> Plan:
        """The plan.

        Args:
            pool_grid: whether what reads all positions reads those of the grid only.
            whole: paths of modules that run as they are, on phases, whatever is in them.
        """
        wanted: dict[str, list[Node]] = {self._layer(path): [] for path in whole}
        pooled = []
        resized = []
        for node in self.program.nodes.values():
            if self._enlarges(node):
                resized.append(node)
                continue
            differs = self._reduces(node) or self._differs(node) or self._idles(node)
            if differs and not pool_grid and self._reads_all(node) and not self._joins(node):
                pooled.append(node)
            elif differs:
                wanted.setdefault(self._layer(node.place.module), []).append(node)
        changes: dict[str, Change] = {}
        grid: list[Node] = []
        stuck: list[Node] = []
        # Innermost modules first: an outer one that changes as a whole takes over what is in it.
        for path in sorted(wanted, key=lambda p: -p.count(".") if p else 1):
            nodes = tuple(wanted[path])
            leaf = None if path in whole else self._leaf(path, nodes)
            change = leaf or self._around(path, nodes)
            if change is not None:
                changes[change.path] = change
                grid += [node for node in nodes if self._reads_all(node)]
            else:
                pooled += [node for node in nodes if self._reads_all(node)]
                stuck += [n for n in nodes if not self._reads_all(n) and not self._idles(n)]
        outermost = [
            c for p, c in changes.items() if not any(is_inside(p, q) for q in changes if q != p)
        ]
        plan = Plan(tuple(outermost), tuple(grid), (), tuple(resized), tuple(stuck))
        # In a module that runs on phases, a phase is all there is.
        left = tuple(node for node in pooled if plan.holder(node.place.module) is None)
        return replace(plan, pooled=left)

    def _layer(self, path: str) -> str:
        """The module to change for a call in some module: that one, or the layer around it that
        PyTorch may run at once, passing by the modules in it."""
        parents = path.split(".")
        around = (".".join(parents[:count]) for count in range(1, len(parents)))
        layers = (p for p in around if isinstance(self.modules[p], nn.TransformerEncoderLayer))
        return next(layers, path)

    def _around(self, path: str, nodes: tuple[Node, ...]) -> Change | None:
        """How a module changes as a whole, or the first around it that can; None if none can."""
        while path or type(self.modules[path]).__module__.startswith("torch.nn."):
            sides = self._borders(path)
            if sides is not None:
                return self._in_phases(path, *sides, nodes)
            if not path:
                break
            path = path.rpartition(".")[0]
        return None

    def _leaf(self, path: str, nodes: tuple[Node, ...]) -> Change | None:
        """A convolution or pool by its own settings."""
        module = self.modules.get(path)
        if not isinstance(module, _CONVOLUTIONS + _POOLS):
            return None
        sides = self._borders(path)
        forward = type(module).forward
        if sides is None or not any(forward is kind.forward for kind in _CONVOLUTIONS + _POOLS):
            return None
        before, after = sides
        if after is None:
            # What reads the result reads it as it was: the grid is all that is wanted.
            return None
        windows = [getattr(n.description, "windows", {}) for n in nodes]
        count = len(before.axes)
        first = len(nodes[0].shape) - count
        if any(set(w) != set(range(first, first + count)) for w in windows):
            return None
        mine = [windows[0][axis] for axis in range(first, first + count)]
        if before.axes != tuple(range(-count, 0)):
            return None
        keeps = all(2 * w.left == w.span - 1 for w in mine)
        borders = isinstance(module, _CONVOLUTIONS)
        if borders and module.padding_mode != "zeros":
            return None
        if isinstance(module, _POOLS) and (
            not keeps or module.ceil_mode or _too_wide(mine, before.density)
        ):
            return None
        made = self._made(path, "settings" if keeps else "borders", before, after, nodes)
        return replace(made, windows=tuple(mine))

    def _in_phases(
        self, path: str, before: Side, after: Side | None, nodes: tuple[Node, ...]
    ) -> Change:
        if after is None:
            return Change(
                path, "grid", before.density, (1,) * len(before.density),
                (Fraction(1),) * len(before.density), (before.axes, before.axes), nodes,
            )  # fmt: skip
        return self._made(path, "phases", before, after, nodes)

    def _made(
        self, path: str, how: How, before: Side, after: Side, nodes: tuple[Node, ...]
    ) -> Change:
        stride = tuple(
            Fraction(b / a) * p / q
            for a, b, p, q in zip(
                before.strides, after.strides, before.density, after.density, strict=True
            )
        )
        axes = (before.axes, after.axes)
        return Change(path, how, before.density, after.density, stride, axes, nodes)

    def _borders(self, path: str) -> tuple[Side, Side | None] | None:
        """How what a module reads and gives lies; None if not all of it lies alike, in all calls.

        Its result has no side where it holds no positions, and all that reads it is as it was.
        """
        # The state of a recurrence holds no positions; all else goes in and out alike.
        has_state = isinstance(self.modules.get(path), nn.RNNBase)
        found = {self._borders_of(path, inside, has_state) for inside in self.calls.get(path, ())}
        return found.pop() if len(found) == 1 else None

    def _borders_of(
        self, path: str, inside: Sequence[Node], has_state: bool
    ) -> tuple[Side, Side | None] | None:
        """The same of the nodes of a single call of it."""
        names = {node.name for node in inside}
        entering = {o.name for node in inside for o in node.operands if o.name not in names}
        readers = self.program.readers
        leaving = {
            name for name in names
            if any(reader.name not in names for reader, _ in readers.get(name, ()))
        } | (names & set(self.program.outputs.values()))  # fmt: skip
        if self.targets & (names - leaving):
            # As a whole it would not give a target's dense value to anyone.
            return None
        if any(self._is_along_batch(path, name) for name in entering | leaving):
            # Phases are items of the batch.
            return None
        before = {self._side(name) for name in entering}
        after = {self._side(name) for name in leaving}
        if has_state:
            before, after = ({*sides} - {None} or sides for sides in (before, after))
        if len(before) != 1 or len(after) != 1:
            return None
        own, result = before.pop(), after.pop()
        if own is None:
            return None
        if result is None or max(result.density, default=1) == 1:
            return own, None if result is None or max(own.density) > 1 else result
        if len(result.axes) != len(own.axes):
            return None
        return own, result

    def is_across_batch(self, node: Node) -> bool:
        """Whether a call reads or gives positions along the axis of the batch."""
        names = (node.name, *(operand.name for operand in node.operands))
        return any(self._is_along_batch(node.place.module, name) for name in names)

    def _is_along_batch(self, path: str, name: str) -> bool:
        """Whether a value holds positions along the axis of a module's batch."""
        axis, strides = batch_axis(self.modules[path]), self.strides[name]
        return axis < len(strides) and strides[axis] is not None

    def _side(self, name: str) -> Side | None:
        strides, densities = self.strides[name], self.densities[name]
        axes = [k for k, stride in enumerate(strides) if stride is not None]
        if not axes:
            return None
        count = len(strides)
        return Side(
            tuple(k - count for k in axes),
            tuple(densities[k] for k in axes),
            tuple(s.stride for s in strides if s is not None),
        )

    def _differs(self, node: Node) -> bool:
        """Whether a call gives other values on dense positions."""
        if node.name in self.unfit or self._joins(node) or self._is_laid_out(node):
            return True
        if node.description is None or isinstance(node.description, Pointwise):
            return False
        return any(
            max(link.read, link.given) > 1 and not link.relation.is_identity
            for link in self.links[node.name]
        )

    def _idles(self, node: Node) -> bool:
        """Whether a call does nothing to dense positions, but may at another size.

        As padding by what is lacking to a multiple, or resizing to the size of another map.
        """
        if node.description is None or isinstance(node.description, Pointwise):
            return False
        if getattr(node.description, "windows", {}) or max(self.densities[node.name]) == 1:
            return False
        return all(
            read.split is None
            and read.merge is None
            and len(read.operand.shape) == len(node.shape)
            and all(
                link is not None
                and link.axis == axis
                and (link.relation.is_identity or self._moves_along(node, axis))
                for axis, link in enumerate(read.links)
            )
            for read in node.reads
        )

    def _moves_along(self, node: Node, axis: int) -> bool:
        """Whether an axis holds positions that stay as far apart as they are."""
        return self.strides[node.name][axis] is not None and self.densities[node.name][axis] == 1

    def _joins(self, node: Node) -> bool:
        """Whether values of different densities meet."""
        return any(link.moves and link.read != link.given for link in self.links[node.name])

    def _is_laid_out(self, node: Node) -> bool:
        """Whether dense positions meet what has a value for each of the positions as they were.

        As what is added for each place of a map, or what was a map before views cut it up.
        """
        made = self.densities[node.name]
        if max(made, default=1) == 1 or node.description is None:
            return False
        if any(
            link.given > 1 and not link.moves and not link.relation.is_constant
            for link in self.links[node.name]
        ):
            return True
        return any(
            made[axis] > 1
            and not relation.is_constant
            and (node.parameters or not _is_uniform(read.operand, other))
            for read in node.description.reads
            if read.operand.is_constant
            for axis, other, relation in axis_links(read, len(node.shape))
        )

    def _enlarges(self, node: Node) -> bool:
        """Whether dense positions are brought to a length that is told, and not denser than it was.

        As the result of a head is brought to the size of the picture.
        """
        sized = getattr(node.description, "sized", ())
        if not sized or node.name in self.unfit or max(self.densities[node.name]) > 1:
            return False
        links = [link for link in self.links[node.name] if link.axis in sized]
        # Adaptive pooling is told its length too, which is not larger.
        return any(link.read > 1 for link in links) and all(
            link.relation.outputs > link.relation.inputs for link in links
        )

    def _reads_all(self, node: Node) -> bool:
        """Whether all dense positions are read, to be reduced or to be compared with each."""
        return self._reduces(node) or any(
            link.moves and link.relation.is_constant and link.relation.inputs > 1
            for link in self.links[node.name]
        )

    def _reduces(self, node: Node) -> bool:
        """Whether dense positions are read that the result does not hold."""
        held = {
            link.place for link in self.links[node.name]
            if self.strides[node.name][link.axis] is not None
        }  # fmt: skip
        return any(
            density > 1 and (read.operand.name, axis) not in held
            for read in node.reads
            for axis, density in enumerate(self.densities[read.operand.name])
        )


def _calls(program: Program) -> dict[str, list[list[Node]]]:
    """By module, the nodes of each of its calls; the model itself is one."""
    found: dict[str, dict[str, list[Node]]] = {"": {"": []}}
    for node in program.nodes.values():
        if node.call is None:
            continue
        found[""][""].append(node)
        for call in node.place.calls:
            path = call.partition("@")[0]
            if path:
                found.setdefault(path, {}).setdefault(call, []).append(node)
    return {path: list(calls.values()) for path, calls in found.items()}


def _is_uniform(constant: Operand, axis: int) -> bool:
    """Whether its values are the same all along an axis."""
    try:
        value = constant.known()
    except NotImplementedError:
        return False
    return bool((value == value.narrow(axis, 0, 1)).all())


def _too_wide(windows: Sequence[Window], density: Densities) -> bool:
    """Whether a dilated pool needs more padding than pools take: half of the kernel's taps."""
    return any(
        w.dilated(r).left > w.kernel_size // 2 for w, r in zip(windows, density, strict=True)
    )

"""A program, or a part of one, as one sparse matrix and an offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from atrous.analysis.fields.field import default_axes
from atrous.analysis.matrix import toeplitz
from atrous.analysis.matrix.affine import (
    Evaluator,
    Floats,
    NotAffineError,
    affine_step,
    evaluating,
)
from atrous.analysis.matrix.support import TooLargeError
from atrous.graph.program import Node, Program
from atrous.shown import Shown

if TYPE_CHECKING:
    from scipy.sparse import csr_array


class NonlinearError(ValueError):
    """A value is not an affine function of what it was asked to be one of.

    Attributes:
        node: the label of the node that is not.
        reason: why not.
    """

    def __init__(self, node: Node, source: Node, before: list[str], reason: str) -> None:
        called = repr(node.kind) if node.label == node.name else f"{node.kind!r} at {node.label!r}"
        parts = [f"node={name!r} ends before it" for name in before]
        super().__init__(
            f"model must be affine, A x + b, from {source.label!r} to the node asked for, but "
            f"{called} is not: {reason}. Ask for a part: "
            f"{', '.join([*parts, f'of={node.name!r} starts after it'])}."
        )
        self.node = node.label
        self.reason = reason


@dataclass(frozen=True, eq=False)
class LinearMap(Shown):
    """An affine map between two values, `y = matrix @ x + offset` on flattened values.

    Coefficients that are exactly zero are not stored, whether no path leads there or the weights
    on it are zero.

    Attributes:
        node: what it computes: a module path or a node's name.
        source: what it is a function of: an input, or a node.
        matrix: the sparse matrix in double precision, outputs by inputs; both in row-major order.
        offset: what it is where the input is zero (biases, and values that are held), flat.
        input_shape: shape of the input, batch axis included.
        output_shape: shape of the output.
        axes: the axes along which shifts are looked for: those a convolution moves along.
        probes: how many evaluations of single operators found it.
    """

    node: str
    source: str
    matrix: csr_array = field(repr=False)
    offset: Floats = field(repr=False)
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    axes: tuple[int, ...]
    probes: int = field(repr=False)

    def apply(self, x: Tensor) -> Tensor:
        """The output at an input, in double precision.

        Args:
            x: a tensor of the shape `input_shape`.

        Raises:
            ValueError: if it has another shape.
        """
        if tuple(x.shape) != self.input_shape:
            raise ValueError(
                f"x must have the shape {self.input_shape}, got {tuple(x.shape)}. "
                "Make a matrix for inputs of that shape."
            )
        flat = x.detach().to("cpu", torch.float64).reshape(-1).numpy()
        return torch.from_numpy(self.matrix @ flat + self.offset).reshape(self.output_shape)

    @cached_property
    def items(self) -> int:
        """How many items of a batch it treats alike and apart; 1 if not, or if there is one."""
        count = self.input_shape[0] if self.input_shape else 1
        if count < 2 or 0 in self.axes or self.output_shape[:1] != (count,):
            return 1
        size = [n // count for n in self.matrix.shape]
        first = self.matrix[: size[0], : size[1]]
        for k in range(count):
            rows = self.matrix[k * size[0] : (k + 1) * size[0]]
            own = rows[:, k * size[1] : (k + 1) * size[1]]
            if own.nnz != rows.nnz or (own != first).nnz:
                return 1
        alike = np.array_equal(self.offset, np.tile(self.offset[: size[0]], count))
        return count if alike else 1

    def item(self) -> LinearMap:
        """The map of one item of the batch: the whole is this one, once per item."""
        if self.items == 1:
            return self
        rows, columns = (n // self.items for n in self.matrix.shape)
        return LinearMap(
            self.node,
            self.source,
            self.matrix[:rows, :columns],
            self.offset[:rows],
            (1, *self.input_shape[1:]),
            (1, *self.output_shape[1:]),
            self.axes,
            self.probes,
        )

    @cached_property
    def shifts(self) -> tuple[toeplitz.Shift | None, ...]:
        """Per axis of `axes`, the shift under which the matrix stays the same; None if none.

        Where borders are exceptions, its `rows` are the outputs between which it holds.
        """
        if len(self.input_shape) != len(self.output_shape) or 0 in self.output_shape:
            return (None,) * len(self.axes)
        entries = toeplitz.entries(self.matrix, self.output_shape, self.input_shape)
        return tuple(toeplitz.shift(entries, axis) for axis in self.axes)

    @property
    def structure(self) -> str | None:
        """The kind of matrix it is for each pair of channels, found in its entries.

        "toeplitz", "circulant", "block toeplitz with toeplitz blocks" and the like, with
        "decimated by 2" for a stride and "expanded by 2" for its transpose; None if a shift along
        some axis changes entries, as borders by reflection do (see `inner_structure`).
        """
        return toeplitz.named(self.shifts)

    @property
    def inner_structure(self) -> str | None:
        """The kind of matrix it is away from the borders: between the `rows` of its shifts."""
        return toeplitz.named(tuple(s and replace(s, rows=None) for s in self.shifts))

    @property
    def blocks(self) -> tuple[int, int]:
        """Blocks of one structure: outputs and inputs at one position, over all channels."""
        rows, columns = (
            prod(n for axis, n in enumerate(shape) if axis not in self.axes)
            for shape in (self.output_shape, self.input_shape)
        )
        return rows, columns

    def bands(self) -> tuple[toeplitz.Band, ...]:
        """The diagonals that hold entries, from the lowest to the highest.

        Where one axis is decimated or expanded, they are counted in its steps, so that the bands
        of a strided convolution are its taps.
        """
        single = self.shifts[0] if len(self.axes) == 1 and self.blocks == (1, 1) else None
        steps = (1, 1) if single is None else (single.outputs, single.inputs)
        return toeplitz.bands(self.matrix, *steps)

    def picture(self, width: int = 64, height: int = 32) -> str:
        """Where its entries are, as text of at most so many characters and lines."""
        return toeplitz.picture(self.matrix, width, height)

    def __str__(self) -> str:
        rows, columns = self.matrix.shape
        count, share = self.matrix.nnz, self.matrix.nnz / max(rows * columns, 1)
        lines = [
            f"{self.node} as a matrix of {self.source}: {rows} x {columns}, {count} non-zeros "
            f"({share:.2%})"
        ]
        kind = self.structure or "no structure that shifts leave as it is"
        if self.structure is None and self.inner_structure is not None:
            rows = ", ".join(
                f"{shift.rows[0]} to {shift.rows[1] - 1} along axis {axis}"
                for axis, shift in zip(self.axes, self.shifts, strict=True)
                if shift is not None and shift.rows is not None
            )
            kind = f"{self.inner_structure} inside, outputs {rows}"
        one = self.item()
        if one is not self:
            lines.append(f"  {self.items} items, each by the same matrix (.item())")
        if one.blocks not in ((1, 1), one.matrix.shape):
            lines.append(f"  {one.blocks[0]} x {one.blocks[1]} blocks, each: {kind}")
        else:
            lines.append(f"  {kind}")
        offset = "none" if not self.offset.any() else f"up to {np.abs(self.offset).max():.4g}"
        lines.append(f"  {len(self.bands())} diagonals; offset: {offset}")
        return "\n".join([*lines, self.picture()])


def linear_map(
    program: Program,
    source: Node,
    target: Node,
    values: Mapping[str, Tensor],
    *,
    limit: int,
) -> LinearMap:
    """The affine map from one value of a program to another.

    Args:
        program: the captured model.
        source: what the map is a function of; all else is held.
        target: what it computes.
        values: values of the model's inputs, for what does not depend on the source.
        limit: the most coefficients of one operator, and of the whole.

    Raises:
        ValueError: if the target does not depend on the source, a value that is needed is not
            given, or the matrix is too large.
        NonlinearError: if it is not affine.
    """
    from scipy.sparse import csr_array, eye_array

    if not source.dtype.is_floating_point or source.dtype.is_complex:
        raise ValueError(
            f"input must be of real numbers, but {source.name!r} is of type "
            f"{str(source.dtype).removeprefix('torch.')}. Choose another with input= or of=."
        )
    varying, needed = _between(program, source, target)
    evaluator = Evaluator(program)
    held: dict[str, Tensor] = {}
    size = prod(source.shape)
    maps: dict[str, tuple[csr_array, Floats]] = {
        source.name: (eye_array(size, format="csr"), np.zeros(size))
    }
    last_use = _last_uses(program, needed)
    probes = 0
    with evaluating():
        for number, (name, node) in enumerate(program.nodes.items()):
            if name not in needed or name == source.name:
                continue
            if name not in varying:
                held[name] = _held(node, values, held, evaluator, source)
                continue
            variable = tuple(dict.fromkeys(o.name for o in node.operands if o.name in varying))
            try:
                step = affine_step(node, variable, held, evaluator, limit)
                matrix, offset = csr_array((len(step.offset), size)), step.offset
                for operand, block in step.blocks.items():
                    before, constant = maps[operand]
                    matrix, offset = matrix + block @ before, offset + block @ constant
                if matrix.nnz > limit:
                    raise TooLargeError(matrix.nnz)
            except NotAffineError as error:
                before = [name for name in variable if name != source.name]
                raise NonlinearError(node, source, before, str(error)) from error
            except TooLargeError as error:
                raise ValueError(
                    f"matrix must have at most {limit:,} coefficients, got {error} at "
                    f"{node.label!r}. Take a smaller input, a part of the model (node=, of=), or "
                    "a higher limit=."
                ) from error
            maps[name] = matrix, offset
            probes += step.probes
            for done in [m for m in maps if last_use.get(m, -1) <= number and m != target.name]:
                del maps[done]
    matrix, offset = maps[target.name]
    matrix.eliminate_zeros()
    matrix.sort_indices()
    axes = tuple(a for a in default_axes(program, source) if a < len(target.shape))
    return LinearMap(
        target.label, source.label, matrix, offset, source.shape, target.shape, axes, probes
    )


def _between(program: Program, source: Node, target: Node) -> tuple[set[str], set[str]]:
    """The nodes that vary with the source, and those that the target needs."""
    varying, needed = {source.name}, {target.name}
    for node in program.nodes.values():
        if any(o.name in varying for o in node.operands):
            varying.add(node.name)
    for node in reversed(list(program.nodes.values())):
        if node.name in needed and node.name != source.name:
            needed.update(o.name for o in node.operands)
    if target.name not in varying:
        raise ValueError(
            f"node must depend on {source.label!r}, but {target.label!r} does not. "
            "Choose others with node=, of= or input=."
        )
    return varying, needed


def _last_uses(program: Program, needed: set[str]) -> dict[str, int]:
    """The number of the last node that uses each value."""
    uses: dict[str, int] = {}
    for number, (name, node) in enumerate(program.nodes.items()):
        if name in needed:
            uses.update({o.name: number for o in node.operands})
    return uses


def _held(
    node: Node,
    values: Mapping[str, Tensor],
    held: Mapping[str, Tensor],
    evaluator: Evaluator,
    source: Node,
) -> Tensor:
    """The value of a node that does not depend on the source."""
    if node.call is not None:
        try:
            return evaluator(node, held)
        except NotImplementedError as error:
            raise ValueError(
                f"model must repeat what is held while {source.label!r} varies, but "
                f"{node.label!r} does not: {error}. Vary something after it with of=."
            ) from error
    if node.name not in values:
        raise ValueError(
            f"x must hold the values of {node.name!r}, which is held while {source.label!r} "
            "varies, got only its shape. Give a tensor for it."
        )
    value = values[node.name].detach().to("cpu")
    return value.to(torch.float64) if value.dtype.is_floating_point else value

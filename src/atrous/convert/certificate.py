"""What was changed in a model to make it dense, and how far its values differ on the grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any

from atrous.convert.densities import Densities
from atrous.convert.plan import How
from atrous.shown import Shown

SCHEMA = "atrous.densify/1"

TOLD: dict[How, str] = {
    "settings": "by its settings",
    "borders": "by borders computed when it runs",
    "phases": "as it is, on every phase",
    "grid": "as it is, on the grid alone",
    "left out": "left out",
}
"""What is done to a module, for people."""


def short(numbers: tuple[int, ...]) -> str:
    """One number for all axes where they agree, as "8"; else one each, as "4x8"."""
    return str(numbers[0]) if len(set(numbers)) == 1 else "x".join(map(str, numbers))


@dataclass(frozen=True)
class Changed:
    """One module that was changed.

    Attributes:
        path: the module.
        kind: name of its class.
        how: what was done: "settings", "borders", "phases", "grid" or "left out".
        before: density of what it reads, per axis of positions.
        after: density of its result.
        settings: what its settings are now, for those changed by them; "" for others.
    """

    path: str
    kind: str
    how: How
    before: Densities
    after: Densities
    settings: str = ""

    @property
    def density(self) -> str:
        """Dense positions per position, of what it reads and of its result."""
        sides = [short(side) for side in (self.before, self.after)]
        return sides[0] if sides[0] == sides[1] else " -> ".join(sides)


@dataclass(frozen=True)
class Compared:
    """One value of both models.

    Attributes:
        node: the module (or output) whose value it is.
        coarse: its lengths along the axes of positions, in the original.
        dense: those in the dense model.
        density: dense positions per position, per axis.
        error: largest difference on the grid, as a share of the largest value.
        blank: whether all values are 0, so that nothing is compared.
    """

    node: str
    coarse: tuple[int, ...]
    dense: tuple[int, ...]
    density: Densities
    error: float
    blank: bool = False

    def __str__(self) -> str:
        sizes = (" x ".join(map(str, lengths)) for lengths in (self.coarse, self.dense))
        if self.blank:
            return f"{self.node}: {' -> '.join(sizes)}, all values are 0: nothing was compared"
        return f"{self.node}: {' -> '.join(sizes)}, differs by {_tiny(self.error)} on the grid"


@dataclass(frozen=True)
class Fields:
    """The receptive field at a compared value, where pools were left out.

    Attributes:
        node: the module (or output) whose value it is.
        before: positions per axis of the input, in the original.
        after: those in the dense model.
    """

    node: str
    before: tuple[int, ...]
    after: tuple[int, ...]

    def __str__(self) -> str:
        sizes = (" x ".join(map(str, field)) for field in (self.before, self.after))
        return f"{self.node}: field {' -> '.join(sizes)} without the pools"


@dataclass(frozen=True)
class Certificate(Shown):
    """What was changed and compared, with weights of which none is zero, and how far it differs.

    Attributes:
        model: name of the model's class.
        output_stride: what was asked for, per axis of positions.
        pooling: whether what reads all positions reads those of the "grid" or "all".
        changes: the modules that were changed.
        shapes: of the random inputs, in float64.
        axes: of each of these, the axes of positions.
        compared: one entry per value that was to become dense.
        outputs: by label of an output without positions, the largest difference as a share.
        again: shapes of other inputs on which values are equal too; () if there were none.
        pooled: places on the way to a compared value that read all dense positions.
        resized: places behind a compared value that bring its dense positions to another size.
        coarser: where what a compared value is made of lies further apart, though it does not.
        enlarged: where maps are enlarged that become coarser again: between positions of the grid,
            not all values are then those of shifted inputs.
        other_pooling: the error with the other choice of `pooling`; None if it changes nothing.
        fields: fields with and without pools, where these were left out.
        valid_for: the input sizes that all this holds for.
    """

    model: str
    output_stride: tuple[int, ...]
    pooling: str
    changes: tuple[Changed, ...]
    shapes: tuple[tuple[int, ...], ...]
    axes: tuple[tuple[int, ...], ...]
    compared: tuple[Compared, ...]
    outputs: Mapping[str, float] = field(default_factory=dict)
    again: tuple[tuple[int, ...], ...] = ()
    pooled: tuple[str, ...] = ()
    resized: tuple[str, ...] = ()
    coarser: str = ""
    enlarged: str = ""
    other_pooling: float | None = None
    fields: tuple[Fields, ...] = ()
    valid_for: str = "every size that the model itself takes"

    @property
    def error(self) -> float:
        """The largest difference on the grid, as a share of the largest value."""
        return max((entry.error for entry in self.compared), default=0.0)

    @property
    def size(self) -> str:
        """The shapes of the inputs, as text."""
        return _sizes(self.shapes)

    def told(self) -> list[str]:
        """All but the changes, a sentence each."""
        told = f"compared on random input {self.size} in float64, with no weight zero"
        if self.again:
            told += f", and on {_sizes(self.again)}"
        if self.fields:
            told += "; with the model with steps in place of the pools that were left out"
        lines = [told, *map(str, self.compared)]
        lines += [
            f"output {label!r} {f'differs by {_tiny(e)}' if e < inf else 'has another shape'}"
            for label, e in self.outputs.items()
        ]
        if self.other_pooling is not None:
            mine, other = "the grid", "all positions"
            if self.pooling == "all":
                mine, other = other, mine
            told = f"pooling on the way reads {mine}; with {other} read, values on the grid differ "
            lines.append(f"{told}by {_tiny(self.other_pooling)}")
        if self.pooled and self.pooling == "grid":
            lines.append(f"reads all positions and cannot be changed: {', '.join(self.pooled)}")
        if self.resized:
            lines.append(f"brought to its size from all dense positions: {', '.join(self.resized)}")
        if self.coarser:
            lines.append(f"before that, {self.coarser}: name it to make that dense")
        if self.enlarged:
            told = "between the grid, not all values are those of shifted inputs"
            lines.append(f"{told}: {self.enlarged}")
        return [*lines, *map(str, self.fields), f"valid for {self.valid_for}"]

    def __str__(self) -> str:
        count = len(self.changes)
        done = f"{count} module{'s' * (count != 1)} changed"
        if not count:
            at = ", ".join(entry.node for entry in self.compared)
            done = f"nothing to change, the stride at {at} is not larger"
        head = f"{self.model} at output stride {short(self.output_stride)}: {done}"
        return "\n".join([head, *self.told()])

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return {
            "schema": SCHEMA,
            "model": self.model,
            "output_stride": list(self.output_stride),
            "pooling": self.pooling,
            "error": self.error,
            "shapes": [list(shape) for shape in self.shapes],
            "compared": [
                {
                    "node": entry.node,
                    "coarse": list(entry.coarse),
                    "dense": list(entry.dense),
                    "density": list(entry.density),
                    "error": entry.error,
                    "blank": entry.blank,
                }
                for entry in self.compared
            ],
            "outputs": dict(self.outputs),
            "again": [list(shape) for shape in self.again],
            "pooled": list(self.pooled),
            "resized": list(self.resized),
            "coarser": self.coarser,
            "enlarged": self.enlarged,
            "other_pooling": self.other_pooling,
            "fields": [
                {"node": f.node, "before": list(f.before), "after": list(f.after)}
                for f in self.fields
            ],
            "changes": [
                {
                    "path": change.path,
                    "kind": change.kind,
                    "how": change.how,
                    "before": list(change.before),
                    "after": list(change.after),
                    "settings": change.settings,
                }
                for change in self.changes
            ],
            "valid_for": self.valid_for,
        }


def _sizes(shapes: tuple[tuple[int, ...], ...]) -> str:
    return ", ".join("x".join(map(str, shape)) for shape in shapes)


def _tiny(share: float) -> str:
    return f"{share:.1e}" if share else "0"

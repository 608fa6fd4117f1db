"""What rules look at: a captured model, its fields and its coverage, each computed once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from torch import nn

from atrous.analysis.coverage.adjoint import layout_for
from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.crossing import Axes
from atrous.analysis.coverage.question import clearest
from atrous.analysis.fields.alignment import Misalignment, misalignments
from atrous.analysis.fields.ends import ends
from atrous.analysis.fields.field import Field, Traced, traced
from atrous.analysis.stretches import Stretch, stretches
from atrous.graph.program import Node, Program, nearest


@dataclass(frozen=True)
class Declared:
    """What the user says the model is meant to be; rules hold it to that.

    Attributes:
        causal: no output may read the future along `axis`.
        field: the field the output is meant to have, in positions along every axis.
        reach: how far it is meant to see, in positions to each side along every axis; to the past
            alone where it is causal.
        length: the length along `axis` of the examples it is trained on.
        stream: it is meant to be streamed along `axis`.
        tile: it is meant to be run in tiles.
        axis: an axis of the input, counted from the end if negative; the last that holds
            positions if not told.
    """

    causal: bool = False
    field: int | None = None
    reach: int | None = None
    length: int | None = None
    stream: bool = False
    tile: bool = False
    axis: int | None = None

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Declared:
        """From names and values.

        Raises:
            ValueError: if a name is not known, or a value is not of its type.
        """
        known = {f.name: bool if f.default is False else int for f in fields(cls)}
        for name, value in told.items():
            if name not in known:
                raise ValueError(
                    f"declare must name one of {', '.join(known)}, got {name!r}."
                    f"{nearest(name, known)}"
                )
            if value is None:
                continue
            # Axes may be counted from the end; whether there is such a one, the input tells.
            low = known[name] is int and name != "axis" and type(value) is int and value < 1
            if type(value) is not known[name] or low:
                what = "true or false" if known[name] is bool else "a whole number of at least 1"
                what = "a whole number" if name == "axis" else what
                raise ValueError(f"{name} must be {what}, got {value!r}.{_ADVICE[name]}")
        return cls(**told)


_ADVICE = {
    **dict.fromkeys(("causal", "stream", "tile"), " Leave it out where it is not meant."),
    "field": " Give the positions that one output is to read, or leave it out.",
    "reach": " Give the positions that it is to see to each side, or leave it out.",
    "length": " Give the positions of one example, or leave it out.",
    "axis": " Count from 0, or from the end with negative numbers.",
}


@dataclass(frozen=True, eq=False)
class Subject:
    """A model under judgement.

    Attributes:
        program: the captured model.
        model: the model itself; None for an exported program.
        declared: what it is meant to be.
        input: the input that fields refer to; the first by default.
        output: the label of the output that is judged; the first by default, where a rule looks at
            one, and all of them in turn.
        node: the value that is judged instead of an output.
        axes: the axes of the input that fields are of; those that hold positions by default.
    """

    program: Program
    model: nn.Module | None = None
    declared: Declared = Declared()
    input: str | None = None
    output: str | None = None
    node: Node | None = None
    axes: tuple[int, ...] | None = None

    @cached_property
    def traced(self) -> Traced:
        """Every input followed through the program."""
        return traced(self.program, input=self.input, axes=self.axes)

    @cached_property
    def fields(self) -> dict[str, Field]:
        """The field of every node that depends on the input, by node name."""
        return self.traced.fields()

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """The labels of the outputs that are judged: the one asked for, else all that depend on the
        input; none if a value that is no output is judged."""
        if self.node is not None:
            return ()
        if self.output is not None:
            return (self.output,)
        known = self.program.outputs.items()
        return tuple(label for label, name in known if name in self.fields)

    @cached_property
    def by_output(self) -> tuple[Subject, ...]:
        """The same model once for each output that is judged; what does not depend on the output
        is computed once for all."""
        if self.outputs in ((), (self.output,)):
            return (self,)
        found = []
        for label in self.outputs:
            one = replace(self, output=label)
            for name in ("traced", "fields", "layout", "_coverages"):
                vars(one)[name] = getattr(self, name)
            found.append(one)
        return tuple(found)

    @cached_property
    def target(self) -> Node:
        """The value that is judged."""
        return self.program.output(self.output) if self.node is None else self.node

    @cached_property
    def ends(self) -> tuple[Node, ...]:
        """The last values on the way to the judged output that still have positions of their own.

        The output itself, but for networks that end in something that reads all: of a classifier
        what is pooled, of an encoder with a class token the tokens.

        Raises:
            ValueError: if an operator on the way has no rule.
        """
        return ends(self.program, self.fields, self.target)

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """What lies between two values of one resolution that every way leads through."""
        found = {}
        for end in self.ends:
            for stretch in stretches(self.program, self.fields, end):
                found[stretch.first.name, stretch.last.name] = stretch
        return tuple(found.values())

    @cached_property
    def layout(self) -> dict[str, Axes]:
        """Of every node, which axes hold positions of the inputs."""
        return layout_for(self.program, self.traced.source, self.traced.axes)

    @cached_property
    def misalignments(self) -> tuple[Misalignment, ...]:
        """Branches that meet out of step."""
        return tuple(misalignments(self.program, self.fields))

    @cached_property
    def _coverages(self) -> dict[str, Coverage]:
        return {}

    def coverage(self, node: Node | None = None) -> Coverage:
        """The path counts of a node's central output, or of another that says more of the field
        (see `AxisField.clearest`), along the ways that read nothing whole."""
        node = self.target if node is None else node
        if node.name not in self._coverages:
            self._coverages[node.name] = clearest(self.program, node, input=self.input)
        return self._coverages[node.name]

"""A captured model: nodes in order, each with its description and where it came from."""

from __future__ import annotations

import difflib
import linecache
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from atrous.graph.region import Region
from atrous.graph.rule import Call, Description, Operand, Read, Unknown, call_overload

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+), in (?P<function>\S+)')


@dataclass(frozen=True)
class Place:
    """Where a node came from.

    Attributes:
        module: path of the innermost module, "" for the model itself.
        module_type: that module's class name.
        trace: Python frames at the call, outermost first.
        calls: the modules around it, outermost first, as paths; "path@2" in a second call.
    """

    module: str
    module_type: str
    trace: str = field(repr=False)
    calls: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The module's path, "path@2" in its second call; "" for the model itself."""
        return self.calls[-1] if self.calls else self.module

    @cached_property
    def frames(self) -> tuple[str, ...]:
        """`file:line` of the frames outside torch, outermost first."""
        return tuple(
            f"{m['file']}:{m['line']}"
            for m in _FRAME.finditer(self.trace)
            if not is_torch_file(m["file"])
        )

    @cached_property
    def source(self) -> str:
        """`file:line` of the last frame outside torch; "" if there is none."""
        return self.frames[-1] if self.frames else ""

    @cached_property
    def code(self) -> str:
        """The source line at `source`; "" if it cannot be read."""
        file, _, line = self.source.rpartition(":")
        return linecache.getline(file, int(line)).strip() if file else ""


_TORCH = str(Path(torch.__file__).parent)


def is_torch_file(path: str) -> bool:
    """Whether a source file belongs to PyTorch itself."""
    return path.startswith(_TORCH)


@dataclass(frozen=True)
class Node:
    """One value that depends on the input.

    Attributes:
        name: unique in the program.
        call: the operator call; None for an input.
        description: what its rule says; None for an input.
        shape: shape of the value.
        dtype: type of the value.
        place: where it came from.
        parameters: the model's parameters it reads, directly or through constants.
        memory: the value in whose memory it lies: itself, or what it is a view of or overwrites in
            the model; the name of a constant where it writes into one.
        allocated: bytes of memory that come into being with it, 0 where it lies in another's.
    """

    name: str
    call: Call | None
    description: Description | None
    shape: tuple[int, ...]
    dtype: torch.dtype
    place: Place
    parameters: tuple[str, ...] = ()
    memory: str = ""
    allocated: int = 0

    @property
    def kind(self) -> str:
        """The operator without its namespace, as "conv2d"; "input" for an input."""
        return self.call.op.rpartition(".")[2] if self.call else "input"

    @property
    def label(self) -> str:
        """What to call it: the module it belongs to, or its own name outside all."""
        return self.place.label or self.name

    @cached_property
    def reads(self) -> tuple[Read, ...]:
        """How it reads data; constants left out."""
        reads = self.description.reads if self.description else ()
        return tuple(read for read in reads if not read.operand.is_constant)

    @property
    def operands(self) -> tuple[Operand, ...]:
        """The data it reads; constants left out."""
        return tuple(read.operand for read in self.reads)


@dataclass(frozen=True, eq=False)
class Program:
    """A model as nodes that depend on its input, with constants beside them.

    Attributes:
        nodes: every value that depends on an input, inputs first, in order of computation.
        inputs: names of the input nodes.
        outputs: the model's outputs: label (its place in the output structure) -> node.
        constants: values that depend on no input: tensors, or calls yet to be made.
        parameters: numbers of elements of the model's parameters, each counted once.
        parameter_bytes: bytes of these.
    """

    nodes: Mapping[str, Node]
    inputs: tuple[str, ...]
    outputs: Mapping[str, str]
    constants: Mapping[str, Tensor | Call]
    parameters: Mapping[str, int]
    parameter_bytes: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def unknown(self) -> tuple[Node, ...]:
        """Nodes whose operator has no rule."""
        return tuple(n for n in self.nodes.values() if isinstance(n.description, Unknown))

    @cached_property
    def _by_module(self) -> dict[str, str]:
        last: dict[str, str] = {}
        for node in self.nodes.values():
            for call in ("", *node.place.calls):
                last[call] = node.name
        return last

    def find(self, name: str) -> Node:
        """The last node of a module by the module's path, or a node by its own name.

        A module that is called again is "path@2" then.

        Raises:
            KeyError: if there is none; the message names the nearest.
        """
        known = name in self._by_module and name != ""
        found = self._by_module[name] if known else name
        if found not in self.nodes:
            raise KeyError(
                f"node must be a module path or a node of the model, got {name!r}."
                f"{nearest(name, [*self._by_module, *self.nodes])}"
            )
        return self.nodes[found]

    def output(self, label: str | None = None) -> Node:
        """An output by its label; by default the first that depends on an input.

        Raises:
            KeyError: if there is none of that label.
        """
        if not self.outputs:
            raise KeyError("model must have an output that depends on an input, got none.")
        if label is None:
            return self.nodes[next(iter(self.outputs.values()))]
        if label not in self.outputs:
            raise KeyError(
                f"output must be one of {', '.join(map(repr, self.outputs))}, got {label!r}."
            )
        return self.nodes[self.outputs[label]]

    @cached_property
    def first_read(self) -> Mapping[str, tuple[str, ...]]:
        """By node, the parameters that it is the first to read."""
        counted: set[str] = set()
        found = {}
        for name, node in self.nodes.items():
            found[name] = tuple(own for own in node.parameters if own not in counted)
            counted.update(node.parameters)
        return found

    def behind(self, node: Node) -> list[Node]:
        """A node and all that it is computed from, in order of computation."""
        needed = {node.name}
        for other in reversed(list(self.nodes.values())):
            if other.name in needed:
                needed.update(operand.name for operand in other.operands)
        return [other for other in self.nodes.values() if other.name in needed]

    @cached_property
    def readers(self) -> Mapping[str, tuple[tuple[Node, Read], ...]]:
        """By value that is read, by whom and how."""
        found: dict[str, list[tuple[Node, Read]]] = {}
        for node in self.nodes.values():
            for read in node.reads:
                found.setdefault(read.operand.name, []).append((node, read))
        return {name: tuple(who) for name, who in found.items()}

    def ahead(self, node: Node) -> frozenset[str]:
        """Names of a node and all that is computed from it."""
        found = {node.name}
        for other in self.nodes.values():
            if any(operand.name in found for operand in other.operands):
                found.add(other.name)
        return frozenset(found)

    def input(self, name: str | None = None) -> Node:
        """An input by its name; by default the first.

        Raises:
            KeyError: if there is none of that name.
        """
        if name is None:
            return self.nodes[self.inputs[0]]
        if name not in self.inputs:
            raise KeyError(
                f"input must be one of {', '.join(map(repr, self.inputs))}, got {name!r}."
            )
        return self.nodes[name]

    def constant(self, name: str) -> Tensor:
        """The value of a constant, computed if it is a call."""
        return constant_value(self.constants, name)


def constant_value(
    constants: Mapping[str, Tensor | Call], name: str, *, repeatable: bool = False
) -> Tensor:
    """The value of a constant, computed if it is a call.

    Args:
        constants: tensors and calls by name.
        name: which.
        repeatable: whether another value each time is an error.

    Raises:
        NotImplementedError: if it must be `repeatable` and is drawn at random.
    """

    def argument(item: object) -> object:
        if isinstance(item, Operand):
            # Data that only lends its shape or type to a constant may hold anything.
            tensor = (
                constant_value(constants, item.name, repeatable=repeatable)
                if item.name in constants
                else torch.zeros(item.shape, dtype=item.dtype)
            )
            return Region.whole(tensor)
        if isinstance(item, list | tuple):
            return [argument(v) for v in item]
        return item

    value = constants[name]
    if isinstance(value, Tensor):
        return value.detach()
    random = torch.Tag.nondeterministic_seeded in getattr(value.target, "tags", ())
    if repeatable and random and value.args.get("train") is not False:
        raise NotImplementedError(f"{name!r} is drawn at random")
    result = call_overload(value.target, {key: argument(v) for key, v in value.args.items()})
    out: Tensor = result if isinstance(result, Tensor) else result[value.output]
    return out


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """A sentence that asks whether the most similar names were meant; "" if none is similar."""
    close = difflib.get_close_matches(name, [k for k in known if k], n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(repr(prefix + c) for c in close)}?" if close else ""

"""What a rule is: it turns one operator call into one frozen description.

Every job is derived from the description: fields from its relations, cost from its counts, tiles
and streams from `run`. Nothing outside the rules knows an operator's name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import torch
from torch import Tensor

from atrous.geometry.lineage import Status
from atrous.geometry.primitives import Window, strided
from atrous.geometry.relation import Flags, Relation
from atrous.graph.factors import Factors, joined
from atrous.graph.kernel import Kernel
from atrous.graph.region import Box, Region

Arguments = Mapping[str, Any]
"""A call's arguments by the names of the operator's schema, defaults filled in."""

Border = float | Literal["none"]
"""What a tap outside the input counts as: a value, or "none" where no tap can be outside."""


@dataclass(frozen=True)
class Operand:
    """A tensor argument.

    Attributes:
        name: the node that produces it.
        shape: its shape.
        dtype: its type.
        is_constant: whether it is the same for every input (weights, index tables).
        value: computes a constant's tensor.
    """

    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype
    is_constant: bool
    value: Callable[[], Tensor] | None = field(default=None, repr=False, compare=False)

    def known(self) -> Tensor:
        """The tensor of a constant: what index tables and masks hold.

        Raises:
            NotImplementedError: if it depends on the input or on random numbers.
        """
        if self.value is None:
            raise NotImplementedError(f"{self.name!r} depends on the input")
        return self.value()


@dataclass(frozen=True)
class Call:
    """One operator call as a rule sees it: shapes, and the values of constants.

    Attributes:
        op: the operator, as "namespace.name".
        args: arguments by schema name; tensors are `Operand`s.
        shape: shape of the result.
        dtype: type of the result.
        output: which of the operator's results, 0 when it has one.
        target: the overload itself, to be called again on crops.
    """

    op: str
    args: Arguments
    shape: tuple[int, ...]
    dtype: torch.dtype
    output: int
    target: Callable[..., Any]

    @property
    def operands(self) -> tuple[Operand, ...]:
        """Every tensor argument, in order, those in lists too."""
        found: list[Operand] = []
        for value in self.args.values():
            found += [v for v in (value if isinstance(value, list | tuple) else [value])
                      if isinstance(v, Operand)]  # fmt: skip
        return tuple(found)

    def operand(self, name: str) -> Operand:
        """The tensor argument of that name."""
        value = self.args[name]
        if not isinstance(value, Operand):
            raise TypeError(f"argument {name!r} of {self.op} must be a tensor, got {value!r}.")
        return value

    def per_axis(self, name: str, axes: int, default: Any = None) -> tuple[Any, ...]:
        """A setting for each of `axes` axes: one value, or one for all, or `default` if unset."""
        value = self.args[name]
        if value is None or (isinstance(value, list | tuple) and len(value) == 0):
            value = default
        if not isinstance(value, list | tuple):
            return (value,) * axes
        return tuple(value) * axes if len(value) == 1 else tuple(value)


@dataclass(frozen=True)
class Link:
    """One output axis reads one operand axis.

    Attributes:
        axis: the operand's axis.
        relation: which of its positions each output position reads.
        status: "exact", or "global" where every output reads the whole axis by nature.
    """

    axis: int
    relation: Relation
    status: Status = "exact"


@dataclass(frozen=True, eq=False)
class Segment:
    """The output positions along one axis at which an operand is read at all.

    Attributes:
        axis: the output axis.
        reads: one flag per position.
    """

    axis: int
    reads: Flags


@dataclass(frozen=True)
class Read:
    """How a result reads one operand, axis by axis.

    Axes may be products of factors, as views make them: then links, rest and segment speak of the
    factors of both sides, numbered through all axes.

    Attributes:
        operand: what is read.
        links: one entry per output axis; None where the position does not matter.
        rest: how operand axes are read that no output axis is linked to, each by a relation with a
            single output; those not listed are read whole.
        segment: where this operand is read at all, if only at some positions of an axis as in a
            concatenation: values keep such parts apart.
        split: the factors of the operand's axes; None where every axis is its own.
        merge: the factors of the result's axes; None where every axis is its own.
    """

    operand: Operand
    links: tuple[Link | None, ...]
    rest: tuple[Link, ...] = ()
    segment: Segment | None = None
    split: Factors | None = None
    merge: Factors | None = None

    @property
    def lengths(self) -> tuple[int, ...]:
        """Lengths of the operand's axes as they are read: its shape, or its factors."""
        return self.operand.shape if self.split is None else joined(self.split)

    @property
    def unlinked(self) -> tuple[Link, ...]:
        """Every operand axis without an output axis, and how it is read."""
        taken = {link.axis for link in self.links if link is not None}
        listed = {link.axis: link for link in self.rest}
        return tuple(
            listed.get(axis) or whole(axis, 1, length)
            for axis, length in enumerate(self.lengths)
            if axis not in taken
        )


class Run(Protocol):
    """Computes exactly one box of the result from crops, with no padding but its own border.

    Tensor arguments arrive as `Region`s that hold what `reads` says the box needs, clipped to the
    operand; operands that no read mentions arrive whole.
    """

    def __call__(self, args: Arguments, box: Box) -> Tensor:
        """The values in `box`, of the box's shape."""
        ...


@dataclass(frozen=True)
class Description:
    """What a rule says of one call.

    Attributes:
        reads: one entry per operand that the result depends on.
        run: computes one box of the result.
        macs: multiply-accumulate operations of the whole result.
        sized: axes of the result whose length the call tells outright, whatever the input's.
    """

    reads: tuple[Read, ...]
    run: Run
    macs: int = 0
    sized: tuple[int, ...] = field(default=(), kw_only=True)


@dataclass(frozen=True)
class Pointwise(Description):
    """Every output position reads the same position of each operand (or its broadcast)."""


@dataclass(frozen=True)
class Local(Description):
    """Every output position reads a bounded neighbourhood.

    Attributes:
        border: what a tap outside the input counts as.
        windows: per output axis, the sliding window if it is one.
        kernel: the weights, if it is linear with the same constant weights everywhere.
    """

    border: Border = "none"
    windows: Mapping[int, Window] = field(default_factory=dict)
    kernel: Kernel | None = None

    def dilated(self, axis: int, factor: int, stride: int = 1) -> Window:
        """The window that computes the same values on an input `factor` times denser.

        Raises:
            KeyError: if the operation is no sliding window along `axis`.
        """
        return self.windows[axis].dilated(factor, stride)


@dataclass(frozen=True)
class Movement(Description):
    """Outputs are inputs in other places, unchanged."""


@dataclass(frozen=True)
class Global(Description):
    """Along at least one axis every output reads all there is.

    Attributes:
        along: axes of the first operand read along which its positions lie, where links and
            constants do not tell: a final state has no time axis of its own.
        gathers: whether what is read whole can be gathered piece by piece in bounded memory, in any
            order, as sums and extremes can: a second pass over the pieces then has the result.
    """

    along: tuple[int, ...] | None = None
    gathers: bool = field(default=False, kw_only=True)


@dataclass(frozen=True)
class Unknown(Description):
    """No rule: nothing is claimed about what the result reads.

    Attributes:
        reason: what to tell the user.
    """

    reason: str = ""


Rule = Callable[[Call], Description]

_RULES: dict[str, Rule] = {}
_EXAMPLES: dict[str, Any] = {}


def rule(*ops: str, examples: Any = None) -> Callable[[Rule], Rule]:
    """Teach how operators read their inputs.

    The decorated function gets a `Call` and returns a `Description`. A rule raises
    `NotImplementedError` for arguments it does not know; the node is then unknown, with that
    reason.

    Args:
        ops: operators as "namespace.name", for all overloads of that name.
        examples: draws calls for the contract test (see `atrous.graph.example`).

    Raises:
        ValueError: if an operator has a rule already, or is not named "namespace.name".

    Example:
        >>> @rule("mylib.my_activation")
        ... def my_activation(call: Call) -> Description:
        ...     x = call.operand("self")
        ...     return Pointwise((Read(x, identity_links(x, call.shape)),), replay(call))
        >>> _ = forget_rule("mylib.my_activation")

    More in `docs/teaching-a-rule.md`.
    """

    def register(function: Rule) -> Rule:
        for op in ops:
            _check_name(op)
            if op in _RULES:
                raise ValueError(
                    f"operator must not have a rule already, got {op!r}. "
                    "Use atrous.graph.forget_rule first to replace it."
                )
            _RULES[op] = function
            if examples is not None:
                _EXAMPLES[op] = examples
        return function

    return register


def _check_name(op: str) -> None:
    parts = op.split(".")
    if len(parts) != 2 or not all(part.isidentifier() for part in parts):
        raise ValueError(
            f'op must be named "namespace.name", got {op!r}. Write "aten.relu" for all overloads '
            "of aten::relu."
        )
    if parts[0] == "aten" and not hasattr(torch.ops.aten, parts[1]):
        raise ValueError(f"op must exist, but torch.ops.aten has no {parts[1]!r}.")


def forget_rule(op: str) -> Rule:
    """Remove and return the rule of an operator, so that another can be taught.

    Raises:
        KeyError: if it has none.
    """
    _EXAMPLES.pop(op, None)
    return _RULES.pop(op)


def rules() -> Mapping[str, Rule]:
    """Every operator that has a rule."""
    return dict(_RULES)


def rule_examples() -> Mapping[str, Any]:
    """The examples that come with the rules."""
    return dict(_EXAMPLES)


def describe(call: Call) -> Description:
    """The description of a call; `Unknown` if no rule knows it."""
    known = _RULES.get(call.op)
    if known is None:
        return _unknown(call, f"no rule for {call.op}")
    try:
        found = known(call)
    except NotImplementedError as error:
        return _unknown(call, f"{call.op}: {error}")
    except Exception as error:
        return _unknown(call, f"the rule of {call.op} fails: {type(error).__name__}: {error}")
    if not isinstance(found, Description):
        raise TypeError(
            f"the rule of {call.op} must return a Description, got {type(found).__name__}."
        )
    return found


def _unknown(call: Call, reason: str) -> Unknown:
    data = [operand for operand in call.operands if not operand.is_constant]
    reads = tuple(unlinked_read(operand, len(call.shape), "unknown") for operand in data)
    return Unknown(reads, replay(call), reason=reason)


def replay(call: Call, cut: Iterable[int] = ()) -> Run:
    """`run` for operators that do on crops what they do on the whole: the operator itself.

    Args:
        call: the call to repeat.
        cut: axes of the result that crops give from position 0 on, so that the box is cut out.
    """
    axes = tuple(cut)

    def run(args: Arguments, box: Box) -> Tensor:
        result = call_overload(call.target, args)
        if not isinstance(result, Tensor):
            result = result[call.output]
        out: Tensor = result
        for axis in axes:
            lo, hi = box[axis]
            out = out.narrow(axis, lo, hi - lo)
        return out

    return run


def call_overload(target: Callable[..., Any], args: Arguments) -> Any:
    """Call an operator with arguments by schema name, regions given as their tensors."""
    schema = target._schema  # type: ignore[attr-defined]
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    for argument in schema.arguments:
        value = _tensors(args[argument.name])
        if argument.kwarg_only:
            keywords[argument.name] = value
        else:
            positional.append(value)
    return target(*positional, **keywords)


def _tensors(value: Any) -> Any:
    if isinstance(value, Region):
        return value.tensor
    if isinstance(value, list | tuple):
        return [_tensors(v) for v in value]
    return value


def unlinked_read(operand: Operand, axes: int, status: Status) -> Read:
    """A read of everything by every output, with the given status."""
    rest = tuple(
        Link(axis, Relation.whole(1, length), status) for axis, length in enumerate(operand.shape)
    )
    return Read(operand, (None,) * axes, rest)


def identity_links(operand: Operand, shape: tuple[int, ...]) -> tuple[Link | None, ...]:
    """Links of an operand that is broadcast to `shape`: trailing axes line up."""
    missing = len(shape) - len(operand.shape)
    links: list[Link | None] = [None] * missing
    for axis, length in enumerate(operand.shape):
        links.append(Link(axis, broadcast(shape[missing + axis], length)))
    return tuple(links)


def broadcast(outputs: int, inputs: int) -> Relation:
    """One axis of a broadcast: the identity, or one position read everywhere."""
    return Relation.identity(outputs) if inputs == outputs else strided(outputs, 1, step=0)


def whole(axis: int, outputs: int, inputs: int) -> Link:
    """A link along which every output reads all; exact where all is a single position."""
    return Link(axis, Relation.whole(outputs, inputs), "global" if inputs > 1 else "exact")

"""From torch's exported graph to a `Program`: constants apart, in-place twins, descriptions."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, fx
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind, OutputKind
from torch.utils import _pytree as pytree

import atrous.graph.rules  # noqa: F401 - importing registers the rules
from atrous.graph.memory import Memory, returns_its_input, shared_sources, shares_storage
from atrous.graph.program import Node, Place, Program, constant_value
from atrous.graph.recurrences import real_operator
from atrous.graph.rule import Call, Operand, describe, rules
from atrous.graph.shell import CaptureError


class WrittenViewError(Exception):
    """A view is written while its base is still in use: the graph must be functional first."""


def build_program(exported: ExportedProgram) -> Program:
    """The program of an exported graph.

    In-place operators become their functional twins, and later uses follow. Where a view is
    written whose base is used again, the graph is made functional first. Operators without a rule
    are replaced by the simpler ones that PyTorch defines them by, where it does.
    """
    program = _built(exported)
    for _ in range(3):
        # Operators without a rule that PyTorch itself is able to write as simpler ones.
        table = torch.export.default_decompositions() if program.unknown else {}
        known = rules()
        wanted = {n.call.target for n in program.unknown if n.call and n.call.op not in known}
        simpler = {op: table[op] for op in wanted if op in table}
        if not simpler:
            break
        try:
            exported = exported.run_decompositions(simpler)
        except Exception:
            # It stays unknown.
            break
        program = _built(exported)
    return program


def _built(exported: ExportedProgram) -> Program:
    try:
        return _Builder(exported).build()
    except WrittenViewError:
        _drop_copies_that_are_none(exported.graph_module)
        try:
            functional = exported.run_decompositions({})
        except Exception as error:
            raise CaptureError(
                "model must write into tensors in a way that torch.export can make functional, got "
                f"{type(error).__name__}: {str(error).strip().splitlines()[0]}. Replace in-place "
                "writes into views by torch.where, cat or index_copy."
            ) from error
        return _Builder(functional).build()


def _drop_copies_that_are_none(module: fx.GraphModule) -> None:
    """Replace operators that hand on their input, as dropout in inference, by that input: making
    the graph functional takes their results for new memory."""
    for inner in module.modules():
        if not isinstance(inner, fx.GraphModule):
            continue
        for node in inner.graph.nodes:
            name = getattr(getattr(node.target, "_schema", None), "name", "").replace("::", ".")
            if name not in _RETURNS_ITS_INPUT:
                continue
            if returns_its_input(node, name):
                node.replace_all_uses_with(node.args[0])


def _living(nodes: Mapping[str, Node], wanted: list[str]) -> dict[str, Node]:
    """The nodes that some wanted node depends on, in order."""
    living = set(wanted)
    for node in reversed(list(nodes.values())):
        if node.name in living and node.call is not None:
            living.update(o.name for o in node.call.operands if not o.is_constant)
    return {name: node for name, node in nodes.items() if name in living}


@dataclass
class _Builder:
    exported: ExportedProgram
    nodes: dict[str, Node] = field(default_factory=dict)
    constants: dict[str, Tensor | Call] = field(default_factory=dict)
    inputs: list[str] = field(default_factory=list)
    operands: dict[str, Operand] = field(default_factory=dict)
    reads: dict[str, tuple[str, ...]] = field(default_factory=dict)
    paths: dict[int, str] = field(default_factory=dict)
    parameters: dict[str, int] = field(default_factory=dict)
    parameter_bytes: dict[str, int] = field(default_factory=dict)
    memory: Memory = field(default_factory=Memory)

    @cached_property
    def shares_storage(self) -> bool:
        """Whether the graph's tensors share storage as the real ones do."""
        return shares_storage(self.exported.graph)

    def build(self) -> Program:
        signature = self.exported.graph_signature
        specs = {spec.arg.name: spec for spec in signature.input_specs}
        environment: dict[fx.Node, Any] = {}
        for node in self.exported.graph.nodes:
            if node.op == "placeholder":
                environment[node] = self._placeholder(node, specs[node.name])
        results = self._walk(self.exported.graph_module, environment, "")
        leaves = [
            value
            for value, spec in zip(results, signature.output_specs, strict=True)
            if spec.kind == OutputKind.USER_OUTPUT
        ]
        labels = _output_labels(self.exported, len(leaves))
        outputs = {
            label: value.name
            for label, value in zip(labels, leaves, strict=True)
            if isinstance(value, Operand) and not value.is_constant
        }
        nodes = _living(self.nodes, [*self.inputs, *outputs.values()])
        return Program(
            nodes,
            tuple(self.inputs),
            outputs,
            self.constants,
            self.parameters,
            self.parameter_bytes,
        )

    def _placeholder(self, node: fx.Node, spec: Any) -> Any:
        value = node.meta.get("val")
        if not isinstance(value, Tensor) or spec.kind == InputKind.TOKEN:
            return value
        shape = tuple(value.shape)
        if spec.kind == InputKind.USER_INPUT:
            operand = Operand(node.name, shape, value.dtype, False)
        else:
            operand = self._constant_operand(node.name, shape, value.dtype)
        self.operands[node.name] = operand
        self.memory.place(node.name, value)
        if spec.kind == InputKind.USER_INPUT:
            self.inputs.append(node.name)
            place = Place("", "", "")
            size = value.numel() * value.element_size()
            self.nodes[node.name] = Node(
                node.name, None, None, shape, value.dtype, place, (), node.name, size
            )
        else:
            table = (
                self.exported.constants
                if spec.target in self.exported.constants
                else self.exported.state_dict
            )
            tensor = table[spec.target]
            self.constants[node.name] = tensor
            if spec.kind == InputKind.PARAMETER:
                # A parameter under two names is one parameter.
                path = self.paths.setdefault(id(tensor), spec.target)
                self.reads[node.name] = (path,)
                self.parameters[path] = tensor.numel()
                self.parameter_bytes[path] = tensor.numel() * tensor.element_size()
        return operand

    def _walk(self, module: Any, environment: dict[fx.Node, Any], prefix: str) -> tuple[Any, ...]:
        """Translate one graph; returns what it outputs."""
        aliases = _Aliases(module.graph, inlined=prefix != "")
        for node in module.graph.nodes:
            if node.op == "placeholder":
                continue
            if node.op == "output":
                return tuple(fx.map_arg(tuple(node.args[0]), environment.__getitem__))
            if node.op == "get_attr":
                value = _attribute(module, node.target)
                environment[node] = (
                    self._constant(prefix + node.name, value)
                    if isinstance(value, Tensor)
                    else value
                )
                continue
            args = fx.map_arg(node.args, environment.__getitem__)
            kwargs = fx.map_arg(node.kwargs, environment.__getitem__)
            if node.target is operator.getitem:
                environment[node] = args[0][args[1]]
            elif isinstance(node.target, torch._ops.HigherOrderOperator):
                environment[node] = self._inline(node, args, kwargs, prefix)
            else:
                result = self._call(node, args, kwargs, prefix)
                environment[node] = result
                written = aliases.written(node)
                if written is not None:
                    environment[written] = result
        return ()

    def _constant(self, name: str, value: Tensor) -> Operand:
        self.constants[name] = value
        self.reads[name] = ()
        return self._constant_operand(name, tuple(value.shape), value.dtype)

    def _constant_operand(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> Operand:
        value = partial(constant_value, self.constants, name, repeatable=True)
        return Operand(name, shape, dtype, True, value)

    def _inline(
        self, node: fx.Node, args: tuple[Any, ...], kwargs: Mapping[str, Any], prefix: str
    ) -> Any:
        """A region under autocast or another gradient mode: its operators, one by one."""
        if str(node.target).startswith("auto_functionalized"):
            return self._mutated(node, args, kwargs, prefix)
        if str(node.target) == "with_effects":
            # A token, the operator, its arguments; the results follow a token.
            return [None, *self._results(node, args[1], args[2:], kwargs, prefix, skip=1)]
        at = next((i for i, a in enumerate(args) if isinstance(a, fx.GraphModule)), None)
        if at is None or not str(node.target).startswith("wrap_with_"):
            raise CaptureError(
                f"model must not hold control flow on tensors, got {node.target}"
                f"{_at(node)}. Use torch.where, or analyse the branches as models of their own."
            )
        inner = args[at]
        places = [n for n in inner.graph.nodes if n.op == "placeholder"]
        environment = dict(zip(places, args[at + 1 :], strict=True))
        return self._walk(inner, environment, f"{prefix}{node.name}.")

    def _mutated(
        self, node: fx.Node, args: tuple[Any, ...], kwargs: Mapping[str, Any], prefix: str
    ) -> list[Any]:
        """Results of a custom operator that writes into its arguments: its own, then the written
        ones; without a rule nothing is known of any."""
        return self._results(node, args[0], args[1:], kwargs, prefix)

    def _results(
        self,
        node: fx.Node,
        target: Any,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        prefix: str,
        skip: int = 0,
    ) -> list[Any]:
        """Values of a wrapped operator, as of one without names for its arguments."""
        leaves = [v for v in pytree.tree_leaves((args, kwargs)) if isinstance(v, Operand)]
        operands = {f"tensor{k}": operand for k, operand in enumerate(leaves)}
        return [
            self._value(node, f"{prefix}{node.name}.{k}", target, operands, value, k)
            if isinstance(value, Tensor)
            else value
            for k, value in enumerate(node.meta["val"][skip:])
        ]

    def _call(
        self, node: fx.Node, args: tuple[Any, ...], kwargs: Mapping[str, Any], prefix: str
    ) -> Any:
        target = real_operator(_functional(node.target))
        bound = _bind(target, args, kwargs)
        value = node.meta.get("val")
        if isinstance(value, Tensor):
            return self._value(node, prefix + node.name, target, bound, value, 0)
        if isinstance(value, list | tuple):
            # One of the results carries what the call costs.
            used: list[Any] = [u.args[1] for u in node.users if u.target is operator.getitem]
            return [
                self._value(
                    node, f"{prefix}{node.name}.{k}", target, bound, item, k, free=k > min(used)
                )
                if isinstance(item, Tensor) and k in used
                else item
                for k, item in enumerate(value)
            ]
        data = any(isinstance(v, Operand) and not v.is_constant for v in bound.values())
        if data and value is not None:
            raise CaptureError(
                f"model must not turn a tensor's value into a number, got {target}{_at(node)}. "
                "Keep it a tensor: avoid .item(), float(...) and int(...) on values."
            )
        return value

    def _value(
        self,
        node: fx.Node,
        name: str,
        target: Any,
        args: Mapping[str, Any],
        value: Tensor,
        k: int,
        *,
        free: bool = False,
    ) -> Operand:
        if any(isinstance(n, torch.SymInt) for n in value.shape):
            raise CaptureError(
                f"model must not make shapes that depend on a tensor's values, got {target}"
                f"{_at(node)}. Replace boolean indexing, nonzero or unique by masks, or analyse "
                "the part before it as a model of its own."
            )
        shape = tuple(int(n) for n in value.shape)
        op = target._schema.name.replace("::", ".")
        call = Call(op, args, shape, value.dtype, k, target)
        parameters = {p: None for o in call.operands for p in self.reads.get(o.name, ())}
        # A tensor that lends only its shape passes no data on.
        data = any(not operand.is_constant for operand in call.operands)
        description = describe(call) if data else None
        if description is None or all(r.operand.is_constant for r in description.reads):
            self.constants[name] = call
            self.reads[name] = tuple(parameters)
            return self._constant_operand(name, shape, value.dtype)
        if free:
            description = replace(description, macs=0)
        owner, size = self.memory.place(name, value, self._shared(node, op))
        self.nodes[name] = Node(
            name,
            call,
            description,
            shape,
            value.dtype,
            _place(node),
            tuple(parameters),
            owner,
            size,
        )
        return Operand(name, shape, value.dtype, False)

    def _shared(self, node: fx.Node, op: str) -> list[Tensor]:
        """Tensors in whose memory a result lies although their storages are not one."""
        if op in _RETURNS_ITS_INPUT:
            aliased = node.all_input_nodes[:1] if returns_its_input(node, op) else []
        else:
            aliased = [] if self.shares_storage else _aliased_arguments(node)
        return shared_sources(node, aliased)


def _at(node: fx.Node) -> str:
    """` at file:line (code)` of a node; "" if unknown."""
    place = _place(node)
    return f" at {place.source} ({place.code})" if place.source else ""


_RETURNS_ITS_INPUT = {
    f"aten.{name}"
    for name in (
        *("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout", "type_as"),
        *("_unsafe_view", "atleast_1d", "atleast_2d", "atleast_3d", "meshgrid"),
        *("broadcast_tensors", "lift_fresh_copy", "pad", "matrix_H"),
    )
}
"""Operators that may hand on their input's memory although their schema does not tell."""


class _Aliases:
    """Which values share memory, to follow writes."""

    def __init__(self, graph: fx.Graph, inlined: bool) -> None:
        self._family: dict[fx.Node, set[fx.Node]] = {}
        self._inlined = inlined
        self._order = {node: index for index, node in enumerate(graph.nodes)}
        for node in graph.nodes:
            family = {node}.union(*(self._family[source] for source in _aliased_arguments(node)))
            for member in family:
                self._family[member] = family

    def written(self, node: fx.Node) -> fx.Node | None:
        """The value that an in-place node overwrites; None for other nodes.

        Raises:
            WrittenViewError: if another view of the same memory is used afterwards, or something
                else than the first argument is written.
        """
        target = node.target
        if not isinstance(target, torch._ops.OpOverload) or not target._schema.is_mutable:
            return None
        writes = [a.alias_info is not None and a.alias_info.is_write
                  for a in target._schema.arguments]  # fmt: skip
        first = node.args[0] if node.args else None
        if (
            not isinstance(first, fx.Node)
            or _functional(target) is target
            or writes != [True, *[False] * (len(writes) - 1)]
        ):
            raise WrittenViewError
        if self._inlined and any(n.op == "placeholder" for n in self._family[first]):
            # What lies outside may be a view of it.
            raise WrittenViewError
        now = self._order[node]
        for other in self._family[first]:
            if other is first or self._order[other] >= now:
                continue
            if any(self._order[user] > now for user in other.users if user in self._order):
                raise WrittenViewError
        return first


def _aliased_arguments(node: fx.Node) -> list[fx.Node]:
    """The arguments whose memory a node's result may share."""
    target = node.target
    if target is operator.getitem or isinstance(target, torch._ops.HigherOrderOperator):
        return [n for n in node.all_input_nodes if n.op != "get_attr"]
    if not isinstance(target, torch._ops.OpOverload):
        return []
    schema = target._schema
    if schema.name.replace("::", ".") in _RETURNS_ITS_INPUT:
        return list(node.all_input_nodes)
    if not any(r.alias_info is not None for r in schema.returns):
        return []
    arguments = zip(schema.arguments, node.args, strict=False)
    return [v for a, v in arguments if a.alias_info is not None and isinstance(v, fx.Node)][:1]


def _functional(target: Any) -> Any:
    """The overload without a write: `relu_` -> `relu`."""
    if not target._schema.is_mutable:
        return target
    packet = target._schema.name.partition("::")[2]
    namespace = getattr(torch.ops, target.namespace)
    twin = getattr(namespace, packet.removesuffix("_"), None)
    overload = getattr(twin, target._overloadname, None)
    return target if overload is None else overload


def _bind(target: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    bound: dict[str, Any] = {}
    for position, argument in enumerate(target._schema.arguments):
        if position < len(args) and not argument.kwarg_only:
            bound[argument.name] = args[position]
        elif argument.name in kwargs:
            bound[argument.name] = kwargs[argument.name]
        else:
            bound[argument.name] = argument.default_value
    return bound


def _attribute(module: Any, path: str) -> Any:
    for part in path.split("."):
        module = getattr(module, part)
    return module


def _place(node: fx.Node) -> Place:
    stack = node.meta.get("nn_module_stack") or {}
    calls = []
    for key, (path, _) in stack.items():
        # Another call of the same module has a number behind its key.
        number = int(key.rpartition("@")[2]) + 1 if "@" in key else 1
        plain = path.partition("@")[0]
        if plain:
            calls.append(plain if number == 1 else f"{plain}@{number}")
    path, kind = next(reversed(stack.values()), ("", ""))
    name = kind if isinstance(kind, str) else kind.__qualname__
    return Place(
        path.partition("@")[0],
        name.rpartition(".")[2],
        node.meta.get("stack_trace") or "",
        tuple(calls),
    )


def _output_labels(exported: ExportedProgram, count: int) -> list[str]:
    """Where each output leaf lies in the output structure: "out", "0", "features.2"."""
    spec = exported.call_spec.out_spec
    if spec is None or spec.num_leaves != count:
        return [str(k) for k in range(count)]
    return [label for label, _ in labelled_leaves(pytree.tree_unflatten(range(count), spec))]


def labelled_leaves(tree: Any) -> list[tuple[str, Any]]:
    """The leaves of what a model gives, each with where it lies: "out", "0", "features.2"."""
    return [
        (".".join(_key(entry) for entry in path) or "output", leaf)
        for path, leaf in pytree.tree_flatten_with_path(tree)[0]
    ]


def _key(entry: Any) -> str:
    for attribute in ("key", "idx", "name"):
        if hasattr(entry, attribute):
            return str(getattr(entry, attribute))
    return str(entry)

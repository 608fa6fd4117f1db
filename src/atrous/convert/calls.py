"""Plain calls in a model's forward made into modules, so that they can change like others."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Any

from torch import fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from atrous.graph.program import Node, Place, Program

FOLDER = "calls"
"""The submodule that holds the calls, by name."""


class _Function:
    """A function that is saved by its name, as some of PyTorch's own could not be otherwise."""

    def __init__(self, called: Any) -> None:
        self.called = called

    def __reduce__(self) -> Any:
        module, name = (getattr(self.called, own, "") for own in ("__module__", "__name__"))
        if getattr(sys.modules.get(module), name, None) is self.called:
            return _named, (module, name)
        return _Function, (self.called,)


def _named(module: str, name: str) -> _Function:
    return _Function(getattr(importlib.import_module(module), name))


class Call(nn.Module):
    """A call of a function, as a module without parameters.

    Attributes:
        weights: tensors among the arguments that are not computed from the input, by their places
            in (positional arguments, keyword arguments).
        trace: Python frames where it was written, outermost first; "" if unknown.
    """

    def __init__(self, function: Any, weights: Collection[str] = (), trace: str = "") -> None:
        super().__init__()
        self._function = _Function(function)
        self.weights = frozenset(weights)
        self.trace = trace

    @property
    def function(self) -> Any:
        """What is called; a name for a method of the first argument."""
        return self._function.called

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The function's result."""
        if isinstance(self.function, str):
            return getattr(args[0], self.function)(*args[1:], **kwargs)
        return self.function(*args, **kwargs)

    def extra_repr(self) -> str:
        """The function's name."""
        function = self.function
        return function if isinstance(function, str) else getattr(function, "__name__", "call")


class _Tracer(fx.Tracer):
    """Looks into the modules named, and into no other."""

    # A graph that is loaded from a file is traced again, by its tracer without arguments.
    def __init__(self, opened: Collection[str] = ()) -> None:
        super().__init__()
        self.opened = opened
        self.record_stack_traces = True

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return module_qualified_name not in self.opened


def with_calls(model: nn.Module, opened: Collection[str]) -> fx.GraphModule:
    """A model as a graph in which plain calls are modules of their own.

    Submodules and parameters are the model's own and keep their names.

    Args:
        model: the model.
        opened: paths of the modules, besides the model itself, whose calls are wanted.

    Raises:
        Exception: whatever `torch.fx` raises where the forward branches on values.
    """
    graph = _Tracer(opened).trace(model)
    return _wrapped(fx.GraphModule(model, graph, type(model).__name__))


def of_exported(exported: ExportedProgram) -> fx.GraphModule:
    """An exported program as a graph of modules, one for each call."""
    module: Any = exported.module()
    return _wrapped(module)


def _wrapped(graph: fx.GraphModule) -> fx.GraphModule:
    """Replace every plain call by a module, in place."""
    folder = nn.ModuleDict()
    data: set[fx.Node] = set()
    for node in list(graph.graph.nodes):
        # Not which module it was called in: that would be said of all that is called from it.
        node.meta.pop("nn_module_stack", None)
        if isinstance(node.type, str):
            # An annotation that is not evaluated is no type, and cannot be saved.
            node.type = None
        if node.op == "placeholder" or any(given in data for given in node.all_input_nodes):
            data.add(node)
        if node.op not in ("call_function", "call_method") or node not in data:
            continue
        places = pytree.tree_flatten_with_path((node.args, node.kwargs))[0]
        weights = [
            pytree.keystr(place)
            for place, given in places
            if isinstance(given, fx.Node) and given not in data
        ]
        folder[node.name] = Call(node.target, weights, node.stack_trace or "")
        with graph.graph.inserting_after(node):
            made = graph.graph.create_node(
                "call_module", f"{FOLDER}.{node.name}", node.args, node.kwargs
            )
        made.meta = dict(node.meta)
        node.replace_all_uses_with(made)
        data.add(made)
        graph.graph.erase_node(node)
    graph.add_module(FOLDER, folder)
    graph.recompile()
    return graph


def as_written(program: Program, model: nn.Module) -> Program:
    """A captured model as its code has it.

    Calls that were made modules come from the lines they stood in, and a module that has several
    names goes by the first.
    """
    first: dict[int, str] = {}
    modules = model.named_modules(remove_duplicate=False)
    names = {path: first.setdefault(id(module), path) for path, module in modules}
    calls = {path: m for path, m in model.named_modules() if isinstance(m, Call)}
    lines = {path: call.trace for path, call in calls.items() if call.trace}
    counts: dict[str, int] = {}
    labels: dict[str, str] = {}

    def named(label: str) -> str:
        path = label.partition("@")[0]
        name = names.get(path, path)
        if label not in labels:
            counts[name] = counts.get(name, 0) + 1
            labels[label] = name if counts[name] == 1 else f"{name}@{counts[name]}"
        return labels[label]

    def written(node: Node) -> Node:
        place = node.place
        return replace(
            node,
            place=replace(
                place,
                module=names.get(place.module, place.module),
                trace=lines.get(place.module, place.trace),
                calls=tuple(map(named, place.calls)),
            ),
        )

    return replace(program, nodes={name: written(n) for name, n in program.nodes.items()})


def places(nodes: Iterable[Node]) -> str:
    """Where calls stand: operator, module and line of each."""
    told = (
        f"{n.kind}{f' of {path!r}' if path and not path.startswith(FOLDER) else ''} "
        f"at {n.place.source}: {n.place.code}"
        for n in nodes
        for path in [n.place.module]
    )
    return "; ".join(dict.fromkeys(told))


def origin(model: nn.Module, path: str) -> str:
    """` (at FILE:LINE: code)` of a call that was made a module; "" if the module is none."""
    call = model.get_submodule(path)
    if not isinstance(call, Call) or not call.trace:
        return ""
    place = Place(path, "", call.trace)
    return f" (at {place.source}: {place.code})"


def is_exported(model: nn.Module) -> bool:
    """Whether a model is the graph of an exported program."""
    return isinstance(model, fx.GraphModule) and hasattr(model, "_guards_fn")


def without_calls(graph: fx.GraphModule, kept: Collection[str]) -> None:
    """Make all calls plain again but those kept, in place."""
    for node in list(graph.graph.nodes):
        path = str(node.target)
        if node.op != "call_module" or not path.startswith(f"{FOLDER}.") or path in kept:
            continue
        call: Any = graph.get_submodule(path)
        kind = "call_method" if isinstance(call.function, str) else "call_function"
        with graph.graph.inserting_after(node):
            plain = graph.graph.create_node(
                kind, call.function, node.args, node.kwargs, name=path.rpartition(".")[2]
            )
        plain.meta = dict(node.meta)
        node.replace_all_uses_with(plain)
        graph.graph.erase_node(node)
        del graph.get_submodule(FOLDER)[node.target.rpartition(".")[2]]  # type: ignore[operator]
    for path in kept:
        call = graph.get_submodule(path)
        if isinstance(call, Call):
            # What is saved tells nothing of the machine it was made on.
            call.trace = ""
    graph.recompile()

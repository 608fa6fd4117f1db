"""Plain calls in a model's forward made into modules, so that they can change like others."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import fx, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

FOLDER = "calls"
"""The submodule that holds the calls, by name."""


class Call(nn.Module):
    """A call of a function, as a module without parameters.

    Attributes:
        function: what is called; a name for a method of the first argument.
        weights: tensors among the arguments that are not computed from the input, by their places
            in (positional arguments, keyword arguments).
    """

    def __init__(self, function: Any, weights: Collection[str] = ()) -> None:
        super().__init__()
        self.function = function
        self.weights = frozenset(weights)

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

    def __init__(self, opened: Collection[str]) -> None:
        super().__init__()
        self.opened = opened

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
        folder[node.name] = Call(node.target, weights)
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
    graph.recompile()

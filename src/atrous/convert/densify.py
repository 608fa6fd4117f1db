"""Backbones to dense predictors: the strides of a model removed, its values kept on the grid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from torch import fx, nn
from torch.export import ExportedProgram

from atrous.convert import calls
from atrous.convert.certificate import Certificate
from atrous.convert.change import apply, told
from atrous.convert.densities import DensifyError
from atrous.convert.exporting import export, is_free
from atrous.convert.plan import Plan
from atrous.convert.pools import Pools, told_pools, without_pools
from atrous.convert.proof import BETWEEN_MAPS, certified
from atrous.convert.study import Study, Wish, study
from atrous.graph.capture import Inputs, quiet
from atrous.graph.program import Node
from atrous.graph.shell import own_copy, shell_copy
from atrous.nn.dense import InPhases, OnDense


@dataclass(frozen=True)
class Densified:
    """What became of a model.

    Attributes:
        model: the dense model.
        plan: what was changed in it.
        certificate: what was compared, and how far it differs.
    """

    model: nn.Module
    plan: Plan
    certificate: Certificate


def densified(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    wish: Wish,
    *,
    pools: Pools = "keep",
    as_graph: bool = False,
    sizes: Sequence[int] | None = None,
) -> Densified:
    """Make a model dense, and compare it with what it was made of.

    Args:
        model: the model; stays as it is.
        x: an input.
        wish: what is wanted.
        pools: whether pools that lose their stride stay, dilated, or are left out.
        as_graph: whether the result may be a graph, in which plain calls can change.
        sizes: lengths of the axes of positions to compare at.

    Raises:
        DensifyError: if it cannot be done, or values on the grid are not equal.
    """
    work: nn.Module
    if isinstance(model, ExportedProgram):
        kind, as_graph = "exported program", True
        work, free = calls.of_exported(model), is_free(model)
        found = study(work, x, wish)
    elif as_graph:
        kind = type(model).__name__
        work, free, found = _graph(model, x, wish)
    else:
        kind, free = type(model).__name__, True
        work, found = model, study(model, x, wish)
    if found.plan.stuck:
        raise DensifyError(_stuck(found, as_graph))
    _check_first(work, found.plan)
    given, dropped = found, dict[str, str]()
    if pools == "drop":
        work, dropped = without_pools(work, found)
        found = study(work, x, wish)
    certificate, found = certified(work, x, wish, found, sizes if free else found.lengths)
    with quiet():
        made = apply(own_copy(work), found.plan)
    certificate = replace(certificate, model=kind, changes=told(work, made, found.plan))
    if not free:
        certificate = replace(certificate, valid_for=f"inputs of {certificate.size} alone")
    elif kind == "exported program" or calls.is_exported(made):
        valid = "sizes at which forward takes the same way, as far as the exported graph takes them"
        certificate = replace(certificate, valid_for=valid)
    if dropped:
        certificate = told_pools(made, x, given, dropped, certificate)
    if isinstance(made, fx.GraphModule):
        calls.without_calls(made, {change.path for change in found.plan.changes})
    made.__dict__["certificate"] = certificate
    return Densified(made, found.plan, certificate)


def _graph(model: nn.Module, x: Inputs, wish: Wish) -> tuple[nn.Module, bool, Study]:
    """The model as a graph with what is plain in it as modules; whether sizes are free."""
    opened: set[str] | None = None
    graph, found = model, study(model, x, wish)
    while plain := _plain(found, wish):
        more = {path for node in plain for path in _upwards(node.place.module)}
        more = {path for path in more if path.partition(".")[0] != calls.FOLDER}
        if opened is not None and more <= opened:
            break
        opened = more | (opened or set())
        try:
            graph = calls.with_calls(model, opened)
        except Exception:
            # The forward branches on sizes or values: what it does for this input is exported.
            return _exported(model, x, wish, found)
        found = study(graph, x, wish)
    return graph, True, found


def _plain(found: Study, wish: Wish) -> list[Node]:
    """The plain calls that ought to change."""
    return [*found.plan.stuck, *(found.plan.pooled if wish.pooling == "grid" else ())]


def _exported(
    model: nn.Module, x: Inputs, wish: Wish, found: Study
) -> tuple[nn.Module, bool, Study]:
    own = [found.axes[name] for name in found.program.inputs]
    exported, free = export(shell_copy(model), x, dict(enumerate(own)))
    graph = calls.of_exported(exported)
    return graph, free, study(graph, x, wish)


def _upwards(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition(".")[0]


def _stuck(found: Study, is_graph: bool) -> str:
    nodes = found.plan.stuck
    shared = sorted({n.place.module for n in nodes if _is_again(n, nodes)})
    plain = [n for n in nodes if n.place.module not in shared]
    views = [n for n in plain if any(r.split is not None or r.merge is not None for r in n.reads)]
    todo = [] if is_graph else ["make it dense with as_graph=True"]
    told = []
    if shared:
        names = ", ".join(map(repr, shared))
        told.append(f"{names}: called on maps of different strides, with one set of settings")
    if plain:
        told.append(calls.places(plain))
        if any(found.planner.is_across_batch(node) for node in plain):
            todo = [
                "keep positions off the axis of the batch, along which phases are laid; if x is a "
                "single item, give two"
            ]
        elif views:
            todo.insert(0, f"put {BETWEEN_MAPS} into one module")
        else:
            todo.insert(0, "put them into modules of their own, as nn.MaxPool2d for F.max_pool2d")
    advice = ", or ".join(todo) or "choose node= before them"
    return (
        "every stride must lie in a module that can be changed, but these do not: "
        f"{'; '.join(told)}. {advice[0].upper()}{advice[1:]}."
    )


def _is_again(node: Node, nodes: Sequence[Node]) -> bool:
    """Whether a call is one of several of its module that cannot change alike."""
    path = node.place.module
    return bool(path) and len({n.place.label for n in nodes if n.place.module == path}) > 1


def _check_first(model: nn.Module, plan: Plan) -> None:
    """Check that nothing is to change that was made dense before.

    Raises:
        DensifyError: if something is.
    """
    for change in plan.changes:
        if isinstance(model.get_submodule(change.path), InPhases | OnDense):
            raise DensifyError(
                f"model must not be dense where it is to become denser, but {change.path!r} was "
                "made dense before. Make the model that it was made of dense at this stride at "
                "once."
            )

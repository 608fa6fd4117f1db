"""Trees of routes: every position between one output and the input."""

from __future__ import annotations

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis.coverage.route_tree import RouteTree, route_tree
from atrous.api.arguments import check_depends, checked_axes, chosen_node
from atrous.graph.capture import Inputs, capture


def routes(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    at: int | None = None,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    axis: int | None = None,
) -> RouteTree:
    """Every position of every layer that lies on a route from one output to the input.

    What `atrous.plot.stack` draws: the tree of a dilated stack, along one axis. Activations,
    padding and slices are no levels of their own; what joins several values is.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `receptive_field`. Its values do not matter.
        at: the output's position; the middle by default, negative ones from the end.
        node: a module path or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output; by default the first.
        axis: the input's axis; must be given where positions lie along several, as in images.

    Returns:
        A `RouteTree`: `.levels` with the positions on routes, `.readings` with who reads whom.

    Raises:
        KeyError: if there is no such node, input or output.
        ValueError: if `at` or `axis` do not fit, the node does not depend on the input, an operator
            on the way has no rule, or there are more than 200,000 edges.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 2, dilation=2**k) for k in range(3)))
        >>> tree = routes(net, (1, 1, 16), at=8)
        >>> for level in reversed(tree.levels):
        ...     print(level.label, level.positions)
        2 (8,)
        1 (8, 12)
        0 (8, 10, 12, 14)
        input (8, 9, 10, 11, 12, 13, 14, 15)
    """
    program = capture(model, x)
    target = chosen_node(program, node, output)
    told = checked_axes(axis, len(program.input(input).shape))
    found = route_tree(program, target, input=input, axis=None if told is None else told[0], at=at)
    if not found.readings:
        check_depends(program, target, input=input, node=node, output=output)
    return found

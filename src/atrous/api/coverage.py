"""Path counts: how often one output reads each input."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis.coverage import question as _question
from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.positions import Position
from atrous.api.arguments import check_depends, checked_axes, chosen_node
from atrous.graph.capture import Inputs, capture


def coverage(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    at: Position | Sequence[Position] | None = None,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    axes: int | tuple[int, ...] | None = None,
    exact: bool = False,
    local: bool = False,
) -> Coverage:
    """How many routes lead from one output position to each input position, in all dimensions.

    The structural adjoint: the network backwards from the output, every tap 1, channels not
    counted. Equal to the gradient of the same network with one channel and all weights 1.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `receptive_field`. Its values do not matter.
        at: the output: one index along each axis of the node that holds positions; the centre by
            default. A slice or a list instead of an index asks for several outputs together:
            `slice(None)` for all, `slice(None, None, 4)` for a readout on a grid. Entries belong to
            axes, not to outputs: `([3, 5], 7)` are the outputs (3, 7) and (5, 7).
        node: a module path or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output; by default the first.
        axes: which axes of the input, as in `receptive_field`.
        exact: keep counts of 2**62 and more exact; by default they become floats, whose zeros are
            still exactly the holes, and whole numbers again beyond what floats hold.
        local: leave out the ways on which an operator reads an axis whole by nature, as image
            pooling does: what is left is what convolutions see. Where nothing is left, as of a
            classifier's output, the text names the operator, and the node before it to ask about.

    Returns:
        A `Coverage`: `.counts` over the span that is read, `.start`, `.holes`, `.density`,
        `.uniformity`, `.factor`; of other outputs, where a net upsamples, `.phases`, `.unlike` and
        `.sparsest`.

    Raises:
        KeyError: if there is no such node, input or output.
        ValueError: if `at` or `axes` do not fit, the node does not depend on the input, or an
            operator on the way has no rule.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=2, padding=2) for _ in range(2)))
        >>> found = coverage(net, (1, 1, 32))
        >>> found.counts
        array([1, 0, 2, 0, 3, 0, 2, 0, 1])
        >>> print(found)
        1 reads 9 of input, 55.6% of it (4 holes); counts vary by 1.05 of their mean
    """
    program = capture(model, x)
    target = chosen_node(program, node, output)
    found = _question.coverage(
        program,
        target,
        input=input,
        axes=checked_axes(axes, len(program.input(input).shape)),
        at=at,
        exact=exact,
        local=local,
    )
    if not found.counts.size:
        # An output in nothing but padding reads nothing either.
        check_depends(program, target, input=input, node=node, output=output)
    return found

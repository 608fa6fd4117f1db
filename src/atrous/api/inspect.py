"""Everything about every node of a model."""

from __future__ import annotations

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis import inspection as _inspection
from atrous.api.arguments import checked_axes
from atrous.api.parts import Gathering
from atrous.graph.capture import Inputs, capture
from atrous.report.results.report import Report


def inspect(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    input: str | None = None,
    axes: int | tuple[int, ...] | None = None,
    effective: int = 0,
) -> Report:
    """Everything about every node of a model: place, shape, field, growth, cost.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `receptive_field`. Its values do not matter.
        input: the name of the input that fields refer to; by default the first.
        axes: which axes of the input, as in `receptive_field`.
        effective: on how many batches of random data to measure effective fields along the depth
            for the report; by default none is measured, which takes the longest.

    Returns:
        A report that prints as a table and has `.to_json(path)`, `.to_html(path)` and, as data,
        `.inspection` and `.parts`: findings, cost, coverage along the depth, kernels, spectrum.
        Parts are found out when they are asked for first, by `.parts` or by writing the report.

    Raises:
        KeyError: if there is no such input.
        ValueError: if an axis does not exist, an input is empty, quantised or complex, or
            `effective` is negative.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.ReLU())
        >>> [row.kind for row in inspect(net, (1, 1, 16)).inspection.rows]
        ['input', 'conv1d', 'relu']
    """
    if not isinstance(effective, int) or isinstance(effective, bool) or effective < 0:
        raise ValueError(
            f"effective must be a number of batches, 0 or more, got {effective!r}. Use 8 for a "
            "first look."
        )
    program = capture(model, x)
    axes = checked_axes(axes, len(program.input(input).shape))
    name = type(model).__name__
    found = _inspection.inspection(program, name, input=input, axes=axes)
    return Report(found, Gathering(program, model, x, found, effective))

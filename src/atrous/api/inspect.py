"""Everything about every node of a model."""

from __future__ import annotations

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis import inspection as _inspection
from atrous.api.arguments import checked_axes
from atrous.graph.capture import Inputs, capture
from atrous.report.report import Report


def inspect(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    input: str | None = None,
    axes: int | tuple[int, ...] | None = None,
) -> Report:
    """Everything about every node of a model: place, shape, field, growth, cost.

    The arguments are those of `receptive_field`. The result prints as a table and has
    `.to_json(path)`, `.to_html(path)` and, as data, `.inspection`.

    Raises:
        KeyError: if there is no such input.
        ValueError: if an axis does not exist, or an input is empty, quantised or complex.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv1d(1, 8, 3, padding=1), nn.ReLU())
        >>> [row.kind for row in inspect(net, (1, 1, 16)).inspection.rows]
        ['input', 'conv1d', 'relu']
    """
    program = capture(model, x)
    axes = checked_axes(axes, len(program.input(input).shape))
    name = type(model).__name__
    return Report(_inspection.inspection(program, name, input=input, axes=axes))

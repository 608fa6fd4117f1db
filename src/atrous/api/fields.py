"""Receptive fields of outputs, nodes and branches."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis import inspection as _inspection
from atrous.analysis.fields.field import Field, traced
from atrous.analysis.inspection import Branches
from atrous.api.arguments import checked_axes, checked_channels, chosen_node, independent
from atrous.graph.capture import Inputs, capture


def receptive_field(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    axes: int | tuple[int, ...] | None = None,
    channels: int | slice | Sequence[int] | None = None,
    channel_axis: int = 1,
) -> Field:
    """The receptive field of a model's output, or of any node inside it.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input: a tensor, a tuple of arguments, a dict of keyword arguments, or the shape of a
            single float tensor. Its values do not matter.
        node: a module path ("layer3.0") or node name; by default an output of the model.
        input: the name of an input; by default the first.
        output: the label of an output ("out", "0"); by default the first.
        axes: which axes of the input, negative ones from the end; by default those along which the
            first convolution or pool moves.
        channels: only these channels of the node, where a network keeps channels apart: one, some,
            or a slice; by default all together.
        channel_axis: the axis of the node that holds its channels, negative ones from the end;
            -1 for values that hold them last, as tokens do.

    Returns:
        One `AxisField` per input axis, with size, stride, start, reach, interior and status.

    Raises:
        KeyError: if there is no such node, input or output; the message names the nearest.
        ValueError: if the node does not depend on the input, an axis or a channel does not exist,
            or an input is empty, quantised or complex.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(nn.Conv1d(1, 8, 3, dilation=4, padding=4), nn.MaxPool1d(2))
        >>> print(receptive_field(net, (1, 1, 100)))
        field of 1 on input
          axis 2: size 10, stride 2, start -4, reach 4 before and 5 after, exact
        >>> import torch
        >>> class Scales(nn.Module):
        ...     def forward(self, x):
        ...         return torch.cat([x, nn.functional.avg_pool1d(x, 9, 1, 4)], 1)
        >>> receptive_field(Scales(), (1, 4, 100), channels=slice(0, 4)).size
        (1,)
    """
    program = capture(model, x)
    target = chosen_node(program, node, output)
    source = program.input(input)
    axes = checked_axes(axes, len(source.shape))
    positions, at = None, channel_axis
    if channels is not None:
        at, positions = checked_channels(channels, channel_axis, target)
    found = traced(program, input=input, axes=axes).field(
        target, channels=positions, channel_axis=at
    )
    if found is None:
        what = repr(node or output or "the output")
        if channels is not None:
            what = f"channels {', '.join(map(str, positions or ()))} of {what}"
        raise independent(program, source, what)
    return found


def branches(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    axes: int | tuple[int, ...] | None = None,
) -> Branches:
    """The receptive fields of the branches that meet last before an output, or before a node.

    The arguments are those of `receptive_field`.

    Returns:
        A tuple of fields, which notebooks show as a table; empty if no branches meet.

    Raises:
        KeyError: if there is no such node, input or output; the message names the nearest.
        ValueError: if node and output are both given, an axis does not exist or is named twice, or
            an input is empty, quantised or complex.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from atrous.models import create
        >>> for field in branches(create("segmenter"), (1, 3, 257, 257), node="head.project"):
        ...     print(field.node, field.axes[0].size, field.status)
        head.branches.0.1 103 exact
        head.branches.1.1 199 exact
        head.branches.2.1 295 exact
        head.branches.3.1 391 exact
        head 257 global
    """
    program = capture(model, x)
    target = chosen_node(program, node, output)
    axes = checked_axes(axes, len(program.input(input).shape))
    return _inspection.branches(program, target.name, input=input, axes=axes)

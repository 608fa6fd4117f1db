"""How much each input weighs, by the gradients of a model on data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from atrous.analysis.effective.batches import Batches, Data
from atrous.analysis.effective.effective import CONVENTIONS, Convention, EffectiveField
from atrous.analysis.effective.measuring import Progress, aim, measured
from atrous.analysis.effective.probing import Mode, Probe
from atrous.api.arguments import checked_axes, checked_channels, one_of_both, other_inputs
from atrous.graph.capture import Inputs, floating_type, same_random_state
from atrous.report.text.progress import counting


def effective_field(
    model: nn.Module | ExportedProgram,
    data: Data,
    *,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    axes: int | tuple[int, ...] | None = None,
    channels: int | slice | Sequence[int] | None = None,
    channel_axis: int = 1,
    at: int | Sequence[int] | None = None,
    convention: Convention = "absolute",
    mode: Mode = "eval",
    batches: int | None = None,
    seed: int = 0,
    unpack: Callable[[Any], Inputs] | None = None,
    device: torch.device | str | None = None,
    progress: bool | Progress = True,
) -> EffectiveField:
    """How much each input position weighs for one output position, by gradients on data.

    The model itself runs, not an exported form of it, unless `node` is an operation inside a
    module. It stays as it is: parameters, their gradients, buffers, training flags, hooks, and the
    state of random number generators.

    Args:
        model: a module, or a program exported by `torch.export`.
        data: a tensor, a tuple of arguments or a dict of keyword arguments is one batch; a shape,
            alone, in a tuple of arguments or in a dict without tensors, stands for 8 batches of
            standard normal numbers; a list, loader or generator gives batches, a dataset samples.
            Of a batch that is a tuple or list, as (input, target), the first is the input; a dict
            holds keyword arguments. All batches have one size.
        node: a module path ("layer3.0"; "path@2" for its second call) or node name; by default an
            output of the model.
        input: the name of the input that gradients go back to; by default the first.
        output: the label of an output; by default the first.
        axes: which axes of the input, the others are added up; by default as `receptive_field`.
        channels: only these channels of the node; by default the sum of all.
        channel_axis: the axis of the node that holds its channels.
        at: the position in the node, one index per axis that moves along the input; by default the
            middle, `length // 2`, or the nearest to it whose field no border clips.
        convention: what of a gradient g counts: "absolute" |g|, "squared" g^2, "positive"
            max(g, 0), or "replknet", which is "positive" of the outputs that are above 0. Added up
            over channels and averaged over samples.
        mode: "eval", or "current": every module in the mode it is in. With batch normalisation in
            training the samples of a batch depend on each other, and every output on all positions:
            where energy lies outside the field of inference, `.theory` is None and `.note` says it.
        batches: how many batches at most.
        seed: of the random data.
        unpack: from an item of `data` to the model's input, where that is not the first entry.
        device: where to run; by default where the model is.
        progress: whether to show a bar in a terminal, or a function to call after each batch with
            how many are done, and of how many (None if not known).

    Returns:
        The energy of each input position, with its spread, fits, area and radius; `.zero` where no
        gradient comes back.

    Raises:
        KeyError: if there is no such node, input or output.
        ValueError: if an argument does not fit the model, there is no such position, batches differ
            in size, or no gradient can go back to the input.
        TypeError: if the data is of none of these forms.
        CaptureError: if the model cannot be copied or cannot run. One that runs and cannot be
            exported is measured, without its theoretical field.

    Source: Luo et al., Understanding the Effective Receptive Field in Deep Convolutional Neural
    Networks, NeurIPS 2016.

    Example:
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=d, padding=d) for d in (1, 2, 4)))
        >>> for layer in net:
        ...     _ = nn.init.ones_(layer.weight)
        >>> found = effective_field(net, torch.zeros(1, 1, 33))
        >>> print(f"{found.std[0]:.4f} {((3**2 - 1) / 12 * (1 + 4 + 16)) ** 0.5:.4f}")
        3.7417 3.7417
        >>> found.area(0.5), found.axes[0].span.size
        (5, 15)
    """
    if convention not in CONVENTIONS:
        raise ValueError(
            f"convention must be one of {', '.join(map(repr, CONVENTIONS))}, got {convention!r}. "
            "Leave it out for the usual one."
        )
    if mode not in ("eval", "current"):
        raise ValueError(
            f"mode must be 'eval' or 'current', got {mode!r}. Use 'current' to measure the model "
            "in "
            "the mode it is in."
        )
    one_of_both(node, output)
    kind = floating_type(model) if isinstance(model, nn.Module) else None
    show = counting("effective field") if progress is True else nullcontext(progress or None)
    with torch.inference_mode(False), same_random_state(), show as told:
        found = Batches.of(data, dtype=kind, limit=batches, seed=seed, unpack=unpack)
        first = next(found.each, None)
        if first is None:
            raise ValueError(
                "data must hold at least one batch, got none. Give a tensor, a shape or a loader."
            )
        probe = Probe.of(
            model, first, node=node, output=output, input=input, device=device, mode=mode
        )
        chosen = None
        if channels is not None:
            chosen = checked_channels(channels, channel_axis, probe.target)
        aimed = aim(
            probe,
            axes=checked_axes(axes, len(probe.input_shape)),
            channels=chosen,
            channel_axis=channel_axis,
        )
        if aimed is None:
            program = probe.program
            assert program is not None
            others = other_inputs(program, program.input(probe.input_name))
            raise ValueError(
                f"node must depend on the input, but {node or output or 'the output'!r} does not "
                f"depend on {probe.input_name!r}.{others} Choose another with input=, output= or "
                "node=."
            )
        return measured(
            probe,
            aimed,
            aimed.at(at),
            chain([first], found.each),
            count=found.count,
            data=found.description,
            convention=convention,
            mode=mode,
            progress=told,
        )

"""What designs cost, alone and side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn
from torch.export import ExportedProgram

from atrous.analysis.cost.comparison import compared, device
from atrous.analysis.cost.cost import costs
from atrous.graph.capture import Inputs, capture
from atrous.report.results.comparison import Comparison
from atrous.report.results.cost import Cost


def cost(model: nn.Module | ExportedProgram, x: Inputs) -> Cost:
    """Parameters, multiply-accumulates and activation memory of a model, by node and by module.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input: a tensor, a tuple of arguments, a dict of keyword arguments, or the shape of a
            single float tensor. Its values do not matter; no data is computed.

    Returns:
        A `Cost`, which prints as a table and says what its numbers count. For exported programs,
        memory is that of the program itself.

    Raises:
        ValueError: if an input is empty, quantised or complex.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(inplace=True))
        >>> found = cost(net, (1, 3, 32, 32))
        >>> found.parameters, found.macs  # 16 * 3 * 9 + 16; 16 * 3 * 9 * 32 * 32
        (448, 442368)
        >>> found.inference, found.training.saved  # input and map, of 4-byte numbers
        (77824, 77824)
    """
    return Cost(**vars(costs(capture(model, x), model, x)))


def compare(
    designs: Mapping[str, nn.Module | ExportedProgram] | Sequence[nn.Module | ExportedProgram],
    x: Inputs,
    *,
    shifts: Sequence[int] = (1, 2),
    repeats: int = 0,
    seed: int = 0,
) -> Comparison:
    """Designs side by side on one input: field, resolution, cost, time, and what shifts do.

    Args:
        designs: models by name, or in a sequence: then their classes are their names.
        x: their common input, as in `cost`. For the error under shifts its values are used; where
            a shape is given, random ones are drawn.
        shifts: by how many input positions to shift: how far f(shifted x) is from f(x) shifted,
            as a mean absolute difference relative to the mean absolute value, on outputs that
            neither a border nor the wrapped end can reach. Where a shift falls between output
            positions the neighbour that fits best counts. For models of one input.
        repeats: with a number, time is measured: so many rounds in which each design gets its
            turn.
        seed: of random values.

    Returns:
        A `Comparison`, which prints as a table; `comparison["name"]` is a `Design`.

    Raises:
        ValueError: if there are no designs, a shift is below 1, or `repeats` is negative.
        CaptureError: if a design cannot run on `x` or cannot be exported.

    Example:
        >>> pooled = nn.Sequential(
        ...     nn.Conv2d(1, 4, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3, padding=1)
        ... )
        >>> dilated = nn.Sequential(
        ...     nn.Conv2d(1, 4, 3, padding=1), nn.Conv2d(4, 4, 3, dilation=2, padding=2)
        ... )
        >>> found = compare({"pooled": pooled, "dilated": dilated}, (1, 1, 32, 32))
        >>> [design.field.size for design in found.designs]
        [(8, 8), (7, 7)]
        >>> [[error.exact for error in design.shifts] for design in found.designs]
        [[False, True], [True, True]]
    """
    named = _named(designs)
    if not named:
        raise ValueError(
            "designs must hold at least one model, got none. Put the models in a list."
        )
    wrong = [n for n in shifts if not isinstance(n, int) or isinstance(n, bool) or n < 1]
    if wrong:
        raise ValueError(
            f"shifts must be whole numbers of 1 or more, got {wrong[0]!r}. Use (1, 2)."
        )
    if not isinstance(repeats, int) or isinstance(repeats, bool) or repeats < 0:
        raise ValueError(f"repeats must be 0 or more, got {repeats!r}. Use 0 to measure no time.")
    found = compared(named, x, shifts=tuple(shifts), repeats=repeats, seed=seed)
    return Comparison(found, tuple(shifts), device(named) if repeats else "")


def _named(
    designs: Mapping[str, nn.Module | ExportedProgram] | Sequence[nn.Module | ExportedProgram],
) -> dict[str, nn.Module | ExportedProgram]:
    if isinstance(designs, Mapping):
        return {str(name): model for name, model in designs.items()}
    if isinstance(designs, nn.Module | ExportedProgram):
        raise TypeError(
            "designs must be a dict or a list of models, got a single model. Put it in a list."
        )
    kinds = [type(model).__name__ for model in designs]
    return {
        kind if kinds.count(kind) == 1 else f"{kind} {kinds[:k].count(kind) + 1}": model
        for k, (kind, model) in enumerate(zip(kinds, designs, strict=True))
    }

"""The arguments that commands about a model share: which model, on what input."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import Annotated, Any

import torch
import typer
from torch import nn

from atrous.cli.resolve import Resolved

DEFAULT = "atrous:segmenter"

ModelName = Annotated[
    str,
    typer.Argument(
        metavar="[MODEL]",
        help="package.module:callable, file.py:callable, program.pt2, or atrous:NAME, "
        "torchvision:NAME, timm:NAME.",
    ),
]
Shapes = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        help="Shape without batch, as 3x513x513; again for more inputs; NAME=SHAPE by keyword.",
    ),
]
Batch = Annotated[int, typer.Option(help="Length of the batch axis.")]
Dtype = Annotated[
    str | None,
    typer.Option(
        help="Type of the input, as bfloat16 or int64; of floating point, of the model too. By "
        "default the model's own."
    ),
]
OfInput = Annotated[
    str | None, typer.Option("--of", help="Name of the input that fields refer to.")
]


def in_type(found: Resolved, name: str, dtype: str | None) -> Resolved:
    """The model with its floating-point values of a type, if that is one of floating point.

    Raises:
        ValueError: if there is no such type, or an exported program has another.
    """
    kind = _type(found, dtype)
    if dtype is None or not kind.is_floating_point:
        return found
    if isinstance(found.model, nn.Module):
        return replace(found, model=found.model.to(kind))
    if kind != found.dtype:
        raise ValueError(
            f"--dtype must be the type that {name!r} was exported in, {_called(found.dtype)}, got "
            f"{dtype!r}. Export it in that type."
        )
    return found


def inputs(found: Resolved, name: str, shapes: list[str], batch: int, dtype: str | None) -> Any:
    """What the model is fed: empty tensors, in a tuple or by keyword.

    Raises:
        ValueError: if no shape is given or known, or one cannot be read.
    """
    if batch < 1:
        raise ValueError(f"--batch must be at least 1, got {batch}.")
    kind = _type(found, dtype)
    if not shapes:
        if found.input_shape is None:
            again = ""
            if isinstance(found.model, nn.Module):
                again = (
                    f" Its forward takes ({', '.join(signature(found.model.forward).parameters)})."
                )
            raise ValueError(
                f"--input must be given for {name!r}: its shape without batch, as 3x224x224 for an "
                f"image or 1x16000 for a waveform, and again for every further input.{again}"
            )
        return torch.empty((batch, *found.input_shape[1:]), dtype=kind)
    positional, named = [], {}
    for shape in shapes:
        key, _, sizes = shape.rpartition("=")
        tensor = torch.empty((batch, *_sizes(sizes)), dtype=kind)
        if key:
            named[key] = tensor
        else:
            positional.append(tensor)
    if named and positional:
        raise ValueError("--input must be given with names for all inputs or for none.")
    return named or tuple(positional)


def _type(found: Resolved, dtype: str | None) -> torch.dtype:
    if dtype is None:
        return found.dtype
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise ValueError(f"--dtype must be a type of torch, as float32 or int64, got {dtype!r}.")
    return kind


def _called(kind: torch.dtype) -> str:
    return str(kind).removeprefix("torch.")


def _sizes(text: str) -> tuple[int, ...]:
    try:
        sizes = tuple(int(part) for part in text.lower().replace(",", "x").split("x"))
    except ValueError:
        raise ValueError(
            f"--input must be a shape without batch, as 3x513x513, got {text!r}."
        ) from None
    if min(sizes) < 1:
        raise ValueError(f"--input must have lengths of 1 or more, got {text!r}.")
    return sizes

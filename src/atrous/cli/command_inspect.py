"""`atrous inspect`: the field of every node of a model."""

from __future__ import annotations

import json
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from torch import nn

import atrous
from atrous.cli.against import compared, resolve_all, shift_list
from atrous.cli.progress import working
from atrous.cli.resolve import Resolved, resolve
from atrous.report import plain, text
from atrous.report.report import Report

DEFAULT = "atrous:segmenter"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("inspect")(inspect)


def inspect(
    model: Annotated[
        str,
        typer.Argument(
            metavar="[MODEL]",
            help="package.module:callable, file.py:callable, program.pt2, or atrous:NAME, "
            "torchvision:NAME, timm:NAME.",
        ),
    ] = DEFAULT,
    shapes: Annotated[
        list[str] | None,
        typer.Option(
            "--input",
            help="Shape without batch, as 3x513x513; again for more inputs; NAME=SHAPE by keyword.",
        ),
    ] = None,
    batch: Annotated[int, typer.Option(help="Length of the batch axis.")] = 1,
    dtype: Annotated[str, typer.Option(help="Type of the input, as float32 or int64.")] = "float32",
    node: Annotated[
        str | None, typer.Option(help="Only this node: a module path or a node's name.")
    ] = None,
    output: Annotated[str | None, typer.Option(help="Only this output of the model.")] = None,
    channels: Annotated[
        str | None,
        typer.Option(help="Only these channels of the node or output, as 0:8, 3 or 0,2,4."),
    ] = None,
    channel_axis: Annotated[
        int, typer.Option(help="Axis that holds the channels; -1 where they come last.")
    ] = 1,
    of_input: Annotated[
        str | None, typer.Option("--of", help="Name of the input that fields refer to.")
    ] = None,
    axes: Annotated[
        str | None, typer.Option(help="Input axes, as 2,3; all but batch and channels by default.")
    ] = None,
    depth: Annotated[
        int | None,
        typer.Option(help="One row per module at most this deep, instead of every node."),
    ] = None,
    branches: Annotated[
        bool, typer.Option("--branches", help="Fields of the branches that meet last.")
    ] = False,
    spectrum: Annotated[
        bool, typer.Option("--spectrum", help="What every layer passes, from its real weights.")
    ] = False,
    against: Annotated[
        list[str] | None,
        typer.Option(help="Another design to set beside MODEL; again for more."),
    ] = None,
    repeats: Annotated[
        int, typer.Option(help="With --against: rounds in which time is measured.")
    ] = 0,
    shifts: Annotated[
        str, typer.Option(help="With --against: shifts of the input whose error is told.")
    ] = "1,2",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    json_file: Annotated[Path | None, typer.Option(help="Write JSON to this file.")] = None,
    html: Annotated[Path | None, typer.Option(help="Write a page to this file.")] = None,
) -> None:
    """Show what every node of MODEL sees: field, stride, start, reach, status, growth, cost.

    With --against, designs side by side instead: field, resolution, cost, error under shifts.
    Without MODEL, the bundled network. `--debug` shows tracebacks.
    """
    console = output_console()
    if against:
        others = node, output, channels, of_input, axes, depth, branches, spectrum, html
        if any(others):
            raise ValueError(
                "--against must be given with no other options than --input, --batch, --dtype, "
                "--repeats, --shifts, --json and --json-file."
            )
        _set_beside([model, *against], shapes or [], batch, dtype, repeats, shifts, as_json,
                    json_file, console)  # fmt: skip
        return
    if repeats or shifts != "1,2":
        raise ValueError("--repeats and --shifts must be given with --against.")
    with working(f"loading {model}"):
        found = resolve(model)
    for option, value in (("--batch", batch), ("--depth", depth)):
        if value is not None and value < 1:
            raise ValueError(f"{option} must be at least 1, got {value}.")
    if (html or json_file or depth) and (node or output or branches):
        raise ValueError(
            "--html, --json-file and --depth must be given without --node, --output and --branches."
        )
    if as_json and depth is not None:
        raise ValueError("--json must be given without --depth: it holds every node.")
    for path in (html, json_file):
        if path is not None:
            _check_writable(path)
    if node is not None and output is not None:
        raise ValueError("--node and --output must not be given together. Choose one.")
    if channels is not None and (branches or html or json_file or depth):
        raise ValueError(
            "--channels must be given without --branches, --html, --json-file and --depth."
        )
    if spectrum and (output or branches or axes or html or json_file or depth or channels):
        raise ValueError("--spectrum must be given with no other choice than --node, --of, --json.")
    picked = _channels(channels)
    x = _inputs(found, model, shapes or [], batch, dtype)
    chosen = _axes(axes)
    with working(f"inspecting {model}"):
        if spectrum:
            passed = atrous.spectrum(found.model, x, node=node, input=of_input)
            if as_json:
                print_json(passed.to_dict())
            else:
                console.print(passed)
            return
        if branches:
            fields = atrous.branches(
                found.model, x, node=node, input=of_input, output=output, axes=chosen
            )
            if not fields:
                raise ValueError(
                    f"--branches must have branches, but none meet before {_asked(node, output)}."
                )
            if as_json:
                print_json({"branches": [plain.field_to_dict(f) for f in fields]})
            else:
                console.print(text.branch_table(fields))
            return
        if node is not None or output is not None or channels is not None:
            field = atrous.receptive_field(
                found.model, x, node=node, input=of_input, output=output, axes=chosen,
                channels=picked, channel_axis=channel_axis,
            )  # fmt: skip
            if as_json:
                print_json({"field": plain.field_to_dict(field)})
            else:
                title = node or (f"output {output!r}" if output else "output")
                title += f", channels {channels} of axis {channel_axis}" if channels else ""
                console.print(text.describe_field(field, title))
            return
        report = atrous.inspect(found.model, x, input=of_input, axes=chosen)
    _show(console, report, depth, as_json)
    for path, write in ((html, report.to_html), (json_file, report.to_json)):
        if path is not None:
            write(path)
            if not as_json:
                console.print(f"written to {path}")


def _set_beside(
    names: list[str],
    shapes: list[str],
    batch: int,
    dtype: str,
    repeats: int,
    shifts: str,
    as_json: bool,
    json_file: Path | None,
    console: Console,
) -> None:
    """Show several models side by side."""
    if batch < 1 or repeats < 0:
        option, least, value = ("--batch", 1, batch) if batch < 1 else ("--repeats", 0, repeats)
        raise ValueError(f"{option} must be at least {least}, got {value}.")
    shift_list(shifts)
    if json_file is not None:
        _check_writable(json_file)
    models = resolve_all(names)
    usual = next((k for k, found in enumerate(models.values()) if found.input_shape), 0)
    x = _inputs(list(models.values())[usual], names[usual], shapes, batch, dtype)
    found = compared(models, x, repeats=repeats, shifts=shifts)
    if as_json:
        typer.echo(found.to_json())
    else:
        console.print(found)
    if json_file is not None:
        found.to_json(json_file)
        if not as_json:
            console.print(f"written to {json_file}")


def _check_writable(path: Path) -> None:
    """Make the folder a report goes to, before any work is done."""
    if path.is_dir():
        raise ValueError(f"a report must be written to a file, got the folder {str(path)!r}.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(
            f"a report must be in a folder that can be made, got {str(path)!r} ({error.strerror}). "
            "Choose another."
        ) from error


def _show(console: Console, report: Report, depth: int | None, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
    else:
        console.print(text.render(report.inspection, depth=depth))


def output_console() -> Console:
    """Standard output; a pipe or a file has no width to fit."""
    console = Console()
    return console if console.is_terminal else Console(width=1000)


def print_json(value: dict[str, Any]) -> None:
    """JSON on standard output, with the schema it follows."""
    typer.echo(json.dumps({"schema": plain.SCHEMA, **value}, indent=2))


def _asked(node: str | None, output: str | None) -> str:
    return repr(node or output) if node or output else "the output"


def _inputs(found: Resolved, name: str, shapes: list[str], batch: int, dtype: str) -> Any:
    kind = getattr(torch, dtype, None)
    if not isinstance(kind, torch.dtype):
        raise ValueError(f"--dtype must be a type of torch, as float32 or int64, got {dtype!r}.")
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


def _axes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--axes must be numbers, as 2,3, got {text!r}.") from None


def _channels(text: str | None) -> slice | list[int] | None:
    if text is None:
        return None
    try:
        if ":" in text:
            return slice(*(int(part) if part else None for part in text.split(":")))
        return [int(part) for part in text.split(",")]
    except (ValueError, TypeError):
        raise ValueError(f"--channels must be numbers, as 0:8, 3 or 0,2,4, got {text!r}.") from None

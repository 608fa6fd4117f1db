"""`atrous inspect`: the field of every node of a model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

import atrous
from atrous.cli.against import compared, resolve_all, shift_list
from atrous.cli.cover import positions, show_coverage
from atrous.cli.inputs import DEFAULT, Batch, Dtype, ModelName, OfInput, Shapes, in_type, inputs
from atrous.cli.output import check_writable, output_console
from atrous.cli.resolve import resolve
from atrous.report.json import inspection as plain
from atrous.report.json.layout import as_json as _as_json
from atrous.report.results.report import Report
from atrous.report.text.fields import branch_table, describe_field
from atrous.report.text.inspection import render
from atrous.report.text.progress import working

_BATCHES = 8


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("inspect")(inspect)


def inspect(
    model: ModelName = DEFAULT,
    shapes: Shapes = None,
    batch: Batch = 1,
    dtype: Dtype = None,
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
    of_input: OfInput = None,
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
    coverage: Annotated[
        bool, typer.Option("--coverage", help="What one output reads: path counts, holes, picture.")
    ] = False,
    at: Annotated[
        str | None, typer.Option(help="That output, as 12,40; the centre by default.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    json_file: Annotated[Path | None, typer.Option(help="Write JSON to this file.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write one page to this file that opens anywhere.")
    ] = None,
    effective: Annotated[
        bool,
        typer.Option(
            "--effective",
            help="With --html, --json or --json-file: effective fields too, by gradients on random "
            "data; takes seconds to minutes.",
        ),
    ] = False,
) -> None:
    """Show what every node of MODEL sees: field, stride, start, reach, status, growth, cost.

    With --against, designs side by side instead: field, resolution, cost, error under shifts.
    Without MODEL, the bundled network. `--debug` shows tracebacks.
    """
    console = output_console()
    if against:
        others = node, output, channels, of_input, axes, depth, branches, spectrum, coverage, html
        if any(others):
            raise ValueError(
                "--against must be given with no other options than --input, --batch, --dtype, "
                "--repeats, --shifts, --json and --json-file, got another. Leave that out."
            )
        _set_beside([model, *against], shapes or [], batch, dtype, repeats, shifts, as_json,
                    json_file, console)  # fmt: skip
        return
    if repeats or shifts != "1,2":
        raise ValueError(
            "--repeats and --shifts must be given with --against, got no --against. "
            "Name one with --against."
        )
    with working(f"loading {model}"):
        found = resolve(model)
    if depth is not None and depth < 1:
        raise ValueError(
            f"--depth must be at least 1, got {depth}. Use 1 for the outermost modules."
        )
    if (html or json_file or depth) and (node or output or branches):
        raise ValueError(
            "--html, --json-file and --depth must be given without --node, --output and "
            "--branches, got both. Leave one of them out."
        )
    if as_json and depth is not None:
        raise ValueError(
            "--json must be given without --depth, got both. Leave --depth out: it holds every "
            "node."
        )
    for path in (html, json_file):
        if path is not None:
            check_writable(path)
    if node is not None and output is not None:
        raise ValueError(
            f"--node and --output must not both be given, got {node!r} and {output!r}. Name one "
            "of them."
        )
    if channels is not None and (branches or html or json_file or depth):
        raise ValueError(
            "--channels must be given without --branches, --html, --json-file and --depth, got "
            "both. "
            "Leave one of them out."
        )
    if spectrum and (output or branches or axes or html or json_file or depth or channels):
        raise ValueError(
            "--spectrum must be given with no other choice than --node, --of and --json, got "
            "another. "
            "Leave that out."
        )
    if at is not None and not coverage:
        raise ValueError(f"--at must be given with --coverage, got {at!r} without. Add --coverage.")
    if coverage and (branches or html or json_file or depth or channels or spectrum):
        raise ValueError(
            "--coverage must be given without --branches, --channels, --spectrum, --html, "
            "--json-file and --depth, got both. Leave one of them out."
        )
    if effective and not (html or json_file or as_json):
        raise ValueError(
            "--effective must be given with --html, --json-file or --json, got none of them. Add "
            "one."
        )
    place = positions(at)
    picked = _channels(channels)
    x = inputs(found, model, shapes or [], batch, dtype)
    found = in_type(found, model, dtype)
    chosen = _axes(axes)
    # What is found is printed when nothing else is on the terminal.
    busy = working(f"inspecting {model}")
    if spectrum:
        with busy:
            passed = atrous.spectrum(found.model, x, node=node, input=of_input)
        if as_json:
            print_json(passed.to_dict())
        else:
            console.print(passed)
        return
    if branches:
        with busy:
            fields = atrous.branches(
                found.model, x, node=node, input=of_input, output=output, axes=chosen
            )
        if not fields:
            raise ValueError(
                f"--branches must have branches, but none meet before {_asked(node, output)}. "
                "Name a later node with --node."
            )
        if as_json:
            print_json({"branches": [plain.field_to_dict(f) for f in fields]})
        else:
            console.print(branch_table(fields))
        return
    if coverage:
        with busy:
            cover = atrous.coverage(
                found.model, x, at=place, node=node, input=of_input, output=output, axes=chosen
            )
            if not as_json:
                _ = cover.blame
        if as_json:
            print_json({"coverage": plain.coverage_to_dict(cover)})
        else:
            show_coverage(console, cover)
        return
    if node is not None or output is not None or channels is not None:
        with busy:
            field = atrous.receptive_field(
                found.model, x, node=node, input=of_input, output=output, axes=chosen,
                channels=picked, channel_axis=channel_axis,
            )  # fmt: skip
        if as_json:
            print_json({"field": plain.field_to_dict(field)})
        else:
            title = node or (f"output {output!r}" if output else "output")
            title += f", channels {channels} of axis {channel_axis}" if channels else ""
            console.print(describe_field(field, title))
        return
    batches = _BATCHES if effective else 0
    with busy:
        report = atrous.inspect(found.model, x, input=of_input, axes=chosen, effective=batches)
    if html or json_file or as_json:
        more = f", effective fields on {batches} random inputs" if effective else ""
        with working(f"findings, coverage, cost, spectrum{more}"):
            _ = report.parts
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
    dtype: str | None,
    repeats: int,
    shifts: str,
    as_json: bool,
    json_file: Path | None,
    console: Console,
) -> None:
    """Show several models side by side."""
    if repeats < 0:
        raise ValueError(f"--repeats must be at least 0, got {repeats}. Use 0 to measure no time.")
    shift_list(shifts)
    if json_file is not None:
        check_writable(json_file)
    models = resolve_all(names)
    usual = next((k for k, found in enumerate(models.values()) if found.input_shape), 0)
    x = inputs(list(models.values())[usual], names[usual], shapes, batch, dtype)
    models = {label: in_type(own, label, dtype) for label, own in models.items()}
    found = compared(models, x, repeats=repeats, shifts=shifts)
    if as_json:
        typer.echo(found.to_json())
    else:
        console.print(found)
    if json_file is not None:
        found.to_json(json_file)
        if not as_json:
            console.print(f"written to {json_file}")


def _show(console: Console, report: Report, depth: int | None, as_json: bool) -> None:
    if as_json:
        print_json(report.to_dict())
    else:
        console.print(render(report.inspection, depth=depth))


def print_json(value: dict[str, Any]) -> None:
    """JSON on standard output, with the schema it follows."""
    typer.echo(_as_json({"schema": plain.SCHEMA, **value}))


def _asked(node: str | None, output: str | None) -> str:
    return repr(node or output) if node or output else "the output"


def _axes(text: str | None) -> tuple[int, ...] | None:
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise ValueError(f"--axes must be numbers, got {text!r}. Use 2,3.") from None


def _channels(text: str | None) -> slice | list[int] | None:
    if text is None:
        return None
    try:
        if ":" in text:
            return slice(*(int(part) if part else None for part in text.split(":")))
        return [int(part) for part in text.split(",")]
    except (ValueError, TypeError):
        raise ValueError(
            f"--channels must be numbers, got {text!r}. Use 0:8, 3 or 0,2,4."
        ) from None

"""`atrous schedule`: dilations for a goal, or a named schedule and what it reads."""

from __future__ import annotations

from inspect import signature
from typing import Annotated, Any

import typer

import atrous
from atrous.cli.output import output_console
from atrous.design.schedule.families import FAMILIES
from atrous.design.schedule.pyramid import Pyramid
from atrous.design.schedule.relaxation import ImpossibleScheduleError
from atrous.graph.program import nearest
from atrous.report.json.layout import as_json as as_json_text
from atrous.report.json.schedule import family_to_dict, impossible_to_dict
from atrous.report.text.progress import working
from atrous.report.text.schedule import branch_table, family_table, layer_table


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("schedule")(schedule)


def schedule(
    field: Annotated[
        str | None,
        typer.Option(help="Positions to see: 1024 for at least that, or a range as 1000:1100."),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(help="Kernel size; 3,3,5 one per layer; 3/5/7 or any to choose from. [3]"),
    ] = None,
    layers: Annotated[int | None, typer.Option(help="How many; the fewest by default.")] = None,
    max_dilation: Annotated[int | None, typer.Option(help="The largest dilation.")] = None,
    map_size: Annotated[
        int | None,
        typer.Option(help="Length of the map: no tap may read padding alone, its share is told."),
    ] = None,
    causal: Annotated[bool, typer.Option("--causal", help="Read the past alone.")] = False,
    reach: Annotated[
        int | None, typer.Option(help="How far to see to each side; to the past if causal.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(help="The most multiply-adds per position of the output.")
    ] = None,
    strides: Annotated[str | None, typer.Option(help="One per layer, as 1,2,1,1.")] = None,
    front: Annotated[
        list[str] | None,
        typer.Option(help="A layer that is there already: kernel,dilation,stride; again for more."),
    ] = None,
    holes: Annotated[bool, typer.Option("--holes", help="Allow holes, as few as can be.")] = False,
    objective: Annotated[
        str,
        typer.Option(help="uniform, cheap, or weights as cv=1,macs=0.1,holes=5,field=1."),
    ] = "uniform",
    channels: Annotated[
        int | None, typer.Option(help="Of every layer: for the cost, and for --code. [1; code 64]")
    ] = None,
    dims: Annotated[int | None, typer.Option(help="Axes that hold positions: 1, 2 or 3.")] = None,
    effort: Annotated[
        float, typer.Option(help="How long to search; 10 is ten times longer.")
    ] = 1.0,
    code: Annotated[bool, typer.Option("--code", help="Print the PyTorch module alone.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the plan by other means, and say which.")
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(help="A named schedule instead of a plan; `list` tells all."),
    ] = None,
    dilation: Annotated[int | None, typer.Option(help="Of the family `constant`.")] = None,
    rates: Annotated[
        str | None, typer.Option(help="Of sawtooth, hdc and aspp: dilations as 1,2,4,8.")
    ] = None,
    cycles: Annotated[int | None, typer.Option(help="Of sawtooth, hdc and wavenet.")] = None,
    levels: Annotated[int | None, typer.Option(help="Of tcn.")] = None,
    base: Annotated[int | None, typer.Option(help="Of exponential and time_covering.")] = None,
    tempo: Annotated[
        str | None, typer.Option(help="Of beat_synchronous: beats per minute, as 60,180.")
    ] = None,
    frame_rate: Annotated[
        float | None, typer.Option(help="Of beat_synchronous: positions per second.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(help="Of time_covering.")] = None,
    sample_rate: Annotated[
        float | None, typer.Option(help="Of time_covering: positions per second.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the dilations that meet a goal best, with proof, and print the module.

    Or name a schedule by --family, and see what it really reads. Exit code 2 if nothing meets the
    goal: the message says which constraint to relax, and by how much.
    """
    if as_json and code:
        raise ValueError("only one of --json and --code must be given.")
    if family is not None:
        given: dict[str, Any] = {
            "layers": layers, "dilation": dilation, "rates": _whole("--rates", rates),
            "cycles": cycles, "levels": levels, "base": base, "tempo": _numbers("--tempo", tempo),
            "frame_rate": frame_rate, "seconds": seconds, "sample_rate": sample_rate,
            "field": _field(field), "kernel": _kernel(kernel) if kernel else None,
            "causal": causal or None, "dims": dims,
        }  # fmt: skip
        goal = max_dilation, reach, budget, strides, front, holes or None, verify or None
        if any(value is not None for value in goal):
            raise ValueError(
                "--family must be given without the constraints of a plan, got both. Leave one out."
            )
        _show_family(family, given, map_size, channels, dims, code, as_json)
        return
    for name, value in (
        ("--dilation", dilation), ("--rates", rates), ("--cycles", cycles), ("--levels", levels),
        ("--base", base), ("--tempo", tempo), ("--frame-rate", frame_rate),
        ("--seconds", seconds), ("--sample-rate", sample_rate),
    ):  # fmt: skip
        if value is not None:
            raise ValueError(f"{name} must be given with --family, got no --family. Name one.")
    try:
        with working("searching"):
            plan = atrous.schedule(
                _field(field), _kernel(kernel or "3"), layers=layers, max_dilation=max_dilation,
                map_size=map_size, causal=causal, reach=reach, budget=budget,
                strides=_whole("--strides", strides),
                front=[_whole("--front", text) or () for text in front or []], holes=holes,
                objective=_objective(objective), channels=channels or 1, dims=dims or 1,
                effort=effort,
            )  # fmt: skip
            checked = plan.verify() if verify else None
    except ImpossibleScheduleError as error:
        if not as_json:
            raise
        typer.echo(as_json_text(impossible_to_dict(error)))
        raise typer.Exit(2) from None
    if as_json:
        told = plan.to_dict()
        if checked is not None:
            told["verified"] = list(checked.checked)
        typer.echo(as_json_text(told))
    elif code:
        typer.echo(plan.code(channels or 64), nl=False)
    else:
        console = output_console()
        console.print(plan)
        if checked is not None:
            console.print("\nverified:")
            for line in checked.checked:
                console.print(f"  {line}", markup=False, highlight=False)


def _show_family(
    name: str,
    given: dict[str, Any],
    map_size: int | None,
    channels: int | None,
    dims: int | None,
    code: bool,
    as_json: bool,
) -> None:
    console = output_console()
    if name == "list":
        console.print(family_table([make() for make in FAMILIES.values()], console.width))
        return
    key = name.replace("-", "_")
    if key not in FAMILIES:
        raise ValueError(
            f"--family must be one of {', '.join(FAMILIES)}, got {name!r}.{nearest(key, FAMILIES)}"
        )
    accepted = signature(FAMILIES[key]).parameters
    wanted = {option: value for option, value in given.items() if value is not None}
    if "dims" not in accepted:
        # Then it is for the code alone.
        wanted.pop("dims", None)
    for option in wanted:
        if option not in accepted:
            known = ", ".join(f"--{own.replace('_', '-')}" for own in accepted if own in given)
            raise ValueError(
                f"--{option.replace('_', '-')} must be left out with --family {key}, got "
                f"{wanted[option]!r}. Its options are {known}."
            )
    made = FAMILIES[key](**wanted)
    if code:
        if isinstance(made, Pyramid):
            raise ValueError(f"--code must be given for a chain of layers, got {key}.")
        typer.echo(made.code(channels or 64, dims=dims or 1, name=key), nl=False)
    elif as_json:
        typer.echo(as_json_text(family_to_dict(made, map_size)))
    else:
        console.print(made)
        if map_size is not None:
            console.print()
            if isinstance(made, Pyramid):
                console.print(branch_table(made, map_size))
            else:
                console.print(layer_table(made, map_size))


def _field(text: str | None) -> int | tuple[int, int] | None:
    if text is None:
        return None
    try:
        found = [int(part) for part in text.split(":")]
    except ValueError:
        found = []
    if not 1 <= len(found) <= 2:
        raise ValueError(f"--field must be a number as 1024 or a range as 1000:1100, got {text!r}.")
    return found[0] if len(found) == 1 else (found[0], found[1])


def _kernel(text: str) -> int | list[int] | set[int] | None:
    if text == "any":
        return None
    if "/" in text:
        return set(_whole("--kernel", text.replace("/", ",")) or ())
    found = _whole("--kernel", text) or []
    return found[0] if len(found) == 1 else found


def _objective(text: str) -> str | dict[str, float]:
    if "=" not in text:
        return text
    found: dict[str, float] = {}
    for part in text.split(","):
        term, _, weight = part.partition("=")
        values = _numbers("--objective", weight)
        if values is None or len(values) != 1:
            raise ValueError(f"--objective must look like cv=1,macs=0.1, got {text!r}.")
        found[term.strip()] = values[0]
    return found


def _whole(option: str, text: str | None) -> list[int] | None:
    if text is None:
        return None
    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option} must be whole numbers as 1,2,4, got {text!r}.") from error


def _numbers(option: str, text: str | None) -> list[float] | None:
    if text is None:
        return None
    try:
        return [float(part) for part in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{option} must be numbers as 60,180, got {text!r}.") from error

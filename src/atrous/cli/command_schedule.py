"""`atrous schedule`: dilations for a goal, or a named schedule and what it reads."""

from __future__ import annotations

from typing import Annotated, Any

import typer

import atrous
from atrous.cli.families import show_family
from atrous.cli.output import output_console
from atrous.cli.schedule_texts import (
    field_of,
    kernel_of,
    layer_of,
    numbers_of,
    objective_of,
    one_kernel_of,
    whole_of,
)
from atrous.design.schedule.relaxation import ImpossibleScheduleError
from atrous.report.json.layout import as_json as as_json_text
from atrous.report.json.schedule import impossible_to_dict
from atrous.report.text.progress import working

_GOAL = "Goal"
_FAMILY = "Named schedules"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("schedule")(schedule)


def schedule(
    field: Annotated[
        str | None,
        typer.Option(
            help="Positions to see: 1024 for at least that, or a range as 1000:1100.",
            rich_help_panel=_GOAL,
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option(
            help="Kernel size; 3,3,5 one per layer; 3/5/7 or any to choose from. [3]",
            rich_help_panel=_GOAL,
        ),
    ] = None,
    layers: Annotated[
        int | None, typer.Option(help="How many; the fewest by default.", rich_help_panel=_GOAL)
    ] = None,
    max_dilation: Annotated[
        int | None, typer.Option(help="The largest dilation.", rich_help_panel=_GOAL)
    ] = None,
    map_size: Annotated[
        int | None,
        typer.Option(
            help="Length of the map: no tap may read padding alone, its share is told.",
            rich_help_panel=_GOAL,
        ),
    ] = None,
    causal: Annotated[
        bool | None,
        typer.Option(
            "--causal/--no-causal", help="Whether to read the past alone.", rich_help_panel=_GOAL
        ),
    ] = None,
    reach: Annotated[
        int | None,
        typer.Option(
            help="How far to see to each side; to the past if causal.", rich_help_panel=_GOAL
        ),
    ] = None,
    budget: Annotated[
        int | None,
        typer.Option(
            help="The most multiply-adds per position of the output.", rich_help_panel=_GOAL
        ),
    ] = None,
    parameters: Annotated[
        int | None, typer.Option(help="The most weights, without biases.", rich_help_panel=_GOAL)
    ] = None,
    strides: Annotated[
        str | None, typer.Option(help="One per layer, as 1,2,1,1.", rich_help_panel=_GOAL)
    ] = None,
    front: Annotated[
        list[str] | None,
        typer.Option(
            help="A layer that is there already: kernel,dilation,stride; again for more. Of "
            "beat_synchronous: dilations.",
            rich_help_panel=_GOAL,
        ),
    ] = None,
    holes: Annotated[
        bool, typer.Option("--holes", help="Allow holes, as few as can be.", rich_help_panel=_GOAL)
    ] = False,
    objective: Annotated[
        str | None,
        typer.Option(
            help="uniform, cheap, or weights as cv=1,macs=0.1,holes=5,field=1. (uniform)",
            rich_help_panel=_GOAL,
        ),
    ] = None,
    channels: Annotated[
        int | None,
        typer.Option(
            help="Of every layer: for the cost, and for --code. [1; code 64]", rich_help_panel=_GOAL
        ),
    ] = None,
    dims: Annotated[
        int | None, typer.Option(help="Axes that hold positions: 1, 2 or 3.", rich_help_panel=_GOAL)
    ] = None,
    effort: Annotated[
        float | None,
        typer.Option(help="How long to search; 10 is ten times longer. [1]", rich_help_panel=_GOAL),
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Print the PyTorch module alone.")] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the plan by other means, and say which.")
    ] = False,
    family: Annotated[
        str | None,
        typer.Option(
            help="A named schedule instead of a plan; `list` tells all, and their options.",
            rich_help_panel=_FAMILY,
        ),
    ] = None,
    dilation: Annotated[
        int | None, typer.Option(help="Of the family `constant`.", rich_help_panel=_FAMILY)
    ] = None,
    rates: Annotated[
        str | None,
        typer.Option(
            help="Of sawtooth, hdc and aspp: dilations as 1,2,4,8.", rich_help_panel=_FAMILY
        ),
    ] = None,
    cycles: Annotated[
        int | None, typer.Option(help="Of sawtooth, hdc and wavenet.", rich_help_panel=_FAMILY)
    ] = None,
    levels: Annotated[int | None, typer.Option(help="Of tcn.", rich_help_panel=_FAMILY)] = None,
    base: Annotated[
        int | None, typer.Option(help="Of exponential and time_covering.", rich_help_panel=_FAMILY)
    ] = None,
    tempo: Annotated[
        str | None,
        typer.Option(
            help="Of beat_synchronous: beats per minute, as 60,180.", rich_help_panel=_FAMILY
        ),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(
            help="Of beat_synchronous: how many tempos of that range.", rich_help_panel=_FAMILY
        ),
    ] = None,
    frame_rate: Annotated[
        float | None,
        typer.Option(help="Of beat_synchronous: positions per second.", rich_help_panel=_FAMILY),
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="Of time_covering.", rich_help_panel=_FAMILY)
    ] = None,
    sample_rate: Annotated[
        float | None,
        typer.Option(help="Of time_covering: positions per second.", rich_help_panel=_FAMILY),
    ] = None,
    pointwise: Annotated[
        bool | None,
        typer.Option(
            "--pointwise/--no-pointwise",
            help="Of aspp: whether with a 1x1 branch.",
            rich_help_panel=_FAMILY,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Find the dilations that meet a goal best, with proof, and print the module.

    Or name a schedule by --family, and see what it really reads.

    Exit code 2 if nothing meets the goal: the message says what to relax, and by how much.
    """
    if as_json and code:
        raise ValueError("only one of --json and --code must be given.")
    own: dict[str, Any] = {
        "dilation": dilation, "rates": whole_of("--rates", rates), "cycles": cycles,
        "levels": levels, "base": base, "tempo": numbers_of("--tempo", tempo), "count": count,
        "frame_rate": frame_rate, "seconds": seconds, "sample_rate": sample_rate,
        "pointwise": pointwise,
    }  # fmt: skip
    if family is not None:
        for name, value in (
            ("--max-dilation", max_dilation), ("--reach", reach), ("--budget", budget),
            ("--parameters", parameters), ("--strides", strides), ("--holes", holes or None),
            ("--objective", objective), ("--effort", effort), ("--verify", verify or None),
        ):  # fmt: skip
            if value is not None:
                raise ValueError(f"{name} must be left out with --family: it is of plans alone.")
        given = own | {
            "layers": layers, "field": field_of(field), "kernel": one_kernel_of(kernel),
            "causal": causal, "dims": dims,
            "front": whole_of("--front", ",".join(front)) if front else None,
        }  # fmt: skip
        show_family(family, given, map_size, channels, dims, code, as_json)
        return
    for option, value in own.items():
        if value is not None:
            raise ValueError(
                f"--{option.replace('_', '-')} must be given with --family, got no --family. Name "
                "one."
            )
    try:
        with working("searching"):
            plan = atrous.schedule(
                field_of(field), kernel_of(kernel or "3"), layers=layers, max_dilation=max_dilation,
                map_size=map_size, causal=bool(causal), reach=reach, budget=budget,
                parameters=parameters, strides=whole_of("--strides", strides),
                front=[layer_of(text) for text in front or []], holes=holes,
                objective=objective_of(objective or "uniform"),
                channels=1 if channels is None else channels, dims=1 if dims is None else dims,
                effort=1.0 if effort is None else effort,
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
        typer.echo(plan.code(64 if channels is None else channels), nl=False)
    else:
        console = output_console()
        console.print(plan)
        if checked is not None:
            console.print("\nverified:")
            for line in checked.checked:
                console.print(f"  {line}", markup=False, highlight=False)

"""Named schedules on the command line."""

from __future__ import annotations

from inspect import signature
from typing import Any

import typer

from atrous.cli.output import output_console
from atrous.design.schedule.families import FAMILIES
from atrous.design.schedule.pyramid import Pyramid
from atrous.graph.program import nearest
from atrous.report.json.layout import as_json as as_json_text
from atrous.report.json.schedule import families_to_dict, family_to_dict
from atrous.report.text.schedule import branch_table, family_table, layer_table, option_table


def show_family(
    name: str,
    given: dict[str, Any],
    map_size: int | None,
    channels: int | None,
    dims: int | None,
    code: bool,
    as_json: bool,
) -> None:
    """Print a named schedule, its code or its JSON; or the list of all.

    Args:
        name: of the family, or "list".
        given: options of families and their values; None where not given.
        map_size: length of a map to tell the padding on.
        channels: of the code.
        dims: axes that hold positions.
        code: whether to print code.
        as_json: whether to print JSON.

    Raises:
        ValueError: if there is no such family, or it does not take an option.
    """
    console = output_console()
    if name == "list":
        _list_families([key for key, value in given.items() if value is not None], code, as_json)
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
            known = ", ".join(_options_of(key))
            raise ValueError(
                f"--{option.replace('_', '-')} must be left out with --family {key}, got "
                f"{wanted[option]!r}. Its options are {known}."
            )
    made = FAMILIES[key](**wanted)
    if code:
        if isinstance(made, Pyramid):
            raise ValueError(f"--code must be given for a chain of layers, got {key}.")
        size, axes = 64 if channels is None else channels, 1 if dims is None else dims
        typer.echo(made.code(size, dims=axes, name=key), nl=False)
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


def _options_of(family: str) -> list[str]:
    """The options of a family, with their defaults."""
    found = []
    for name, own in signature(FAMILIES[family]).parameters.items():
        option, value = f"--{name.replace('_', '-')}", own.default
        if isinstance(value, tuple):
            value = ",".join(map(str, value))
        elif isinstance(value, float):
            value = f"{value:g}"
        if isinstance(value, bool):
            # What is not so already.
            found.append(f"--no{option[1:]}" if value else option)
        else:
            found.append(f"{option} {'..' if value is None else value}")
    return found


def _list_families(given: list[str], code: bool, as_json: bool) -> None:
    if code or given:
        name = "code" if code else given[0].replace("_", "-")
        raise ValueError(f"--{name} must be given with one family, got the list. Name one.")
    console = output_console()
    found = [make() for make in FAMILIES.values()]
    if as_json:
        typer.echo(as_json_text(families_to_dict(found)))
        return
    console.print(family_table(found, console.width))
    console.print()
    console.print(option_table({name: _options_of(name) for name in FAMILIES}))

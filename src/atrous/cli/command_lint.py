"""`atrous lint`: what is wrong with a model."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

import atrous
from atrous.cli.inputs import DEFAULT, Batch, Dtype, ModelName, OfInput, Shapes, in_type, inputs
from atrous.cli.output import check_writable, output_console
from atrous.cli.resolve import resolve
from atrous.lint.settings import find_settings, read_settings
from atrous.report.results.findings import Findings
from atrous.report.text.progress import working


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("lint")(lint)


def lint(
    model: ModelName = DEFAULT,
    shapes: Shapes = None,
    batch: Batch = 1,
    dtype: Dtype = None,
    of_input: OfInput = None,
    output: Annotated[str | None, typer.Option(help="Judge this output; by default all.")] = None,
    select: Annotated[
        list[str] | None,
        typer.Option(help="Only these rules: codes, names, beginnings as ATR1, or ALL."),
    ] = None,
    extend_select: Annotated[list[str] | None, typer.Option(help="These rules too.")] = None,
    ignore: Annotated[list[str] | None, typer.Option(help="Not these rules.")] = None,
    severity: Annotated[
        str | None,
        typer.Option(help="The mildest to show and count: error, warning (default) or note."),
    ] = None,
    causal: Annotated[
        bool | None,
        typer.Option("--causal/--no-causal", help="No output may read the future."),
    ] = None,
    field: Annotated[int | None, typer.Option(help="The field that is wanted.")] = None,
    reach: Annotated[
        int | None, typer.Option(help="How far it is to see to each side; back if causal.")
    ] = None,
    length: Annotated[
        int | None, typer.Option(help="Length of the examples it is trained on.")
    ] = None,
    stream: Annotated[
        bool | None, typer.Option("--stream/--no-stream", help="It is meant to be streamed.")
    ] = None,
    tile: Annotated[
        bool | None, typer.Option("--tile/--no-tile", help="It is meant to be run in tiles.")
    ] = None,
    axis: Annotated[
        int | None,
        typer.Option(help="The input axis all this is about; the last that holds positions."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(help="The pyproject.toml to read; by default the nearest upwards from here."),
    ] = None,
    isolated: Annotated[bool, typer.Option("--isolated", help="Read no pyproject.toml.")] = False,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Show dilations that close holes at the same field, and judge those."
        ),
    ] = False,
    fix_to: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="With --fix, write a new Python file with apply(model)."),
    ] = None,
    smaller_field: Annotated[
        bool,
        typer.Option("--smaller-field", help="With --fix, let the field shrink where it has to."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    sarif: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write SARIF 2.1.0; - prints it.")
    ] = None,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations for a GitHub workflow.")
    ] = False,
) -> None:
    """Tell what is wrong with MODEL: where, with which numbers, and how to mend it.

    Exit code 0 without findings, 1 with findings, 2 if it could not run or a rule could not judge.
    `atrous rule CODE` explains a rule. Rules, settings and ignores can stand in pyproject.toml,
    in the table `tool.atrous.lint`.

    With --fix, the exit code is that of the changed model. No file of yours is changed.
    """
    fix = fix or fix_to is not None or smaller_field
    if fix_to is not None:
        _check_new(Path(fix_to))
    if as_json + github + (sarif == "-") > 1:
        raise ValueError("only one of --json, --github and --sarif - must be given.")
    if config is not None and isolated:
        raise ValueError("--config and --isolated must not be given together. Choose one.")
    if sarif is not None and sarif != "-":
        check_writable(Path(sarif))
    settings = None if isolated else (config or find_settings())
    if settings is not None:
        # Mistakes in it are told before any work is done.
        read_settings(settings)
    with working(f"loading {model}"):
        resolved = resolve(model)
    x = inputs(resolved, model, shapes or [], batch, dtype)
    resolved = in_type(resolved, model, dtype)
    judge = partial(
        atrous.lint, x=x, input=of_input, output=output, settings=settings,
        select=_split(select), ignore=_split(ignore), extend_select=_split(extend_select),
        severity=severity,  # type: ignore[arg-type] # checked where it is used
        causal=causal, field=field, reach=reach, length=length, stream=stream, tile=tile,
        axis=axis,
    )  # fmt: skip
    with working(f"judging {model}"):
        found = judge(resolved.model)
    if resolved.source:
        found = found.located(resolved.source)
    if fix:
        found = _fixed(found, resolved.model, judge, fix_to, smaller_field, as_json, sarif, github)
    else:
        _show(found, as_json, sarif, github)
    if found:
        raise typer.Exit(1)
    if found.judgement.unjudged:
        raise typer.Exit(2)


def _fixed(
    found: Findings,
    model: Any,
    judge: partial[Findings],
    fix_to: str | None,
    smaller_field: bool,
    as_json: bool,
    sarif: str | None,
    github: bool,
) -> Findings:
    """Mend what redesign mends, show it, and give back what is left to say."""
    plain = not (as_json or github or sarif == "-")
    if plain:
        output_console().print(found)
        output_console().print()
    given = judge.keywords
    try:
        with working("looking for other dilations"):
            mended = atrous.redesign(
                model, given["x"], input=given["input"], output=given["output"],
                settings=given["settings"], smaller_field=smaller_field,
            )  # fmt: skip
    except (atrous.RedesignError, TypeError) as error:
        told = str(error).replace("smaller_field=True", "--smaller-field")
        typer.echo(f"not mended: {told}", err=True)
        if not plain or sarif is not None:
            _show(found, as_json, sarif, github)
        return found
    left = judge(mended.model)
    mended = replace(mended, lint_before=found, findings=left)
    if plain:
        output_console().print(mended)
    if as_json:
        typer.echo(mended.to_json())
    elif not plain or sarif is not None:
        _show(left, False, sarif, github)
    if fix_to is not None:
        mended.script(fix_to)
        if plain:
            output_console().print(f"written to {fix_to}", markup=False)
    return left


def _check_new(path: Path) -> None:
    """Refuse to write where there is a file.

    Raises:
        ValueError: if there is one, or the folder cannot be made.
    """
    if path.exists():
        raise ValueError(
            f"--fix-to must name a new file, but {str(path)!r} exists. Choose another name."
        )
    check_writable(path)


def _show(found: Findings, as_json: bool, sarif: str | None, github: bool) -> None:
    written = found.to_sarif(sarif if sarif != "-" else None) if sarif is not None else ""
    if sarif == "-":
        typer.echo(written)
    elif as_json:
        typer.echo(found.to_json())
    elif github:
        if found:
            typer.echo(found.to_github())
    else:
        output_console().print(found)
        if sarif is not None:
            output_console().print(f"written to {sarif}", markup=False)


def _split(given: list[str] | None) -> list[str] | None:
    """Selectors, which may be given one by one or with commas."""
    if given is None:
        return None
    return [name.strip() for text in given for name in text.split(",") if name.strip()]

"""Findings: what is wrong with a model, where, and how to mend it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn
from torch.export import ExportedProgram

from atrous.api.arguments import check_depends
from atrous.graph.capture import Inputs, capture
from atrous.graph.program import Program
from atrous.lint.facts.along import declared_axis
from atrous.lint.finding import Severity
from atrous.lint.judgement import judge
from atrous.lint.settings import Settings, read_settings
from atrous.lint.subject import Subject
from atrous.report.results.findings import Findings


def lint(
    model: nn.Module | ExportedProgram,
    x: Inputs,
    *,
    select: str | Iterable[str] | None = None,
    ignore: str | Iterable[str] | None = None,
    extend_select: str | Iterable[str] | None = None,
    severity: Severity | None = None,
    settings: str | Path | Mapping[str, Any] | None = None,
    causal: bool | None = None,
    field: int | None = None,
    reach: int | None = None,
    length: int | None = None,
    stream: bool | None = None,
    tile: bool | None = None,
    axis: int | None = None,
    input: str | None = None,
    output: str | None = None,
) -> Findings:
    """What is wrong with a model: each finding with its cause, its place, its numbers and a fix.

    The same as `atrous lint` prints and counts, but for the settings: the command reads those of
    the nearest `pyproject.toml`, a call those it is given. Comments in the model's source
    (`# atrous: ignore[ATR101]`) count for both.

    Args:
        model: a module, or a program exported by `torch.export`.
        x: an input, as in `receptive_field`. Its values do not matter.
        select: run these rules alone: codes ("ATR101"), names ("holes"), beginnings of codes
            ("ATR1") or "ALL". By default those that do not need to be asked for.
        ignore: do not run these.
        extend_select: run these too.
        severity: the mildest that is returned; "warning" by default. Milder ones are in
            `.judgement.milder`.
        settings: a `pyproject.toml`, or what its table `[tool.atrous.lint]` would hold.
        causal: declare that no output may read the future along `axis`.
        field: declare the field that the output is meant to have, in positions along every axis.
        reach: declare how far it is meant to see to each side; to the past alone if causal.
        length: declare the length along `axis` of the examples it is trained on.
        stream: declare that it is meant to be streamed along `axis`.
        tile: declare that it is meant to be run in tiles.
        axis: an axis of the input, counted from the end if negative; by default the last that
            holds positions.
        input: the name of the input that fields refer to; by default the first.
        output: the label of the output that is judged; by default all are, and a finding that is
            not about all of them names its own.

    Returns:
        A list of `Finding` that prints itself and has `.to_json()`, `.to_sarif()`, `.to_github()`
        and, for what is not in the list, `.judgement`.

    Raises:
        KeyError: if there is no such input or output.
        ValueError: if the output does not depend on the input, or a rule, a setting or a severity
            does not exist, in a comment too; the message names the nearest. If no positions lie
            along `axis`.
        CaptureError: if the model cannot run on `x` or cannot be exported.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=2, padding=2) for _ in range(2)))
        >>> for found in lint(net, (1, 1, 32), select=["holes"]):
        ...     print(found.code, found.name, found.severity, found.numbers["holes"])
        ATR101 holes warning 4
    """
    asked = settings_of(settings).overridden(
        select=select,
        ignore=ignore,
        extend_select=extend_select,
        severity=severity,
        declare={
            "causal": causal, "field": field, "reach": reach, "length": length, "stream": stream,
            "tile": tile, "axis": axis,
        },
    )  # fmt: skip
    return findings(capture(model, x), model, asked, input=input, output=output)


def settings_of(given: str | Path | Mapping[str, Any] | None) -> Settings:
    """Settings from a file, from what its table would hold, or the default ones."""
    if isinstance(given, Mapping):
        return Settings.of(given)
    return Settings() if given is None else read_settings(given)


def findings(
    program: Program,
    model: nn.Module | ExportedProgram,
    asked: Settings,
    *,
    input: str | None,
    output: str | None,
) -> Findings:
    """What `lint` returns, of a model that is captured already.

    Args:
        program: the captured model.
        model: the model.
        asked: the settings.
        input: the name of the input that fields refer to.
        output: the label of the output that is judged.
    """
    source = program.input(input)
    subject = Subject(
        program,
        model if isinstance(model, nn.Module) else None,
        asked.declared(),
        source.name,
        output,
    )
    if output is not None or not subject.outputs:
        check_depends(program, program.output(output), input=input, node=None, output=output)
    if subject.declared.axis is not None:
        # One that does not exist is told also where no rule asks for it.
        declared_axis(subject)
    return Findings(
        judge(subject, asked),
        model=type(model).__name__,
        input=source.name,
        shape=source.shape,
        outputs=subject.outputs if len(program.outputs) > 1 else (),
    )

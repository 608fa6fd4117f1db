"""Findings for the terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.text import Text

from atrous.lint.finding import SEVERITIES, Finding, Severity
from atrous.lint.judgement import Judgement

_COLOURS: dict[Severity, str] = {"error": "red", "warning": "yellow", "note": "cyan"}


def render(judgement: Judgement, title: str) -> RenderableType:
    """Findings by severity, each with its place, message and fix; a summary under them.

    Args:
        judgement: what was found.
        title: the model and its input.
    """
    parts: list[RenderableType] = [Text(title, style="italic")]
    for severity, found in groupby(judgement.findings, key=lambda finding: finding.severity):
        mine = list(found)
        parts += [Text(""), Text(_counted(mine, severity), style=f"bold {_COLOURS[severity]}")]
        for finding in mine:
            parts += _finding(finding)
    return Group(*parts, Text(""), *summary(judgement))


def _finding(finding: Finding) -> Iterator[RenderableType]:
    # Names and messages hold names from the model: no markup in them.
    head = Text.assemble(
        (finding.code, f"bold {_COLOURS[finding.severity]}"),
        f" {finding.name} at ",
        (finding.path or "the model", "bold"),
    )
    places = [shortened(finding.line)] if finding.line else []
    if finding.made and finding.source:
        file, _, line = finding.source.rpartition(":")
        same = finding.made.rpartition(":")[0] == file
        places.append(f"called at {f'line {line}' if same else shortened(finding.source)}")
    if places:
        head.append(f" ({', '.join(places)})", "dim")
    yield Padding(head, (0, 0, 0, 2), expand=False)
    yield Padding(Text(finding.message), (0, 0, 0, 4), expand=False)
    if finding.fix:
        yield Padding(Text("use instead:", "dim"), (0, 0, 0, 4), expand=False)
        code = Syntax("", "python", theme="ansi_dark").highlight(finding.fix)
        for row in code.split():
            yield Padding(row, (0, 0, 0, 6), expand=False)
    if finding.autofix and _is_offered(finding.autofix):
        yield Padding(
            Text(f"mended by: atrous.{finding.autofix}", "dim"), (0, 0, 0, 4), expand=False
        )


def summary(judgement: Judgement) -> list[RenderableType]:
    """How many of what, and what was left out; one line where all is well."""
    found = judgement.findings
    counts = [
        _counted([f for f in found if f.severity == severity], severity)
        for severity in SEVERITIES
        if any(f.severity == severity for f in found)
    ]
    rules = len(judgement.rules)
    told = Text(
        f"{', '.join(counts) or 'no findings'}, by {rules} rule{'s' * (rules != 1)}",
        style="bold" if found else "green",
    )
    beside = [
        _counted([f for f in judgement.milder if f.severity == severity], severity)
        for severity in SEVERITIES
        if any(f.severity == severity for f in judgement.milder)
    ]
    if beside:
        mildest = judgement.milder[-1].severity
        told.append(f"; {', '.join(beside)} not shown (severity {mildest!r} shows them)", "dim")
    if judgement.ignored:
        told.append(f"; {len(judgement.ignored)} ignored", "dim")
    lines: list[RenderableType] = [told]
    if found:
        codes = sorted({finding.code for finding in found})
        more = f" {codes[0]}" if len(codes) == 1 else " CODE"
        lines.append(Text(f"atrous rule{more} explains", style="dim"))
    reasons: dict[str, list[str]] = {}
    for code, reason in judgement.unjudged:
        reasons.setdefault(reason, []).append(code)
    for reason, unjudged in reasons.items():
        lines.append(Text(f"not judged by {', '.join(unjudged)}: {reason}", style="red"))
    lines += [
        Text(f"ignores nothing: the comment at {shortened(source)}", style="yellow")
        for source in judgement.unused
    ]
    lines += [
        Text(f"matches no module: {pattern!r} of per-path-ignores.{meant}", style="yellow")
        for pattern, meant in judgement.unmatched
    ]
    return lines


def shortened(source: str) -> str:
    """`file:line` as people would say it: relative to here, or to where packages lie."""
    file, _, line = source.rpartition(":")
    path = Path(file)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    parts = path.parts
    if "site-packages" in parts:
        path = Path(*parts[parts.index("site-packages") + 1 :])
    return f"{path}:{line}"


def _counted(findings: Sequence[Finding], severity: Severity) -> str:
    return f"{len(findings)} {severity}{'s' * (len(findings) != 1)}"


def _is_offered(name: str) -> bool:
    """Whether the public function is there, in this version."""
    return callable(getattr(sys.modules.get("atrous"), name, None))

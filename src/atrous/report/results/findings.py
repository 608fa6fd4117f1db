"""What lint returns: a list of findings with its ways to be shown and saved."""

from __future__ import annotations

from dataclasses import replace
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult

from atrous.lint.facts.layers import quoted
from atrous.lint.finding import SEVERITIES, Finding
from atrous.lint.judgement import Judgement
from atrous.report.formats.github import to_github
from atrous.report.formats.sarif import to_sarif
from atrous.report.results.saving import printed, saved_json
from atrous.report.text.findings import render

SCHEMA = "atrous.lint/1"


class Findings(list[Finding]):
    """The findings that are shown, the worst first, then in order of the model.

    Attributes:
        judgement: these and the rest: milder findings, ignored ones, rules that could not judge.
        model: the model's name.
        input: the input's name.
        shape: the input's shape.
        outputs: the labels of the outputs that were judged, where the model has several.
    """

    def __init__(
        self,
        judgement: Judgement,
        *,
        model: str,
        input: str,
        shape: tuple[int, ...],
        outputs: tuple[str, ...] = (),
    ) -> None:
        super().__init__(judgement.findings)
        self.judgement = judgement
        self.model = model
        self.input = input
        self.shape = shape
        self.outputs = outputs

    @property
    def title(self) -> str:
        """The model and its input; the outputs that were judged, where it has several."""
        told = f"{self.model} on {self.input} {'x'.join(map(str, self.shape))}"
        if not self.outputs:
            return told
        return f"{told}, output{'s' * (len(self.outputs) > 1)} {quoted(self.outputs)}"

    def located(self, source: str) -> Findings:
        """The same, with a `file:line` for findings that have none: where the model is made."""
        judged = self.judgement

        def placed(finding: Finding) -> Finding:
            return finding if finding.line else replace(finding, source=source)

        return Findings(
            replace(
                judged,
                findings=tuple(map(placed, judged.findings)),
                milder=tuple(map(placed, judged.milder)),
                ignored=tuple(replace(i, finding=placed(i.finding)) for i in judged.ignored),
            ),
            model=self.model,
            input=self.input,
            shape=self.shape,
            outputs=self.outputs,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        judged = self.judgement
        return {
            "schema": SCHEMA,
            "model": self.model,
            "input": {"name": self.input, "shape": list(self.shape)},
            "outputs": list(self.outputs),
            "rules": list(judged.rules),
            "counts": {s: sum(f.severity == s for f in self) for s in SEVERITIES},
            "findings": [_plain(finding) for finding in self],
            "milder": [_plain(finding) for finding in judged.milder],
            "ignored": [{**_plain(i.finding), "ignored_by": i.by} for i in judged.ignored],
            "unjudged": [{"code": code, "reason": reason} for code, reason in judged.unjudged],
            "unused_comments": list(judged.unused),
            "unmatched_paths": [pattern for pattern, _ in judged.unmatched],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text; also written to `path` if given."""
        return saved_json(self.to_dict(), path)

    def to_sarif(self, path: str | Path | None = None, *, root: str | Path | None = None) -> str:
        """SARIF 2.1.0; also written to `path` if given.

        Args:
            path: where to write it.
            root: the folder that files are told relative to; by default the current one.
        """
        log = to_sarif(
            self.judgement,
            model=self.model,
            root=None if root is None else Path(root),
        )
        return saved_json(log, path)

    def to_github(self) -> str:
        """Workflow commands that GitHub shows as annotations, one a line."""
        return to_github(self)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield render(self.judgement, self.title)

    def __str__(self) -> str:
        text = printed(render(self.judgement, self.title))
        return "\n".join(line.rstrip() for line in text.splitlines())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def _plain(finding: Finding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "name": finding.name,
        "severity": finding.severity,
        "path": finding.path,
        "source": finding.source,
        "made": finding.made,
        "message": finding.message,
        "numbers": dict(finding.numbers),
        "fix": finding.fix,
        "autofix": finding.autofix,
    }

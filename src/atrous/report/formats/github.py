"""Findings as the workflow commands that GitHub turns into annotations."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from atrous.lint.finding import Finding

_COMMANDS = {"error": "error", "warning": "warning", "note": "notice"}


def to_github(findings: Iterable[Finding], *, root: Path | None = None) -> str:
    """One command a line, for a job's log.

    Args:
        findings: what to annotate.
        root: the folder that files are told relative to, the repository's; by default the current
            one.
    """
    return "\n".join(_command(finding, root or Path.cwd()) for finding in findings)


def _command(finding: Finding, root: Path) -> str:
    told = {}
    if finding.line:
        file, _, line = finding.line.rpartition(":")
        path = Path(file).resolve()
        inside = path.is_relative_to(root.resolve())
        told["file"] = (path.relative_to(root.resolve()) if inside else path).as_posix()
        told["line"] = line
    told["title"] = f"{finding.code} {finding.name}"
    text = f"{finding.path}: {finding.message}" if finding.path else finding.message
    if finding.fix:
        text += f"\n{finding.fix}"
    values = ",".join(f"{key}={_property(value)}" for key, value in told.items())
    return f"::{_COMMANDS[finding.severity]} {values}::{_data(text)}"


def _data(text: str) -> str:
    """Text with what would end a command written as its code."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    """The same where colons and commas have a meaning too."""
    return _data(text).replace(":", "%3A").replace(",", "%2C")

"""Findings as SARIF 2.1.0, which code hosts and editors show at the lines they are about.

The format is the OASIS standard "Static Analysis Results Interchange Format 2.1.0"; sections named
below are its sections.
"""

from __future__ import annotations

import re
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote

from atrous.lint.finding import Finding
from atrous.lint.judgement import Ignored, Judgement
from atrous.lint.rule import TOPICS, LintRule, lint_rules
from atrous.report.formats.rule_page import to_markdown

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

_LINK = re.compile(r"\[(?=[^\]]*\]\()")
"""What a viewer would take for a link (section 3.11.6), as in `blocks[0](x)`."""

_MARKUP = re.compile(r"([\\`*_\[\]<>#|~&!])")
"""What Markdown takes for markup where it stands in a line, as the underscores of `x_in_x`."""


def to_sarif(judgement: Judgement, *, model: str, root: Path | None = None) -> dict[str, Any]:
    """A log with one run.

    Args:
        judgement: what was found; what comments and settings ignore is in the log as suppressed.
        model: the model's name.
        root: the folder that files are told relative to; by default the current one.
    """
    known = lint_rules()
    codes = judgement.rules
    index = {code: k for k, code in enumerate(codes)}
    seen: dict[str, int] = {}
    results = []
    told: list[tuple[Finding, Ignored | None]] = [(f, None) for f in judgement.findings]
    told += [(item.finding, item) for item in judgement.ignored]
    for finding, ignored in told:
        # The same at one module again is another result: counted, so that lines may move.
        key = f"{model}\n{finding.code}\n{finding.path}"
        seen[key] = seen.get(key, 0) + 1
        result = _result(finding, index[finding.code], model, root or Path.cwd())
        result["partialFingerprints"] = {"atrous/v1": _hash(f"{key}\n{seen[key]}")}
        result["suppressions"] = []
        if ignored is not None:
            kind = "inSource" if ignored.by == "comment" else "external"
            result["suppressions"] = [{"kind": kind}]
        results.append(result)
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "atrous",
                        "version": version("atrous"),
                        "rules": [_rule(known[code]) for code in codes],
                    }
                },
                "invocations": [
                    {
                        "executionSuccessful": not judgement.unjudged,
                        "toolExecutionNotifications": [
                            {"level": "error", "message": {"text": _plain(f"{code}: {reason}")}}
                            for code, reason in judgement.unjudged
                        ],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(rule: LintRule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": _plain(rule.summary)},
        "help": {
            "text": _plain(rule.page),
            "markdown": _literal(to_markdown(rule, title=False)),
        },
        "defaultConfiguration": {"level": rule.severity, "enabled": rule.default},
        "properties": {"tags": [TOPICS[rule.code[:4]].partition(":")[0]]},
    }


def _result(finding: Finding, rule: int, model: str, root: Path) -> dict[str, Any]:
    logical = {
        "name": finding.path.rpartition(".")[2] or model,
        "fullyQualifiedName": f"{model}.{finding.path}" if finding.path else model,
        "kind": "module",
    }
    location: dict[str, Any] = {"logicalLocations": [logical]}
    if finding.line:
        location["physicalLocation"] = _physical(finding.line, root)
    text = finding.message + (f"\n\nUse instead:\n\n{finding.fix}" if finding.fix else "")
    told: dict[str, Any] = {
        "ruleId": finding.code,
        "ruleIndex": rule,
        "level": finding.severity,
        "message": {"text": _plain(text)},
        "locations": [location],
        "properties": {"path": finding.path, "numbers": dict(finding.numbers)},
    }
    if finding.fix:
        fence = "`" * max(3, 1 + max(map(len, re.findall("`+", finding.fix)), default=0))
        told["message"]["markdown"] = _literal(
            _MARKUP.sub(r"\\\1", finding.message)
            + f"\n\nUse instead:\n\n{fence}python\n{finding.fix}\n{fence}"
        )
    if finding.source and finding.source != finding.line:
        told["relatedLocations"] = [
            {
                "id": 0,
                "message": {"text": "called here"},
                "physicalLocation": _physical(finding.source, root),
            }
        ]
    for key, value in (("fix", finding.fix), ("autofix", finding.autofix)):
        if value:
            told["properties"][key] = value
    return told


def _literal(text: str) -> str:
    """Braces doubled: single ones are placeholders of arguments (section 3.11.5)."""
    return text.replace("{", "{{").replace("}", "}}")


def _plain(text: str) -> str:
    """A plain text message: neither placeholders nor links in it."""
    return _literal(_LINK.sub(r"\[", text))


def _physical(source: str, root: Path) -> dict[str, Any]:
    """A line of a file: relative to the root, or absolute where it lies outside (section 3.4)."""
    file, _, line = source.rpartition(":")
    path = Path(file).resolve()
    if path.is_relative_to(root.resolve()):
        artifact = {
            "uri": quote(path.relative_to(root.resolve()).as_posix()),
            "uriBaseId": "%SRCROOT%",
        }
    else:
        artifact = {"uri": path.as_uri()}
    return {"artifactLocation": artifact, "region": {"startLine": int(line)}}


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:32]

"""Running rules over a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atrous.lint.finding import SEVERITIES, Finding
from atrous.lint.rule import Found, LintRule
from atrous.lint.subject import Subject


def check(
    subject: Subject,
    rules: Iterable[LintRule],
    settings: Mapping[str, Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """What the rules find, the worst first, then in order of the model.

    Args:
        subject: the model.
        rules: the rules to run.
        settings: by a rule's name, what differs from its defaults.
    """
    order = {name: k for k, name in enumerate(subject.program.nodes)}
    found: list[tuple[int, int, Finding]] = []
    for rule in rules:
        mine = {**rule.settings, **(settings or {}).get(rule.name, {})}
        for item in rule.check(subject, mine):
            finding = _finding(rule, item)
            at = order[item.node.name] if item.node is not None else -1
            found.append((SEVERITIES.index(finding.severity), at, finding))
    told: list[Finding] = []
    for *_, finding in sorted(found, key=lambda item: item[:2]):
        # A module that is called twice gives one finding if both say the same.
        if finding not in told:
            told.append(finding)
    return told


def _finding(rule: LintRule, found: Found) -> Finding:
    node = found.node
    return Finding(
        code=rule.code,
        severity=found.severity or rule.severity,
        path=node.place.module if node is not None else "",
        message=found.message,
        fix=found.fix,
        name=rule.name,
        source=node.place.source if node is not None else "",
        numbers=dict(found.numbers),
        autofix=rule.autofix if found.autofix is None else found.autofix,
    )

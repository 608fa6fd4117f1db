"""Running rules over a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from atrous.graph.program import Node, Program
from atrous.lint.finding import SEVERITIES, Finding
from atrous.lint.places import class_lines, construction
from atrous.lint.rule import Found, LintRule
from atrous.lint.subject import Subject

Placed = tuple[Finding, Node | None]
"""A finding with the node it is about; None for the model as a whole."""


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
    told = settings or {}
    found = [item for rule in rules for item in findings_of(subject, rule, told.get(rule.name, {}))]
    return [finding for finding, _ in in_order(subject.program, found)]


def findings_of(subject: Subject, rule: LintRule, settings: Mapping[str, Any]) -> list[Placed]:
    """What one rule finds, in the order it finds it.

    Args:
        subject: the model.
        rule: the rule.
        settings: what differs from the rule's defaults.
    """
    found = rule.check(subject, {**rule.settings, **settings})
    return [(_finding(subject, rule, item), item.node) for item in found]


def in_order(program: Program, found: Iterable[Placed]) -> list[Placed]:
    """The worst first, then in order of the model; what is said twice, once."""
    order = {name: k for k, name in enumerate(program.nodes)}

    def key(item: Placed) -> tuple[int, int]:
        finding, node = item
        return SEVERITIES.index(finding.severity), -1 if node is None else order[node.name]

    told: list[Placed] = []
    for finding, node in sorted(found, key=key):
        # A module that is called twice gives one finding if both say the same.
        if all(finding != known for known, _ in told):
            told.append((finding, node))
    return told


def _finding(subject: Subject, rule: LintRule, found: Found) -> Finding:
    node, model = found.node, subject.model
    path = node.place.module if node is not None else ""
    made = construction(model, path) if model is not None and path else None
    source = node.place.source if node is not None else ""
    if node is None and model is not None:
        header = class_lines(type(model))
        source = header.source if header else ""
    return Finding(
        code=rule.code,
        severity=found.severity or rule.severity,
        path=path,
        message=found.message,
        fix=found.fix,
        name=rule.name,
        source=source,
        made=made.source if made else "",
        numbers=dict(found.numbers),
        autofix=rule.autofix if found.autofix is None else found.autofix,
    )

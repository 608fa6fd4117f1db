"""Running rules over a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from atrous.graph.program import Node, Program
from atrous.lint.facts.layers import quoted
from atrous.lint.finding import SEVERITIES, Finding
from atrous.lint.places import class_lines, construction
from atrous.lint.rule import Found, LintRule
from atrous.lint.subject import Subject


@dataclass(frozen=True)
class Placed:
    """A finding, and what it was made of.

    Attributes:
        finding: the finding.
        rule: the rule that found it.
        found: what the rule said.
    """

    finding: Finding
    rule: LintRule
    found: Found

    @property
    def nodes(self) -> tuple[Node | None, ...]:
        """The nodes it is about; None for the model as a whole."""
        return (self.found.node, *self.found.also)

    def includes(self, other: Placed) -> bool:
        """Whether another finding has the same cause, and is told with this one."""
        mine = {node.name for node in self.found.layers}
        theirs = {node.name for node in other.found.layers}
        worse = SEVERITIES.index(self.finding.severity) <= SEVERITIES.index(other.finding.severity)
        return bool(theirs) and other.rule.code in self.rule.includes and theirs <= mine and worse


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
    return [item.finding for item in once(in_order(subject.program, found))]


def findings_of(subject: Subject, rule: LintRule, settings: Mapping[str, Any]) -> list[Placed]:
    """What one rule finds, in the order it finds it.

    A rule that judges one output is asked for each. What it says of all is said once; else the
    finding names the outputs it is about.

    Args:
        subject: the model.
        rule: the rule.
        settings: what differs from the rule's defaults.
    """
    wanted = {**rule.settings, **settings}
    if not rule.per_output:
        return [_placed(subject, rule, item) for item in rule.check(subject, wanted)]
    known: list[tuple[Found, list[str]]] = []
    for one in subject.by_output:
        for item in rule.check(one, wanted):
            labels = next((of for found, of in known if found == item), None)
            if labels is None:
                known.append((item, labels := []))
            if one.output is not None:
                labels.append(one.output)
    return [_placed(subject, rule, _of(subject, item, labels)) for item, labels in known]


def _of(subject: Subject, found: Found, labels: list[str]) -> Found:
    """A finding about some of the outputs."""
    if labels == list(subject.outputs) or not labels:
        return found
    of = f"output{'s' if len(labels) > 1 else ''} {quoted(labels)}"
    numbers = {**found.numbers, "outputs": labels}
    return replace(found, message=f"{of}: {found.message}", numbers=numbers)


def in_order(program: Program, found: Iterable[Placed]) -> list[Placed]:
    """The worst first, then in order of the model; what is said twice, once."""
    order = {name: k for k, name in enumerate(program.nodes)}

    def key(item: Placed) -> tuple[int, int]:
        node = item.found.node
        return SEVERITIES.index(item.finding.severity), -1 if node is None else order[node.name]

    told: list[Placed] = []
    for item in sorted(found, key=key):
        # A module that is called twice gives one finding if both say the same.
        if all(item.finding != known.finding for known in told):
            told.append(item)
    return told


def once(found: Iterable[Placed]) -> list[Placed]:
    """Findings without those whose cause another one tells."""
    known = list(found)
    return [item for item in known if not any(other.includes(item) for other in known)]


def _placed(subject: Subject, rule: LintRule, found: Found) -> Placed:
    return Placed(_finding(subject, rule, found), rule, found)


def _finding(subject: Subject, rule: LintRule, found: Found) -> Finding:
    node, model = found.node, subject.model
    path = node.place.module if node is not None else found.path
    made = construction(model, path) if model is not None and path else None
    source = node.place.source if node is not None else ""
    if node is None and model is not None and made is None:
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

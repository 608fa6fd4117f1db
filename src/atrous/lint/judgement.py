"""Judging a model: rules run, comments and settings heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from atrous.lint.check import Placed, findings_of, in_order
from atrous.lint.comments import Comment, comments
from atrous.lint.finding import Finding
from atrous.lint.places import Lines, class_lines, places
from atrous.lint.rule import lint_rules
from atrous.lint.settings import Settings
from atrous.lint.subject import Subject


@dataclass(frozen=True)
class Ignored:
    """A finding that is not wanted.

    Attributes:
        finding: the finding.
        by: whether a comment in the source or the settings say so.
    """

    finding: Finding
    by: Literal["comment", "settings"]


@dataclass(frozen=True)
class Judgement:
    """What came out.

    Attributes:
        findings: those to show, the worst first, then in order of the model.
        milder: those below the severity that is shown.
        ignored: those that a comment or a path's settings ignore.
        unjudged: rules that could not judge this model, by code, with the reason.
        unused: `file:line` of comments that ignore nothing.
        rules: the codes of the rules that ran.
    """

    findings: tuple[Finding, ...]
    milder: tuple[Finding, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    unjudged: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


def judge(subject: Subject, settings: Settings) -> Judgement:
    """What the chosen rules find in a model.

    Raises:
        ValueError: if a comment in the model's source names a rule that does not exist.
    """
    known = [comment for file in _files(subject) for comment in comments(file)]
    found: list[Placed] = []
    unjudged = []
    chosen = settings.chosen()
    for rule in chosen:
        try:
            found += findings_of(subject, rule, settings.rules.get(rule.name, {}))
        except ValueError as error:
            if not subject.program.unknown:
                raise
            # An operator without a rule: what the rule asks has no answer.
            unjudged.append((rule.code, str(error)))
    shown: list[Finding] = []
    milder: list[Finding] = []
    ignored: list[Ignored] = []
    used: set[Comment] = set()
    for finding, node in in_order(subject.program, found):
        mine = [comment for comment in known if comment.ignores(finding.code)]
        if mine:
            frames = node.place.frames if node is not None else ()
            lines = list(places(subject.model, finding.path, frames))
            mine = [comment for comment in mine if comment.stands_in(lines)]
        used.update(mine)
        if mine:
            ignored.append(Ignored(finding, "comment"))
        elif settings.ignored_at(finding.path, finding.code):
            ignored.append(Ignored(finding, "settings"))
        else:
            (shown if settings.is_shown(finding.severity) else milder).append(finding)
    ran = {rule.code for rule in chosen} - {code for code, _ in unjudged}
    unused = _unused(subject, [c for c in known if c not in used], ran)
    return Judgement(
        tuple(shown), tuple(milder), tuple(ignored), tuple(unjudged), unused, tuple(sorted(ran))
    )


def _files(subject: Subject) -> list[str]:
    """The source files of a model: of its modules' classes, and those its calls are in."""
    files: dict[str, None] = {}
    for module in subject.model.modules() if subject.model is not None else ():
        header = class_lines(type(module))
        if header is not None:
            files[header.file] = None
    for node in subject.program.nodes.values():
        files.update((frame.rpartition(":")[0], None) for frame in node.place.frames)
    return list(files)


def _unused(subject: Subject, rest: Iterable[Comment], ran: set[str]) -> tuple[str, ...]:
    """Of comments that ignored nothing, those that had the chance.

    They stand at something of this model, and the rules they name have run.
    """
    default = {code for code, rule in lint_rules().items() if rule.default}
    rest = [c for c in rest if (default if c.codes is None else c.codes) <= ran]
    if not rest:
        return ()
    lines = list(dict.fromkeys(_all_places(subject)))
    return tuple(comment.source for comment in rest if comment.stands_in(lines))


def _all_places(subject: Subject) -> Iterator[Lines]:
    for node in subject.program.nodes.values():
        yield from places(None, "", node.place.frames)
    for path, _ in subject.model.named_modules() if subject.model is not None else ():
        yield from places(subject.model, path, ())

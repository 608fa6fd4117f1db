"""Judging a model: rules run, comments and settings heard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from atrous.lint.check import Placed, findings_of, in_order, once
from atrous.lint.comments import Comment, comments
from atrous.lint.finding import Finding
from atrous.lint.places import Lines, class_lines, class_span, places
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
        unmatched: patterns of `per_path_ignores` that match no module, and which may be meant.
        rules: the codes of the rules that ran.
    """

    findings: tuple[Finding, ...]
    milder: tuple[Finding, ...] = ()
    ignored: tuple[Ignored, ...] = ()
    unjudged: tuple[tuple[str, str], ...] = ()
    unused: tuple[str, ...] = ()
    unmatched: tuple[tuple[str, str], ...] = ()
    rules: tuple[str, ...] = ()


def judge(subject: Subject, settings: Settings) -> Judgement:
    """What the chosen rules find in a model.

    Raises:
        ValueError: if a comment at the model names a rule that does not exist, or its list cannot
            be read.
    """
    known = [comment for file in _files(subject) for comment in comments(file)]
    _check_comments(subject, known)
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
    rest: list[Placed] = []
    ignored: list[Ignored] = []
    used: set[Comment] = set()
    for item in in_order(subject.program, found):
        by, mine = _ignored(subject, settings, known, item)
        used.update(mine)
        if by is None:
            rest.append(item)
        else:
            ignored.append(Ignored(item.finding, by))
    told = [item.finding for item in once(rest)]
    shown = tuple(finding for finding in told if settings.is_shown(finding.severity))
    milder = tuple(finding for finding in told if not settings.is_shown(finding.severity))
    ran = {rule.code for rule in chosen} - {code for code, _ in unjudged}
    unused = _unused(subject, [c for c in known if c not in used], ran)
    unmatched = tuple(settings.unmatched(_paths(subject)).items())
    return Judgement(
        shown, milder, tuple(ignored), tuple(unjudged), unused, unmatched, tuple(sorted(ran))
    )


def _ignored(
    subject: Subject, settings: Settings, known: Iterable[Comment], item: Placed
) -> tuple[Literal["comment", "settings"] | None, set[Comment]]:
    """What ignores a finding, if anything, and the comments that say so.

    A finding about several layers is ignored where that is said of each of them.
    """
    finding, used = item.finding, set[Comment]()
    mine = [comment for comment in known if comment.ignores(finding.code)]
    by_comments = everywhere = True
    for node in item.nodes:
        path = finding.path if node is item.found.node or node is None else node.place.module
        lines = list(places(subject.model, path, node.place.frames if node else ())) if mine else []
        here = {comment for comment in mine if comment.stands_in(lines)}
        used |= here
        by_comments = by_comments and bool(here)
        everywhere = everywhere and (bool(here) or settings.ignored_at(path, finding.code))
    if not everywhere:
        return None, used
    return ("comment" if by_comments else "settings"), used


def _paths(subject: Subject) -> list[str]:
    """The paths of all modules, and "" for the model as a whole."""
    found = {node.place.module: None for node in subject.program.nodes.values()}
    if subject.model is not None:
        found.update(dict.fromkeys(name for name, _ in subject.model.named_modules()))
    return ["", *found]


def _check_comments(subject: Subject, known: Iterable[Comment]) -> None:
    """Refuse comments with mistakes: those inside the model's classes, or at its calls."""
    wrong = [comment for comment in known if comment.mistake]
    if not wrong:
        return
    modules = subject.model.modules() if subject.model is not None else ()
    kinds = {kind for module in modules for kind in type(module).__mro__}
    lines = [span for kind in kinds if (span := class_span(kind)) is not None]
    lines += _all_places(subject)
    for comment in wrong:
        if comment.stands_in(lines):
            raise ValueError(comment.mistake)


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
    rest = [c for c in rest if (default if c.codes is None else c.codes) <= ran and not c.mistake]
    if not rest:
        return ()
    lines = list(dict.fromkeys(_all_places(subject)))
    return tuple(comment.source for comment in rest if comment.stands_in(lines))


def _all_places(subject: Subject) -> Iterator[Lines]:
    for node in subject.program.nodes.values():
        yield from places(None, "", node.place.frames)
    for path, _ in subject.model.named_modules() if subject.model is not None else ():
        yield from places(subject.model, path, ())

"""Comments that ignore findings: `# atrous: ignore`, or `# atrous: ignore[ATR101, holes]`."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterable
from dataclasses import dataclass

from atrous.lint.places import Lines, text_of
from atrous.lint.rule import selected

_WORDS = re.compile(r"#\s*atrous:\s*ignore(?![\w-])\s*(?P<rest>.*)")
_LIST = re.compile(r"\[(?P<rules>[^\[\]]*)\]")


@dataclass(frozen=True)
class Comment:
    """One comment.

    Attributes:
        file: where it stands.
        line: on which line.
        codes: what it ignores; None for all.
        mistake: why it cannot be read, if so; it ignores nothing then.
    """

    file: str
    line: int
    codes: frozenset[str] | None
    mistake: str = ""

    @property
    def source(self) -> str:
        """`file:line`."""
        return f"{self.file}:{self.line}"

    def ignores(self, code: str) -> bool:
        """Whether it names a code, or all."""
        return self.codes is None or code in self.codes

    def stands_in(self, lines: Iterable[Lines]) -> bool:
        """Whether it stands on one of some lines."""
        return any(each.holds(self.file, self.line) for each in lines)


def comments(file: str) -> tuple[Comment, ...]:
    """The comments of a source file that ignore findings, those with mistakes included."""
    text = text_of(file)
    if "atrous:" not in text:
        return ()
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            words = _WORDS.search(token.string) if token.type == tokenize.COMMENT else None
            if words:
                found.append(_comment(file, token.start[0], words["rest"]))
    except (tokenize.TokenError, SyntaxError):
        # A file that is no Python any more: it has been edited since it was imported.
        pass
    return tuple(found)


def _comment(file: str, line: int, rest: str) -> Comment:
    if not rest.startswith("["):
        return Comment(file, line, None)
    listed = _LIST.match(rest)
    names = [name.strip() for name in listed["rules"].split(",")] if listed else []
    where = f"{file}:{line}"
    if not all(names) or not names:
        return Comment(
            file, line, frozenset(),
            "an ignoring comment must name rules, as ignore[ATR101] or ignore[holes], "
            f"got {rest!r} at {where}.",
        )  # fmt: skip
    try:
        return Comment(file, line, frozenset(selected(names)))
    except ValueError as error:
        return Comment(file, line, frozenset(), f"{error} (in the comment at {where})")

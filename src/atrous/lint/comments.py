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
    """

    file: str
    line: int
    codes: frozenset[str] | None

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
    """The comments of a source file that ignore findings.

    Raises:
        ValueError: if one names a rule that does not exist, or its list cannot be read.
    """
    text = text_of(file)
    if "atrous:" not in text:
        return ()
    found = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            words = _WORDS.search(token.string) if token.type == tokenize.COMMENT else None
            if words:
                line = token.start[0]
                found.append(Comment(file, line, _codes(words["rest"], f"{file}:{line}")))
    except (tokenize.TokenError, SyntaxError):
        # A file that is no Python any more: it has been edited since it was imported.
        pass
    return tuple(found)


def _codes(rest: str, where: str) -> frozenset[str] | None:
    if not rest.startswith("["):
        return None
    listed = _LIST.match(rest)
    names = [name.strip() for name in listed["rules"].split(",")] if listed else []
    if not all(names) or not names:
        raise ValueError(
            f"an ignoring comment must name rules, as ignore[ATR101] or ignore[holes], "
            f"got {rest!r} at {where}."
        )
    try:
        return frozenset(selected(names))
    except ValueError as error:
        raise ValueError(f"{error} (in the comment at {where})") from None

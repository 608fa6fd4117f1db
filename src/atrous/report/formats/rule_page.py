"""A lint rule's page: its sections, and the page as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import dedent

from atrous.lint.rule import TOPICS, LintRule


def sections(page: str) -> dict[str, str]:
    """The sections of a page by heading, in order; "" holds what stands before the first.

    A heading stands at the margin, what belongs to it is indented.
    """
    found: dict[str, list[str]] = {"": []}
    current = ""
    for line in page.splitlines()[1:]:
        if line and not line[0].isspace():
            current = line.strip()
            found[current] = []
        else:
            found[current].append(line)
    return {name: dedent("\n".join(lines)).strip("\n") for name, lines in found.items()}


def code_blocks(text: str) -> list[str]:
    """The code in a section: what is indented after a line that ends in two colons."""
    return ["\n".join(lines) for is_code, lines in _pieces(text) if is_code]


def settings_in(page: str) -> dict[str, str]:
    """The settings that a page explains: name to explanation."""
    found: dict[str, str] = {}
    last = ""
    for line in sections(page).get("Settings", "").splitlines():
        name, colon, text = line.partition(":")
        if colon and not line[0].isspace():
            last = name.strip()
            found[last] = text.strip()
        elif last:
            found[last] = f"{found[last]} {line.strip()}".strip()
    return found


def to_markdown(rule: LintRule, *, title: bool = True) -> str:
    """The page as Markdown: headings, fenced code, settings with their defaults."""
    told = [f"# {rule.code} {rule.name}", ""] if title else []
    told += [rule.summary, "", f"*{_facts(rule)}*"]
    for heading, text in sections(rule.page).items():
        if heading:
            told += ["", f"## {heading}"]
        if heading == "Settings":
            explained = settings_in(rule.page)
            told += ["", *(_setting(rule.settings, name, explained[name]) for name in explained)]
            continue
        for is_code, lines in _pieces(text):
            told += ["", *(["```python", *lines, "```"] if is_code else lines)]
    return "\n".join(told).replace("\n\n\n", "\n\n").strip() + "\n"


def rules_in_markdown(rules: Mapping[str, LintRule]) -> str:
    """The same as a Markdown table."""
    told = ["| code | name | severity | finds |", "| --- | --- | --- | --- |"]
    for rule in rules.values():
        off = "" if rule.default else " (off unless asked for)"
        summary = rule.summary.replace("|", "\\|")
        told.append(
            f"| {rule.code} | `{rule.name}` | {' or '.join(rule.severities)} | {summary}{off} |"
        )
    return "\n".join(told)


def _facts(rule: LintRule) -> str:
    told = [" or ".join(rule.severities), TOPICS[rule.code[:4]].partition(":")[0]]
    if not rule.default:
        told.append("off unless asked for")
    return "; ".join(told)


def _setting(defaults: Mapping[str, object], name: str, text: str) -> str:
    default = defaults.get(name)
    shown = str(default).lower() if isinstance(default, bool) else repr(default)
    return f"- `{name}` (default `{shown}`): {text}"


def _pieces(text: str) -> Iterator[tuple[bool, list[str]]]:
    """Text and code by turns: (whether it is code, its lines without blank ones around)."""
    piece: list[str] = []
    code = False
    expected = False
    for line in [*text.splitlines(), None]:
        ends = line is None or (code and line.strip() and not line[0].isspace())
        starts = expected and line is not None and line[:1].isspace() and bool(line.strip())
        if ends or starts:
            lines = dedent("\n".join(piece)).strip("\n").splitlines()
            if lines:
                yield code, lines
            piece, code, expected = [], starts, False
        if line is None:
            return
        if not code and line.rstrip().endswith("::"):
            expected = True
            line = line.rstrip()[:-1] if line.strip() != "::" else ""
        elif not code and line.strip():
            expected = False
        piece.append(line)

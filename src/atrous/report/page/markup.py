"""Small pieces of HTML; every text that goes in is escaped here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def crossed(values: Iterable[object], space: str = " ") -> str:
    """Lengths along axes with a sign of multiplication between.

    >>> crossed([3, 4]).encode("ascii", "backslashreplace").decode()
    '3 \\\\xd7 4'
    """
    return f"{space}\u00d7{space}".join(map(str, values))


def text(value: object) -> str:
    """A text between tags or in a quoted attribute."""
    return escape(str(value), quote=True)


def section(name: str, title: str, body: str, lead: str = "") -> str:
    """A section with a heading that can be linked to; `body` and `lead` are HTML."""
    told = f'<p class="lead">{lead}</p>' if lead else ""
    return (
        f'<section id="{name}" aria-labelledby="{name}-title"><h2 id="{name}-title">{text(title)}'
        f"</h2>{told}{body}</section>\n"
    )


def card(title: str, value: str, note: str = "", style: str = "") -> str:
    """A number with what it is and what is to be said about it."""
    kind = f"card {style}".strip()
    more = f'<p class="note">{text(note)}</p>' if note else ""
    return f'<li class="{kind}"><h3>{text(title)}</h3><p class="big">{text(value)}</p>{more}</li>'


def cell(shown: str, value: float | int | None = None, style: str = "", exact: str = "") -> str:
    """A cell of a sortable table.

    Args:
        shown: its text.
        value: the number it is sorted by.
        style: its class.
        exact: what is told when one points at it, if `shown` is rounded.
    """
    kind = f' class="{style}"' if style else ""
    if exact and exact != shown:
        kind += f' title="{text(exact)}"'
    number = (
        ""
        if value is None
        else f' data-v="{value:.12g}"'
        if value != int(value)
        else (f' data-v="{int(value)}"')
    )
    return f"<td{kind}{number}>{text(shown)}</td>"


def sortable(
    name: str, head: Sequence[tuple[str, str, bool]], rows: Iterable[str], caption: str
) -> str:
    """A table whose columns sort it.

    Args:
        name: its id.
        head: per column its title, an explanation, and whether it holds numbers.
        rows: its rows, as HTML.
        caption: what it is, for those who do not see it.
    """
    titles = "".join(
        f'<th scope="col"{" class=n" if number else ""}>'
        f'<button type="button" title="{text(about)}">{text(title)}</button></th>'
        for title, about, number in head
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{text(caption)}">'
        f'<table id="{name}" class="sortable"><caption class="hidden">{text(caption)}</caption>'
        f"<thead><tr>{titles}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def bar(share: float, label: str) -> str:
    """A bar from 0 to 1 with its number beside it."""
    return (
        f'<span class="bar" style="--share:{min(max(share, 0.0), 1.0):.4f}"></span>'
        f"<span>{text(label)}</span>"
    )


def data(name: str, value: Any) -> str:
    """JSON for the script: no character of it can end the element."""
    told = json.dumps(value, separators=(",", ":"), allow_nan=False)
    for character in "<>&\u2028\u2029":
        told = told.replace(character, f"\\u{ord(character):04x}")
    return f'<script type="application/json" id="{name}">{told}</script>'

"""How results show themselves, without knowing who draws them.

A result inherits `Shown`. Notebooks ask it for `_repr_html_`, rich for `__rich__`; both pass the
question to a function that `atrous.report` teaches, one type at a time. So results stay free of
rendering, imports go down only, and a notebook needs no set-up.
"""

from __future__ import annotations

from functools import singledispatch
from html import escape
from typing import Any


@singledispatch
def as_html(result: object) -> str:
    """A result as a fragment of HTML; its text where nobody taught how."""
    return f"<pre>{escape(str(result))}</pre>"


@singledispatch
def as_rich(result: object) -> Any:
    """A result as what rich can print; its text where nobody taught how."""
    from rich.text import Text

    return Text(str(result))


class InNotebooks:
    """A result that notebooks show; for those that know rich themselves."""

    def _repr_html_(self) -> str:
        return as_html(self)


class Shown(InNotebooks):
    """A result that notebooks and rich show as a picture or a table.

    Example:
        >>> class Answer(Shown):
        ...     pass
        >>> @as_html.register
        ... def _(result: Answer) -> str:
        ...     return "<b>42</b>"
        >>> Answer()._repr_html_()
        '<b>42</b>'
    """

    def __rich__(self) -> Any:
        return as_rich(self)

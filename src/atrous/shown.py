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


@singledispatch
def as_dict(result: object) -> dict[str, Any]:
    """A result as plain lists, strings and numbers, with a schema version.

    Raises:
        TypeError: where nobody taught how.
    """
    raise TypeError(f"result must have a form in JSON, got {type(result).__name__}.")


def as_text(result: object, width: int = 100) -> str:
    """What a console without colours shows of a result."""
    from rich.console import Console

    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(as_rich(result))
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


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

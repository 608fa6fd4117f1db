"""`atrous rule`: the page of a lint rule, or a table of all."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.markdown import Markdown

from atrous.cli.output import output_console
from atrous.lint.rule import find_rule, lint_rules
from atrous.report.formats.rule_page import to_markdown
from atrous.report.text.rules import rule_table


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    app.command("rule")(rule)


def rule(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="A code or a name, as ATR101 or holes.")
    ] = None,
) -> None:
    """Explain a rule of `atrous lint`: what it finds, why it matters, what to use instead.

    Without CODE, a table of all rules.
    """
    console = output_console()
    if code is None:
        console.print(rule_table(lint_rules()))
        return
    page = to_markdown(find_rule(code))
    if console.is_terminal:
        console.print(Markdown(page))
    else:
        typer.echo(page, nl=False)

"""All lint rules as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping

from rich.table import Table
from rich.text import Text

from atrous.lint.rule import LintRule
from atrous.report.text.tables import plain_table


def rule_table(rules: Mapping[str, LintRule]) -> Table:
    """All rules, one row each."""
    table = plain_table()
    for title in ("code", "name", "severity"):
        table.add_column(title, no_wrap=True)
    table.add_column("finds")
    for rule in rules.values():
        finds = Text(rule.summary)
        if not rule.default:
            finds.append(" (off unless asked for)", "dim")
        table.add_row(Text(rule.code, "bold"), rule.name, " or ".join(rule.severities), finds)
    return table

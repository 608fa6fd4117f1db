"""A dense model's certificate for the terminal."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from atrous.convert.certificate import TOLD, Certificate, Changed
from atrous.report.text.tables import plain_table


def certificate_table(certificate: Certificate) -> RenderableType:
    """What was changed, a row for modules in a row that were changed alike, and what was compared.

    Args:
        certificate: what to show.
    """
    head, *lines = str(certificate).splitlines()
    parts: list[RenderableType] = [Text(head, style="bold")]
    rows = changed_rows(certificate)
    if rows:
        table = plain_table()
        for name in ("module", "", "kind", "changed", "density", "settings now"):
            table.add_column(name, overflow="fold")
        for row in rows:
            table.add_row(*map(Text, row))
        parts += [table, Text("")]
    return Group(*parts, *map(Text, lines))


def changed_rows(certificate: Certificate) -> list[tuple[str, ...]]:
    """Cells of the table: first module, how many more, class, how, density, settings."""
    rows: list[tuple[str, ...]] = []
    for alike, group in groupby(certificate.changes, key=_alike):
        members = list(group)
        more = f"and {len(members) - 1} more" if len(members) > 1 else ""
        rows.append((members[0].path, more, *alike))
    return rows


def _alike(change: Changed) -> tuple[str, str, str, str]:
    return change.kind, TOLD[change.how], change.density, change.settings

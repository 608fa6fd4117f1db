"""The one look of tables."""

from __future__ import annotations

from rich.table import Table


def plain_table(title: str | None = None) -> Table:
    """An empty table without lines, its headings bold.

    Args:
        title: what stands above it.

    >>> plain_table().box is None
    True
    """
    return Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)

"""A report: an inspection with its ways to be shown and saved."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult

from atrous.analysis.inspection import Inspection
from atrous.report.json.inspection import to_dict
from atrous.report.json.layout import as_json
from atrous.report.json.parts import parts_to_dict
from atrous.report.page.page import to_html
from atrous.report.parts import Parts
from atrous.report.results.saving import printed, saved
from atrous.report.text.inspection import render


@dataclass(frozen=True, repr=False)
class Report:
    """What `atrous.inspect` returns.

    Attributes:
        inspection: every node, as data.
        gather: tells the rest, when it is asked for first.
    """

    inspection: Inspection
    gather: Callable[[], Parts] = field(default=Parts, compare=False)

    @cached_property
    def parts(self) -> Parts:
        """Findings, cost, coverage along the depth, kernels and spectrum.

        They are found out when they are asked for first, of the model as it is then; the table of
        nodes does without them.
        """
        return self.gather()

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return {**to_dict(self.inspection), **parts_to_dict(self.parts)}

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text; also written to `path` if given."""
        return saved(as_json(self.to_dict()), path)

    def to_html(self, path: str | Path | None = None) -> str:
        """One self-contained page; also written to `path` if given."""
        return saved(to_html(self.inspection, self.parts), path)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield render(self.inspection)

    def __str__(self) -> str:
        return printed(self, width=200)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        # A frame of its own, so that the page's style stays inside; only what is known at once.
        page = escape(to_html(self.inspection), quote=True)
        return f'<iframe srcdoc="{page}" style="width: 100%; height: 40rem; border: 0"></iframe>'

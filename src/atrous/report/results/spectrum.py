"""What `spectrum` and `aliasing` return."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

from atrous.analysis.spectrum.folding import FoldedRow, Folding
from atrous.analysis.spectrum.spectrum import LayerSpectrum, Spectrum
from atrous.report.json.spectrum import folding_to_dict, spectrum_to_dict
from atrous.report.results.saving import printed
from atrous.report.text.spectrum import folding_table, spectrum_table
from atrous.shown import InNotebooks


class _Printed(InNotebooks):
    """Prints itself as its table."""

    def _table(self) -> RenderableType:
        raise NotImplementedError

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        raise NotImplementedError

    def to_json(self) -> str:
        """The same as JSON text."""
        return json.dumps(self.to_dict(), indent=2)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield self._table()

    def __str__(self) -> str:
        text = printed(self._table(), width=200).rstrip()
        return "\n".join(line.rstrip() for line in text.splitlines())

    __repr__ = __str__


@dataclass(frozen=True, repr=False)
class SpectrumReport(_Printed):
    """What `atrous.spectrum` returns.

    Attributes:
        spectrum: the findings, as data.
    """

    spectrum: Spectrum

    @property
    def rows(self) -> tuple[LayerSpectrum, ...]:
        """One per layer."""
        return self.spectrum.rows

    def row(self, name: str) -> LayerSpectrum:
        """The first row of a module path or a node."""
        return self.spectrum.row(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return spectrum_to_dict(self.spectrum)

    def _table(self) -> RenderableType:
        return spectrum_table(self.spectrum)


@dataclass(frozen=True, repr=False)
class FoldingReport(_Printed):
    """What `atrous.aliasing` returns.

    Attributes:
        folding: the findings, as data.
    """

    folding: Folding

    @property
    def rows(self) -> tuple[FoldedRow, ...]:
        """One per strided layer."""
        return self.folding.rows

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return folding_to_dict(self.folding)

    def _table(self) -> RenderableType:
        return folding_table(self.folding)

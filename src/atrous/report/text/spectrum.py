"""Tables and plain data of spectra."""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, pi

from rich.console import Group, RenderableType
from rich.text import Text

from atrous.analysis.inspection import as_number
from atrous.analysis.spectrum.folding import Folding
from atrous.analysis.spectrum.passband import Bands, as_text
from atrous.analysis.spectrum.spectrum import AxisSpectrum, Spectrum
from atrous.report.text.tables import plain_table

SCHEMA = "atrous.spectrum/1"

_BLOCKS = "▁▂▃▄▅▆▇█"
_CELLS = 24
_SHORT = 3
"""Passbands shown before the rest is only counted."""


def spectrum_table(found: Spectrum) -> RenderableType:
    """One line per layer and axis, with the gain from frequency 0 to pi as a small picture."""
    table = plain_table()
    table.add_column("layer", overflow="fold")
    for title in ("axis", "taps", "d", "images", "at stride"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    table.add_column("w_c", justify="right", no_wrap=True)
    table.add_column("passes / pi", no_wrap=True)
    for title in ("gain at 0", "at pi"):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("gain, 0 to pi", no_wrap=True)
    singly = any(axis.filters for row in found.rows for axis in row.axes)
    if singly:
        table.add_column("filters", overflow="fold")
    for row in found.rows:
        # Axes of which the same is said share a line.
        lines: dict[tuple[str, ...], list[str]] = {}
        for axis in row.axes:
            lines.setdefault(_cells(axis), []).append(str(axis.axis))
        for k, (cells, axes) in enumerate(lines.items()):
            table.add_row(
                Text(row.label if k == 0 else ""), ",".join(axes), *cells[: None if singly else -1]
            )
    heading = Text(f"{found.model}: gain of waves along each axis", style="italic")
    notes = [Text(f"left out: {n} ({why})") for n, why in found.left_out]
    if not found.rows:
        notes.append(Text("no layer with weights that slides"))
    return Group(heading, table, *notes)


def _cells(axis: AxisSpectrum) -> tuple[str, ...]:
    return (
        str(axis.taps),
        str(axis.dilation),
        str(axis.images),
        "" if axis.rate is None else str(as_number(axis.rate)),
        axis.kind,
        "" if axis.cutoff is None else f"{axis.cutoff / pi:.3g} pi",
        _bands(axis.bands),
        f"{axis.dc:.3g}",
        f"{axis.nyquist:.3g}",
        sparkline(list(axis.curve(_CELLS))),
        ", ".join(f"{count} {kind}" for kind, count in axis.filters.items()),
    )


def folding_table(found: Folding) -> RenderableType:
    """One line per strided layer."""
    table = plain_table()
    table.add_column("layer", overflow="fold")
    table.add_column("kind", no_wrap=True)
    table.add_column("stride", justify="right", no_wrap=True)
    falling = any(row.lowest for row in found.rows)
    if falling:
        table.add_column("longest wave", justify="right", no_wrap=True)
    table.add_column("aliased", justify="right", no_wrap=True)
    table.add_column("")
    for row in found.rows:
        note: str = row.reason
        if not row.is_linear and not note:
            note = "not linear: told as its stride" + (f" behind {row.through}" * bool(row.through))
        table.add_row(
            Text(row.label),
            row.kind,
            "x".join(map(str, row.stride)),
            *(["x".join(f"{2 * pi / w:.4g}" for w in row.lowest)] if falling else []),
            "" if row.energy is None else f"{row.energy.fraction:.1%}",
            Text(note),
        )
    title = Text(
        f"{found.model}: power beyond the new Nyquist frequency, {found.spectrum} input",
        style="italic",
    )
    return Group(title, table, *([] if found.rows else [Text("no strided layer")]))


def sparkline(values: Sequence[float]) -> str:
    """Values from 0 to the largest as blocks.

    >>> sparkline([1.0, 0.5, 0.0])
    '█▅▁'
    """
    top = max((v for v in values if isfinite(v)), default=0.0)
    if top <= 0:
        return "?" * len(values) if not all(map(isfinite, values)) else _BLOCKS[0] * len(values)
    last = len(_BLOCKS) - 1
    return "".join(_BLOCKS[int(v / top * last + 0.5)] if isfinite(v) else "?" for v in values)


def _bands(bands: Bands) -> str:
    more = len(bands) - _SHORT
    return as_text(bands) if more <= 0 else f"{as_text(bands[:_SHORT])} and {more} more"

"""An effective field as a table for the terminal."""

from __future__ import annotations

import numpy as np
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from atrous.analysis.effective.effective import EffectiveField
from atrous.analysis.effective.spread import AxisSpread
from atrous.report.text.tables import plain_table

_BARS = " ▁▂▃▄▅▆▇█"
_COLOURS = {"gaussian": "green", "box": "cyan", "neither": "yellow", "few": "dim"}


def effective_table(
    found: EffectiveField, *, shares: tuple[float, ...] = (0.5, 0.9, 0.95, 0.99), width: int = 40
) -> RenderableType:
    """How the energy is spread: a row per axis with its profile, and a row per share.

    Args:
        found: what to show.
        shares: shares of the energy to tell area, radius and square for.
        width: characters of a profile.
    """
    title, source, *rest = str(found).splitlines()
    head = [Text(title, style="bold"), Text(source.strip(), style="dim")]
    if found.zero:
        return Group(*head, Text(rest[0].strip(), style="yellow"))
    axes = _table("axis", "centre", "std", "equal weights", "kurtosis", "Gaussian R2", "box R2")
    axes.add_column("shape", justify="left")
    axes.add_column("profile", justify="left", no_wrap=True)
    for axis in found.axes:
        few = axis.shape == "few"
        expected = axis.span.expected_std if axis.span else None
        axes.add_row(
            str(axis.axis),
            f"{axis.centre:.4g}",
            f"{axis.std:.4g}",
            "" if expected is None else f"{expected:.4g}",
            "" if axis.kurtosis is None else f"{axis.kurtosis:+.2f}",
            "" if few else f"{axis.gaussian.r_squared:.3f}",
            "" if few else f"{axis.box.r_squared:.3f}",
            Text("too few positions" if few else axis.shape, style=_COLOURS[axis.shape]),
            profile(axis, width),
        )
    held = _table("energy", "positions", "radius", "square", "share of the field")
    for share in shares:
        part = found.share_of_field(share)
        held.add_row(
            f"{share:.0%}",
            f"{found.area(share):,}",
            f"{found.radius(share):.4g}",
            str(found.square(share)),
            "" if part is None else f"{part:.2%}",
        )
    notes = [Text(found.note, style="yellow")] if found.note else []
    clipped = [str(axis.axis) for axis in found.axes if axis.span and axis.span.clipped]
    if clipped:
        notes.append(Text(f"cut by the border along axis {', '.join(clipped)}", style="yellow"))
    return Group(*head, Text(""), axes, Text(""), held, *notes)


def profile(axis: AxisSpread, width: int) -> str:
    """The profile of an axis in bars, over what the output reads or, if unknown, over all."""
    values = axis.profile
    if axis.span is not None:
        values = values[axis.span.start : axis.span.stop]
    if len(values) > width:
        # Means over parts of nearly the same length.
        edges = np.linspace(0, len(values), width + 1).round().astype(int)
        values = np.add.reduceat(values, edges[:-1]) / np.diff(edges)
    top = float(values.max()) or 1.0
    return "".join(_BARS[int(np.ceil(v / top * (len(_BARS) - 1)))] for v in values)


def _table(*columns: str) -> Table:
    table = plain_table()
    for name in columns:
        table.add_column(name, justify="right")
    return table

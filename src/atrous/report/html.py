"""One self-contained page of an inspection."""

from __future__ import annotations

from html import escape

from atrous.analysis.inspection import Inspection, NodeRow
from atrous.report.growth import growth_lines
from atrous.report.text import _COLUMNS, _cells, describe_field, titled_fields

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --accent: #2563eb; --warn: #b45309; }
@media (prefers-color-scheme: dark) { :root { --accent: #7aa2ff; --warn: #fbbf24; } }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
.note { opacity: .75; } .warn { color: var(--warn); }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; white-space: nowrap; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line); }
th { position: sticky; top: 0; background: Canvas; }
td.n, th.n { text-align: right; }
td:first-child { font-family: ui-monospace, monospace; font-size: .85rem; }
.exact { color: #15803d; } .bound { color: #b45309; } .global { color: #0e7490; }
.unknown { color: #dc2626; }
@media (prefers-color-scheme: dark) {
  .exact { color: #4ade80; } .bound { color: #fbbf24; } .global { color: #22d3ee; }
  .unknown { color: #f87171; }
}
svg { width: 100%; height: auto; max-width: 60rem; }
svg text { fill: currentColor; font-size: 11px; }
"""
_NUMERIC = range(3, 8)


def to_html(found: Inspection) -> str:
    """The page; every text that comes from the model is escaped."""
    shape = " x ".join(map(str, found.input_shape))
    outputs = "".join(
        f"<p>{escape(describe_field(field, title).plain).replace(chr(10), '<br>')}</p>"
        for title, field in titled_fields(found)
    )
    notes = "".join(
        f'<p class="warn">out of step: {escape(str(m))} '
        f'<span class="note">{escape(m.source)}</span></p>'
        for m in found.misalignments
    )
    reasons: dict[str, list[str]] = {}
    for node, reason in found.unknown:
        reasons.setdefault(reason, []).append(node)
    for reason, nodes in reasons.items():
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        notes += f'<p class="warn">unknown: {escape(reason)} (at {escape(nodes[0])}{more})</p>'
    others = [name for name in found.inputs if name != found.input]
    if others:
        notes += f'<p class="note">Fields of nodes refer to input {escape(found.input)!r}.</p>'
    return (
        "<!doctype html>\n<html lang='en'><head><meta charset='utf-8'>"
        "<meta name='viewport' content='width=device-width, initial-scale=1'>"
        f"<title>{escape(found.model)}: receptive fields</title>"
        f"<style>{_STYLE}</style></head><body>"
        f"<h1>{escape(found.model)}</h1>"
        f"<p class='note'>on {escape(found.input)} {shape}; {found.parameters:,} parameters, "
        f"{found.macs:,} MACs, {len(found.rows)} nodes</p>"
        f"{outputs}{notes}<h2>Growth of the field</h2>{_growth_chart(found)}"
        f"<h2>Nodes</h2><div class='scroll'>{_table(found)}</div></body></html>\n"
    )


def _table(found: Inspection) -> str:
    head = "".join(
        f"<th class='n'>{h}</th>" if k in _NUMERIC or k > 8 else f"<th>{h}</th>"
        for k, h in enumerate(_COLUMNS)
    )
    body = "".join(map(_line, found.rows))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _line(row: NodeRow) -> str:
    status = row.field.status if row.field else ""
    cells = "".join(
        f"<td class='n'>{escape(str(c))}</td>"
        if k in _NUMERIC or k > 8
        else f"<td class='{status}'>{escape(str(c))}</td>"
        if k == 8
        else f"<td>{escape(str(c))}</td>"
        for k, c in enumerate(_cells(row))
    )
    return f"<tr title='{escape(row.source, quote=True)}'>{cells}</tr>"


_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 900.0, 260.0, 50.0, 24.0


def _growth_chart(found: Inspection) -> str:
    """Field size of every node, joined to the nodes it reads; the input's length is dashed.

    Where all is read besides, the size is that of the other ways; a node that knows no other way,
    or nothing at all, is left out.
    """
    drawn = growth_lines(found)
    rows = [row for row in found.rows if row.field is not None]
    lengths = {found.input_shape[axis] for axis in found.axes}
    sizes = [size for line in drawn for _, size in line.points.values()]
    top = max([*sizes, *lengths], default=1)

    def height(size: int) -> float:
        return _HEIGHT - _BOTTOM - size * (_HEIGHT - _BOTTOM - 12) / top

    parts = [_level(size, height(size), size in lengths) for size in sorted({0, top} | lengths)]
    step = (_WIDTH - _LEFT - 10) / max(len(rows) - 1, 1)
    for number, line in enumerate(drawn):
        at = {name: (_LEFT + k * step, height(size)) for name, (k, size) in line.points.items()}
        dash = f" stroke-dasharray='{2 + 3 * number} 3'" if number else ""
        for row in rows:
            if row.name not in at:
                continue
            x, y = at[row.name]
            parts += [
                f"<line x1='{at[name][0]:.1f}' y1='{at[name][1]:.1f}' x2='{x:.1f}' y2='{y:.1f}' "
                f"stroke='var(--accent)' stroke-width='1.5' stroke-opacity='.6'{dash}/>"
                for name in row.reads
                if name in at
            ]
            axes = ", ".join(map(str, line.axes))
            label = f"{row.label}: {line.points[row.name][1]} on axis {axes}"
            parts.append(
                f"<circle cx='{x:.1f}' cy='{y:.1f}' r='3' fill='var(--accent)'>"
                f"<title>{escape(label)}</title></circle>"
            )
    return (
        f"<svg viewBox='0 0 {_WIDTH:.0f} {_HEIGHT:.0f}' role='img' "
        f"aria-label='field size by node'>{''.join(parts)}"
        f"<text x='{_LEFT}' y='{_HEIGHT - 6}'>nodes in order, joined to what they read; "
        "dashed level: length of the input; nodes that read everything, and nothing else, are left "
        f"out{_lines_legend([line.axes for line in drawn])}</text></svg>"
    )


def _lines_legend(axes: list[tuple[int, ...]]) -> str:
    if len(axes) < 2:
        return ""
    first, *others = (", ".join(map(str, group)) for group in axes)
    return f"; solid lines: axis {first}, dashed lines: axis {' and '.join(others)}"


def _level(size: int, y: float, dashed: bool) -> str:
    dash = " stroke-dasharray='4 4'" if dashed else ""
    return (
        f"<line x1='{_LEFT}' x2='{_WIDTH - 10}' y1='{y:.1f}' y2='{y:.1f}' stroke='currentColor' "
        f"stroke-opacity='.3'{dash}/><text x='{_LEFT - 6}' y='{y + 4:.1f}' text-anchor='end'>"
        f"{size}</text>"
    )

"""What one output reads, over the depth: maps that the script draws, and their numbers."""

from __future__ import annotations

from math import isfinite, prod
from typing import Any

from atrous.report.page.markup import cell, crossed, section, sortable, text
from atrous.report.parts import Parts, Stage
from atrous.report.text.quantities import share
from atrous.report.views.cells import MOST_1D, MOST_2D, Cells, cells, packed

_HEAD = (
    ("node", "module path, or the operation's own name", False),
    ("span", "input positions from the first to the last one read", True),
    ("read", "share of the span that is read", True),
    ("holes", "positions of the span that no route reads", True),
    ("routes", "ways from the output to the input, all together", True),
    ("unevenness", "standard deviation of the counts over their mean", True),
    ("status", "exact, a bound, or global", False),
)
_MOST_DIGITS = 60
_MEASURED = (
    ("std", "standard deviation of the effective field along each axis, in positions", True),
    ("95 % on", "positions of the smallest set that holds 95 % of the energy", True),
    ("of the field", "that set over the positions of the field", True),
)


def maps(parts: Parts) -> str:
    """The section."""
    title = "What one output reads"
    missing = "".join(
        f'<p class="note">{text(part)} not known: {text(parts.missing[part])}</p>'
        for part in ("coverage", "effective field")
        if part in parts.missing
    )
    if not parts.stages:
        note = "" if missing else '<p class="note">no node reads a bounded neighbourhood</p>'
        return section("coverage", title, missing + note)
    measured = any(stage.effective is not None for stage in parts.stages)
    last = len(parts.stages) - 1
    figure = '<figure><canvas id="routes-map" tabindex="0" role="img"></canvas>' + _caption(
        "routes"
    )
    if measured:
        figure += '<figure><canvas id="energy-map" tabindex="0" role="img"></canvas>'
        figure += _caption("energy")
    controls = (
        '<div class="tools js"><label class="wide" for="depth">Depth</label><input type="range" '
        f'id="depth" min="0" max="{last}" value="{last}"><output for="depth" id="depth-told">'
        '</output><label id="view-choice" hidden>Axes <select id="view"></select></label>'
        '<label><input type="checkbox" id="whole"> whole input</label>'
        '<label><input type="checkbox" id="log" checked> log scale</label></div>'
    )
    flat = len(parts.stages[-1].coverage.axes) == 1
    beside = "" if measured or flat else " beside"
    body = (
        f'{controls}<div class="depth{beside}"><div>'
        f'<div class="maps js{" flat" if flat else ""}" id="maps">{figure}</div>'
        '<p class="readout js" id="cell-told" role="status"></p></div>'
        f'<noscript><p class="note">The maps need JavaScript.</p></noscript>'
        f"{_table(parts.stages, measured)}</div>{missing}"
    )
    lead = (
        "From the central output of a node back to the input: how many routes lead to each "
        "position, along the ways that read nothing whole. Holes are orange."
    )
    if any(max(view.block) > 1 for stage in parts.stages for view in cells(stage.coverage)):
        lead += (
            f" Maps of more than {MOST_2D} positions along an axis (curves: {MOST_1D}) are reduced:"
            " a cell shows the largest count of its block; pale orange if some of it is never read."
        )
    return section("coverage", title, body, lead)


def maps_data(parts: Parts) -> list[dict[str, Any]]:
    """What the script draws."""
    return [_stage_data(stage) for stage in parts.stages]


def _stage_data(stage: Stage) -> dict[str, Any]:
    return {
        "label": stage.label,
        "row": f"n-{stage.name}",
        "views": [packed(view) for view in _views(stage)],
    }


def _views(stage: Stage) -> tuple[Cells, ...]:
    return cells(stage.coverage, stage.effective)


def _caption(name: str) -> str:
    told = (
        "routes to each position" if name == "routes" else "effective field: share of each position"
    )
    return (
        f'<figcaption><p>{told}</p><p class="legend" id="{name}-legend"><span class="low"></span>'
        '<span class="ramp"></span><span class="high"></span></p>'
        f'<p class="note" id="{name}-note"></p></figcaption></figure>'
    )


def _table(stages: tuple[Stage, ...], measured: bool) -> str:
    rows = [_row(stage, measured) for stage in stages]
    head = (*_HEAD, *(_MEASURED if measured else ()))
    return sortable("stages-table", head, rows, "nodes along the depth and what they read")


def _row(stage: Stage, measured: bool) -> str:
    seen = stage.coverage
    holes = prod(seen.span) - int(seen.read.sum())
    total = float(seen.total) if seen.total < 10**300 else float("inf")
    even = seen.uniformity.cv
    span = crossed(seen.span)
    told = (
        f'<th scope="row">{text(stage.label)}</th>'
        + cell(span, prod(seen.span), "n")
        + cell(share(seen.density), seen.density, "n")
        + cell(f"{holes:,}" if holes else "none", holes, "n")
        + cell(_large(seen.total), total if isfinite(total) else 1e300, "n", _exact(seen.total))
        + cell(f"{even:.2f}", even, "n")
        + f'<td class="status-{seen.status}">{text(seen.status)}</td>'
    )
    if measured:
        told += _effective_cells(stage)
    return f"<tr>{told}</tr>"


def _effective_cells(stage: Stage) -> str:
    found = stage.effective
    if found is None or found.zero:
        return cell("", -1, "n") + cell("", -1, "n") + cell("", -1, "n")
    part = found.share_of_field()
    return (
        cell(crossed(f"{std:.3g}" for std in found.std), max(found.std), "n")
        + cell(f"{found.area():,}", found.area(), "n")
        + cell("" if part is None else share(part), -1 if part is None else part, "n")
    )


def _large(value: int | float) -> str:
    if value < 10**7:
        return f"{value:,}"
    if isinstance(value, int):
        digits = len(str(value)) - 1
        return f"≈ {value // 10 ** (digits - 2) / 100:.3g}e{digits}"
    return f"≈ {value:.3g}"


def _exact(value: int | float) -> str:
    """All digits, where there are no more than one reads."""
    return f"{value:,}" if isinstance(value, int) and value < 10**_MOST_DIGITS else ""

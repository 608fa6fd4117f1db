"""Gain curves of the layers, small and side by side."""

from __future__ import annotations

from math import isfinite, pi

from atrous.analysis.spectrum.spectrum import AxisSpectrum, LayerSpectrum, Spectrum
from atrous.report.page.markup import section, text
from atrous.report.text.quantities import counted

_POINTS = 64
_SHOWN = 24
_NEAR = 0.02


def spectrum(found: Spectrum | None, missing: str = "") -> str:
    """The section; layers of a single tap pass all frequencies alike and are only counted."""
    title = "Spectrum"
    if found is None:
        return section("spectrum", title, f'<p class="note">not known: {text(missing)}</p>')
    rows = [row for row in found.rows if any(axis.taps > 1 for axis in row.axes)]
    drawn = [_figure(row) for row in rows]
    body = f'<ul class="small">{"".join(drawn[:_SHOWN])}</ul>' if drawn else ""
    if len(drawn) > _SHOWN:
        body += (
            f"<details><summary>{counted(len(drawn) - _SHOWN, 'more layer')}</summary>"
            f'<ul class="small">{"".join(drawn[_SHOWN:])}</ul></details>'
        )
    flat = len(found.rows) - len(rows)
    notes = []
    if flat:
        notes.append(
            f"{counted(flat, 'layer')} left out: a single tap passes every frequency alike."
        )
    notes += [f"left out: {label} ({why})" for label, why in found.left_out]
    if not found.rows:
        notes.append("No layer with weights slides.")
    body += "".join(f'<p class="note">{text(note)}</p>' for note in notes)
    lead = (
        "What each layer passes of waves along one axis, from its real weights: from frequency 0 "
        "to neighbours that alternate. With dilation d a passband has d images; passbands (half "
        "power) are shaded."
    )
    return section("spectrum", title, body, lead if drawn else "")


def _figure(row: LayerSpectrum) -> str:
    curves: list[tuple[tuple[float, ...], list[AxisSpectrum]]] = []
    for axis in row.axes:
        if axis.taps > 1:
            mine = tuple(map(float, axis.curve(_POINTS)))
            like = next((axes for curve, axes in curves if _alike(curve, mine)), None)
            if like is None:
                curves.append((mine, [axis]))
            else:
                like.append(axis)
    top = max((v for curve, _ in curves for v in curve if isfinite(v)), default=0.0)
    first = next(axis for axis in row.axes if axis.taps > 1)
    bands = "".join(
        f'<rect class="band" x="{100 * a / pi:.1f}" y="0" '
        f'width="{100 * (b - a) / pi:.1f}" height="100"/>'
        for a, b in first.bands
    )
    drawn = ""
    for number, (curve, _) in enumerate(curves):
        if not top or not all(map(isfinite, curve)):
            continue
        points = " ".join(
            f"{100 * (k + 0.5) / _POINTS:.1f},{98 - 94 * value / top:.1f}"
            for k, value in enumerate(curve)
        )
        drawn += f'<polyline class="line-{number}" points="{points}"/>'
    told = [
        _described(axes, number if len(curves) > 1 else None)
        for number, (_, axes) in enumerate(curves)
    ]
    label = f"{row.label}: gain from frequency 0 to pi, {first.kind}"
    return (
        f'<li><h3>{text(row.label)}</h3><svg viewBox="0 0 100 100" preserveAspectRatio="none" '
        f'role="img" aria-label="{text(label)}">{bands}{drawn}</svg>'
        f'<p class="axis"><span>0</span><span>π</span></p>{"".join(told)}</li>'
    )


def _alike(first: tuple[float, ...], second: tuple[float, ...]) -> bool:
    """Whether two curves would lie on each other."""
    top = max(*first, *second)
    return all(abs(a - b) <= _NEAR * top for a, b in zip(first, second, strict=True))


def _described(axes: list[AxisSpectrum], number: int | None) -> str:
    axis = axes[0]
    images = f", {axis.images} images" if axis.images > 1 else ""
    which = ""
    if number is not None:
        told = ", ".join(str(a.axis) for a in axes)
        which = f'<span class="key line-{number}">axis {told}:</span> '
    dilated = f", dilation {axis.dilation}" if axis.dilation > 1 else ""
    return (
        f'<p class="note">{which}{counted(axis.taps, "tap")}{dilated}{images}: '
        f"{text(axis.kind)}, gain {axis.dc:.3g} at 0, {axis.nyquist:.3g} at π</p>"
    )

"""What layers pass, from frequency 0 to pi."""

from __future__ import annotations

from collections.abc import Sequence
from math import pi
from typing import TYPE_CHECKING

import numpy as np

from atrous.analysis.spectrum.spectrum import AxisSpectrum, LayerSpectrum, Spectrum
from atrous.report.plot.canvas import axes_for, bound, colour_bar, plain, ramp_map
from atrous.report.plot.checking import check_drawn
from atrous.report.results.spectrum import SpectrumReport
from atrous.report.text.quantities import counted
from atrous.report.views.colours import LINES, QUIET

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_Row = tuple[LayerSpectrum, AxisSpectrum]

_POINTS = 512
_MOST = 32
"""Rows that can be read beside each other."""


def spectrum(
    found: SpectrumReport | Spectrum | LayerSpectrum,
    *,
    layer: str | None = None,
    axis: int | None = None,
    ax: Axes | None = None,
) -> Axes:
    """The gain over frequency: of one layer as a curve with its images, of a model as stripes.

    A layer of dilation d repeats the response of its taps d times around the circle. The dashed
    lines stand at the images of frequency 0, the multiples of `2 pi / d`; what is passed is tinted.
    Of a model every layer is a row, from no gain to its own largest: but layers of a single tap,
    which pass all frequencies alike, and of more than 32 others those that are most alike at all
    frequencies. What is left out is said under the title.

    Args:
        found: what `atrous.spectrum` returns, or one of its rows.
        layer: the module path of one layer of a model.
        axis: the layer's axis; by default its first.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes: frequency in units of pi radians per position of the layer along x.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.
        KeyError: if there is no such layer.
        ValueError: if there is no such axis, or no layer at all.

    Example:
        >>> from torch import nn
        >>> from matplotlib.figure import Figure
        >>> import atrous
        >>> net = nn.Sequential(nn.Conv1d(1, 4, 3), nn.Conv1d(4, 4, 3, dilation=4))
        >>> found = atrous.spectrum(net, (1, 1, 64))
        >>> spectrum(found, layer="1", ax=Figure().subplots()).get_title()
        '1, axis 2, dilation 4: 4 images of the passband'
    """
    check_drawn(
        "found", found, (SpectrumReport, Spectrum, LayerSpectrum), "atrous.spectrum(model, x)"
    )
    rows = _rows(found, layer)
    if len(rows) == 1:
        ax = axes_for(ax, size=(6.4, 3.0))
        _curve(ax, rows[0], axis)
    else:
        chosen, left_out = _chosen([(row, _along(row, axis)) for row in rows])
        ax = axes_for(ax, size=(7.0, 1.1 + 0.24 * len(chosen)))
        _stripes(ax, chosen, left_out)
    ax.set_xlabel("frequency (π radians per position of the layer)")
    return ax


def _rows(
    found: SpectrumReport | Spectrum | LayerSpectrum, layer: str | None
) -> list[LayerSpectrum]:
    rows = [found] if isinstance(found, LayerSpectrum) else list(found.rows)
    if layer is not None:
        named = [row for row in rows if row.label == layer]
        if not named:
            raise KeyError(
                f"layer must be one of {', '.join(repr(row.label) for row in rows)}, got {layer!r}."
            )
        return named[:1]
    if not rows:
        raise ValueError("found must have a layer, got none. Choose a model with convolutions.")
    return rows


def _along(row: LayerSpectrum, axis: int | None) -> AxisSpectrum:
    for own in row.axes:
        if axis is None or own.axis == axis:
            return own
    known = ", ".join(str(own.axis) for own in row.axes)
    raise ValueError(f"axis must be one of {known} for {row.label!r}, got {axis}.")


def _curve(ax: Axes, row: LayerSpectrum, axis: int | None) -> None:
    own = _along(row, axis)
    at = np.linspace(0, 1, _POINTS + 1)
    gains = np.array([own.gain(float(x) * pi) for x in at])
    for number, (low, high) in enumerate(own.bands):
        name = None if number else "passed: at least half of the largest power"
        ax.axvspan(low / pi, high / pi, color=LINES[4], alpha=0.2, linewidth=0, label=name)
    ax.plot(at, gains, color=LINES[0], linewidth=1.6)
    for k in range(1, own.images // 2 + 1):
        bound(ax, 2 * k / own.images, colour=LINES[1])
    if own.images > 1:
        ax.plot([], [], color=LINES[1], linestyle=(0, (4, 3)), linewidth=1, label="images of 0")
    if ax.get_legend_handles_labels()[0]:
        ax.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=2, fontsize="small",
                  frameon=False, borderaxespad=0.1)  # fmt: skip
    ax.set_xlim(0, 1)
    ax.set_ylim(bottom=0)
    ax.set_ylabel("gain")
    ax.grid(axis="y", color=QUIET, alpha=0.25, linewidth=0.6)
    plain(ax)
    count = own.images
    ax.set_title(
        f"{row.label}, axis {own.axis}, dilation {own.dilation}"
        + (f": {count} images of the passband" if count > 1 else ""),
        fontsize="medium",
        pad=24 if ax.get_legend() else None,
    )


def _chosen(rows: Sequence[_Row]) -> tuple[Sequence[_Row], list[str]]:
    """The rows that are worth seeing, in order, and what was left out."""
    several = [pair for pair in rows if pair[1].taps > 1]
    if not several or len(rows) == len(several) <= _MOST:
        several, single = list(rows), 0
    else:
        single = len(rows) - len(several)
    left_out = [f"{counted(single, 'layer')} of a single tap"] if single else []
    if len(several) > _MOST:
        left_out.append(f"{counted(len(several) - _MOST, 'layer')} with the flattest gain")
        flat = sorted(range(len(several)), key=lambda k: _unevenness(several[k][1]))
        kept = sorted(flat[-_MOST:])
        several = [several[k] for k in kept]
    return several, left_out


def _unevenness(own: AxisSpectrum) -> float:
    """How far the gain falls from its largest: 0 for a layer that passes all alike, at most 1."""
    curve = own.curve(_POINTS)
    top = float(curve.max())
    return 1 - float(curve.min()) / top if top > 0 else 0.0


def _stripes(ax: Axes, told: Sequence[_Row], left_out: Sequence[str]) -> None:
    curves = np.stack([own.curve(_POINTS) for _, own in told])
    largest = curves.max(axis=1, keepdims=True)
    share = np.divide(curves, largest, out=np.zeros_like(curves), where=largest > 0)
    image = ax.imshow(
        share,
        cmap=ramp_map(),
        vmin=0,
        vmax=1,
        extent=(0, 1, len(told) - 0.5, -0.5),
        aspect="auto",
        interpolation="none",
    )
    colour_bar(ax, image, "gain over its largest")
    names = [
        row.label + (f"  (d = {own.dilation})" if own.dilation > 1 else "") for row, own in told
    ]
    ax.set_yticks(range(len(told)), names, fontsize="small")
    ax.tick_params(axis="y", length=0)
    plain(ax, keep=())
    title = "what each layer passes"
    if left_out:
        title += f"\nleft out: {' and '.join(left_out)}"
    ax.set_title(title, fontsize="medium")

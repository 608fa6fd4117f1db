"""How much each input weighs: the effective field, alone and before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from atrous.analysis.effective.effective import EffectiveField
from atrous.analysis.effective.spread import AxisSpread
from atrous.report.plot.canvas import axes_for, bound, colour_bar, plain, ramp_map, whole_ticks
from atrous.report.plot.checking import check_drawn
from atrous.report.views.colours import LINES, QUIET, RAMP

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MADE_BY = "atrous.effective_field(model, data)"


def effective_field(
    found: EffectiveField,
    *,
    axis: int | None = None,
    share: float = 0.95,
    log: bool = False,
    whole: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """The energy at each input position, with the circle that holds a share of it.

    Fields of two axes are a heat map with the circle and a dotted ellipse at one standard deviation
    of the Gaussians fitted along both axes; fields of one axis, and one axis of others, are a curve
    with its Gaussian. The box is what is read by the theory.

    Args:
        found: what `atrous.effective_field` returns.
        axis: this input axis alone, the others added up. Must be given for three axes and more.
        share: of the energy, inside the circle.
        log: whether energy has a logarithmic scale.
        whole: show the whole input instead of what is read by the theory, where that is known.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes; input positions are the coordinates.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.
        ValueError: if there is no such axis, it must be given, or the energy is 0 everywhere.

    Example:
        >>> import torch
        >>> from torch import nn
        >>> from matplotlib.figure import Figure
        >>> import atrous
        >>> net = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(4)))
        >>> found = atrous.effective_field(net, torch.randn(2, 1, 32, 32))
        >>> effective_field(found, ax=Figure().subplots()).get_title()
        'effective field of 3 on input'
    """
    check_drawn("found", found, (EffectiveField,), _MADE_BY)
    own = _chosen(found, axis)
    if len(own) == 1:
        ax = axes_for(ax, size=(6.4, 3.0))
        _curve(ax, own[0], "energy", LINES[0], log=log)
        if len(found.axes) == 1:
            radius = found.radius(share)
            ends = (own[0].centre - radius, own[0].centre + radius)
            ax.axvspan(*ends, color=LINES[5], alpha=0.18, linewidth=0, zorder=0,
                       label=f"{share:.0%} of the energy")  # fmt: skip
        _gaussian(ax, own[0])
        _bounds(ax, own[0])
        _finish_curve(ax, own[0].axis)
        if not whole:
            ax.set_xlim(_shown(own[0]))
    else:
        ax = axes_for(ax, size=(5.8, 5.0))
        _heat_map(ax, found, own, share, log)
        if not whole:
            ax.set_xlim(_shown(own[1]))
            ax.set_ylim(_shown(own[0])[::-1])
    ax.set_title(f"effective field of {found.node} on {found.input}", fontsize="medium")
    return ax


def compare(
    before: EffectiveField,
    after: EffectiveField,
    *,
    axis: int | None = None,
    names: tuple[str, str] = ("before", "after"),
    log: bool = False,
    ax: Axes | None = None,
) -> Axes:
    """Two effective fields along one axis, as before and after training.

    Args:
        before: what `atrous.effective_field` returns.
        after: the other.
        axis: which input axis, the others added up; by default the first.
        names: what to call the two.
        log: whether energy has a logarithmic scale.
        ax: axes to draw into; by default those of a new figure.

    Returns:
        The axes; input positions along x.

    Raises:
        ImportError: if matplotlib is not installed.
        TypeError: if it was given something else.
        ValueError: if there is no such axis, or the energy is 0 everywhere.
    """
    check_drawn("before", before, (EffectiveField,), _MADE_BY)
    check_drawn("after", after, (EffectiveField,), _MADE_BY)
    number = axis if axis is not None or not before.axes else before.axes[0].axis
    pair = [_chosen(found, number)[0] for found in (before, after)]
    ax = axes_for(ax, size=(6.4, 3.0))
    for spread, name, colour in zip(pair, names, LINES, strict=False):
        _curve(ax, spread, f"{name}: std {spread.std:.3g}", colour, log=log)
        bound(ax, spread.centre - spread.std, colour=colour)
        bound(ax, spread.centre + spread.std, colour=colour)
    _finish_curve(ax, pair[0].axis)
    ax.set_title(f"effective field of {before.node}, one std dashed", fontsize="medium")
    return ax


def _chosen(found: EffectiveField, axis: int | None) -> list[AxisSpread]:
    if found.zero:
        raise ValueError(f"found must have an energy above 0, got 0 everywhere. {found.note}")
    known = [spread.axis for spread in found.axes]
    if axis is None:
        if len(known) > 2:
            raise ValueError(
                f"axis must be given for a field of {len(known)} axes. Choose one of {known}."
            )
        return list(found.axes)
    if axis not in known:
        raise ValueError(f"axis must be one of {known}, got {axis}.")
    return [found.axes[known.index(axis)]]


def _curve(ax: Axes, spread: AxisSpread, name: str, colour: str, *, log: bool) -> None:
    positions = np.arange(len(spread.profile))
    ax.plot(positions, spread.profile, color=colour, linewidth=1.6, label=name)
    if log:
        ax.set_yscale("log")


def _gaussian(ax: Axes, spread: AxisSpread) -> None:
    fit = spread.gaussian
    if fit.width <= 0 or spread.shape == "few":
        return
    x = np.linspace(0, len(spread.profile) - 1, max(400, len(spread.profile)))
    y = fit.height * np.exp(-0.5 * ((x - fit.centre) / fit.width) ** 2)
    ax.plot(x, y, color=LINES[1], linewidth=1.2, linestyle=(0, (4, 2)),
            label=f"Gaussian, std {fit.width:.3g}, R² {fit.r_squared:.2f}")  # fmt: skip


def _shown(spread: AxisSpread) -> tuple[float, float]:
    """What is read by the theory and a tenth more, inside the input."""
    length = len(spread.profile)
    if spread.span is None:
        return -0.5, length - 0.5
    margin = 1 + 0.1 * (spread.span.stop - spread.span.start)
    return max(spread.span.start - margin, 0) - 0.5, min(spread.span.stop + margin, length) - 0.5


def _bounds(ax: Axes, spread: AxisSpread) -> None:
    if spread.span is not None:
        for end in (spread.span.start - 0.5, spread.span.stop - 0.5):
            bound(ax, end)


def _finish_curve(ax: Axes, axis: int) -> None:
    ax.set_xlabel(f"input position, axis {axis}")
    ax.set_ylabel("share of the energy")
    if ax.get_yscale() == "linear":
        ax.set_ylim(bottom=0)
    whole_ticks(ax, "x")
    plain(ax)
    ax.legend(frameon=False, fontsize="small")


def _heat_map(
    ax: Axes, found: EffectiveField, own: Sequence[AxisSpread], share: float, log: bool
) -> None:
    from matplotlib.colors import LogNorm, Normalize
    from matplotlib.patches import Circle, Ellipse, Rectangle

    energy = found.energy
    top = float(energy.max())
    if log:
        # Six decades: what lies below is as good as nothing beside the peak.
        shown: Any = np.maximum(energy, top * 1e-6)
        norm: Normalize = LogNorm(top * 1e-6, top)
    else:
        shown, norm = energy, Normalize(0, top)
    image = ax.imshow(shown, cmap=ramp_map(), norm=norm, interpolation="none")
    colour_bar(ax, image, "share of the energy")
    rows, columns = own
    at = columns.centre, rows.centre
    radius = found.radius(share)
    edge: dict[str, Any] = {"fill": False, "linewidth": 1.6, "clip_on": True}
    ax.add_patch(Circle(at, radius, edgecolor=LINES[1], label=f"{share:.0%}, radius {radius:.3g}",
                        **edge))  # fmt: skip
    fits = columns.gaussian, rows.gaussian
    if min(fit.width for fit in fits) > 0 and "few" not in {axis.shape for axis in own}:
        width, height = (2 * fit.width for fit in fits)
        middle = fits[0].centre, fits[1].centre
        name = f"Gaussian, std {fits[1].width:.3g} x {fits[0].width:.3g}"
        dots = (0, (1, 1))
        ax.add_patch(Ellipse(middle, width, height, edgecolor=LINES[5], linestyle=dots, label=name,
                             **edge))  # fmt: skip
    if rows.span is not None and columns.span is not None:
        corner = columns.span.start - 0.5, rows.span.start - 0.5
        sides = columns.span.stop - columns.span.start, rows.span.stop - rows.span.start
        ax.add_patch(Rectangle(corner, *sides, edgecolor=QUIET, linestyle="--", label="field",
                               **edge))  # fmt: skip
    ax.legend(
        loc="upper right", fontsize="small", facecolor=RAMP[0], labelcolor="black", framealpha=0.85
    )
    whole_ticks(ax, "x", "y")
    plain(ax, keep=())
    ax.set_xlabel(f"input position, axis {columns.axis}")
    ax.set_ylabel(f"input position, axis {rows.axis}")

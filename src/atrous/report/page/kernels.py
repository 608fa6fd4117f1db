"""The distinct kernels: where their taps lie."""

from __future__ import annotations

from math import prod

import numpy as np

from atrous.analysis.kernels import KernelUse
from atrous.report.page.markup import crossed, section, text
from atrous.report.text.quantities import counted
from atrous.report.views.kernels import kernel_mask

_CELLS = 24
"""Up to so many positions along an axis, those between the taps are drawn too."""


def kernels(found: tuple[KernelUse, ...]) -> str:
    """The section, largest spans last."""
    windows = [use for use in found if prod(use.kernel_size) > 1]
    single = sum(len(use.layers) for use in found if prod(use.kernel_size) == 1)
    body = f'<ul class="small kernels">{"".join(map(_figure, windows))}</ul>' if windows else ""
    if single:
        what = "layer has" if single == 1 else "layers have"
        body += f'<p class="note">{single} {what} a single tap.</p>'
    if not found:
        body = '<p class="note">No layer slides a window.</p>'
    lead = "Each arrangement of taps once, with the layers that have it."
    return section("kernels", "Kernels", body, lead if windows else "")


def _figure(use: KernelUse) -> str:
    mask, title = kernel_mask(use.kernel_size, use.dilation)
    planes = prod(use.kernel_size[:-2])
    if mask.ndim > 2:
        # All planes with taps are alike.
        mask = mask[(0,) * (mask.ndim - 2)]
    mask = np.atleast_2d(mask)
    title = title.replace(" x ", crossed(["", ""]))
    if planes > 1:
        title += f"; one of {planes} planes"
    if set(use.stride) != {1}:
        title += f"; stride {_once(use.stride)}"
    if set(use.upsampling) != {1}:
        title += f"; on an input spread by {_once(use.upsampling)}, zeros between"
    layers = ", ".join(dict.fromkeys(use.layers))
    count = counted(len(use.layers), "layer")
    listed = f'<p class="note">{text(layers)}</p>'
    more = (
        f"<details><summary>{text(count)}</summary>{listed}</details>"
        if len(use.layers) > 1
        else listed
    )
    return f"<li><h3>{text(use.kind)}</h3>{_grid(mask, title)}<p>{text(title)}</p>{more}</li>"


def _once(values: tuple[int, ...]) -> str:
    """Along each axis, or once where all agree."""
    return crossed(values if len(set(values)) > 1 else values[:1])


def _grid(mask: np.ndarray[tuple[int, ...], np.dtype[np.bool_]], title: str) -> str:
    rows, columns = mask.shape
    taps = np.argwhere(mask)
    cells = "".join(f"M{x}.07 {y}.07h.86v.86h-.86z" for y, x in taps.tolist())
    lines, edge = "", 0.1
    if max(rows, columns) <= _CELLS:
        lines = "".join(f"M0 {y}h{columns}" for y in range(rows + 1))
        lines += "".join(f"M{x} 0v{rows}" for x in range(columns + 1))
        lines = f'<path class="grid" d="{lines}"/>'
    else:
        lines = f'<path class="grid" d="M0 0h{columns}v{rows}h-{columns}z"/>'
        # Single positions would be too small to see.
        swell = max(1.0, max(rows, columns) / 20)
        edge = swell / 2
        cells = "".join(
            f"M{x + 0.5 - swell / 2:g} {y + 0.5 - swell / 2:g}h{swell:g}v{swell:g}h-{swell:g}z"
            for y, x in taps.tolist()
        )
    kind = ' class="strip"' if rows == 1 else ""
    box = f"{-edge:g} {-edge:g} {columns + 2 * edge:g} {rows + 2 * edge:g}"
    return (
        f'<svg{kind} viewBox="{box}" role="img" '
        f'preserveAspectRatio="xMinYMid" aria-label="{text(title)}">{lines}'
        f'<path class="tap" d="{cells}"/></svg>'
    )

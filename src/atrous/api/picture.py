"""Results as pictures of characters."""

from __future__ import annotations

from collections.abc import Sequence

from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.route_tree import RouteTree
from atrous.design.schedule.chain import Schedule
from atrous.design.schedule.plan import Plan
from atrous.design.schedule.pyramid import Pyramid
from atrous.geometry.index_map import IndexMap
from atrous.geometry.primitives import Window
from atrous.report.text import pictures


def picture(
    result: Coverage | RouteTree | Plan | Schedule | Pyramid | IndexMap | Window | Sequence[Window],
    *,
    width: int = 80,
) -> str:
    """A result as a picture of characters, for terminals and logs.

    Where there is no room for all positions, the picture says so, and blocks with holes stay marked
    as such.

    Args:
        result: a coverage, a tree of routes, a schedule or its plan, an index map, or the windows
            of a kernel, one per axis.
        width: columns to keep to.

    Raises:
        TypeError: if there is no picture of such a thing.
        ValueError: if the width is below 20.

    Example:
        >>> from atrous.geometry import Window
        >>> print(picture([Window(2, dilation=2), Window(3, dilation=3)]))
        2 x 3 taps, dilation 2 x 3: spans 3 x 7
        ■ · · ■ · · ■
        · · · · · · ·
        ■ · · ■ · · ■
    """
    if width < 20:
        raise ValueError(f"width must be at least 20, got {width}. Leave it out for the usual one.")
    return pictures.picture(result, width=width)

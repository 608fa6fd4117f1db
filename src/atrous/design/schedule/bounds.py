"""What no schedule of a frame and a field can beat."""

from __future__ import annotations

from atrous.design.schedule.objective import Score
from atrous.design.schedule.request import Frame
from atrous.geometry.coincidences import least_squares, least_squares_spread


def best_score(frame: Frame, field: int, holes: bool, macs: int, least: int) -> Score:
    """A score that none can beat.

    So many routes reach at most as many positions, and their counts are no flatter than whole
    numbers can be, nor than what spreads no further.

    Args:
        frame: the layers.
        field: the field.
        holes: whether holes are allowed.
        macs: multiply-adds per position of the output.
        least: the smallest field that was asked for.
    """
    ways = frame.ways
    squares = max(
        least_squares(ways, field), least_squares_spread(ways, widest(frame, field, holes))
    )
    return Score(max(0, field - ways), squares, ways, field, macs, least)


def widest(frame: Frame, field: int, holes: bool) -> int:
    """At least the sum of (k^2 - 1) step^2 of all schedules of a frame and a field.

    Each layer's share of the field counts as often as its largest step times (k + 1), and those
    with the largest come first. Without holes a step is at most the field over the kernel.

    >>> from atrous.design.schedule.request import Slot
    >>> widest(Frame((), (Slot(3, 1, 4), Slot(3, 1, 4)), (1, 1), False), 17, True)  # 2 * 8 * 4^2
    256
    """
    left = field - 1
    total = 0
    for kernel, step in frame.fixed:
        total += (kernel**2 - 1) * step**2
        left -= (kernel - 1) * step
    layers = []
    for slot in frame.slots:
        step = left // (slot.kernel - 1)
        if not holes:
            step = min(step, field // slot.kernel)
        if slot.most is not None:
            step = min(step, slot.most * slot.scale)
        layers.append(((slot.kernel + 1) * step, (slot.kernel - 1) * step))
    for factor, most in sorted(layers, reverse=True):
        share = min(most, left)
        total += factor * share
        left -= share
    return total

"""The best schedule of dilations for a goal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from atrous.design.schedule.arguments import request
from atrous.design.schedule.plan import Plan, planned


def schedule(
    field: int | tuple[int, int] | None = None,
    kernel: int | Iterable[int] | None = 3,
    *,
    layers: int | None = None,
    max_dilation: int | None = None,
    map_size: int | None = None,
    causal: bool = False,
    reach: int | None = None,
    budget: int | None = None,
    parameters: int | None = None,
    strides: Sequence[int] | None = None,
    front: Sequence[Sequence[int]] = (),
    holes: bool = False,
    objective: str | Mapping[str, float] = "uniform",
    channels: int = 1,
    dims: int = 1,
    effort: float = 1.0,
) -> Plan:
    """Dilations for a goal, the best of all that meet it, with a certificate.

    The schedule is one of a chain of convolutions along one axis; in two or three dimensions every
    axis has it. That there is none is decided exactly, too, and then the error says which
    constraint to relax and by how much.

    Args:
        field: positions that one output is to see. A number means at least that, and the smallest
            that can be had is taken; a pair is a range, of which the best is taken, and (n, n) is
            n exactly.
        kernel: size of every kernel; one size per layer as a list; or a set of sizes to choose
            one for all layers from. None chooses from 3, 5, 7, if causal from 2 to 7.
        layers: how many; by default the fewest.
        max_dilation: the largest dilation.
        map_size: length of the map, in positions of the input. No tap may read padding at every
            output; behind strides the map is shorter.
        causal: whether layers read their own position and the past alone.
        reach: how far an output is to see to each side, to the past if causal. A field of 2 n sees
            no further than n.
        budget: the most multiply-adds per position of the output, by the layers planned.
        parameters: the most weights of the layers planned, without biases. At a stride of 1 as
            many as multiply-adds; behind strides they differ.
        strides: of the layers, one each, so that there are as many layers. Behind a stride of s,
            taps lie s times as far apart on the input.
        front: layers that are there already, before those planned: (kernel, dilation, stride)
            each. They count towards the field.
        holes: whether positions inside the field may stay unread, then as few as can be.
        objective: "uniform" is fewest holes, then the most even path counts (their coefficient of
            variation), then the cheapest; "cheap" is fewest holes, cheapest, most even. Or weights
            of a sum: "holes" (share unread), "cv", "macs" (multiply-adds), "field" (what it has in
            excess, as a share).
        channels: of every layer, for budget, parameters and cost.
        dims: axes that hold positions, for budget, parameters, cost and code.
        effort: how long to search, as a multiple of the usual half a second.

    Returns:
        A plan that prints itself. `.dilations`, `.schedule`, `.is_optimal`, `.runners_up`,
        `.verify()`, `.code()`, `.module(channels)`.

    Raises:
        ImpossibleScheduleError: a `ValueError`, if there is none; `.relaxations` are the least
            changes of one constraint that are enough.
        ValueError: if an argument breaks its rule.

    Example:
        >>> plan = schedule(32000, kernel=2, causal=True)
        >>> len(plan.dilations), plan.field, plan.is_optimal
        (15, 32000, True)
        >>> schedule((25, 25), kernel=3, layers=2)
        Traceback (most recent call last):
            ...
        atrous.design.schedule.relaxation.ImpossibleScheduleError: no schedule meets all of:
        field 25, kernel 3, 2 layers, no holes. Relax one constraint: field=9 instead of 25; or
        layers=3 instead of 2; or kernel=5 instead of 3; or holes=True instead of False.
    """
    asked = request(
        field, kernel, layers=layers, max_dilation=max_dilation, map_size=map_size, causal=causal,
        reach=reach, budget=budget, parameters=parameters, strides=strides, front=front,
        holes=holes, objective=objective, channels=channels, dims=dims, effort=effort,
    )  # fmt: skip
    return planned(asked)

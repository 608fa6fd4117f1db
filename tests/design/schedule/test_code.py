"""The modules that plans print: what atrous itself finds in them."""

from __future__ import annotations

import ast

import pytest
import torch
from torch import nn

import atrous
from atrous.schedules import Schedule

SCHEDULES = [
    Schedule((3, 3, 3), (1, 3, 8)),
    Schedule((2, 2, 2), (1, 2, 4)),
    Schedule((2, 2, 2), (1, 2, 4), causal=True),
    Schedule((4, 4), (1, 3)),
    Schedule((4, 4), (2, 6)),
    Schedule((5, 5), (1, 5)),
    Schedule((3, 5, 3), (1, 2, 9)),
    Schedule((3, 4), (2, 2)),
    Schedule((3, 3, 3), (1, 1, 2), (2, 1, 2)),
    Schedule((3, 2), (1, 1), (2, 2), causal=True),
    Schedule((2, 3), (3, 1), (2, 1)),
    Schedule((3,), (7,)),
    Schedule((3,) * 30, tuple(range(1, 31))),
]


def made(own: Schedule, dims: int) -> nn.Module:
    scope: dict[str, object] = {}
    text = own.code(4, dims=dims, name="stack")
    assert max(map(len, text.splitlines())) <= 100
    ast.parse(text)
    exec(text, scope)
    return scope["stack"](2)  # type: ignore[operator]


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("own", SCHEDULES, ids=lambda own: f"{own.kernels}{own.dilations}")
def test_the_code_has_the_field_and_the_holes(own: Schedule, dims: int) -> None:
    if (own.causal and dims > 1) or (dims == 3 and own.field > 40):
        return
    length = {1: 2 * own.field + 8, 2: min(2 * own.field + 8, 130), 3: own.field + 6}[dims]
    net = made(own, dims)
    x = (1, 2, *(length,) * dims)
    for axis in atrous.receptive_field(net, x).axes:
        assert (axis.size, axis.stride, axis.status) == (own.field, own.stride, "exact")
        assert axis.start == -own.reach[0]
    if dims == 1:
        cover = atrous.coverage(net, x)
        assert cover.counts.tolist() == own.counts.tolist()
    # The output lies in step with the input: one per stride.
    with torch.no_grad():
        shape = net(torch.zeros(x)).shape
    assert shape == (1, 2, *(-(-length // own.stride),) * dims)


@pytest.mark.parametrize(
    "given",
    [
        {"field": 100, "kernel": 3},
        {"field": 64, "kernel": 2, "causal": True},
        {"field": 30, "kernel": 4},
        {"field": 60, "kernel": 3, "strides": [1, 2, 1, 1]},
        {"field": 100, "kernel": 3, "front": [(7, 1, 2), (3, 1, 2)]},
    ],
)
def test_plans_print_modules_that_see_what_was_asked(given: dict[str, object]) -> None:
    plan = atrous.schedule(**given)  # type: ignore[arg-type]
    net = plan.module(2)
    x = (1, 2, 3 * plan.field)
    field = atrous.receptive_field(net, x).axes[0]
    assert given["field"] <= field.size == plan.field
    assert len(atrous.coverage(net, x).holes) == 0
    scope: dict[str, object] = {}
    exec(plan.code(2), scope)
    keys = scope["context"]().state_dict().keys()  # type: ignore[operator]
    assert keys == net.state_dict().keys()


def test_the_code_is_short() -> None:
    assert (
        Schedule((3, 3), (1, 3)).code(8)
        == '''\
from torch import nn


def context(channels: int = 8) -> nn.Sequential:
    """Field 9, reach 4 before and 4 after, no holes."""
    layers: list[nn.Module] = []
    for dilation in (1, 3):
        conv = nn.Conv1d(channels, channels, 3, padding=dilation, dilation=dilation)
        layers += [conv, nn.ReLU()]
    return nn.Sequential(*layers)
'''
    )


def test_what_cannot_be_built_is_refused() -> None:
    causal = Schedule((3,), (1,), causal=True)
    with pytest.raises(ValueError, match="dims must be 1 for a causal schedule, got 2"):
        causal.code(dims=2)
    with pytest.raises(ValueError, match="dims must be 1, 2 or 3, got 4"):
        causal.module(dims=4)
    with pytest.raises(ValueError, match="channels must be at least 1, got 0"):
        causal.module(0)
    with pytest.raises(ValueError, match="name must be a Python name, got 'a b'"):
        causal.code(name="a b")

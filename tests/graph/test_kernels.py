"""The weights that rules claim compute what the operators compute, away from the borders."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor, nn

import atrous.graph.rules  # noqa: F401 - registers the rules
from atrous.graph.capture import capture
from atrous.graph.kernel import Kernel
from atrous.graph.rule import Local, rules
from graph.test_rule_contract import Case

LINEAR = sorted(
    op for op in rules() if "aten.conv" in op or op.startswith("aten.avg_pool")
)  # fmt: skip


def by_definition(kernel: Kernel, x: Tensor, case: Case) -> dict[tuple[int, ...], float]:
    """Every output, but for those that read beyond the input, summed tap by tap."""
    weights = kernel.weights().double()
    outputs, size, *taps = weights.shape
    first = kernel.first
    spatial = x.shape[first:]
    found = {}
    for position in product(*map(range, case.call.shape)):
        channel, at = position[first - 1], position[first:]
        group = channel // (outputs // kernel.groups)
        total, inside = 0.0, True
        for tap in product(*map(range, taps)):
            places = [
                o * s + a * d - lo
                for o, s, a, d, lo in zip(
                    at, kernel.stride, tap, kernel.dilation, kernel.left, strict=True
                )
            ]
            if any(p % u for p, u in zip(places, kernel.upsampling, strict=True)):
                continue
            read = tuple(p // u for p, u in zip(places, kernel.upsampling, strict=True))
            if not all(0 <= p < n for p, n in zip(read, spatial, strict=True)):
                inside = False
                break
            for i in range(size):
                at_input = (*position[: first - 1], group * size + i, *read)
                total += float(weights[(channel, i, *tap)]) * float(x[at_input])
        if inside:
            found[position] = total
    return found


def differences(case: Case, kernel: Kernel) -> list[float]:
    """By how much the weights miss the operator, its value on zeros taken off."""
    name = case.call.operands[0].name
    x = case.tensors[name]
    linear = case.whole - case.compute({name: torch.zeros_like(x)})
    return [abs(float(linear[o]) - v) for o, v in by_definition(kernel, x, case).items()]


@pytest.mark.parametrize("op", LINEAR)
def test_the_kernel_computes_what_the_operator_computes(op: str) -> None:
    compared = 0
    for seed in range(12):
        case = Case(op, seed)
        assert isinstance(case.description, Local)
        kernel = case.description.kernel
        assert kernel is not None
        found = differences(case, kernel)
        assert max(found, default=0.0) < 1e-10, case.example
        compared += len(found)
    assert compared > 20


@pytest.mark.parametrize("axes", [1, 2, 3])
def test_kernel_applied_holds_the_layers_outputs_at_every_stride(axes: int) -> None:
    kind = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1]
    conv = kind(4, 6, (3, 2, 1)[:axes], 3, dilation=(2, 1, 3)[:axes], groups=2, bias=False)
    shape = (2, 4, *(12, 11, 9)[:axes])
    node = capture(conv, shape).output()
    assert isinstance(node.description, Local)
    assert node.description.kernel is not None
    x = torch.rand(shape)
    found = node.description.kernel.applied(x)
    assert found.shape[2:] == (8, 10, 9)[:axes]
    torch.testing.assert_close(found[(..., *[slice(None, None, 3)] * axes)], conv(x))
    with pytest.raises(ValueError, match="x must be at least as long as the taps reach"):
        node.description.kernel.applied(x[:, :, :4])


@pytest.mark.parametrize("field", ["left", "dilation", "stride", "upsampling"])
def test_a_wrong_kernel_is_noticed(field: str) -> None:
    op = "aten.conv_transpose2d" if field == "upsampling" else "aten.conv2d"
    caught = 0
    for seed in range(12):
        case = Case(op, seed)
        kernel = case.description.kernel  # type: ignore[attr-defined]
        wrong = replace(kernel, **{field: tuple(v + 1 for v in getattr(kernel, field))})
        caught += max(differences(case, wrong), default=0.0) > 1e-6
    assert caught > 0


def test_no_kernel_where_weights_depend_on_the_input_or_the_operation_is_not_linear() -> None:
    class Dynamic(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.conv1d(nn.functional.max_pool1d(x, 2), x[:, :, :3])

    program = capture(Dynamic(), (1, 2, 16))
    local = [n for n in program.nodes.values() if isinstance(n.description, Local)]
    assert local
    assert all(n.description.kernel is None for n in local)  # type: ignore[union-attr]


def test_weights_that_a_parametrisation_computes() -> None:
    conv = nn.utils.parametrizations.weight_norm(nn.Conv1d(3, 4, 5))
    program = capture(conv, (1, 3, 32))
    (kernel,) = [
        n.description.kernel
        for n in program.nodes.values()
        if isinstance(n.description, Local) and n.description.kernel is not None
    ]
    torch.testing.assert_close(kernel.weights(), conv.weight.detach())

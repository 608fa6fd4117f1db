"""The operators are what PyTorch asks of operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.library import opcheck
from torch.utils.flop_counter import FlopCounterMode

from atrous import ops

HOW = ([1, 1], [2, 2, 4, 0], [2, 2], 4)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_opcheck(last: bool, dtype: torch.dtype) -> None:
    x, weight = torch.randn(2, 4, 9, 11, dtype=dtype), torch.randn(4, 1, 3, 3, dtype=dtype)
    bias, grad = torch.randn(4, dtype=dtype), torch.randn(2, 4, 9, 11, dtype=dtype)
    if last:
        x, grad = (t.to(memory_format=torch.channels_last) for t in (x, grad))
    for tensor in (x, weight, bias, grad):
        tensor.requires_grad_()
    here: Any = torch.ops.atrous
    opcheck(here.convolution, (x, weight, bias, *HOW))
    opcheck(here.convolution_input_gradient, (grad, weight, [9, 11], *HOW))
    opcheck(here.convolution_weight_gradient, (grad, x, [3, 3], *HOW))


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("groups", [1, 4])
def test_gradients_of_gradients(groups: int, stride: int) -> None:
    x = torch.randn(2, 4, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 4 // groups, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64, requires_grad=True)

    def layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        how = ([stride], [4, 0], [2], groups)
        made: Tensor = torch.ops.atrous.convolution(x, weight, bias, *how)
        return made

    torch.autograd.gradcheck(layer, (x, weight, bias))
    torch.autograd.gradgradcheck(layer, (x, weight, bias))


class Layer(nn.Module):
    def __init__(self, groups: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(8, 8 // groups, 3))
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        y = ops.conv1d(x, self.weight, padding="causal", dilation=2, groups=self.groups)
        return F.gelu(y)


@pytest.mark.parametrize("groups", [1, 8])
def test_it_is_compiled_and_exported_for_any_length(groups: int) -> None:
    layer = Layer(groups)
    compiled: Any = torch.compile(layer, backend="aot_eager", fullgraph=True, dynamic=True)
    for length in (20, 33):
        x = torch.randn(2, 8, length, requires_grad=True)
        torch.testing.assert_close(compiled(x), layer(x))
        (one,) = torch.autograd.grad(compiled(x).sum(), x)
        (other,) = torch.autograd.grad(layer(x).sum(), x)
        torch.testing.assert_close(one, other)
    shapes = ({2: torch.export.Dim.AUTO},)
    exported = torch.export.export(layer, (torch.randn(2, 8, 30),), dynamic_shapes=shapes)
    x = torch.randn(2, 8, 51)
    torch.testing.assert_close(exported.module()(x), layer(x))
    names = {str(node.target) for node in exported.graph.nodes}
    assert ("atrous.convolution.default" in names) == (groups == 8)


@pytest.mark.parametrize("groups", [1, 8])
def test_flops_are_those_of_the_multiplications(groups: int) -> None:
    x = torch.randn(1, 8, 200, requires_grad=True)
    weight = torch.randn(8, 8 // groups, 3, requires_grad=True)

    def flops(layer: Callable[..., Tensor]) -> int:
        with FlopCounterMode(display=False) as counter:
            layer(x, weight, None, [1], [2, 2], [2], groups).sum().backward()
        return counter.get_total_flops()

    def plain(x: Tensor, weight: Tensor, bias: None, *how: Any) -> Tensor:
        return F.conv1d(x, weight, bias, how[0], 2, how[2], groups)

    assert flops(torch.ops.atrous.convolution) == 3 * 2 * 8 * 200 * 3 * 8 // groups
    if groups == 1:  # PyTorch counts gradients as if there were one group.
        assert flops(plain) == flops(torch.ops.atrous.convolution)

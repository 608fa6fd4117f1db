"""Which nodes a model is looked into at, and its distinct kernels, beside its modules."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

import atrous
from atrous.analysis.kernels import kernels
from atrous.analysis.stages import stage_label, stages
from atrous.graph.capture import capture
from atrous.models import create


def test_stages_grow_and_end_with_the_output() -> None:
    found = atrous.inspect(create("segmenter"), (1, 3, 129, 129)).inspection
    names = stages(found, most=100)
    assert names[-1] in found.outputs.values()
    order = [row.name for row in found.rows]
    assert [order.index(name) for name in names] == sorted(order.index(name) for name in names)
    sizes = []
    for name in names:
        field = found.row(name).field
        assert field is not None
        sizes.append([axis.size if axis.local is None else axis.local.size for axis in field.axes])
    assert all(a < b for a, b in pairwise(sizes[:-1]))
    assert stages(found, most=1) == (names[-1],)
    some = stages(found, most=5)
    assert len(some) == 5 and some[0] == names[0] and some[-1] == names[-1]
    assert set(some) <= set(names)
    labels = [stage_label(found, name) for name in names]
    assert {"stem", "layer1", "layer2", "layer3", "classify"} <= set(labels)


def test_stages_leave_out_what_does_not_lead_to_the_output() -> None:
    class Aside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.aside = nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 9)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            aside = self.aside(x)
            return self.used(x), aside

    found = atrous.inspect(Aside(), (1, 1, 16)).inspection
    assert [stage_label(found, name) for name in stages(found)] == ["used"]
    other = found.outputs["1"]
    assert [stage_label(found, name) for name in stages(found, output=other)] == ["aside"]


def test_a_model_that_reads_nothing_has_no_stages() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(3)

    assert stages(atrous.inspect(Constant(), (1, 3, 8)).inspection) == ()


def test_kernels_are_those_of_the_modules() -> None:
    net = nn.Sequential(
        nn.Conv3d(1, 2, (1, 3, 5), dilation=(1, 2, 3), stride=(1, 1, 2), padding=(0, 2, 6)),
        nn.ReLU(),
        nn.Conv3d(2, 2, (1, 3, 5), dilation=(1, 2, 3), stride=(1, 1, 2)),
        nn.MaxPool3d(2),
        nn.Conv3d(2, 2, 1),
    )
    first, pool, last = kernels(capture(net, (1, 1, 4, 24, 90)))
    convolution = net[0]
    assert isinstance(convolution, nn.Conv3d)
    # Padding makes no other kernel: both are one entry.
    assert first.layers == ("0", "2")
    assert first.kernel_size == convolution.kernel_size
    assert first.dilation == convolution.dilation
    assert first.stride == convolution.stride
    assert (pool.kernel_size, pool.stride, pool.layers) == ((2, 2, 2), (2, 2, 2), ("3",))
    assert last.kernel_size == (1, 1, 1)

"""Fields against inputs, training lengths and declared targets."""

from __future__ import annotations

import ast
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from architectures import TCN, SpliceAI, TemporalBlock
from atrous import receptive_field
from linting import linted, worse_than_notes
from samples import dilated

stack = partial(dilated, channels=2, bias=False)


class MSTCN(nn.Module):
    """Farha and Gall 2019, narrower: stages of dilations 1 to 512 that refine the one before."""

    def __init__(self, stages: int = 4) -> None:
        super().__init__()
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.Conv1d(4, 4, 3, padding=2**k, dilation=2**k) for k in range(10))
            for _ in range(stages)
        )

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            for layer in stage:  # type: ignore[attr-defined]
                x = x + F.relu(layer(x))
        return x


def field_by_gradient(model: nn.Module, length: int) -> tuple[int, int]:
    """Positions read before and after the central output, by gradients of positive weights."""
    model = model.double()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.abs_()
    x = torch.ones(1, 2, length, dtype=torch.float64, requires_grad=True)
    y = model(x)
    (gradient,) = torch.autograd.grad(y[0, :, length // 2].sum(), x)
    read = gradient.sum((0, 1)).nonzero()[:, 0]
    return length // 2 - int(read[0]), int(read[-1]) - length // 2


def test_a_tcn_of_one_level_too_many_is_named_with_what_would_do() -> None:
    # 1 + 2 * 6 * (2**n - 1): 1,525 for 7 levels, 3,061 for 8; a sequence of 784 reaches 783 back.
    (found,) = linted(TCN(levels=8), (1, 1, 784), "ATR301")
    assert (found.severity, found.path) == ("warning", "body.7.conv1")
    assert (found.numbers["field"], found.numbers["enough"]) == (3061, 1525)
    assert found.numbers["layers"] == ["body.7.conv1", "body.7.conv2"]
    assert found.fix.startswith("dilations = (1, 2, 4, 8, 16, 32, 64)")
    # One level less covers it from the last position; two less do not.
    (found,) = linted(TCN(levels=7), (1, 1, 784), "ATR301")
    assert found.severity == "note"
    assert not linted(TCN(levels=6), (1, 1, 784), "ATR301")


def test_a_declared_length_counts_instead_of_the_inputs() -> None:
    assert not linted(TCN(levels=8), (1, 1, 4000), "ATR301")
    (found,) = linted(TCN(levels=8), (1, 1, 4000), "ATR301", declared={"length": 784})
    assert found.severity == "warning" and "the examples have 784" in found.message
    assert not worse_than_notes(SpliceAI(), (1, 4, 15000), "ATR301", declared={"length": 15000})


def test_layers_without_dilation_count_where_a_length_is_declared() -> None:
    model = nn.Sequential(*(nn.Conv1d(2, 2, 5, padding=2) for _ in range(9)))
    assert not worse_than_notes(model, (1, 2, 9), "ATR301")
    # Four layers reach 8 to each side, past both ends of 9 positions from any of them.
    (found,) = worse_than_notes(model, (1, 2, 100), "ATR301", declared={"length": 9})
    assert found.path == "4" and len(found.numbers["layers"]) == 5  # type: ignore[arg-type]


def test_stages_that_refine_are_no_warning() -> None:
    assert not worse_than_notes(MSTCN(), (1, 4, 1000), "ATR301")
    # Within one stage the dilations do go on: after 1 to 64 all 100 positions are reached.
    (found,) = worse_than_notes(MSTCN(), (1, 4, 100), "ATR301")
    assert found.path == "stages.0.7"


def test_pictures_get_a_note_at_most() -> None:
    layers = [nn.Conv2d(1, 1, 3, padding=d, dilation=d) for d in (1, 2, 4, 8, 16, 32)]
    (found,) = linted(nn.Sequential(*layers), (1, 1, 16, 16), "ATR301")
    assert found.severity == "note"
    # 1 + 2 * 63 = 127 positions, of which at most 16 lie inside.
    assert "111 or more of it are padding" in found.message


@pytest.mark.parametrize(
    ("model", "declared"),
    [
        (stack(1, 2, 4), {"field": 100}),
        (stack(1, 1, 2, 2, 4, 4), {"field": 200}),
        (stack(1, 2, 4, kernel=5), {"reach": 100}),
        (stack(1, 1, 1), {"reach": 20}),
    ],
)
def test_the_next_dilations_reach_the_target(
    model: nn.Sequential, declared: dict[str, int]
) -> None:
    (found,) = linted(model, (1, 2, 900), "ATR302", declared=declared)
    more = [eval(line, {"nn": nn}) for line in found.fix.splitlines() if line.startswith("nn.")]
    each = 2 if len(model) == 6 else 1
    assert len(more) >= 1
    mended = nn.Sequential(*model, *(layer for layer in more for _ in range(each)))
    assert not linted(mended, (1, 2, 900), "ATR302", declared=declared)
    before, after = field_by_gradient(mended, 900)
    size = 1 + before + after
    assert size >= declared.get("field", 0) and min(before, after) >= declared.get("reach", 0)
    assert f"a field of {size:,}\n" in found.fix
    # One level less would not do.
    less = nn.Sequential(*mended[: len(mended) - each])
    assert linted(less, (1, 2, 900), "ATR302", declared=declared)


def test_a_field_is_no_reach() -> None:
    # 14 doubling layers of kernel 3 have a field of 32,767 and see 16,383 to each side.
    model = stack(*(2**k for k in range(14)))
    assert not linted(model, (1, 2, 50000), "ATR302", declared={"field": 20000})
    (found,) = linted(model, (1, 2, 50000), "ATR302", declared={"reach": 20000})
    assert "sees 16,383 positions to each side" in found.message
    assert "takes a field of 40,001" in found.message
    assert "# 1 more level: a field of 65,535" in found.fix


def test_a_causal_reach_is_to_the_past() -> None:
    model = nn.Sequential(*(TemporalBlock(2, 2, 3, 2**k) for k in range(4)))
    declared = {"causal": True, "reach": 60}
    # 2 * 2 * (2**4 - 1) = 60.
    assert not linted(model, (1, 2, 300), "ATR302", declared=declared)
    (found,) = linted(model, (1, 2, 300), "ATR302", declared={"causal": True, "reach": 61})
    assert "sees 60 positions back" in found.message and "dilations = (1, 2, 4, 8, 16)" in found.fix


def test_the_last_position_of_a_classifier_has_its_field() -> None:
    assert not linted(TCN(levels=7), (1, 1, 784), "ATR302", declared={"causal": True, "reach": 784})
    (found,) = linted(TCN(levels=6), (1, 1, 784), "ATR302", declared={"causal": True, "reach": 784})
    assert found.numbers["field"] == 757


def test_too_large_a_field_is_cut_behind_the_layer_that_meets_the_target() -> None:
    model = stack(1, 2, 4, 8, 16, 32)
    (found,) = linted(model, (1, 2, 300), "ATR303", declared={"field": 30})
    assert found.severity == "note" and "dilations = (1, 2, 4, 8)" in found.fix
    assert field_by_gradient(model[:4], 300) == (15, 15)
    assert not linted(model[:4], (1, 2, 300), "ATR303", declared={"field": 30})
    assert linted(model, (1, 2, 300), "ATR303", declared={"field": 100}, settings={"factor": 1.1})
    assert not linted(model, (1, 2, 300), "ATR303", declared={"field": 100})


class Gate(nn.Module):
    """WaveNet's block, its gate in one convolution of twice the channels, in two, or as a GLU."""

    def __init__(self, dilation: int, kind: str) -> None:
        super().__init__()
        self.left, self.kind, wide = dilation, kind, 4 if kind == "two" else 8
        self.value = nn.Conv1d(4, wide, 2, dilation=dilation)
        self.gate = nn.Conv1d(4, wide, 2, dilation=dilation)
        self.leave = nn.Conv1d(4, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        if self.kind == "glu":
            return F.glu(self.value(F.pad(x, (self.left, 0))), 1)
        if self.kind == "two":
            value, gate = (layer(F.pad(x, (self.left, 0))) for layer in (self.value, self.gate))
        else:
            value, gate = self.value(F.pad(x, (self.left, 0))).chunk(2, dim=1)
        out: Tensor = x + self.leave(value.tanh() * gate.sigmoid())
        return out


@pytest.mark.parametrize("kind", ["one", "two", "glu"])
def test_what_is_advised_for_gated_blocks_runs_in_such_a_block(kind: str) -> None:
    model = nn.Sequential(*(Gate(2**k, kind) for k in range(4)))
    # 1 + 1 + 2 + 4 + 8 = 16 of 100; two levels more see 64, three 128.
    (found,) = linted(model, (1, 4, 200), "ATR302", declared={"field": 100})
    lines = [line for line in found.fix.splitlines() if not line.startswith("#")]
    dilations = ast.literal_eval(lines[0].removeprefix("dilations = "))
    assert dilations == (1, 2, 4, 8, 16, 32, 64) and "a field of 128" in found.fix
    longer = nn.Sequential(*(Gate(d, kind) for d in dilations))
    assert receptive_field(longer, (1, 4, 200)).size == (128,)
    for block, line in zip(list(longer)[4:], lines[1:], strict=True):
        made = eval(line, {"nn": nn})
        assert repr(made) == repr(block.value)
        block.value = made
    assert longer(torch.zeros(1, 4, 200)).shape == (1, 4, 200)

"""Assertions about models: when they fail, and what they tell. The advice is tried out."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from atrous.testing import assert_causal, assert_no_holes, assert_receptive_field
from linting import linted
from samples import dilated

X = (1, 1, 64)


def test_sizes_and_strides_that_are_right_pass() -> None:
    # 1 + 2 (1 + 2 + 4) = 15; with stride 2 at every layer 1 + 2 (1 * 1 + 2 * 2 + 4 * 4) = 43.
    assert_receptive_field(dilated(1, 2, 4), X, size=15, stride=1)
    assert_receptive_field(dilated(1, 2, 4, stride=2), X, size=43, stride=8)
    assert_receptive_field(dilated(1, 2, 4), X, size=7, node="1")
    flat = nn.Conv2d(1, 1, (3, 5), stride=(1, 2))
    assert_receptive_field(flat, (1, 1, 9, 9), size=(3, 5), stride=(1, 2))
    up = nn.Upsample(scale_factor=2)
    assert_receptive_field(up, X, size=1, stride=Fraction(1, 2), axes=2)


@pytest.mark.parametrize(("wanted", "advice"), [(17, "dilation=5"), (11, "dilation=2")])
def test_the_dilation_that_is_advised_gives_the_wanted_size(wanted: int, advice: str) -> None:
    with pytest.raises(AssertionError, match=r"must be \d+ along axis 2, got size 15") as raised:
        assert_receptive_field(dilated(1, 2, 4), X, size=wanted)
    told = str(raised.value)
    assert "Nodes that add most: '2' +8, '1' +4, '0' +2." in told
    new = int(advice.removeprefix("dilation="))
    assert f"Use {advice}, padding={new} instead of dilation=4, padding=4 at '2'" in told
    assert_receptive_field(dilated(1, 2, new), X, size=wanted)


def test_no_dilation_is_advised_where_none_would_do() -> None:
    def told(model: nn.Module, size: int) -> str:
        with pytest.raises(AssertionError, match="must be") as raised:
            assert_receptive_field(model, X, size=size)
        return str(raised.value)

    assert "Use" not in told(dilated(1, 2, 4), 16)
    assert "Use" not in told(dilated(2), 1)

    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = dilated(4), dilated(4)

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)  # type: ignore[no-any-return]

    # With another dilation in one branch the other still reads 9.
    assert "Use" not in told(Branches(), 7)
    assert "'a.0' (" in told(Branches(), 7) or "'a.0' +8" in told(Branches(), 7)


def test_fields_that_are_global_or_unknown_fail_with_the_cause() -> None:
    class Pooled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = dilated(1, 2)
            self.pool = nn.AdaptiveAvgPool1d(1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.body(x)
            return y + self.pool(y)  # type: ignore[no-any-return]

    with pytest.raises(AssertionError, match=r"global; 7 without .*\n?.*because of pool"):
        assert_receptive_field(Pooled(), X, size=7)
    assert_receptive_field(Pooled(), X, size=7, local=True)
    assert_receptive_field(Pooled(), X, size=64)

    class Odd(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.special.bessel_j0(x)

    with pytest.raises(AssertionError, match="got an unknown one"):
        assert_receptive_field(Odd(), X, size=1)
    with pytest.raises(AssertionError, match="must be known, got unknown"):
        assert_causal(Odd(), X)


def test_wrong_strides_name_where_they_come_from() -> None:
    with pytest.raises(AssertionError, match="stride of the field of '2' must be 4") as raised:
        assert_receptive_field(dilated(1, 1, 1, stride=2), X, stride=4)
    assert "It is 2 from '0' on, 4 from '1' on, 8 from '2' on." in str(raised.value)


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match="size or stride must be given"):
        assert_receptive_field(dilated(1), X)
    with pytest.raises(ValueError, match="one number or one for each of the axes 2, got"):
        assert_receptive_field(dilated(1), X, size=(3, 3))
    with pytest.raises(KeyError, match="Did you mean"):
        assert_no_holes(dilated(1, 2), X, node="00")
    with pytest.raises(ValueError, match="between -3 and 2"):
        assert_causal(dilated(1), X, axis=3)


@pytest.mark.parametrize("dilations", [(1, 2, 9), (1, 3, 10), (2, 1, 9), (2, 2), (1, 4)])
def test_the_largest_dilation_that_is_advised_leaves_no_holes(dilations: tuple[int, ...]) -> None:
    with pytest.raises(AssertionError, match="holes") as raised:
        assert_no_holes(dilated(*dilations), X)
    told = str(raised.value)
    advised = re.search(r"dilation (\d+) at '(\d)' closes them all", told)
    assert advised is not None, told
    most, at = map(int, advised.groups())
    assert f"\n  nn.Conv1d(1, 1, 3, padding={most}" in told
    assert_no_holes(dilated(*dilations[:at], most, *dilations[at + 1 :]), X)
    with pytest.raises(AssertionError, match="holes"):
        assert_no_holes(dilated(*dilations[:at], most + 1, *dilations[at + 1 :]), X)


def test_holes_before_strides_and_in_two_dimensions() -> None:
    # After a stride of 4, neighbours see three inputs each, 4 apart: no dilation mends that.
    with pytest.raises(AssertionError, match=r"2 holes.*no single layer can close"):
        assert_no_holes(nn.Sequential(nn.Conv1d(1, 1, 3, stride=4), nn.Conv1d(1, 1, 3)), X)

    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = nn.Conv2d(1, 1, (3, 1), padding=(1, 0))
            self.b = nn.Conv2d(1, 1, (1, 3), padding=(0, 1))

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)  # type: ignore[no-any-return]

    # The corners of the square of nine are read by neither.
    with pytest.raises(AssertionError, match=r"55.6% of its field of 3 x 3: 4 holes"):
        assert_no_holes(Cross(), (1, 1, 9, 9))
    assert_no_holes(Cross(), (1, 1, 9, 9), min_density=5 / 9)


class Causal(nn.Module):
    """Convolutions padded on the left alone, or with a wrong one among them."""

    def __init__(self, *, wrong: int | None = None) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv1d(1, 1, 3, dilation=d, padding=d if k == wrong else 0)
            for k, d in enumerate((1, 2, 4))
        )
        self.wrong = wrong

    def forward(self, x: Tensor) -> Tensor:
        for k, layer in enumerate(self.layers):
            d = 2**k
            x = layer(x if k == self.wrong else F.pad(x, (2 * d, 0)))
        return x


def test_nets_that_read_no_future_pass() -> None:
    assert_causal(Causal(), X)
    assert_causal(nn.ConstantPad1d((3, 0), 0.0), X)

    class Chomped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv1d(1, 1, 3, dilation=2, padding=4)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x)[..., :-4]  # type: ignore[no-any-return]

    assert_causal(Chomped(), X)

    class Running(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.cumsum(-1)

    assert_causal(Running(), X)


def test_what_a_later_layer_makes_good_is_not_blamed() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = dilated(3), dilated(2)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(F.pad(self.a(x), (3, 0))[..., :-3])  # type: ignore[no-any-return]

    with pytest.raises(AssertionError, match=r"got 2 positions: .*\n  The first .* is 'b.0'"):
        assert_causal(Shifted(), X)


def test_the_first_layer_that_reads_the_future_is_named_with_its_padding() -> None:
    with pytest.raises(AssertionError, match="got 2 positions") as raised:
        assert_causal(Causal(wrong=1), X)
    told = str(raised.value)
    assert f"The first to read the future is 'layers.1' ({__file__}:" in told
    # Kernel 3 with dilation 2 spans 5.
    assert "  x = F.pad(x, (4, 0))\n  x = nn.Conv1d(1, 1, 3, dilation=2)(x)" in told
    with pytest.raises(AssertionError, match="got 1 position"):
        assert_causal(Causal(wrong=0), X)


def test_delay_counts_positions_after_the_own() -> None:
    both = nn.Conv1d(1, 1, 5, padding=2)
    assert_causal(both, X, delay=2)
    with pytest.raises(AssertionError, match="at most 1 positions after its own position"):
        assert_causal(both, X, delay=1)
    # Without padding 62 outputs are left of 64: the last stands for the last input.
    assert_causal(nn.Conv1d(1, 1, 3), X)


def test_other_axes_and_reads_of_everything() -> None:
    rows = nn.Conv2d(1, 1, (3, 1), padding=(1, 0))
    assert_causal(rows, (1, 1, 9, 9))
    with pytest.raises(AssertionError, match="along axis 2, got 1 position") as raised:
        assert_causal(rows, (1, 1, 9, 9), axis=-2)
    assert "  x = F.pad(x, (0, 0, 2, 0))\n" in str(raised.value)

    class Mean(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x - x.mean(-1, keepdim=True)

    with pytest.raises(AssertionError, match="first to read the future is 'mean'"):
        assert_causal(Mean(), X)


class Calls(nn.Module):
    """A function of a signal and of a convolution."""

    def __init__(self, kernel: int, padding: int, call: Callable[[nn.Conv1d, Tensor], Tensor]):
        super().__init__()
        self.conv, self.call = nn.Conv1d(1, 1, kernel, padding=padding), call

    def forward(self, x: Tensor) -> Tensor:
        return self.call(self.conv, x)


def gradient_ahead(model: nn.Module, length: int) -> int:
    """How far a gradient leads from any output to an input of a later index."""
    x = torch.rand(1, 1, length, requires_grad=True)
    y = model(x)[0, 0]
    rows = [torch.autograd.grad(y[o], x, retain_graph=True)[0][0, 0] for o in range(len(y))]
    return max(int(row.nonzero().max()) - o for o, row in enumerate(rows))


@pytest.mark.parametrize(
    "net",
    [
        Calls(3, 0, lambda conv, x: conv(F.pad(x, (2, 0), mode="reflect"))),
        Calls(3, 0, lambda conv, x: conv(F.pad(x, (2, 0), mode="circular"))),
        Calls(1, 0, lambda conv, x: x.roll(1, -1)),
        Calls(5, 2, lambda conv, x: conv(x)[..., :-2]),
    ],
    ids=["reflected", "circular", "rolled", "half chomped"],
)
def test_the_future_at_the_borders_and_beyond_a_cut_is_seen(net: Calls) -> None:
    ahead = gradient_ahead(net, 24)
    assert ahead > 0
    with pytest.raises(AssertionError, match=f"got {ahead} position"):
        assert_causal(net, (1, 1, 24))
    assert_causal(net, (1, 1, 24), delay=ahead)


def test_the_assertion_and_the_rule_judge_causality_alike() -> None:
    nets = [
        nn.Conv1d(1, 1, 3, stride=2, padding=1),
        nn.MaxPool1d(4),
        nn.Sequential(nn.MaxPool1d(4), nn.Upsample(scale_factor=4)),
        nn.Sequential(nn.Conv1d(1, 1, 16, stride=8), nn.ConstantPad1d((2, 0), 0.0)),
        Calls(5, 4, lambda conv, x: conv(x)[..., :-4]),
        Calls(5, 3, lambda conv, x: conv(x)[..., :-2]),
        Calls(5, 4, lambda conv, x: conv(conv(x)[..., :-4])[..., :-5]),
        Calls(1, 0, lambda conv, x: x.mean(-1)),
        Calls(1, 0, lambda conv, x: x.flip(-1)),
    ]
    answers = []
    for net in nets:
        found = linted(net, X, "ATR501", declared={"causal": True})
        if found:
            with pytest.raises(AssertionError, match=f"got {found[0].numbers['ahead']} position"):
                assert_causal(net, X)
        else:
            assert_causal(net, X)
        answers.append(bool(found))
    assert answers == [False, False, True, False, False, True, False, False, True]


def test_what_has_no_order_of_its_own_cannot_be_called_causal() -> None:
    class Scores(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x.transpose(1, 2)

    with pytest.raises(AssertionError, match=r"in order along one axis, got axes \(1, 2\)"):
        assert_causal(Scores(), torch.zeros(1, 8, 4), axis=1)


def test_a_classifier_is_judged_by_what_it_pools() -> None:
    def net(*dilations: int) -> nn.Sequential:
        body = [nn.Conv2d(2, 2, 3, dilation=d, padding=d) for d in dilations]
        return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))

    # Two layers read 5 x 5 of 9 x 9: 81 - 25 = 56.
    with pytest.raises(AssertionError, match="9 x 9: 56 holes"):
        assert_no_holes(net(2, 2), (1, 2, 32, 32))
    assert_no_holes(net(2, 2), (1, 2, 32, 32), min_density=25 / 81)
    assert_no_holes(net(1, 2), (1, 2, 32, 32))


def test_the_model_keeps_its_mode() -> None:
    model = dilated(1, 2).train()
    assert_no_holes(model, X)
    assert_causal(nn.Sequential(nn.ReLU()).train(), X)
    assert model.training


TEST = """\
import sys


def test_pytest_has_not_imported_torch():
    assert "pytest_atrous" in sys.modules
    assert "torch" not in sys.modules
    assert "atrous" not in sys.modules


def test_fixtures(assert_receptive_field, assert_no_holes, assert_causal):
    from torch import nn

    net = nn.Conv1d(1, 1, 3, dilation=2)
    assert_receptive_field(net, (1, 1, 9), size=5)
    assert_causal(net, (1, 1, 9), delay=4)
    assert_no_holes(net, (1, 1, 9))
"""


def test_the_plugin_gives_fixtures_and_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "test_net.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    # Installed by its entry point, it loads by itself; from a bare source tree it is named.
    installed = any(point.name == "atrous" for point in entry_points(group="pytest11"))
    named = [] if installed else ["-p", "pytest_atrous"]
    command = [sys.executable, "-m", "pytest", *named, "-p", "no:cacheprovider", "."]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "1 failed, 1 passed" in done.stdout, done.stdout + done.stderr
    assert "AssertionError: 'conv1d' must read 100.0% of its field, but" in done.stdout
    assert "reads 60.0% of its field of 5" in done.stdout
    # The failure is told at the user's line, not inside the package.
    assert "assert_no_holes(net, (1, 1, 9))" in done.stdout
    assert "testing.py" not in done.stdout
    # Nothing that torch logs while it traces stands beside it.
    assert "Captured" not in done.stdout
    assert "torch.__trace" not in done.stdout

"""Parameters that no output uses, against gradients, and planted in a public backbone."""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn

import atrous
from linting import linted, only


def without_gradient(model: nn.Module, shape: tuple[int, ...]) -> set[str]:
    """The parameters that a gradient of the output does not reach."""
    model.zero_grad()
    model(torch.rand(shape)).sum().backward()
    return {name for name, p in model.named_parameters() if p.grad is None}


def test_a_layer_planted_in_a_backbone_is_found_at_its_module() -> None:
    net = torchvision.models.resnet18(weights=None).eval()
    shape = (1, 3, 64, 64)
    assert linted(net, shape, "unused-parameters") == []
    net.layer2[1].extra = nn.Sequential(nn.Conv2d(128, 128, 3), nn.BatchNorm2d(128))
    finding = only(linted(net, shape, "unused-parameters"))
    assert (finding.path, finding.severity) == ("layer2.1.extra", "note")
    # 128 * 128 * 9 weights, 128 biases, and 2 * 128 of the normalisation, of 4 bytes each.
    count = 128 * 128 * 9 + 128 + 256
    assert (finding.numbers["parameters"], finding.numbers["bytes"]) == (count, 4 * count)
    names = without_gradient(net, shape)
    assert {name.rsplit(".", 2)[0] for name in names} == {finding.path}
    exec(finding.fix, {"model": net, "nn": nn})
    assert linted(net, shape, "unused-parameters") == []


class Odd(nn.Module):
    """A layer whose result is thrown away, a parameter that is not used, and a second name."""

    def __init__(self) -> None:
        super().__init__()
        self.used = nn.Conv1d(1, 1, 3)
        self.vain, self.again = nn.Conv1d(1, 1, 3), nn.Conv1d(1, 1, 3)
        self.shift = nn.Parameter(torch.zeros(1))
        self.again.weight = self.used.weight
        self.again.bias = self.used.bias
        self.heads = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        self.vain(x)
        y: Tensor = self.heads[1](self.used(x))
        return y


def test_what_is_told_is_what_gets_no_gradient() -> None:
    model = Odd()
    found = linted(model, (1, 1, 6), "unused-parameters")
    paths = {f.path for f in found}
    assert paths == {"", "vain", "heads.0", "heads.2"}
    dead = without_gradient(model, (1, 1, 6))
    assert dead == {
        "shift", "vain.weight", "vain.bias", "heads.0.weight", "heads.0.bias", "heads.2.weight",
        "heads.2.bias",
    }  # fmt: skip
    for finding in found:
        exec(finding.fix, {"model": model, "nn": nn})
    assert linted(model, (1, 1, 6), "unused-parameters") == []
    assert without_gradient(model, (1, 1, 6)) == set()


def test_heads_for_training_alone_are_a_note() -> None:
    net = torchvision.models.googlenet(weights=None, init_weights=False).eval()
    found = linted(net, (1, 3, 128, 128), "unused-parameters")
    assert [(f.path, f.severity) for f in found] == [("aux1", "note"), ("aux2", "note")]


def test_a_comment_at_the_statement_ignores_it() -> None:
    class Commented(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Conv1d(1, 1, 3)
            self.later = nn.Conv1d(1, 1, 3)  # atrous: ignore[ATR306]

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.body(x)
            return y

    found = atrous.lint(Commented(), (1, 1, 6), severity="note")
    assert found == [] and len(found.judgement.ignored) == 1
    assert found.judgement.ignored[0].finding.made.startswith(__file__)

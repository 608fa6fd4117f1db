"""Fixes of layers drawn at random: each leaves nothing to find, and shapes as they were."""

from __future__ import annotations

import random
from collections import Counter

import pytest
import torch
from torch import nn

from atrous.graph.capture import capture
from atrous.lint.check import check
from atrous.lint.rule import find_rule, lint_rules
from atrous.lint.subject import Declared, Subject
from linting import assert_fix_mends


def _layer(rng: random.Random, dims: int, channels: int) -> nn.Module:
    def each(*values: int) -> tuple[int, ...]:
        return tuple(rng.choice(values) for _ in range(dims))

    if rng.random() < 0.15:
        pads = (rng.randrange(4) for _ in range(2 * dims))
        return (nn.ZeroPad1d, nn.ZeroPad2d)[dims - 1](tuple(pads))
    if rng.random() < 0.1:
        conv = (nn.ConvTranspose1d, nn.ConvTranspose2d)[dims - 1]
        return conv(channels, channels, each(1, 2, 3, 4), stride=each(1, 2, 3))
    conv = (nn.Conv1d, nn.Conv2d)[dims - 1]
    return conv(
        channels,
        channels,
        each(1, 2, 3, 3, 4),
        stride=each(1, 1, 1, 2, 3),
        padding=each(0, 1, 2, 4, 6),
        dilation=each(1, 1, 2, 3, 4),
        groups=rng.choice([1, channels]),
        bias=rng.random() < 0.5,
        padding_mode=rng.choice(["zeros", "zeros", "zeros", "circular", "replicate"]),
    )


def _drawn(seed: int) -> tuple[nn.Module, torch.Tensor] | None:
    rng = random.Random(seed)
    torch.manual_seed(seed)
    dims = rng.choice([1, 2])
    net = nn.Sequential(*(_layer(rng, dims, 2) for _ in range(rng.choice([1, 2, 3])))).eval()
    x = torch.randn(rng.choice([1, 2]), 2, *(rng.choice([1, 4, 9, 16, 24]) for _ in range(dims)))
    try:
        out = net(x)
    except RuntimeError:
        return None
    return (
        (net, x) if out.numel() and any(isinstance(m, nn.Conv1d | nn.Conv2d) for m in net) else None
    )


@pytest.mark.parametrize("part", range(4))
def test_fixes_of_random_layers_mend(part: int) -> None:
    mended: Counter[str] = Counter()
    for seed in range(60 * part, 60 * part + 60):
        drawn = _drawn(seed)
        if drawn is None:
            continue
        net, x = drawn
        for finding in check(Subject(capture(net, x), net), lint_rules().values()):
            mended[finding.code] += assert_fix_mends(net, x, find_rule(finding.code), finding)
    assert mended["ATR103"] and mended["ATR201"], mended


def test_code_of_layers_keeps_their_border() -> None:
    circular = nn.Conv1d(2, 2, 3, padding=2, dilation=2, padding_mode="circular")
    found = check(
        Subject(capture(circular, (1, 2, 64)), circular, Declared.of({"field": 13})),
        [find_rule("ATR302")],
    )
    added = eval(found[0].fix.splitlines()[-1], {"nn": nn})
    assert (added.padding_mode, added.dilation, added.padding) == ("circular", (4,), (4,))
    assert added(torch.zeros(1, 2, 64)).shape == (1, 2, 64)

    edges = nn.Conv1d(2, 4, 3, padding=4, dilation=4, padding_mode="replicate")
    subject = Subject(capture(edges, (1, 2, 32)), edges, Declared.of({"causal": True}))
    (finding,) = check(subject, [find_rule("ATR501")])
    assert 'nn.Conv1d(2, 4, 3, padding=4, dilation=4, padding_mode="replicate")' in finding.message

"""Random networks against perturbation: 2,000 in every run, more with `make fuzz`."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import HealthCheck, Phase, assume, given, seed, settings
from hypothesis import strategies as st
from torch.export import ExportedProgram

from atrous.graph.build import build_program
from atrous.graph.rule import Call, Description, forget_rule, rule
from checks import assert_network, assert_supports, finite, input_of
from mutants import mutants
from networks import FEATURES, RandomNetwork, draw_network
from rearrangements import REARRANGEMENTS

PARTS, PER_PART = 8, 250


@pytest.mark.parametrize("part", range(PARTS))
def test_fields_and_boxes_are_those_of_the_real_network(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    mix: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    checked = 0

    @seed(part)
    @settings(
        max_examples=PER_PART,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=False))
    def check(rng: random.Random) -> None:
        nonlocal checked
        network = draw_network(rng)
        assume(finite(network, input_of(network, part)))
        statuses.update(assert_network(network, part))
        mix.update(name for name in FEATURES if network.features[name])
        checked += 1

    check()
    shares = ", ".join(f"{name} {mix[name] / checked:.0%}" for name in FEATURES)
    record_property("summary", f"{checked} random networks: {shares}; axes {dict(statuses)}")
    assert checked >= PER_PART
    assert all(mix[name] >= checked / 5 for name in FEATURES), mix


@pytest.mark.parametrize("first", [2000, 2100, 3000, 3100])
def test_networks_that_move_repeat_and_write(
    first: int, record_property: Callable[[str, object], None]
) -> None:
    mix: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    for number in range(first, first + 100):
        network = draw_network(random.Random(number), rearranged=True)
        if finite(network, input_of(network, number)):
            statuses.update(assert_network(network, number))
            mix.update(name for name in REARRANGEMENTS if network.features[name])
    record_property("summary", f"100 rearranging networks: {dict(mix)}; axes {dict(statuses)}")
    # Each network draws few of the many ways.
    assert len(mix) >= 0.7 * len(REARRANGEMENTS), mix


# Seeds on which something was wrong once.
@pytest.mark.parametrize("number", [4820, 10695, 401, 1089, 152, 12, 11, 92])
def test_networks_that_failed_once(number: int) -> None:
    network = draw_network(random.Random(number))
    assert_network(network, number)


FAMILIES = {
    "conv": ("aten.conv1d", "aten.conv2d", "aten.conv3d"),
    "transposed": ("aten.conv_transpose1d", "aten.conv_transpose2d", "aten.conv_transpose3d"),
    "max": ("aten.max_pool1d", "aten.max_pool2d", "aten.max_pool3d"),
    "avg": ("aten.avg_pool1d", "aten.avg_pool2d", "aten.avg_pool3d"),
    "nearest": ("aten.upsample_nearest1d", "aten.upsample_nearest2d"),
    "linear": ("aten.upsample_linear1d", "aten.upsample_bilinear2d"),
    "pad": ("aten.pad",),
    "slice": ("aten.slice",),
    "flip": ("aten.flip",),
    "adaptive": ("aten.adaptive_avg_pool1d", "aten.adaptive_avg_pool2d"),
}
MUTATIONS = ("start +1", "start -1", "stride +1", "stride -1", "last tap lost", "one phase shifted")


@pytest.fixture(scope="module")
def exported() -> list[tuple[RandomNetwork, ExportedProgram]]:
    """Networks of few steps, so that a mutant is not drowned by what follows."""
    found = []
    for number in range(150):
        network = draw_network(random.Random(number), deepest=4)
        x = input_of(network, 0)
        if finite(network, x):
            found.append((network, torch.export.export(network, (x,), strict=False)))
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_mutated_rules_are_caught(
    family: str, exported: list[tuple[RandomNetwork, ExportedProgram]]
) -> None:
    for mutation in MUTATIONS:
        with mutated(FAMILIES[family], mutation) as used:
            noticed = any(notices(network, program) for network, program in exported)
            # A relation with a single phase has no phase to shift.
            assert used or mutation == "one phase shifted"
            assert noticed or not used, f"{mutation} of {family} was not noticed"


def notices(network: RandomNetwork, exported: ExportedProgram) -> bool:
    try:
        assert_supports(network, build_program(exported), input_of(network, 0))
    except AssertionError:
        return True
    return False


class mutated:  # noqa: N801 - reads as a context
    """While active, the rules of some operators are wrong along every spatial axis."""

    def __init__(self, ops: tuple[str, ...], mutation: str) -> None:
        self.ops, self.mutation = ops, mutation
        self.used: list[str] = []

    def __enter__(self) -> list[str]:
        self.rules = {op: forget_rule(op) for op in self.ops}
        for op, right in self.rules.items():
            rule(op)(self.wrong(right))
        return self.used

    def __exit__(self, *_: object) -> None:
        for op, right in self.rules.items():
            forget_rule(op)
            rule(op)(right)

    def wrong(self, right: Callable[[Call], Description]) -> Callable[[Call], Description]:
        def describe(call: Call) -> Description:
            description = right(call)
            (read, *rest) = description.reads
            links = list(read.links)
            for axis in range(2, len(links)):
                link = links[axis]
                if link is None:
                    continue
                for name, relation in mutants(link.relation):
                    differs = relation.matrix().astype(bool) != link.relation.matrix().astype(bool)
                    if name == self.mutation and differs.any():
                        links[axis] = replace(link, relation=relation)
                        self.used.append(call.op)
            return replace(description, reads=(replace(read, links=tuple(links)), *rest))

        return describe

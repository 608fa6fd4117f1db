"""What must hold for any network: its fields are what perturbation finds, its boxes are parts of
the whole."""

from __future__ import annotations

import random
from collections import Counter

import numpy as np
import torch
from torch import Tensor, nn

from atrous.analysis.coverage.question import coverage
from atrous.analysis.fields.field import field_of
from atrous.analysis.fields.strands import Trace
from atrous.analysis.fields.tracing import trace
from atrous.graph.capture import capture
from atrous.graph.program import Program
from atrous.run.regions import run_box
from networks import RandomNetwork
from one_channel import MIXING, route_counts
from oracles import BUMP, SHARE, perturbation_support, rows_along


def finite(network: RandomNetwork, x: Tensor) -> bool:
    """Whether no result is infinite: a maximum of nothing but padding hides all else."""
    return bool(torch.isfinite(network(x)).all())


def input_of(network: RandomNetwork, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(network.shape, dtype=torch.float64, generator=generator) + 0.5


def assert_network(network: RandomNetwork, seed: int) -> Counter[str]:
    """All checks of one network; returns how often each status occurred."""
    x = input_of(network, seed)
    program = capture(network, x)
    assert not program.unknown, f"{program.unknown[0].description}\n{network}"
    statuses = assert_supports(network, program, x)
    assert_boxes(network, program, x, seed)
    return statuses


def assert_supports(network: RandomNetwork, program: Program, x: Tensor) -> Counter[str]:
    """Every row of every axis, of every segment of channels, equals the perturbed set."""
    axes = range(2, x.dim())
    output, source = program.output(), program.input()
    traced = trace(program, {source.name: axes})[output.name]
    statuses: Counter[str] = Counter()
    field = field_of(output, traced, source, tuple(axes))
    told = {axis.axis: axis for axis in field.axes} if field else {}
    for axis in axes:
        support = perturbation_support(network, x, axis)
        unread = np.broadcast_to(traced.labels == -1, output.shape)
        assert not (support & unread).any(), f"axis {axis}: change where nothing is read\n{network}"
        for number, strands in enumerate(traced.segments):
            there = np.broadcast_to(traced.labels == number, output.shape)
            own = Trace(output.shape, np.where(traced.labels == number, 0, -1), (strands,))
            row = assert_rows(network, own, (source.name, axis), support & there, there)
            statuses[row] += 1
        if axis not in told:
            assert not support.any()
            continue
        mine = told[axis]
        true = rows_along(support, *mine.output_axes)
        said = np.zeros_like(true)
        for at in np.ndindex(true.shape[:-1]):
            said[(*at, mine.taps(at)[0])] = True
        wrong = (true & ~said) if mine.status == "bound" else (true != said)
        assert not wrong.any(), f"axis {axis}: rows of the whole value\n{network}"
    return statuses


def assert_rows(
    network: RandomNetwork,
    own: Trace,
    source: tuple[str, int],
    mine: np.ndarray,
    there: np.ndarray,
) -> str:
    """Rows of one segment, at the positions where it lies."""
    route = own.united(source, "")
    if route is None:
        # Where these positions lie, every way reads padding.
        assert not mine.any(), f"no route from {source}\n{network}"
        return "exact"
    lineage = route.lineage
    # The position of the lineage that each element of the value belongs to.
    position = np.zeros(there.shape, dtype=np.int64)
    for digit in route.digits:
        at = np.arange(there.shape[digit.axis]) // digit.divisor % digit.length
        shape = [-1 if a == digit.axis else 1 for a in range(there.ndim)]
        position = position * digit.length + at.reshape(shape)
    true = np.zeros((lineage.length, lineage.inputs), dtype=bool)
    for i, changed in enumerate(mine):
        true[np.unique(position[changed]), i] = True
    said = np.zeros_like(true)
    for o in np.unique(position[there]):
        said[o, lineage.taps(int(o))[0]] = True
    wrong = (true & ~said) if lineage.status == "bound" else (true != said)
    assert not wrong.any(), (
        f"axis {source[1]} ({lineage.status}): {(true & ~said).sum()} missing, "
        f"{(said & ~true).sum()} extra\n{network}"
    )
    return lineage.status


@torch.no_grad()
def assert_boxes(
    network: RandomNetwork, program: Program, x: Tensor, seed: int, count: int = 3
) -> None:
    """Random boxes of the output, empty ones too, equal the slices of the whole."""
    whole = network(x)
    rng = random.Random(seed)
    for _ in range(count):
        box = []
        for length in whole.shape:
            lo = rng.randint(0, length - 1)
            box.append((lo, lo if rng.randint(0, 40) == 0 else rng.randint(lo + 1, length)))
        expected = whole[tuple(slice(*side) for side in box)]
        part = run_box(program, {program.inputs[0]: x}, program.output().name, tuple(box))
        assert part.shape == expected.shape, f"box {box}: shape {tuple(part.shape)}\n{network}"
        if part.numel():
            error = float((part - expected).abs().max())
            scale = max(1.0, float(whole.abs().max()))
            assert error <= 1e-12 * scale, f"box {box}: off by {error}\n{network}"


def assert_coverage(network: RandomNetwork, seed: int) -> Counter[str]:
    """The coverage of one random output, in all dimensions: what it reads is what changes it, and
    counts are the gradient of the network with one channel, where one can stand for all."""
    x, rng = input_of(network, seed), random.Random(seed)
    program = capture(network, x)
    axes = tuple(range(2, x.dim()))
    layout = coverage(program, program.output(), axes=axes).layout
    shape = program.output().shape
    at = tuple(rng.randrange(n) for n, holds in zip(shape, layout, strict=True) if holds)
    found = coverage(program, program.output(), axes=axes, at=at)
    said, true = found.on_input() != 0, perturbed(network, x, element(layout, at))
    wrong = (true & ~said) if found.status == "bound" else (said != true)
    assert not wrong.any(), f"{found} at {at}\n{network}"
    kinds = {step.kind for step in network.steps}
    if kinds & MIXING or not all(layout[2:]) or len(layout) != x.dim():
        return Counter([found.status])
    assert (route_counts(network, at).numpy() == found.on_input()).all(), f"{at}\n{network}"
    return Counter([found.status, "counted"])


def element(layout: tuple[bool, ...], at: tuple[int, ...]) -> tuple[int | slice, ...]:
    places = iter(at)
    return tuple(next(places) if holds else slice(None) for holds in layout)


def perturbed(network: nn.Module, x: Tensor, where: tuple[int | slice, ...]) -> np.ndarray:
    """The input positions that change one output when raised."""
    with torch.no_grad():
        base = network(x)[where]
        changed = np.zeros(x.shape[2:], dtype=bool)
        for position in np.ndindex(*x.shape[2:]):
            raised = x.clone()
            raised[(slice(None), slice(None), *position)] += BUMP
            changed[position] = bool((network(raised)[where] - base > SHARE * BUMP).any())
    return changed

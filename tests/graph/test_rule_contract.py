"""Every rule keeps the contract: its relations are what perturbation finds, `run` computes any box
of the whole, and a wrong relation is noticed. Found through the registry."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import atrous.graph.rules  # noqa: F401 - registers the rules
import deformable  # noqa: F401 - defines the operator
from atrous.graph.example import Draw, Example
from atrous.graph.factors import joined
from atrous.graph.region import Box, Region, box_shape
from atrous.graph.rule import (
    Call,
    Description,
    Link,
    Local,
    Operand,
    Pointwise,
    Read,
    call_overload,
    describe,
    rule_examples,
    rules,
)
from atrous.run.regions import operand_boxes
from mutants import mutants

DRAWS = 12
MANY_FORMS = ("index", "gather", "scatter", "grid_sampler", "stft")
WITHOUT_DATA = {op for op in rules() if "_like" in op or ".new_" in op or op == "aten.zero"}
BUMPS = (1e3, -1e3, 0.37, 0.0, 1.0, 2.0)
SPECIAL = (float("inf"), float("nan"))


def draws(op: str) -> int:
    """How many calls to look at: more of what has many forms."""
    return 3 * DRAWS if any(word in op for word in MANY_FORMS) else DRAWS


def names() -> list[str]:
    return sorted(set(rules()) - WITHOUT_DATA)


def test_every_rule_has_examples() -> None:
    assert set(rule_examples()) == set(rules()) - WITHOUT_DATA


def packet_of(op: str) -> Any:
    """The operator of that name; of torchvision's, which may be missing, one of our own."""
    op = op.replace("torchvision.", "atrous_test.")
    namespace, name = op.split(".")
    return getattr(getattr(torch.ops, namespace), name)


class Case:
    """One drawn call with its description and true result."""

    def __init__(self, op: str, seed: int) -> None:
        draw = Draw(seed)
        self.example: Example = rule_examples()[op](draw, op)
        self.target = getattr(packet_of(op), self.example.overload)
        schema = self.target._schema.arguments
        given = dict(zip([a.name for a in schema], self.example.args, strict=False))
        values = {a.name: given.get(a.name, a.default_value) for a in schema}
        self.result = call_overload(self.target, values)
        self.output = 0
        if not isinstance(self.result, Tensor):
            parts = ("chunk", "split", "unbind", "split_with_sizes")
            several = op.removeprefix("aten.") in parts
            self.output = draw.randint(0, len(self.result) - 1) if several else 0
        self.whole = self.pick(self.result)
        self.tensors: dict[str, Tensor] = {}
        # Wrong versions of this case share them.
        self.truths: dict[str, np.ndarray] = {}
        bound: dict[str, Any] = {}
        for position, (name, value) in enumerate(values.items()):
            bound[name] = self._operands(name, value, position)
        self.call = Call(
            op, bound, tuple(self.whole.shape), self.whole.dtype, self.output, self.target
        )
        self.description: Description = describe(self.call)

    def _operands(self, name: str, value: Any, position: int) -> Any:
        if isinstance(value, Tensor):
            self.tensors[name] = value
            constant = position not in self.example.data
            known = value.clone if constant else None
            return Operand(name, tuple(value.shape), value.dtype, constant, known)
        if isinstance(value, list) and any(isinstance(v, Tensor) for v in value):
            return [self._operands(f"{name}{k}", v, position) for k, v in enumerate(value)]
        return value

    def pick(self, result: Any) -> Tensor:
        return result if isinstance(result, Tensor) else result[self.output]

    def compute(self, changed: dict[str, Tensor]) -> Tensor:
        """The true result with some operands replaced."""
        values = {**self.tensors, **changed}

        def value(v: Any) -> Any:
            if isinstance(v, Operand):
                return values[v.name]
            if isinstance(v, list):
                return [value(item) for item in v]
            return v

        arguments = {name: value(v) for name, v in self.call.args.items()}
        return self.pick(call_overload(self.target, arguments))

    def changes(self, operand: str) -> np.ndarray:
        """Which outputs change with each element of an operand: `(*operand, *result)`."""
        if operand not in self.truths:
            self.truths[operand] = self._changes(operand)
        return self.truths[operand]

    def _changes(self, operand: str) -> np.ndarray:
        pointwise = isinstance(self.description, Pointwise)
        found = np.zeros((*self.tensors[operand].shape, *self.call.shape), dtype=bool)
        bumps: tuple[float, ...] = (*BUMPS, *SPECIAL) if pointwise else BUMPS
        bumps = tuple(self.example.values.get(operand, bumps))
        for start in self.starts():
            if not found.all():
                self._add_changes(operand, start, bumps, found)
        return found

    def starts(self) -> list[dict[str, Tensor]]:
        """Values to start from: as drawn, such that comparisons and conditions can turn, and
        whatever restricted data may hold."""
        chosen = [{}]
        if isinstance(self.description, Pointwise):
            free = {n: t for n, t in self.tensors.items() if n not in self.example.values}
            chosen += [{name: torch.ones_like(t) for name, t in free.items()}]
            chosen += [{name: torch.zeros_like(t) for name, t in free.items()}]
        restricted = self.example.values.items()
        filled = [[(name, v) for v in values] for name, values in restricted]
        for held in product(*filled) if filled else ():
            chosen.append({n: torch.full_like(self.tensors[n], v) for n, v in held})
        for name, values in restricted:
            for one, other in zip(values, [*values[1:], values[0]], strict=True):
                # One position alone holds a value, or what is written there last hides the others.
                for axis, length in enumerate(self.tensors[name].shape):
                    for position in range(length):
                        alone = torch.full_like(self.tensors[name], other)
                        alone.select(axis, position).fill_(one)
                        chosen.append({name: alone})
        return chosen

    def _add_changes(
        self, operand: str, start: dict[str, Tensor], bumps: tuple[float, ...], found: np.ndarray
    ) -> None:
        x = start.get(operand, self.tensors[operand])
        base = self.compute(start)
        for index in product(*map(range, x.shape)):
            for value in bumps:
                if x.dtype == torch.int64 and value in SPECIAL + BUMPS[2:3]:
                    continue
                changed = x.clone()
                further = value == 1.0 and operand not in self.example.values
                changed[index] = changed[index] + 1 if further else torch.tensor(value).to(x.dtype)
                after = self.compute({**start, operand: changed})
                same = (after == base) | (after.isnan() & base.isnan())
                if after.dtype.is_floating_point or after.dtype.is_complex:
                    # The weight of a resize that lands on a sample is rounding, not a tap.
                    same |= (after - base).abs() <= 1e-12 * min(abs(value), 1e3)
                found[index] |= ~same.numpy()


def predicted(case: Case, read: Read) -> np.ndarray:
    """What the description says depends on what, element by element: `(*operand, *result)`."""
    operand = read.lengths
    shape = case.call.shape if read.merge is None else joined(read.merge)
    found = np.ones((*operand, *shape), dtype=bool)
    pairs: list[tuple[int | None, Link]] = [
        (axis, link) for axis, link in enumerate(read.links) if link is not None
    ]
    pairs += [(None, link) for link in read.unlinked]
    for axis, link in pairs:
        matrix = link.relation.matrix().astype(bool)
        if axis is None:
            matrix = matrix[:1]
        form = [1] * found.ndim
        form[link.axis] = operand[link.axis]
        if axis is not None:
            form[len(operand) + axis] = shape[axis]
        found &= matrix.T.reshape(form)
    if read.segment is not None:
        form = [1] * found.ndim
        form[len(operand) + read.segment.axis] = -1
        found &= read.segment.reads.reshape(form)
    return found.reshape((*read.operand.shape, *case.call.shape))


def is_bound(read: Read) -> bool:
    """Whether a read claims no more than a superset."""
    return any(link.status == "bound" for link in (*read.links, *read.unlinked) if link is not None)


def reads_of(case: Case, name: str) -> list[Read]:
    return [read for read in case.description.reads if read.operand.name == name]


def all_predicted(case: Case, name: str) -> np.ndarray:
    """What the reads of one operand say together."""
    return np.logical_or.reduce([predicted(case, read) for read in reads_of(case, name)])


def assert_relations(case: Case) -> None:
    data = [read.operand for read in case.description.reads if not read.operand.is_constant]
    for name in dict.fromkeys(operand.name for operand in data):
        truth = case.changes(name)
        said = all_predicted(case, name)
        if any(map(is_bound, reads_of(case, name))):
            assert not (truth & ~said).any(), f"{case.call.op}: missing in a bound"
            continue
        assert (truth == said).all(), (
            f"{case.call.op} {case.example}: operand {name}: "
            f"{(truth & ~said).sum()} missing, {(said & ~truth).sum()} extra"
        )


def run_box(case: Case, box: Box) -> Tensor:
    """The description's `run` on exactly the crops it asks for."""
    boxes = operand_boxes(case.description, case.call, box)

    def argument(value: Any) -> Any:
        if isinstance(value, list):
            return [argument(v) for v in value]
        if not isinstance(value, Operand):
            return value
        region = Region.whole(case.tensors[value.name])
        own = boxes.get(value.name)
        return region.crop(own.pop(0)) if own else region

    return case.description.run({k: argument(v) for k, v in case.call.args.items()}, box)


def random_box(rng: random.Random, shape: tuple[int, ...]) -> Box:
    sides = []
    for length in shape:
        lo = rng.randint(0, length - 1)
        sides.append((lo, rng.randint(lo + 1, length)))
    return tuple(sides)


@pytest.mark.parametrize("op", names())
def test_relation_is_what_perturbation_finds(op: str) -> None:
    for seed in range(draws(op)):
        case = Case(op, seed)
        if case.whole.numel() * sum(t.numel() for t in case.tensors.values()) < 60_000:
            assert_relations(case)


@pytest.mark.parametrize("op", names())
def test_run_computes_any_box_of_the_whole(op: str) -> None:
    rng = random.Random(0)
    for seed in range(4 * DRAWS):
        case = Case(op, seed)
        for _ in range(4):
            box = random_box(rng, case.call.shape)
            part = run_box(case, box)
            expected = case.whole[tuple(slice(*side) for side in box)]
            assert part.shape == box_shape(box)
            assert part.dtype == expected.dtype
            torch.testing.assert_close(part, expected, rtol=1e-12, atol=1e-12, equal_nan=True)


def mutated_cases(case: Case) -> list[tuple[str, Case]]:
    """The case with each link of each data read replaced by a mutant that differs on this call."""
    found = []
    for number, read in enumerate(case.description.reads):
        name = read.operand.name
        if read.operand.is_constant or any(map(is_bound, reads_of(case, name))):
            continue
        for axis, link in enumerate(read.links):
            if link is None:
                continue
            truth = link.relation.matrix().astype(bool)
            for what, wrong in mutants(link.relation):
                if (wrong.matrix().astype(bool) == truth).all():
                    continue
                links = list(read.links)
                links[axis] = replace(link, relation=wrong)
                reads = list(case.description.reads)
                reads[number] = replace(read, links=tuple(links))
                other = object.__new__(Case)
                other.__dict__.update(case.__dict__)
                other.description = replace(case.description, reads=tuple(reads))
                if (all_predicted(other, name) != all_predicted(case, name)).any():  # type: ignore[arg-type]
                    found.append((what, other))
    return found


@pytest.mark.parametrize("op", names())
def test_mutants_are_caught(op: str) -> None:
    caught = 0
    for seed in range(3):
        case = Case(op, seed)
        if case.whole.numel() * sum(t.numel() for t in case.tensors.values()) >= 20_000:
            continue
        for what, wrong in mutated_cases(case)[:8]:
            with pytest.raises(AssertionError, match=r"missing|extra"):
                assert_relations(wrong)
            caught += bool(what)
    (read, *_) = Case(op, 0).description.reads
    if any(link is not None for link in read.links):
        assert caught > 0 or op == "aten.t"


@pytest.mark.parametrize("op", [op for op in names() if "conv" in op or "pool" in op])
def test_dilated_form_reads_the_same_inputs_on_a_denser_grid(op: str) -> None:
    for seed in range(DRAWS):
        case = Case(op, seed)
        if not isinstance(case.description, Local):
            continue
        for axis, window in case.description.windows.items():
            factor = 1 + seed % 3
            dense = case.description.dilated(axis, factor)
            for o in range(case.call.shape[axis]):
                reads = [o * window.stride + a * window.dilation - window.left
                         for a in range(window.kernel_size)]  # fmt: skip
                at = o * window.stride * factor
                again = [at + a * dense.dilation - dense.left for a in range(dense.kernel_size)]
                assert again == [factor * i for i in reads]

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
    Arguments,
    Call,
    Description,
    Link,
    Local,
    Operand,
    Pointwise,
    Read,
    describe,
    rule_examples,
    rules,
)
from atrous.run.regions import cropped_arguments
from mutants import mutants

DRAWS = 12
# A call of these is one of many forms: layers, directions, results, index tables.
MANY_FORMS = {
    op
    for op in rules()
    if any(
        word in op
        for word in ("lstm", "gru", "rnn", "index", "gather", "scatter", "grid_sampler", "stft")
    )
}
WITHOUT_DATA = {op for op in rules() if "_like" in op or ".new_" in op or op == "aten.zero"}
# Rules for the first result only.
ONE_RESULT = {
    op for op in rules() if any(part in op for part in ("pool", "norm", "attention", "bag"))
}
# Over a single position these are constant but for what is no number.
CONSTANT_ON_NUMBERS = {op for op in rules() if "softmax" in op or "var" in op or "std" in op}
BUMPS = (1e3, -1e3, 0.37, 0.0, 1.0, 2.0)
SPECIAL = (float("inf"), float("nan"))


def draws(op: str) -> range:
    """The seeds of calls to look at: more of what has many forms."""
    return range(2 * DRAWS if op in MANY_FORMS else DRAWS)


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
        self.tensors: dict[str, Tensor] = {}
        # Wrong versions of this case share them.
        self.truths: dict[str, np.ndarray] = {}
        bound: dict[str, Any] = {}
        schema = self.target._schema.arguments
        for position, argument in enumerate(schema):
            given = position < len(self.example.args)
            value = self.example.args[position] if given else argument.default_value
            bound[argument.name] = self._operands(argument.name, value, position)
        result = self.results(bound, self.tensors)
        several = not isinstance(result, Tensor) and op not in ONE_RESULT
        self.output = draw.randint(0, len(result) - 1) if several else 0
        self.whole = self.pick(result)
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
        return self.pick(self.results(self.call.args, {**self.tensors, **changed}))

    def results(self, args: Arguments, values: dict[str, Tensor]) -> Any:
        """All that the operator returns."""

        def value(v: Any) -> Any:
            if isinstance(v, Operand):
                return values[v.name]
            if isinstance(v, list):
                return [value(item) for item in v]
            return v

        arguments = self.target._schema.arguments
        positional = [value(args[a.name]) for a in arguments if not a.kwarg_only]
        keywords = {a.name: value(args[a.name]) for a in arguments if a.kwarg_only}
        return self.target(*positional, **keywords)

    def changes(self, operand: str) -> np.ndarray:
        """Which outputs change with each element of an operand: `(*operand, *result)`."""
        if operand not in self.truths:
            self.truths[operand] = self._changes(operand)
        return self.truths[operand]

    def _changes(self, operand: str) -> np.ndarray:
        pointwise = isinstance(self.description, Pointwise)
        special = pointwise or self.call.op in CONSTANT_ON_NUMBERS
        found = np.zeros((*self.tensors[operand].shape, *self.call.shape), dtype=bool)
        bumps = self.example.values.get(operand, (*BUMPS, *SPECIAL) if special else BUMPS)
        for start in self.starts():
            if not found.all():
                self._add_changes(operand, start, tuple(bumps), found)
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
        whole = x.dtype == torch.int64
        bumps = tuple(b for b in bumps if not (whole and b in SPECIAL + BUMPS[2:3]))
        # The weight of a resize that lands on a sample is rounding, not a tap.
        rough = base.is_floating_point() or base.is_complex()
        slack = torch.tensor([1e-12 * min(abs(b), 1e3) for b in bumps])
        slack = slack.view(-1, *(1,) * base.dim())
        for index in product(*map(range, x.shape)):
            results = []
            for value in bumps:
                changed = x.clone()
                further = value == 1.0 and operand not in self.example.values
                changed[index] = changed[index] + 1 if further else torch.tensor(value).to(x.dtype)
                results.append(self.compute({**start, operand: changed}))
            after = torch.stack(results)
            same = (after == base) | (after.isnan() & base.isnan())
            if rough:
                same |= (after - base).abs() <= slack
            found[index] |= ~same.all(0).numpy()


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


def all_predicted(case: Case) -> dict[str, np.ndarray]:
    """Per operand with data what its reads say together; nothing where there is none."""
    found = {
        operand.name: np.zeros((*operand.shape, *case.call.shape), dtype=bool)
        for operand in case.call.operands
        if not operand.is_constant
    }
    for read in case.description.reads:
        if not read.operand.is_constant:
            found[read.operand.name] |= predicted(case, read)
    return found


def assert_relations(case: Case) -> None:
    for name, said in all_predicted(case).items():
        truth = case.changes(name)
        if any(is_bound(r) for r in case.description.reads if r.operand.name == name):
            assert not (truth & ~said).any(), f"{case.call.op}: missing in a bound"
            continue
        assert (truth == said).all(), (
            f"{case.call.op} {case.example}: operand {name}: "
            f"{(truth & ~said).sum()} missing, {(said & ~truth).sum()} extra"
        )


def run_box(case: Case, box: Box) -> Tensor:
    """The description's `run` on exactly the crops it asks for."""

    def region(operand: Operand) -> Region:
        return Region.whole(case.tensors[operand.name])

    return case.description.run(cropped_arguments(case.call, case.description, box, region), box)


def random_box(rng: random.Random, shape: tuple[int, ...]) -> Box:
    sides = []
    for length in shape:
        lo = rng.randint(0, length - 1)
        sides.append((lo, rng.randint(lo + 1, length)))
    return tuple(sides)


@pytest.mark.parametrize("op", names())
def test_relation_is_what_perturbation_finds(op: str) -> None:
    assert relations_checked(op, draws(op), 60_000) >= 3


@pytest.mark.full
@pytest.mark.parametrize("op", names())
def test_relation_of_many_calls_is_what_perturbation_finds(op: str) -> None:
    assert relations_checked(op, range(60), 100_000) >= 10


def relations_checked(op: str, seeds: range, most: int) -> int:
    """How many calls were checked: those of no more pairs of elements."""
    checked = 0
    for seed in seeds:
        case = Case(op, seed)
        if case.whole.numel() * sum(t.numel() for t in case.tensors.values()) < most:
            assert_relations(case)
            checked += 1
    return checked


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
    """The case with one of its data reads wrong, if that makes a difference on this call."""
    truth = all_predicted(case)
    found = []
    for number, read in enumerate(case.description.reads):
        if read.operand.is_constant or is_bound(read):
            continue
        for what, wrong in mutated_reads(read):
            reads = list(case.description.reads)
            reads[number : number + 1] = wrong
            other = object.__new__(Case)
            other.__dict__.update(case.__dict__)
            other.description = replace(case.description, reads=tuple(reads))
            name = read.operand.name
            if (all_predicted(other)[name] != truth[name]).any():
                found.append((what, other))
    return found


def mutated_reads(read: Read) -> list[tuple[str, list[Read]]]:
    """A read with one link replaced by a mutant, with its segment turned round or forgotten, or
    left out."""
    found: list[tuple[str, list[Read]]] = []
    for axis, link in enumerate(read.links):
        for what, wrong in mutants(link.relation) if link is not None else []:
            links = list(read.links)
            links[axis] = replace(link, relation=wrong)
            found.append((what, [replace(read, links=tuple(links))]))
    if read.segment is not None:
        turned = replace(read.segment, reads=~read.segment.reads)
        found.append(("segment turned round", [replace(read, segment=turned)]))
        found.append(("segment forgotten", [replace(read, segment=None)]))
    return [*found, ("left out", [])]


@pytest.mark.parametrize("op", names())
def test_mutants_are_caught(op: str) -> None:
    relations = linked = 0
    for seed in range(DRAWS):
        if seed >= 3 and relations and op not in MANY_FORMS:
            break
        case = Case(op, seed)
        if case.whole.numel() * sum(t.numel() for t in case.tensors.values()) >= 20_000:
            continue
        mutated = mutated_cases(case)
        chosen = mutated[:8] + mutated[8:][-4:]
        for what, wrong in chosen:
            with pytest.raises(AssertionError, match=r"missing|extra"):
                assert_relations(wrong)
            relations += what != "left out"
        linked += any(link is not None for read in case.description.reads for link in read.links)
    if linked:
        assert relations > 0 or op == "aten.t"


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

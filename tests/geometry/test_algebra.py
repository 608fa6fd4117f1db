"""Composition and union against dense matrices and brute force."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atrous.geometry.algebra import compose, simplify, union
from atrous.geometry.digits import lift
from atrous.geometry.primitives import Window, adaptive, linear, padded, strided, transposed
from atrous.geometry.relation import Relation

rows = st.lists(st.lists(st.integers(-6, 9), max_size=4), min_size=1, max_size=4)


@st.composite
def relations(draw: st.DrawFn, outputs: int, inputs: int) -> Relation:
    """Any relation: phases, negative and zero steps, repeated taps, empty rows, exceptions."""
    exceptions = draw(
        st.dictionaries(
            st.integers(0, outputs - 1),
            st.lists(st.integers(0, inputs - 1), max_size=3),
            max_size=3,
        )
    )
    step = draw(st.integers(-4, 4))
    return Relation.of(outputs, inputs, draw(rows), step=step, exceptions=exceptions)


def brute_matrix(relation: Relation) -> np.ndarray:
    """The definition, read literally."""
    taps, exceptions = relation.taps.rows(), relation.exceptions.rows()
    special = {int(o): row for o, row in zip(relation.exceptional, exceptions, strict=True)}
    out = np.zeros((relation.outputs, relation.inputs), dtype=object)
    for o in range(relation.outputs):
        base = o // relation.period * relation.step
        row = {base + t: c for t, c in taps[o % relation.period].items()}
        for i, count in special.get(o, row).items():
            if 0 <= i < relation.inputs:
                out[o, i] += count
    return out


lengths = st.integers(1, 14)


@settings(max_examples=400, deadline=None)
@given(st.data(), lengths, lengths, lengths)
def test_compose_is_the_matrix_product(
    data: st.DataObject, outputs: int, middle: int, inputs: int
) -> None:
    outer = data.draw(relations(outputs, middle))
    inner = data.draw(relations(middle, inputs))
    product = brute_matrix(outer) @ brute_matrix(inner)
    assert (compose(outer, inner).matrix() == product).all()


@settings(max_examples=400, deadline=None)
@given(st.data(), lengths, lengths)
def test_union_is_the_matrix_sum(data: st.DataObject, outputs: int, inputs: int) -> None:
    first, second = data.draw(relations(outputs, inputs)), data.draw(relations(outputs, inputs))
    both = union(first, second)
    assert (both.matrix() == brute_matrix(first) + brute_matrix(second)).all()
    assert both.rates[0] == min(first.rates[0], second.rates[0])
    assert both.rates[1] == max(first.rates[1], second.rates[1])


@settings(max_examples=200, deadline=None)
@given(st.data(), lengths, lengths)
def test_interval_images_are_those_of_the_matrix(
    data: st.DataObject, outputs: int, inputs: int
) -> None:
    relation = data.draw(relations(outputs, inputs))
    reads = brute_matrix(relation).astype(bool)
    lo = data.draw(st.integers(0, outputs - 1))
    hi = data.draw(st.integers(lo + 1, outputs))
    used = np.flatnonzero(reads[lo:hi].any(axis=0))
    assert relation.inputs_of(lo, hi) == ((used[0], used[-1] + 1) if len(used) else (0, 0))
    lo = data.draw(st.integers(0, inputs - 1))
    hi = data.draw(st.integers(lo + 1, inputs))
    readers = np.flatnonzero(reads[:, lo:hi].any(axis=1))
    assert relation.outputs_of(lo, hi) == (
        (readers[0], readers[-1] + 1) if len(readers) else (0, 0)
    )
    marked = np.zeros(inputs, dtype=bool)
    marked[lo:hi] = True
    flags = relation.readers(marked)
    assert (reads[:, lo:hi].any(axis=1) == (True if flags is None else flags)).all()


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 6), st.integers(1, 6), st.integers(1, 3), st.integers(1, 3))
def test_lift_is_the_kronecker_product(
    data: st.DataObject, outputs: int, inputs: int, slower: int, faster: int
) -> None:
    relation = data.draw(relations(outputs, inputs))
    lifted = lift(relation, slower, faster).matrix()
    identity = np.eye(slower, dtype=int), np.eye(faster, dtype=int)
    assert (lifted == np.kron(np.kron(identity[0], brute_matrix(relation)), identity[1])).all()


def test_counts_stay_exact_beyond_64_bits() -> None:
    layer = Window(3, left=1).relation(400, 400)
    deep = layer
    for _ in range(89):
        deep = compose(layer, deep)
    counts = deep.row(200)
    assert sum(counts.values()) == 3**90
    # The middle trinomial coefficient, by its own recurrence.
    polynomial = [1]
    for _ in range(90):
        longer = [0] * (len(polynomial) + 2)
        for k, value in enumerate(polynomial):
            for shift in range(3):
                longer[k + shift] += value
        polynomial = longer
    assert [counts[i] for i in range(110, 291)] == polynomial


def test_composition_undoes_phases() -> None:
    up = transposed(20, 10, 2, stride=2, dilation=1, left=0)
    down = Window(2, stride=2).relation(10, 20)
    both = compose(down, up)
    assert (both.period, both.step, both.taps.rows()) == (1, 1, ({0: 2},))
    assert simplify(both) is not None


def test_union_of_unequal_rates_tells_the_range() -> None:
    resize = linear(9, 5, Fraction(5, 9), align_corners=False)
    coarse = compose(resize, Window(2, stride=2).relation(5, 9))
    both = union(coarse, Relation.identity(9))
    assert both.rates == (Fraction(1), Fraction(10, 9))


@pytest.mark.parametrize("inputs", range(1, 12))
@pytest.mark.parametrize("outputs", range(1, 12))
def test_adaptive_pooling_reads_what_its_definition_says(outputs: int, inputs: int) -> None:
    relation = adaptive(outputs, inputs)
    for o in range(outputs):
        start, stop = o * inputs // outputs, -(-(o + 1) * inputs // outputs)
        assert list(relation.row(o)) == list(range(start, stop))


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_is_numpy_padding(mode: str) -> None:
    names = {"replicate": "edge", "circular": "wrap"}
    for inputs in range(4, 8):
        for left in range(4):
            for right in range(4):
                values = np.arange(1, inputs + 1)
                expected = np.pad(values, (left, right), mode=names.get(mode, mode))  # type: ignore[call-overload]
                relation = padded(inputs, left, right, mode)  # type: ignore[arg-type]
                assert (relation.matrix() @ values == expected).all()


def test_compose_refuses_axes_that_do_not_meet() -> None:
    with pytest.raises(ValueError, match=r"must read the 3 outputs .*, got an input axis of 4"):
        compose(strided(2, 4), strided(3, 5))


def test_union_refuses_different_axes() -> None:
    with pytest.raises(ValueError, match=r"must join the same axes, got 2 <- 4 and 3 <- 4"):
        union(strided(2, 4), strided(3, 4))

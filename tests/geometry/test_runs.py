"""Relations whose rows are runs as long as the axis: the short cuts give what the rows give."""

from __future__ import annotations

import numpy as np
import pytest

from atrous.geometry import Edge, Lineage, Relation, Window
from atrous.geometry import lineage as lineages
from atrous.geometry import pattern as patterns
from atrous.geometry.primitives import adaptive, masked, one_sided, rolled


@pytest.mark.parametrize("length", [1, 2, 7])
@pytest.mark.parametrize("ahead", [False, True])
def test_one_side_of_an_axis(length: int, ahead: bool) -> None:
    true = np.triu(np.ones((length, length))) if ahead else np.tri(length)
    assert (one_sided(length, ahead=ahead).matrix() == true).all()


@pytest.mark.parametrize("seed", range(20))
def test_masks_as_they_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((rng.integers(1, 9), rng.integers(1, 9))) < 0.5
    assert (masked(mask).matrix().astype(bool) == mask).all()


def test_a_band_is_one_row() -> None:
    at = np.arange(9)
    assert masked(np.abs(at[:, None] - at) <= 2).period == 1


@pytest.mark.parametrize("shift", [-9, -1, 0, 2, 4, 5, 7])
def test_rolled_as_numpy_rolls(shift: int) -> None:
    picked = rolled(5, shift).matrix() @ np.arange(5)
    assert picked.tolist() == np.roll(np.arange(5), shift).tolist()


RUNS = [
    one_sided(12),
    one_sided(12, ahead=True),
    Window(3, 1, 1, 1).relation(12, 12),
    Window(4, 2, 1, 5).relation(12, 12),
    adaptive(12, 12),
    adaptive(5, 12),
    Relation.whole(3, 12),
]


@pytest.mark.parametrize("relation", RUNS)
def test_the_ends_tell_what_the_rows_tell(relation: Relation) -> None:
    matrix = relation.matrix().astype(bool)
    rng = np.random.default_rng(0)
    assert relation.are_runs
    flags = relation.reading
    assert ((matrix.any(axis=1)) == (True if flags is None else flags)).all()
    for _ in range(20):
        marked = rng.random(relation.inputs) < 0.3
        found = relation.readers(marked)
        said = np.ones(relation.outputs, dtype=bool) if found is None else found
        assert (said == matrix[:, marked].any(axis=1)).all()
        lo, hi = sorted(rng.integers(0, relation.outputs + 1, 2))
        columns = np.flatnonzero(matrix[lo:hi].any(axis=0))
        expected = (columns[0], columns[-1] + 1) if len(columns) else (0, 0)
        assert relation.inputs_of(int(lo), int(hi)) == expected
        a, b = sorted(rng.integers(0, relation.inputs + 1, 2))
        rows = np.flatnonzero(matrix[:, a:b].any(axis=1))
        assert relation.outputs_of(int(a), int(b)) == (
            (rows[0], rows[-1] + 1) if len(rows) else (0, 0)
        )


def test_long_rows_are_added_up_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    def chain() -> Lineage:
        x = Lineage.input(40)
        conv = Lineage(40, [Edge(Window(3, 1, 2, 2).relation(40, 40), x)])
        past = Lineage(40, [Edge(one_sided(40), conv), Edge(Relation.identity(40), x)])
        return Lineage(20, [Edge(Window(5, 2, 1, 1).relation(20, 40), past)])

    outputs = np.arange(20)
    plain = [chain().taps_of(outputs, clipped=clipped) for clipped in (True, False)]
    hulls = chain().pattern.hulls(outputs)
    monkeypatch.setattr(lineages, "_MANY_TAPS", 0)
    monkeypatch.setattr(patterns, "_MANY_TAPS", 0)
    for (inputs, counts), clipped in zip(plain, (True, False), strict=True):
        again = chain().taps_of(outputs, clipped=clipped)
        assert again[0].tolist() == inputs.tolist()
        assert again[1].tolist() == counts.tolist()
    assert [h.tolist() for h in chain().pattern.hulls(outputs)] == [h.tolist() for h in hulls]

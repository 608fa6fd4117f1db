"""Wrong versions of relations, to see that tests notice."""

from __future__ import annotations

from dataclasses import replace

from atrous.geometry.relation import Relation
from atrous.geometry.taps import Taps


def mutants(relation: Relation) -> list[tuple[str, Relation]]:
    """Wrong versions: start and stride off by one, the last tap lost, one phase shifted."""
    taps = relation.taps
    found = []
    for by in (-1, 1):
        moved = Taps(taps.starts, taps.offsets + by, taps.counts)
        found.append((f"start {by:+d}", replace(relation, taps=moved)))
        found.append((f"stride {by:+d}", replace(relation, step=relation.step + by)))
    rows = [dict(row) for row in taps.rows()]
    longest = max(range(len(rows)), key=lambda r: len(rows[r]))
    if rows[longest]:
        lost = [dict(row) for row in rows]
        lost[longest].popitem()
        found.append(("last tap lost", replace(relation, taps=Taps.of(lost))))
    if len(rows) > 1:
        shifted = [dict(row) for row in rows]
        shifted[-1] = {k + 1: v for k, v in shifted[-1].items()}
        found.append(("one phase shifted", replace(relation, taps=Taps.of(shifted))))
    return found

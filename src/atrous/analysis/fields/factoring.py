"""Traces seen along the factors of axes: what views do to digits, rows and segments."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import numpy as np

from atrous.analysis.fields.labelling import rows_as_labels
from atrous.analysis.fields.strands import Digit, Labels, Route, Strand, Trace, on_whole_axis
from atrous.geometry.relation import Flags
from atrous.graph.factors import Factors, joined


def split_trace(trace: Trace, factors: Factors) -> Trace:
    """The trace of a value whose axes are cut into factors."""
    firsts = _firsts(factors)
    trace = rows_as_labels(
        trace,
        lambda strand: [
            axis
            for axis, flags in strand.rows.items()
            if _rows_by_factor(flags, factors[axis]) is None
        ],
    )

    def cut(digit: Digit) -> list[Digit] | None:
        """The digit's parts, slowest first; None if the factors' boundaries cut across it."""
        parts = factors[digit.axis]
        found = []
        for k, length in enumerate(parts):
            weight = prod(parts[k + 1 :])
            low = max(weight, digit.divisor)
            high = min(weight * length, digit.divisor * digit.length)
            if low < high:
                tops = weight * length, digit.divisor * digit.length
                if any(top % high for top in tops) or low % weight or low % digit.divisor:
                    return None
                if high % low:
                    return None
                found.append(Digit(firsts[digit.axis] + k, low // weight, high // low))
        return found if prod(d.length for d in found) == digit.length else None

    def cut_route(route: Route) -> Route:
        for digit in route.digits:
            if cut(digit) is None:
                # The positions of the axis tell what the factors alone do not.
                route = on_whole_axis(route, digit.axis, prod(factors[digit.axis]))
        parts = (cut(digit) for digit in route.digits)
        return Route(tuple(digit for own in parts if own for digit in own), route.lineage)

    def cut_strand(strand: Strand) -> Strand:
        routes = {axis: cut_route(route) for axis, route in strand.routes.items()}
        rows: dict[int, Flags] = {}
        for axis, flags in strand.rows.items():
            found = _rows_by_factor(flags, factors[axis])
            assert found is not None
            rows |= {firsts[axis] + k: own for k, own in found.items()}
        return Strand(strand.input, routes, rows)

    shape: list[int] = []
    for axis, parts in enumerate(factors):
        shape += parts if trace.labels.shape[axis] > 1 else [1] * len(parts)
    segments = tuple(tuple(map(cut_strand, segment)) for segment in trace.segments)
    return Trace(joined(factors), trace.labels.reshape(shape), segments)


def _rows_by_factor(flags: Flags, parts: tuple[int, ...]) -> dict[int, Flags] | None:
    """Flags of an axis as flags of its factors, all of which must hold; None if they do not
    separate."""
    table = flags.reshape(parts)
    axes = range(len(parts))
    found: dict[int, Flags] = {
        k: np.asarray(table.any(axis=tuple(a for a in axes if a != k))) for k in axes
    }
    product = np.ones(parts, dtype=bool)
    for k, own in found.items():
        product &= own.reshape([-1 if a == k else 1 for a in axes])
    if not (product == table).all():
        return None
    return {k: own for k, own in found.items() if not own.all()} or ({} if flags.all() else None)


def merge_trace(trace: Trace, factors: Factors) -> Trace:
    """The trace of a value whose factors are merged into axes."""
    places: list[tuple[int, int]] = []
    for axis, parts in enumerate(factors):
        places += [(axis, prod(parts[k + 1 :])) for k in range(len(parts))]
    firsts = _firsts(factors)

    def shared(strand: Strand) -> list[int]:
        """Factors with rows of their own that become part of an axis on which inputs lie."""
        lying = {places[d.axis][0] for route in strand.routes.values() for d in route.digits}
        return [factor for factor in strand.rows if places[factor][0] in lying]

    trace = rows_as_labels(trace, shared)

    def merge_route(route: Route) -> Route:
        digits: list[Digit] = []
        for digit in route.digits:
            axis, weight = places[digit.axis]
            new = Digit(axis, digit.divisor * weight, digit.length)
            last = digits[-1] if digits else None
            if last and last.axis == axis and last.divisor == new.divisor * new.length:
                # What was one axis before is one again.
                digits[-1] = Digit(axis, new.divisor, last.length * new.length)
            else:
                digits.append(new)
        return Route(tuple(digits), route.lineage)

    def merge_strand(strand: Strand) -> Strand:
        routes = {axis: merge_route(route) for axis, route in strand.routes.items()}
        rows: dict[int, Flags] = {}
        for axis, parts in enumerate(factors):
            own = {k: strand.rows[firsts[axis] + k] for k in range(len(parts))
                   if firsts[axis] + k in strand.rows}  # fmt: skip
            if own:
                rows[axis] = _rows_of_axis(own, parts)
        return Strand(strand.input, routes, rows)

    segments = tuple(tuple(map(merge_strand, segment)) for segment in trace.segments)
    lengths = tuple(map(prod, factors))
    return Trace(lengths, _merge_labels(trace.labels, factors), segments)


def _rows_of_axis(own: Mapping[int, Flags], parts: tuple[int, ...]) -> Flags:
    table = np.ones(parts, dtype=bool)
    for k, flags in own.items():
        table &= flags.reshape([-1 if a == k else 1 for a in range(len(parts))])
    return table.reshape(-1)


def _merge_labels(labels: Labels, factors: Factors) -> Labels:
    """An array over factors, of length 1 where it does not vary, as one over the axes."""
    spread: list[int] = []
    merged: list[int] = []
    at = 0
    for parts in factors:
        lengths = labels.shape[at : at + len(parts)]
        mine = parts if prod(lengths) > 1 else (1,) * len(parts)
        spread += mine
        merged.append(prod(mine))
        at += len(parts)
    return np.broadcast_to(labels, spread).reshape(merged)


def _firsts(factors: Factors) -> list[int]:
    """The number of each axis's first factor."""
    return [sum(map(len, factors[:axis])) for axis in range(len(factors))]

"""How many positions can be read at most, whatever the dilations are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction

from atrous.design.redesign.chain import reads_itself
from atrous.design.redesign.layers import Layer
from atrous.design.redesign.offsets import Line


@dataclass(frozen=True)
class _Count:
    """What one position of a value reads of the source.

    Attributes:
        most: positions at most.
        jump: input positions per position.
        home: one that is read whatever the dilations are, counted from `jump` times its own; None
            where none is known.
    """

    most: int
    jump: Fraction
    home: Fraction | None


def most_read(line: Line, layers: Mapping[str, Layer]) -> int:
    """Positions of the source that the output of a line reads at most.

    A layer of kernel k reads k times what it is put behind; ways that meet add up, but for what all
    of them read: the position of the result itself, where layers read it. No dilations close the
    holes of a field that is larger.

    Args:
        line: the program along one axis.
        layers: by node, the layer it is a call of.
    """
    known = {line.source: _Count(1, Fraction(1), Fraction(0))}
    gates = _gates(line)
    most = 1
    for name in reversed(line.order):
        if name == line.source:
            continue
        ways = [
            _through(line, layers, name, number, known[step.source])
            for number, step in enumerate(line.steps[name])
            if step.source in known
        ]
        if ways:
            known[name] = _met(ways)
        if name in gates and name in known:
            # What comes behind reads all that it reads through this value.
            most *= known[name].most
            known[name] = replace(known[name], most=1)
    return most * known[line.target].most


def _gates(line: Line) -> set[str]:
    """The values through which every way leads."""
    order = line.order[::-1]
    place = {name: k for k, name in enumerate(order)}
    found = set()
    earliest = len(order)
    for name in reversed(order):
        if place[name] <= earliest:
            found.add(name)
        behind = (place[step.source] for step in line.steps.get(name, ()) if step.source in place)
        earliest = min(earliest, *behind, len(order))
    return found


def _through(
    line: Line, layers: Mapping[str, Layer], name: str, number: int, source: _Count
) -> _Count:
    step = line.steps[name][number].taken
    jump = source.jump * Fraction(step.step, len(step.rows))
    window = line.windows.get(name)
    if window is not None:
        home = source.home if reads_itself(line, layers, name) else None
        return _Count(window.kernel_size * source.most, jump, home)
    if len(step.rows) == 1 and len(step.rows[0]) == 1:
        home = None if source.home is None else source.home + step.rows[0][0] * source.jump
        return _Count(source.most, jump, home)
    return _Count(max(map(len, step.rows)) * source.most, jump, None)


def _met(ways: list[_Count]) -> _Count:
    first = ways[0]
    same = first.home is not None and all(
        (way.jump, way.home) == (first.jump, first.home) for way in ways
    )
    most = sum(way.most for way in ways) - (len(ways) - 1 if same else 0)
    return _Count(most, first.jump, first.home if same else None)

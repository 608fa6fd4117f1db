"""What was made faster in a model, for the terminal."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from atrous.convert.acceleration import Accelerated, Acceleration
from atrous.ops.problem import JOBS, Problem
from atrous.report.text.tables import plain_table

COLUMNS = ("module", "", "computes", *(f"{job}, ms" for job in JOBS))


def acceleration_table(acceleration: Acceleration) -> RenderableType:
    """A row for convolutions in a row that are alike: how each job is computed, and its times.

    Args:
        acceleration: what to show.
    """
    head, *lines = str(acceleration).splitlines()
    table = plain_table()
    for name in COLUMNS:
        table.add_column(name, overflow="fold")
    for row in accelerated_rows(acceleration):
        table.add_row(*map(Text, row))
    return Group(Text(head, style="bold"), table, Text(""), *map(Text, lines))


def accelerated_rows(acceleration: Acceleration) -> list[tuple[str, ...]]:
    """Cells of the table: first module, how many more, what it computes, and each job's times."""
    rows = []
    for _, group in groupby(acceleration.layers, key=_alike):
        members = list(group)
        more = f"and {len(members) - 1} more" if len(members) > 1 else ""
        times = [_times(members[0], job) for job in JOBS]
        rows.append((members[0].path, more, computes(members[0].problem), *times))
    return rows


def computes(problem: Problem) -> str:
    """A convolution in a few words.

    >>> computes(Problem("forward", 1, (8, 8), 8, (90,), (3,), (1,), ((4, 0),), (2,)))
    '1x8x90 -> 8, kernel 3, dilation 2, depthwise'
    """
    words = [f"{_by(problem.input_shape)} -> {problem.channels[1]}, kernel {_by(problem.kernel)}"]
    if set(problem.stride) != {1}:
        words.append(f"stride {_by(problem.stride)}")
    if set(problem.dilation) != {1}:
        words.append(f"dilation {_by(problem.dilation)}")
    if problem.groups > 1:
        words.append("depthwise" if problem.is_depthwise else f"groups {problem.groups}")
    return ", ".join(words)


def _by(numbers: tuple[int, ...]) -> str:
    return "x".join(map(str, numbers))


def _alike(layer: Accelerated) -> tuple[Problem, int]:
    return layer.problem, layer.calls


def _times(layer: Accelerated, job: str) -> str:
    choice = next(choice for own, choice in layer.choices.items() if own == job)
    taken = choice.seconds[choice.algorithm] * 1e3
    if choice.algorithm == "aten" or "aten" not in choice.seconds:
        return f"{taken:.2f} {choice.algorithm}"
    return f"{choice.seconds['aten'] * 1e3:.2f} -> {taken:.2f} {choice.algorithm}"

"""What was made faster in a model, for the terminal."""

from __future__ import annotations

from itertools import groupby

from rich.console import Group, RenderableType
from rich.text import Text

from atrous.convert.acceleration import Accelerated, Acceleration
from atrous.ops.problem import JOBS, Problem
from atrous.report.text.tables import plain_table


def acceleration_table(acceleration: Acceleration) -> RenderableType:
    """A row for convolutions in a row that are alike: how each job is computed, and its times.

    Args:
        acceleration: what to show.
    """
    head, *lines = str(acceleration).splitlines()
    table = plain_table()
    table.add_column("module", overflow="fold")
    table.add_column("")
    table.add_column("computes", overflow="fold")
    for job in JOBS:
        table.add_column(f"{job}, ms", overflow="fold")
    for _, group in groupby(acceleration.layers, key=_alike):
        members = list(group)
        more = f"and {len(members) - 1} more" if len(members) > 1 else ""
        cells = [_times(members[0], job) for job in JOBS]
        table.add_row(members[0].path, more, computes(members[0].problem), *cells)
    return Group(Text(head, style="bold"), table, Text(""), *map(Text, lines))


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

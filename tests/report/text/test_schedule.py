"""Schedules and plans as text, in notebooks and as pictures."""

from __future__ import annotations

import re
from io import StringIO
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from rich.console import Console

import atrous
from atrous import plot, schedules
from atrous.schedules import Schedule


def shown(value: object, width: int) -> list[str]:
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(value)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return [line.rstrip() for line in text.splitlines()]


def test_a_picture_has_a_column_per_position() -> None:
    own = Schedule((3, 3, 3), (1, 2, 9))
    foot = atrous.picture(own).splitlines()[3]
    assert [mark == "·" for mark in foot] == (own.counts == 0).tolist()
    scale = atrous.picture(own).splitlines()[-2].split()
    assert scale == ["-12", "12"]
    assert atrous.picture(atrous.schedule(27)) == atrous.picture(atrous.schedule(27).schedule)
    assert atrous.picture(schedules.aspp()).count("░░") + 1 == 25


@pytest.mark.parametrize("width", [56, 72, 100, 200])
def test_a_plan_fits_its_console(width: int) -> None:
    plan = atrous.schedule(400, kernel=3, map_size=300)
    lines = shown(plan, width)
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("plan: 6 layers of kernel 3")
    # Nothing is cut off.
    assert not any("…" in line for line in lines)
    assert any(line.split()[:3] == ["layer", "kernel", "dilation"] for line in lines)


def test_what_is_not_proven_is_told_with_the_bound() -> None:
    plan = atrous.schedule(1000, kernel=3, max_dilation=16)
    (line,) = [text for text in str(plan).splitlines() if "not proven" in text]
    numbers = [float(text) for text in re.findall(r"\d+\.\d+", str(plan).split("not proven")[1])]
    assert numbers[0] == pytest.approx(plan.schedule.uniformity.cv, rel=1e-3)
    assert numbers[1] == pytest.approx(float(plan.proof.bound[1]) ** 0.5, rel=1e-3)
    assert "best found" in line


def test_facts_are_those_of_the_schedule() -> None:
    text = str(schedules.constant(2, 4))
    assert "8 holes, 52.9 % read" in text
    assert "multiples of 2: 2 nets side by side that never mix" in text
    assert "the HDC rule accepts it, although it has holes" in text
    assert "the HDC rule rejects it, although it has no holes" in str(schedules.hdc((1, 5, 2)))
    assert "one output per 4 positions" in str(Schedule((3, 3), (1, 1), (2, 2)))
    assert "perfectly even" in str(schedules.base_k(3, 3))
    deep = Schedule((3,) * 60, (1, 3) * 30)
    assert "(1 3)(x30)" in str(deep)


def test_notebooks_show_plans_and_schedules() -> None:
    for own in (schedules.hdc((1, 2, 9)), schedules.aspp(), atrous.schedule(60)):
        text = own._repr_html_()
        ElementTree.fromstring(f"<div>{text}</div>")
        assert "http" not in text and "<script" not in text
        assert "<svg" in text
    rows = atrous.schedule(60)._repr_html_().count("<tr>")
    assert rows >= len(atrous.schedule(60).runners_up) + 3


def test_a_plot_holds_the_counts() -> None:
    own = Schedule((3, 3, 3), (1, 2, 9))
    ax = plot.schedule(own, ax=Figure().subplots())
    (line,) = [line for line in ax.lines if line.get_label() == "routes"]
    at = np.asarray(line.get_xdata(), dtype=int)
    assert (at + 12).tolist() == np.flatnonzero(own.counts).tolist()
    assert np.asarray(line.get_ydata()).tolist() == own.counts[own.counts > 0].tolist()
    (holes,) = [line for line in ax.lines if line.get_label() == "holes"]
    assert (np.asarray(holes.get_xdata()) + 12).tolist() == own.holes.tolist()

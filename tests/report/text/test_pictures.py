"""Pictures of characters: every cell against the numbers it stands for."""

from __future__ import annotations

from dataclasses import replace
from io import StringIO

import numpy as np
import pytest
from rich.console import Console
from torch import nn

import atrous
from atrous.geometry import Window, index_map
from atrous.report.text.pictures import SHADES
from samples import dilated


def map_cells(text: str, rows: int, margin: int) -> np.ndarray:
    """The cells of a picture of two axes, two characters each."""
    lines = [line[margin:] for line in text.splitlines()[:rows]]
    width = max(map(len, lines))
    cells = [[line.ljust(width)[k : k + 2] for k in range(0, width, 2)] for line in lines]
    return np.array(cells)


def test_every_cell_of_a_map_is_a_position() -> None:
    cover = atrous.coverage(dilated(2, 2, 4, axes=2), (1, 1, 40, 40), at=(20, 18))
    cells = map_cells(atrous.picture(cover), 17, 3)
    read = cover.counts > 0
    assert cells.shape == read.shape
    place = cells == "()"
    assert np.argwhere(place).tolist() == [[20 - cover.start[0], 18 - cover.start[1]]]
    assert np.array_equal((cells != " ·") | place, read)
    # A shade is a quarter of the largest count: 25 routes, so up to 6, 12, 18 and 25.
    for row, column in np.argwhere(read & ~place):
        quarter = int(np.ceil(cover.counts[row, column] * 4 / 25)) - 1
        assert cells[row, column] == SHADES[quarter] * 2


def test_a_line_has_bars_over_what_is_read_and_dots_at_holes() -> None:
    cover = atrous.coverage(dilated(2, 2, 6), (1, 1, 64))
    lines = atrous.picture(cover).splitlines()
    foot = lines[3]
    assert [mark == "·" for mark in foot] == (cover.counts == 0).tolist()
    tall = [sum(k < len(line) and line[k] != " " for line in lines[:4]) for k in range(21)]
    # Of 4 lines, 1 of 3 routes reaches into the second, 2 into the third, 3 fill all.
    assert [tall[k] for k in (0, 2, 4)] == [2, 3, 4]
    assert lines[4].index("^") == 32 - 22
    assert lines[5].split() == ["22", "42"]


@pytest.mark.parametrize("width", [20, 37, 80])
def test_a_hole_stays_visible_when_reduced(width: int) -> None:
    cover = atrous.coverage(dilated(1, 3, 9, 40, 81), (1, 1, 900))
    counts = np.ones(cover.span[0], dtype=np.int64)
    counts[[17, 200]] = 0
    counts[100:200] = 0
    holed = replace(cover, counts=counts)
    lines = atrous.picture(holed, width=width).splitlines()
    foot = lines[3]
    block = -(-len(counts) // width)
    assert len(foot) == -(-len(counts) // block)
    for k, mark in enumerate(foot):
        part = counts[k * block : (k + 1) * block]
        assert mark == ("·" if not part.any() else "▚" if not part.all() else "█")
    told = " ".join(lines[4:])
    assert f"reduced: one cell is {block} positions" in told
    assert "▚ where some of them are holes" in told
    assert max(map(len, lines)) <= width


def test_a_map_is_reduced_to_squares_that_tell_holes() -> None:
    cover = atrous.coverage(dilated(2, 3, 9, axes=2), (1, 1, 64, 64))
    text = atrous.picture(cover, width=40)
    cells = map_cells(text, 15, 3)
    for row, column in np.ndindex(cells.shape):
        part = cover.counts[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
        expected = "██" if part.all() else "▚▚"
        assert cells[row, column] in (expected, "()")
    assert "reduced: one cell is 2 x 2" in text
    assert max(map(len, text.splitlines())) <= 40


def test_exact_counts_of_any_size_and_axes_that_are_added_up() -> None:
    cover = atrous.coverage(dilated(2), (1, 1, 16))
    huge = replace(cover, counts=np.array([10**400, 0, 1, 0, 7], dtype=object))
    assert "log scale" in atrous.picture(huge)
    solid = atrous.coverage(nn.Conv3d(1, 1, 3), (1, 1, 5, 5, 5))
    assert atrous.picture(solid).splitlines()[-1] == "axis 2 added up"
    net = nn.Sequential(nn.ConstantPad1d((9, 0), 0.0), nn.Conv1d(1, 1, 3))
    assert atrous.picture(atrous.coverage(net, (1, 1, 10), at=0)) == "nothing is read"


def test_a_tree_has_a_row_per_layer() -> None:
    tree = atrous.routes(dilated(2, 2, 6), (1, 1, 64))
    lines = atrous.picture(tree).splitlines()
    assert [line.split()[0] for line in lines[:4]] == ["2", "1", "0", "input"]
    for line, level in zip(lines, reversed(tree.levels), strict=False):
        dots = line[len("input ") :]
        assert tuple(22 + k for k, dot in enumerate(dots) if dot == "●") == level.positions
    assert lines[3].count("·") == 10
    assert "· a hole: 10 in all" in lines[5]
    narrow = atrous.picture(atrous.routes(nn.Conv1d(1, 1, 90), (1, 1, 200)), width=40)
    assert "reduced: one column is 3 input positions" in " ".join(narrow.splitlines())


def test_kernels_and_index_maps() -> None:
    assert atrous.picture(Window(3, dilation=4)).splitlines()[1] == "■ · · · ■ · · · ■"
    assert atrous.picture([Window(2, dilation=2)] * 3).count("■") == 8
    taps = index_map((5, 6), (Window(3, dilation=2, left=1),) * 2, (0, 0))
    assert atrous.picture(taps) == str(taps)


def test_what_has_no_picture_is_refused() -> None:
    with pytest.raises(TypeError, match=r"result must be a Coverage.*, got int"):
        atrous.picture(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"result must be windows"):
        atrous.picture([3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"width must be at least 20, got 5"):
        atrous.picture(Window(3), width=5)


def test_rich_prints_the_picture_as_wide_as_the_console() -> None:
    cover = atrous.coverage(dilated(1, 2, 4, 8, 16, 32), (1, 1, 300))
    for width in (40, 100):
        console = Console(file=StringIO(), width=width, color_system=None)
        console.print(cover)
        assert isinstance(console.file, StringIO)
        assert (
            console.file.getvalue().splitlines()[-6:]
            == atrous.picture(cover, width=width).splitlines()[-6:]
        )

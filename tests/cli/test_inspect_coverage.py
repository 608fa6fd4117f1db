"""`atrous inspect --coverage`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import atrous
from atrous.models import create
from commands import call


@pytest.fixture
def grid(tmp_path: Path) -> str:
    (tmp_path / "grid.py").write_text(
        "from torch import nn\n"
        "def net():\n"
        "    return nn.Sequential(*(nn.Conv2d(1, 1, 3, dilation=2, padding=2) for _ in '12'))\n"
    )
    return f"{tmp_path / 'grid.py'}:net"


def test_figures_picture_and_blame(grid: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", grid, "--input", "1x32x32", "--coverage", "--at", "12,20") == 0
    out = capsys.readouterr().out
    # Five of nine positions along each axis: 25 of 81, 56 holes.
    assert "1 reads 9 x 9 of input, 30.9% of it (56 holes)" in out
    assert out.count(" ·") >= 56
    assert "()" in out
    assert "0 would close 56 of 56 holes; with dilation 1 it leaves none" in out


def test_json_holds_the_counts(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("atrous:tcn", "--input", "1x60", "--node", "1", "--at", "50")
    assert call("inspect", *arguments, "--coverage", "--json") == 0
    told = json.loads(capsys.readouterr().out)["coverage"]
    cover = atrous.coverage(create("tcn"), (1, 1, 60), node="1", at=50)
    assert told["counts"] == cover.counts.tolist()
    assert (told["start"], told["span"], told["holes"]) == (
        list(cover.start),
        list(cover.span),
        len(cover.holes),
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--at", "3"], "--at must be given with --coverage"),
        (["--coverage", "--at", "x"], "--at must be one position per axis of the output"),
        (["--coverage", "--depth", "1"], "--coverage must be given without"),
        (["--coverage", "--at", "900,1"], "at must lie inside"),
    ],
)
def test_options_that_do_not_fit(
    grid: str, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("inspect", grid, "--input", "1x16x16", *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())

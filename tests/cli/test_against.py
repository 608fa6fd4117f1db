"""`atrous inspect A --against B` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from atrous.cli.against import shift_list, short_names
from commands import call

DESIGNS = """
from torch import nn
def N1():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1))
def N2():
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, dilation=2, padding=2))
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "designs.py").write_text(DESIGNS)
    return str(tmp_path / "designs.py")


def test_two_designs_side_by_side(file: str, capsys: pytest.CaptureFixture[str]) -> None:
    pair = f"{file}:N1", "--against", f"{file}:N2", "--input", "1x32x32"
    assert call("inspect", *pair, "--repeats", "2", "--shifts", "1,2,3") == 0
    out = capsys.readouterr().out
    rows = {line[:16].strip(): line[16:].split() for line in out.splitlines()[1:17]}
    assert rows["field"] == ["8", "x", "8", "7", "x", "7"]
    assert rows["output"] == ["1x8x16x16", "1x8x32x32"]
    assert rows["MACs"] == ["221,184", "663,552", "3x"]
    assert rows["error, shift 2"] == ["none", "none"]
    assert rows["error, shift 3"][-1] == "none"
    assert rows["error, shift 3"][-2] == "*"
    assert "cpu with" in out


def test_json_on_the_screen_and_in_a_file(
    file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = f"{file}:N1", "--against", f"{file}:N2", "--input", "1x32x32", "--json"
    target = tmp_path / "made" / "two.json"
    assert call("inspect", *pair, "--json-file", str(target)) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads(target.read_text())
    assert [design["name"] for design in printed["designs"]] == ["N1", "N2"]
    # The same numbers each time: the input is drawn by a seed; but the weights are not.
    assert printed["designs"][1]["shifts"][0]["exact"] is True


def test_three_designs_of_which_one_knows_its_input(capsys: pytest.CaptureFixture[str]) -> None:
    names = "torch.nn:Identity", "--against", "torch.nn:ReLU", "--against", "atrous:tcn"
    assert call("inspect", *names, "--shifts", "") == 0
    out = capsys.readouterr().out
    assert all(word in out for word in ("Identity", "ReLU", "tcn", "1x1x1000"))
    assert "error" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--against", "torch.nn:ReLU", "--depth", "1"], "--against must be given with no other"),
        (["--against", "torch.nn:ReLU", "--repeats", "-1"], "--repeats must be at least 0, got -1"),
        (["--against", "torch.nn:ReLU", "--batch", "0"], "--batch must be at least 1, got 0"),
        (["--against", "torch.nn:ReLU", "--shifts", "0"], "--shifts must be whole numbers of 1"),
        (["--against", "torch.nn:ReLU", "--shifts", "a"], "--shifts must be whole numbers of 1"),
        (["--against", "torch.nn:Relu"], "or 'ReLU'?"),
        (["--repeats", "3"], "--repeats and --shifts must be given with --against"),
    ],
)
def test_wrong_options_are_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("inspect", "torch.nn:Identity", "--input", "1x8", *arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_names_as_short_as_tells_them_apart() -> None:
    assert short_names(["a.py:N1", "a.py:N2"]) == ["N1", "N2"]
    assert short_names(["a.py:N", "b.py:N"]) == ["a.py:N", "b.py:N"]
    assert short_names(["a.py:N", "a.py:N"]) == ["N (1)", "N (2)"]
    assert short_names(["x/net.pt2", "a:b"]) == ["x/net.pt2", "b"]
    assert shift_list("1,2") == (1, 2)

"""`atrous lint --fix` as a user sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from commands import NET, call

pytestmark = pytest.mark.usefixtures("here")


def test_what_can_be_mended_is_shown_and_counts_as_mended(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call("lint", "net.py:holey", "--input", "1x64", "--fix") == 0
    told = capsys.readouterr().out
    for part in ("mended by: atrous.redesign", "1 finding mended", "model.layers[1].padding"):
        assert part in told
    assert (Path("net.py")).read_text() == NET


def test_what_cannot_be_mended_stays_a_finding(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("lint", "net.py:hopeless", "--input", "1x64", "--fix") == 1
    told = capsys.readouterr()
    assert "not mended: " in told.err
    assert "at most 9 positions" in told.err
    assert "ATR105" in told.out


def test_a_sound_model_needs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("lint", "net.py:sound", "--input", "1x64", "--fix") == 0
    assert "nothing to change" in capsys.readouterr().out


def test_the_changes_are_written_to_a_new_file_only(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ("lint", "net.py:holey", "--input", "1x64", "--fix-to", "made/fix.py")
    assert call(*command) == 0
    space: dict[str, object] = {}
    exec((here / "made" / "fix.py").read_text(), space)
    exec(NET, space)
    net = space["holey"]()  # type: ignore[operator]
    assert space["apply"](net) is net  # type: ignore[operator]
    assert [layer.dilation for layer in net.layers] == [(1,), (3,)]
    assert net(torch.zeros(1, 1, 20)).shape == (1, 1, 20)
    assert call(*command) == 2
    assert "must name a new file" in capsys.readouterr().err


def test_json_holds_findings_before_and_after(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("lint", "net.py:holey", "--input", "1x64", "--fix", "--json") == 0
    data = json.loads(capsys.readouterr().out)
    assert data["schema"] == "atrous.redesign/1"
    assert [f["code"] for f in data["lint"]["before"]["findings"]] == ["ATR105"]
    assert data["lint"]["after"]["findings"] == []


def test_the_suggestion_of_lint_is_what_redesign_does(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    (here / "net.py").write_text(NET.replace("Net(2, 2)", "Net(2, 2, 4)"))
    assert call("lint", "net.py:holey", "--input", "1x64", "--fix") == 0
    told = capsys.readouterr().out
    # 1 + 2 (2 + 2 + 4) = 17 = 1 + 2 (1 + 3 + 4): two layers change by one each.
    assert "dilations = (1, 3, 4)" in told
    assert "model.layers[0].dilation = (1,)" in told
    assert "model.layers[1].dilation = (3,)" in told
    assert "every 2nd position" in told
    code = told[told.index("the changes as code:") :].splitlines()[1:]
    assert code == [line.rstrip() for line in code]


def test_json_has_a_line_per_list_of_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    call("lint", "net.py:holey", "--input", "1x64", "--fix", "--json")
    told = capsys.readouterr().out
    assert '"kernel_size": [3]' in told
    assert json.loads(told)["schema"] == "atrous.redesign/1"


def test_a_script_for_another_model_says_what_is_missing(
    capsys: pytest.CaptureFixture[str], here: Path
) -> None:
    call("lint", "net.py:holey", "--input", "1x64", "--fix-to", "fix.py")
    space: dict[str, Any] = {}
    exec((here / "fix.py").read_text(), space)
    with pytest.raises(ValueError, match=r"a Net with 'layers.0.dilation', got a Conv1d without"):
        space["apply"](torch.nn.Conv1d(1, 1, 3))

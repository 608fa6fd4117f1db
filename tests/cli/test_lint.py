"""`atrous lint` and `atrous rule` as a user sees them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import atrous
from atrous.lint.rule import lint_rules
from commands import call

pytestmark = pytest.mark.usefixtures("here")


SELECT = ("--select", "holes")
HOLEY = ("lint", "net.py:holey", "--input", "1x32", *SELECT)
SOUND = ("lint", "net.py:sound", "--input", "1x32", *SELECT)


def test_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*SOUND) == 0
    assert capsys.readouterr().out == "Net on x 1x1x32\n\nno findings, by 1 rule\n"
    assert call(*HOLEY) == 1
    out = capsys.readouterr().out
    assert "ATR101 holes at layers.0 (net.py:7, called at line 12)" in out
    assert "one output of 'layers.1' reads 55.6% of its field of 9: 4 holes" in out
    assert all(text == text.rstrip() for text in out.splitlines())
    assert call(*HOLEY, "--severity", "error") == 0
    assert "1 warning not shown" in capsys.readouterr().out
    assert call(*HOLEY, "--ignore", "ATR1") == 0


def test_json_is_what_the_function_says(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("lint", "atrous:tcn", "--input", "1x400", "--severity", "note", "--json") in (0, 1)
    printed = json.loads(capsys.readouterr().out)
    from atrous.models import create

    assert printed == atrous.lint(create("tcn"), (1, 1, 400), severity="note").to_dict()


def test_sarif_and_annotations(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert call(*HOLEY, "--sarif", "-") == 1
    printed = json.loads(capsys.readouterr().out)
    place = printed["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "net.py"
    assert place["region"]["startLine"] == 7
    assert call(*HOLEY, "--sarif", "new/a.sarif") == 1
    assert json.loads((here / "new" / "a.sarif").read_text()) == printed
    out = capsys.readouterr().out
    assert "written to new/a.sarif" in out
    assert "4 holes" in out
    assert call(*HOLEY, "--github") == 1
    out = capsys.readouterr().out
    assert out.startswith("::warning file=net.py,line=7,title=ATR101 holes::layers.0: one output")
    assert call("lint", "net.py:plain", "--input", "1x32", *SELECT, "--github") == 1
    # No class of the user's: the function that makes the model.
    assert capsys.readouterr().out.startswith("::warning file=net.py,line=19,title=ATR101")
    assert call(*SOUND, "--github") == 0
    assert capsys.readouterr().out == ""


def test_settings_of_the_nearest_pyproject(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = ("lint", "net.py:holey", "--input", "1x32", "--json")
    (here / "pyproject.toml").write_text(
        "[tool.atrous.lint]\nselect = ['holes']\nholes = { min-density = 0.5 }\n"
    )
    assert call(*plain) == 0
    assert json.loads(capsys.readouterr().out)["rules"] == ["ATR101"]
    (here / "sub").mkdir()
    monkeypatch.chdir(here / "sub")
    assert call("lint", "../net.py:holey", "--input", "1x32") == 0
    assert call("lint", "../net.py:holey", "--input", "1x32", "--isolated", *SELECT) == 1
    other = here / "sub" / "other.toml"
    other.write_text("[tool.atrous.lint]\nselect = ['holes']\n")
    assert call("lint", "../net.py:holey", "--input", "1x32", "--config", str(other)) == 1
    capsys.readouterr()
    other.write_text("[tool.atrous.lint]\nselct = ['holes']\n")
    assert call("lint", "nonsense", "--config", str(other)) == 2
    assert "Did you mean 'select'" in capsys.readouterr().err


def test_declared_values_reach_the_rules(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from atrous.lint import judgement

    seen = []
    judge = judgement.findings_of

    def watched(subject, rule, settings):  # type: ignore[no-untyped-def]
        seen.append(subject.declared)
        return judge(subject, rule, settings)

    monkeypatch.setattr(judgement, "findings_of", watched)
    (here / "pyproject.toml").write_text("[tool.atrous.lint.declare]\ncausal = true\nlength = 7\n")
    call(*SOUND, "--field", "9", "--length", "50", "--stream", "--no-causal")
    call(*SOUND, "--tile")
    capsys.readouterr()
    first, second = seen
    assert (first.causal, first.field, first.length, first.stream, first.tile) == (
        False, 9, 50, True, False,
    )  # fmt: skip
    assert (second.causal, second.field, second.length, second.tile) == (True, None, 7, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--select", "hole"], "Did you mean 'holes'?"),
        (["--ignore", "ATR101,ATR1x"], "got 'ATR1x'"),
        (["--severity", "warn"], "Did you mean 'warning'?"),
        (["--field", "0"], "field must be a whole number of at least 1, got 0. Give"),
        (["--field", "-3"], "field must be a whole number of at least 1, got -3. Give the pos"),
        (["--length", "2.5"], "--length must be a whole number, got '2.5'. Write it as in"),
        (["--reach=many"], "--reach must be a whole number, got 'many'. Write it as in"),
        (["--select", "atr1"], "codes must be written in capitals, got 'atr1'. Did you mean 'ATR1"),
        (["--select", "atr101"], "Did you mean 'ATR101'?"),
        (["--ignore", "Holes"], "Did you mean 'holes'?"),
        (["--json", "--github"], "only one of --json, --github"),
        (["--config", "a.toml", "--isolated"], "must not be given together"),
        (["--config", "none.toml"], "must be an existing file, got 'none.toml'"),
        (["--sarif", "/"], "got the folder '/'"),
        (["--batch", "0"], "--batch must be at least 1"),
        (["--of", "y"], "input must be one of 'x', got 'y'"),
        (["--output", "y"], "output must be one of"),
    ],
)
def test_what_cannot_run_is_one_message_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("lint", "net.py:sound", "--input", "1x32", *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err.replace("\n", " ")
    assert captured.out == ""


def test_a_rule_that_cannot_judge_is_no_pass(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "odd.py").write_text(
        "import torch\nfrom torch import nn\n\n\nclass Odd(nn.Module):\n"
        "    def forward(self, x):\n        return torch.special.bessel_j0(x)\n"
    )
    assert call("lint", "odd.py:Odd", "--input", "1x32", *SELECT) == 2
    out = capsys.readouterr().out
    assert "not judged by ATR101" in out
    assert "special_bessel_j0" in out
    assert call("lint", "odd.py:Odd", "--input", "1x32", "--select", "ALL", "--ignore", "ALL") == 0


def test_pages_and_the_table_of_rules(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("rule", "ATR101") == 0
    page = capsys.readouterr().out
    assert call("rule", "holes") == 0
    assert capsys.readouterr().out == page
    assert page.startswith("# ATR101 holes\n")
    assert call("rule") == 0
    table = capsys.readouterr().out
    for rule in lint_rules().values():
        assert rule.code in table
        assert rule.summary in table
    assert call("rule", "ATR11") == 2
    assert "Did you mean" in capsys.readouterr().err

"""Settings: what they choose, and that mistakes in them are errors that name the nearest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from torch import nn

import atrous
from atrous.lint.rule import lint_rules
from atrous.lint.settings import Settings, find_settings, read_settings


def holey() -> nn.Module:
    return nn.Sequential(*(nn.Conv1d(1, 1, 3, dilation=2, padding=2) for _ in range(2)))


X = (1, 1, 32)
SHARE = 5 / 9
"""What two layers of dilation 2 read: offsets -4, -2, 0, 2, 4 of the nine from -4 to 4."""


def test_a_threshold_decides_on_both_of_its_sides() -> None:
    def found(share: float) -> int:
        settings = {"select": ["holes"], "holes": {"min-density": share}}
        return len(atrous.lint(holey(), X, settings=settings))

    assert found(SHARE + 1e-9) == 1
    assert found(SHARE) == 0
    assert found(0) == 0


def test_a_file_is_read_and_the_nearest_one_found(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text("[tool.atrous.lint]\nignore = ['ALL']\n")
    assert find_settings(inner) == tmp_path / "pyproject.toml"
    assert atrous.lint(holey(), X, settings=tmp_path / "pyproject.toml") == []
    (inner / "pyproject.toml").write_text("[tool.other]\n")
    assert find_settings(inner) == inner / "pyproject.toml"
    assert read_settings(inner / "pyproject.toml") == Settings()


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"selct": ["ALL"]}, "got 'selct'. Did you mean 'select' or"),
        ({"ATR101": {}}, "got 'ATR101'. Did you mean 'holes'?"),
        ({"hole": {}}, "Did you mean 'holes'?"),
        ({"select": ["holse"]}, "got 'holse'. Did you mean 'holes'?"),
        ({"ignore": ["ATR101", 3]}, "ignore must be a list of codes or names"),
        ({"ignore": {"ATR101": True}}, "ignore must be a list of codes or names"),
        ({"extend-select": ["ATR7"]}, "got 'ATR7'"),
        ({"severity": "warn"}, "got 'warn'. Did you mean 'warning'?"),
        ({"severity": ["note"]}, "severity must be one of error, warning, note"),
        ({"holes": {"min-densty": 1}}, "got 'min-densty'. Did you mean 'min-density'?"),
        ({"holes": {"min-density": "1"}}, "min-density of holes must be a number, got '1'"),
        ({"holes": {"min-density": True}}, "must be a number, got True"),
        ({"holes": 0.5}, "holes must be a table, got 0.5"),
        ({"declare": {"causl": True}}, "got 'causl'. Did you mean 'causal'?"),
        ({"declare": {"causal": 1}}, "causal must be true or false, got 1"),
        ({"declare": {"field": 0}}, "field must be a whole number of at least 1, got 0"),
        (
            {"declare": {"length": 2.5}},
            "length must be a whole number of at least 1, got 2.5. Give",
        ),
        ({"holes": {"min-density": 40}}, "must be a number from 0 to 1, got 40. For 40% give 0.4."),
        ({"holes": {"min-density": -0.1}}, "must be a number from 0 to 1, got -0.1. ("),
        ({"holes": {"min-density": float("nan")}}, "must be a number from 0 to 1, got nan"),
        ({"no-growth": {"layers": 0}}, "layers of no-growth must be a whole number of at least 1"),
        ({"piled": {"max-variation": -1.0}}, "must be a number of at least 0, got -1.0"),
        (
            {"select": ["atr1"]},
            "codes must be written in capitals, got 'atr1'. Did you mean 'ATR1'",
        ),
        ({"ignore": ["Holes"]}, "Did you mean 'holes'?"),
        ({"declare": True}, "declare must be a table"),
        ({"per-path-ignores": {"a.*": ["ATR9999"]}}, "got 'ATR9999'"),
        ({"per-path-ignores": ["ATR101"]}, "per-path-ignores must be a table"),
    ],
)
def test_mistakes_are_errors_that_name_the_nearest(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match="in settings") as raised:
        Settings.of(table)
    assert message in str(raised.value)


def test_files_that_are_no_settings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be an existing file"):
        read_settings(tmp_path / "none.toml")
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.atrous\n")
    with pytest.raises(ValueError, match="must be TOML"):
        read_settings(path)
    path.write_text("[tool]\natrous = 3\n")
    with pytest.raises(ValueError, match=r"\[tool.atrous\] must be a table, got 3"):
        read_settings(path)
    path.write_text("[tool.atrous.lint]\nselct = []\n")
    with pytest.raises(ValueError, match=r"\[tool.atrous.lint\] of .*pyproject.toml"):
        read_settings(path)


def test_what_is_asked_stands_above_the_settings() -> None:
    def codes(settings: Settings) -> set[str]:
        return {rule.code for rule in settings.chosen()}

    default = {code for code, rule in lint_rules().items() if rule.default}
    assert codes(Settings()) == default
    assert codes(Settings.of({"ignore": ["ATR101"]})) == default - {"ATR101"}
    assert codes(Settings.of({"select": []})) == set()
    assert codes(Settings.of({"select": [], "extend-select": ["holes"]})) == {"ATR101"}
    ignoring = Settings.of({"ignore": ["ATR101"], "severity": "note", "declare": {"causal": True}})
    assert codes(ignoring.overridden(select="holes")) == {"ATR101"}
    assert codes(ignoring.overridden(select="holes", ignore="ATR1")) == set()
    assert ignoring.overridden().severity == "note"
    assert ignoring.overridden(severity="error").severity == "error"
    assert ignoring.overridden(declare={"causal": None}).declared().causal is True
    assert ignoring.overridden(declare={"causal": False}).declared().causal is False


def test_severity_hides_what_is_milder() -> None:
    found = atrous.lint(holey(), X, severity="error", select="holes")
    assert found == []
    assert [f.code for f in found.judgement.milder] == ["ATR101"]
    assert "1 warning not shown" in str(found)


def test_paths_can_ignore() -> None:
    settings = {"select": "holes", "per-path-ignores": {"0": ["holes"]}}
    found = atrous.lint(holey(), X, settings=settings)
    assert found == []
    assert [(i.finding.code, i.by) for i in found.judgement.ignored] == [("ATR101", "settings")]
    known = Settings.of({"per-path-ignores": {"backbone.*": ["ATR1"]}})
    assert known.ignored_at("backbone.layer1.0", "ATR101")
    assert not known.ignored_at("backbone", "ATR101")
    assert not known.ignored_at("head.backbone.0", "ATR101")


def test_paths_that_match_nothing_are_told_with_the_nearest() -> None:
    model = nn.Sequential()
    model.add_module("backbone", holey())
    table = {"per-path-ignores": {"bakbone": ["ATR1"], "head.*": ["ATR1"], "backbone.*": ["ATR2"]}}
    found = atrous.lint(model, X, settings=table)
    assert dict(found.judgement.unmatched).keys() == {"bakbone", "head.*"}
    told = " ".join(str(found).split())
    assert "matches no module: 'bakbone' of per-path-ignores. Did you mean 'backbone'" in told
    assert found.to_dict()["unmatched_paths"] == ["bakbone", "head.*"]
    right = {"per-path-ignores": {"backbone": ["ATR1"], "": ["ATR1"], "*.1": ["ATR1"]}}
    assert atrous.lint(model, X, settings=right).judgement.unmatched == ()


def test_keys_beside_the_table_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "pyproject.toml"
    path.write_text("[tool.atrous]\nlnt = 1\n")
    with pytest.raises(ValueError, match=r"nothing but lint, got 'lnt'. Did you mean 'lint'"):
        read_settings(path)


def test_wrong_arguments_are_errors() -> None:
    with pytest.raises(ValueError, match="Did you mean 'holes'"):
        atrous.lint(holey(), X, select="hole")
    with pytest.raises(ValueError, match="severity must be one of error, warning, note"):
        atrous.lint(holey(), X, severity="info")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="field must be a whole number of at least 1"):
        atrous.lint(holey(), X, field=0)
    with pytest.raises(KeyError, match="input must be one of"):
        atrous.lint(holey(), X, input="y")
    with pytest.raises(KeyError, match="output must be one of"):
        atrous.lint(holey(), X, output="y")


def test_the_function_stays_the_function_when_the_package_is_imported() -> None:
    import atrous.lint.rules.holes
    from atrous.lint import rules  # noqa: F401

    assert callable(atrous.lint)

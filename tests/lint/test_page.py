"""The page about lint lists the rules that there are, and its settings and comments are real."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from atrous.lint.rule import lint_rules
from atrous.report.formats.rule_page import rules_in_markdown

PAGE = Path(__file__).parents[2] / "docs" / "lint.md"
BLOCK = re.compile(r"(?<=<!-- rules -->\n).*(?=\n<!-- end of rules -->)", re.DOTALL)


def test_the_table_lists_the_rules() -> None:
    """To write it anew: python tests/lint/test_page.py."""
    found = BLOCK.search(PAGE.read_text())
    assert found is not None
    assert found[0] == rules_in_markdown(lint_rules())


def test_the_settings_name_keys_that_exist() -> None:
    from atrous.lint.settings import Settings

    found = re.search(r"```toml\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found is not None
    table = tomllib.loads(found[1])["tool"]["atrous"]["lint"]
    # Rules it names that are not there yet stand in its table neither.
    names = {rule.name for rule in lint_rules().values()} | set(lint_rules())
    table["extend-select"] = [name for name in table["extend-select"] if name in names]
    table["ignore"] = [name for name in table["ignore"] if name in names]
    settings = Settings.of(table)
    assert settings.severity == "note"
    assert settings.rules["holes"] == {"min-density": 0.9}
    assert settings.declared().length == 16000


if __name__ == "__main__":
    PAGE.write_text(BLOCK.sub(lambda _: rules_in_markdown(lint_rules()), PAGE.read_text()))

"""The README's example prints what the README says, and its commands run."""

from __future__ import annotations

import contextlib
import doctest
import io
import re
from pathlib import Path

import pytest

from atrous.cli.main import run
from atrous.graph.rule import forget_rule, rules

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def test_the_example_prints_what_the_readme_says() -> None:
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    printed = re.search(r"prints\n\n```\n(.*?)```", README, re.DOTALL)
    assert code is not None
    assert printed is not None
    assert len(code[1].strip().splitlines()) <= 12
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(code[1], {})
    assert out.getvalue() == printed[1]


def test_the_table_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    shown = re.search(r"\$ atrous inspect --depth 1\n(.*?)```", README, re.DOTALL)
    assert shown is not None
    with pytest.raises(SystemExit) as stopped:
        run(["inspect", "--depth", "1"])
    assert stopped.value.code == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    for line in shown[1].strip().splitlines():
        words = line.split()
        assert any(row[: len(words)] == words for row in printed), line


PAGES = ["README.md", *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES)
def test_the_sessions_print_what_the_page_says(page: str) -> None:
    sessions = re.findall(r"```pycon\n(.*?)```", (ROOT / page).read_text(), re.DOTALL)
    assert sessions
    before = rules()
    try:
        parser, runner = doctest.DocTestParser(), doctest.DocTestRunner()
        test = parser.get_doctest("\n".join(sessions), {}, page, None, 0)
        runner.run(test)
        assert runner.summarize().failed == 0
    finally:
        for op in rules().keys() - before.keys():
            forget_rule(op)

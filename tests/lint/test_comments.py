"""Comments that ignore findings, wherever they may stand, and mistakes in them."""

from __future__ import annotations

import importlib.util
import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import atrous
from atrous.graph.rule import Local
from atrous.lint.places import class_lines, construction, statement
from atrous.lint.rule import _RULES, Found, LintRule
from atrous.lint.subject import Subject

NET = """\
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):{block}
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, 3, dilation=2, padding=2)

    def forward(self, x):
        return self.conv(x)


class Net(  # the class
    nn.Module,{header}
):
    def __init__(self):
        super().__init__()
        self.first = Block(){made}
        self.rest = nn.Sequential(
            nn.Conv1d(1, 1, 3, dilation=2, padding=2),{item}
            nn.ReLU(),
        ){whole}
        self.add_module("last", nn.Conv1d(1, 1, 1))

    def forward(self, x):{forward}
        x = self.first(
            x,
        ){call}
        x = F.relu(x){other}
        return self.last(self.rest(x)){final}
"""
NAMES = ("block", "header", "made", "item", "whole", "forward", "call", "other", "final")
_numbers = itertools.count()


def net(folder: Path, **comments: str) -> nn.Module:
    """The network with comments at some of its places, from a file of its own."""
    told = {name: f"  # {comments[name]}" if name in comments else "" for name in NAMES}
    path = folder / f"net{next(_numbers)}.py"
    path.write_text(NET.format(**told))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.Net()
    assert isinstance(made, nn.Module)
    return made


def line(model: nn.Module, text: str) -> int:
    """The number of the first line of a model's file that holds a text."""
    header = class_lines(type(model))
    assert header is not None
    lines = Path(header.file).read_text().splitlines()
    return next(k for k, found in enumerate(lines, start=1) if text in found)


X = (1, 1, 32)


@pytest.mark.parametrize("words", ["ignore", "ignore[ATR101]", "ignore[holes]", "ignore[ATR1]"])
def test_a_comment_at_the_class_holds_for_the_model(tmp_path: Path, words: str) -> None:
    plain = atrous.lint(net(tmp_path), X, select="holes")
    assert [f.code for f in plain] == ["ATR101"]
    found = atrous.lint(net(tmp_path, header=f"atrous: {words}"), X, select="holes")
    assert found == []
    assert [(i.finding.code, i.by) for i in found.judgement.ignored] == [("ATR101", "comment")]
    assert found.judgement.unused == ()


@pytest.mark.usefixtures("entire")
def test_a_comment_elsewhere_does_not_hold_for_the_model(tmp_path: Path) -> None:
    for name in set(NAMES) - {"header"}:
        model = net(tmp_path, **{name: "atrous: ignore[entire]"})
        found = atrous.lint(model, X, select="entire")
        assert [f.code for f in found] == ["ATR198"], name
        # A line that only begins a function is at nothing of the model.
        said = [] if name == "forward" else [line(model, "atrous:")]
        assert [int(s.rpartition(":")[2]) for s in found.judgement.unused] == said, name
        assert ("ignores nothing" in str(found)) == bool(said)


@pytest.fixture
def entire(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that finds something about every model as a whole."""
    rule = LintRule(
        "ATR198", "entire", "warning", lambda *_: iter([Found("it is")]), "Entire.", {}, True, "",
        lambda: iter(()), lambda: iter(()),
    )  # fmt: skip
    monkeypatch.setitem(_RULES, "ATR198", rule)


@pytest.fixture
def dilated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rule that finds every dilated window."""

    def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
        for node in subject.program.nodes.values():
            if isinstance(node.description, Local):
                for window in node.description.windows.values():
                    if window.dilation > 1:
                        yield Found("it is dilated", node, numbers={"by": window.dilation})

    rule = LintRule(
        "ATR199", "dilated", "note", check, "Dilated.", {}, True, "", lambda: iter(()),
        lambda: iter(()),
    )  # fmt: skip
    monkeypatch.setitem(_RULES, "ATR199", rule)


@pytest.mark.usefixtures("dilated")
@pytest.mark.parametrize(
    ("place", "left"),
    [
        ("block", ["rest.0"]),
        ("header", []),
        ("made", ["rest.0"]),
        ("item", ["first.conv"]),
        ("whole", ["first.conv"]),
        ("forward", ["first.conv", "rest.0"]),
        ("call", ["rest.0"]),
        ("other", ["first.conv", "rest.0"]),
        ("final", ["first.conv"]),
    ],
)
def test_a_comment_holds_for_what_it_stands_at(tmp_path: Path, place: str, left: list[str]) -> None:
    model = net(tmp_path, **{place: "atrous: ignore[dilated]"})
    found = atrous.lint(model, X, select="dilated", severity="note")
    assert [f.path for f in found] == left
    assert len(found.judgement.ignored) == 2 - len(left)
    unused = place == "other"
    assert len(found.judgement.unused) == unused


@pytest.mark.usefixtures("dilated")
def test_findings_tell_the_line_that_makes_the_module_and_the_call(tmp_path: Path) -> None:
    model = net(tmp_path)
    first, rest = atrous.lint(model, X, select="dilated", severity="note")
    file = class_lines(type(model)).file  # type: ignore[union-attr]
    assert first.made == f"{file}:{line(model, 'self.conv =')}"
    assert first.source == f"{file}:{line(model, 'return self.conv(x)')}"
    assert rest.made == f"{file}:{line(model, '            nn.Conv1d(')}"
    assert rest.source == f"{file}:{line(model, 'return self.last(')}"
    assert rest.line == rest.made
    told = " ".join(str(atrous.lint(model, X, select="dilated", severity="note")).split())
    assert f"{rest.made}, called at line {line(model, 'return self.last(')})" in told


def test_a_text_that_is_no_comment_ignores_nothing(tmp_path: Path) -> None:
    model = net(tmp_path, forward='x\n        "# atrous: ignore"')
    assert [f.code for f in atrous.lint(model, X, select="holes")] == ["ATR101"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("ignore[hole]", "Did you mean 'holes'?"),
        ("ignore[ATR1011]", "got 'ATR1011'"),
        ("ignore[]", "must name rules"),
        ("ignore[holes", "must name rules"),
        ("ignore[holes,]", "must name rules"),
    ],
)
def test_mistakes_in_comments_are_errors_with_the_line(
    tmp_path: Path, words: str, message: str
) -> None:
    model = net(tmp_path, other=f"atrous: {words}")
    with pytest.raises(ValueError, match=r"at .*net") as raised:
        atrous.lint(model, X)
    assert message in str(raised.value)
    assert f":{line(model, 'atrous:')}" in str(raised.value)


def test_comments_after_others_and_with_a_reason(tmp_path: Path) -> None:
    words = "noqa # atrous:ignore[ holes , ATR101 ] the holes are meant"
    assert atrous.lint(net(tmp_path, header=words), X, select="holes") == []


def test_unused_comments_are_told_only_if_their_rules_have_run(tmp_path: Path) -> None:
    model = net(tmp_path, other="atrous: ignore[holes]")
    assert atrous.lint(model, X, ignore="holes").judgement.unused == ()
    assert len(atrous.lint(model, X, select=["holes"]).judgement.unused) == 1


def test_where_modules_are_made(tmp_path: Path) -> None:
    model = net(tmp_path)
    for path, first, last in (
        ("first", "self.first = Block()", "self.first = Block()"),
        ("first.conv", "self.conv =", "self.conv ="),
        ("rest", "self.rest =", "        )"),
        ("rest.0", "            nn.Conv1d(", "            nn.Conv1d("),
        ("rest.1", "nn.ReLU()", "nn.ReLU()"),
        ("last", "add_module", "add_module"),
    ):
        made = construction(model, path)
        assert made is not None, path
        assert made.first == line(model, first), path
        end = made.last if path != "rest" else made.first + 3
        assert made.last == (line(model, last) if path != "rest" else end), path
    assert construction(model, "none") is None
    assert construction(model, "rest.7") is not None
    header = class_lines(type(model))
    assert header is not None
    assert (header.first, header.last) == (line(model, "class Net("), line(model, "    nn.Module,"))
    assert class_lines(nn.Conv1d) is None
    call = statement(header.file, line(model, "            x,"))
    assert (call.first, call.last) == (
        line(model, "x = self.first("),
        line(model, "            x,") + 1,
    )


def test_subclasses_list_comprehensions_and_dicts() -> None:
    class Base(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv1d(1, 1, 3)
            self.blocks = nn.ModuleList([nn.Conv1d(1, 1, 3) for _ in range(2)])
            self.heads = nn.ModuleDict({"a": nn.Conv1d(1, 1, 1)})
            for k in range(2):
                setattr(self, f"extra{k}", nn.ReLU())

    class Derived(Base):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv1d(1, 1, 5)
            self.pair = nn.ModuleList([nn.ReLU(), nn.Tanh()])

    lines = Path(__file__).read_text().splitlines()
    model = Derived()
    for path, text in (
        ("stem", "nn.Conv1d(1, 1, 5)"),
        ("blocks.1", "self.blocks = "),
        ("heads.a", "self.heads = "),
        ("pair.1", "nn.Tanh()"),
    ):
        made = construction(model, path)
        assert made is not None
        assert text in lines[made.first - 1]
    assert construction(model, "extra1") is None


ENTRIES = """\
from collections import OrderedDict
import torch
from torch import nn


class Wrong:
    pass  # atrous: ignore[{other}]


class Unrelated(nn.Module):
    def forward(self, x):
        return x  # atrous: ignore[{other}]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.rest = nn.Sequential(  {open}
            {before}
            nn.Conv1d(1, 1, 3, dilation=2, padding=2),{first}
            nn.Conv1d(
                1, 1, 3, dilation=2, padding=2
            ),{second}
            {after}
        ){close}

    def forward(self, x):
        return torch.cat(  {call}
            [
                self.rest(x),{one}
                torch.tanh(x),{two}
            ],
        ){end}
"""
SLOTS = ("open", "first", "second", "close", "call", "one", "two", "end")


def entries(folder: Path, before: str = "", after: str = "", **comments: str) -> nn.Module:
    """The network with comments at entries of its container."""
    other = comments.pop("other", "holes")
    told = {name: f"# {comments[name]}" if name in comments else "" for name in SLOTS}
    path = folder / f"entries{next(_numbers)}.py"
    path.write_text(ENTRIES.format(before=before, after=after, other=other, **told))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.Net()
    assert isinstance(made, nn.Module)
    return made


@pytest.mark.usefixtures("dilated")
@pytest.mark.parametrize(
    ("before", "after", "names"),
    [
        ("", "", "01"),
        ("*[", "]", "01"),
        ("*(", ")", "01"),
        ("nn.ReLU(), *[", "]", "12"),
        ("*[nn.ReLU() for _ in range(3)],", "", "34"),
        ("*[", "], *[nn.ReLU() for _ in range(3)],", "01"),
    ],
)
def test_a_comment_at_one_entry_says_nothing_of_another(
    tmp_path: Path, before: str, after: str, names: str
) -> None:
    first, second = (f"rest.{name}" for name in names)
    both = [first, second]
    left = {
        "first": [second], "second": [first], "open": [], "close": [],
        "one": [], "two": both, "call": [], "end": [],
    }  # fmt: skip
    for place, wanted in left.items():
        model = entries(tmp_path, before, after, **{place: "atrous: ignore[dilated]"})
        found = atrous.lint(model, X, select="dilated", severity="note")
        assert [f.path for f in found] == wanted, place


@pytest.mark.usefixtures("dilated")
def test_entries_with_names_are_told_apart(tmp_path: Path) -> None:
    def net(made: str) -> nn.Module:
        path = tmp_path / f"named{next(_numbers)}.py"
        path.write_text(
            "from collections import OrderedDict\nfrom torch import nn\n\n"
            "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
            f"        {made}\n\n    def forward(self, x):\n"
            "        return self.rest['b'](self.rest['a'](x)) if isinstance("
            "self.rest, nn.ModuleDict) else self.rest(x)\n"
        )
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        model = module.Net()
        assert isinstance(model, nn.Module)
        return model

    conv = "nn.Conv1d(1, 1, 3, dilation=2, padding=2)"
    note = "  # atrous: ignore"
    for made in (
        f"self.rest = nn.ModuleDict({{\n'a': {conv},{note}\n'b': {conv},\n}})",
        f"self.rest = nn.Sequential(OrderedDict([\n('a', {conv}),{note}\n('b', {conv}),\n]))",
        f"self.rest = nn.Sequential(OrderedDict({{\n'a': {conv},{note}\n'b': {conv},\n}}))",
    ):
        found = atrous.lint(net(made), X, select="dilated", severity="note")
        assert [f.path for f in found] == ["rest.b"], made
    # Of entries on one line a comment holds for all.
    one = f"self.rest = nn.Sequential({conv}, {conv}){note}"
    assert atrous.lint(net(one), X, select="dilated", severity="note") == []


@pytest.mark.parametrize("words", ["hole", "", "holes,"])
def test_mistakes_in_comments_of_other_classes_do_not_matter(tmp_path: Path, words: str) -> None:
    model = entries(tmp_path, other=words)
    assert [f.code for f in atrous.lint(model, X, select="holes")] == ["ATR101"]
    with pytest.raises(ValueError, match="comment"):
        atrous.lint(entries(tmp_path, second=f"atrous: ignore[{words}]"), X)

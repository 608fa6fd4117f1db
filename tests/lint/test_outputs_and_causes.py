"""Models with several outputs, and findings that have one cause."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import atrous
from linting import linted
from samples import dilated


class Heads(nn.Module):
    """One stem and a head for each of some schedules."""

    def __init__(self, **heads: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv1d(1, 1, 1)
        self.heads = nn.ModuleDict({name: dilated(*rates) for name, rates in heads.items()})

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = self.stem(x)
        return {name: head(x) for name, head in self.heads.items()}


X = (1, 1, 128)


def test_all_outputs_are_judged_and_findings_name_theirs() -> None:
    found = atrous.lint(Heads(a=(1, 2), b=(1, 9), c=(1, 5)), X, select=["holes"])
    # Kernels of 3: 1 and 2 leave no holes, 1 and 9 leave 12 of 21, 1 and 5 leave 4 of 13.
    assert [(f.path, f.numbers["outputs"], f.numbers["holes"]) for f in found] == [
        ("heads.b.1", ["b"], 12), ("heads.c.1", ["c"], 4),
    ]  # fmt: skip
    assert found[0].message.startswith("output 'b': one output of")
    assert found.title == "Heads on x 1x1x128, outputs 'a', 'b' and 'c'"
    assert json.loads(found.to_json())["outputs"] == ["a", "b", "c"]


def test_one_output_can_be_asked_for() -> None:
    model = Heads(a=(1, 2), b=(1, 9))
    assert atrous.lint(model, X, select=["holes"], output="a") == []
    (only,) = atrous.lint(model, X, select=["holes"], output="b")
    assert "outputs" not in only.numbers
    assert atrous.lint(model, X, output="b").title == "Heads on x 1x1x128, output 'b'"


def test_what_holds_of_all_outputs_is_said_once_and_names_none() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = dilated(2, 5)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            x = self.body(x)
            return x, x.relu()

    found = atrous.lint(Twice(), X, select=["holes"])
    paths = [(f.path, f.numbers.get("outputs")) for f in found]
    assert {path for path, _ in paths} == {"body.1"}
    # The messages tell the outputs' own names where these differ.
    assert len(paths) == 1 or {str(outputs) for _, outputs in paths} == {"['0']", "['1']"}


def test_a_model_of_one_output_has_it_in_no_title() -> None:
    assert atrous.lint(dilated(1, 2), X).title == "Sequential on input 1x1x128"


def test_an_output_without_the_input_is_left_out() -> None:
    class Beside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = dilated(1, 9)

        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return y * 2, self.body(x)

    found = atrous.lint(Beside(), (torch.zeros(X), torch.zeros(X)), select=["holes"])
    assert [f.numbers["holes"] for f in found] == [12]
    with pytest.raises(ValueError, match="does not depend on 'x'"):
        atrous.lint(Beside(), (torch.zeros(X), torch.zeros(X)), output="0")


def test_the_last_state_beside_an_answer_does_not_hinder_a_stream() -> None:
    class Stateful(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(4, 4, batch_first=True)

        def forward(self, x: Tensor) -> Any:
            return self.gru(x)

    assert atrous.lint(Stateful(), torch.zeros(1, 20, 4), select="ATR502", stream=True) == []

    class Last(Stateful):
        def forward(self, x: Tensor) -> Any:
            return self.gru(x)[1]

    (only,) = atrous.lint(Last(), torch.zeros(1, 20, 4), select="ATR502", stream=True)
    assert only.numbers["way"] == "backward"


def test_dilations_with_a_common_factor_are_one_finding() -> None:
    assert [f.code for f in linted(dilated(2, 2, 2), X)] == ["ATR105"]
    assert [f.code for f in atrous.lint(dilated(2, 2, 2), X)] == ["ATR105"]
    # Each by itself still says it.
    assert [f.code for f in atrous.lint(dilated(2, 2, 2), X, select="ATR101")] == ["ATR101"]
    assert [f.code for f in atrous.lint(dilated(2, 2, 2), X, ignore="ATR105")] == ["ATR101"]


def test_holes_of_another_cause_stay_beside_a_common_factor() -> None:
    class Both(nn.Module):
        """A common factor, and holes of a layer at another resolution."""

        def __init__(self) -> None:
            super().__init__()
            self.fine, self.down = dilated(2, 2), nn.Conv1d(1, 1, 2, stride=2)
            self.coarse = dilated(1, 9)

        def forward(self, x: Tensor) -> Tensor:
            out: Tensor = self.coarse(self.down(self.fine(x)))
            return out

    assert [f.code for f in atrous.lint(Both(), X, ignore="ATR6")] == ["ATR105", "ATR101"]


GROUP = """\
from torch import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 1, 3, padding=18, dilation=18),{first}
            nn.Conv2d(1, 1, 3, padding=18, dilation=18),{second}
        )

    def forward(self, x):
        return self.body(x)
"""


def test_a_finding_about_several_layers_is_ignored_only_at_all_of_them(tmp_path: Path) -> None:
    def judged(name: str, first: str, second: str, **ignores: list[str]) -> list[str]:
        path = tmp_path / f"{name}.py"
        path.write_text(GROUP.format(first=first, second=second))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        module: Any = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        settings = {"select": ["ATR201"], "per-path-ignores": ignores}
        found = atrous.lint(module.Net(), (1, 1, 14, 14), settings=settings)
        assert found.judgement.unused == ()
        return [f.path for f in found]

    note = "  # atrous: ignore[ATR201]"
    assert judged("none", "", "") == ["body.0"]
    assert judged("first", note, "") == ["body.0"]
    assert judged("second", "", note) == ["body.0"]
    assert judged("both", note, note) == []
    assert judged("mixed", note, "", **{"body.1": ["ATR201"]}) == []
    assert judged("paths", "", "", **{"body.*": ["ATR201"]}) == []
    assert judged("path", "", "", **{"body.0": ["ATR201"]}) == ["body.0"]

"""What is chosen, why, and where it is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from atrous.ops import choices, chooser
from atrous.ops.algorithms import runnable
from atrous.ops.chooser import CHOOSER, OFTEN, Chooser
from atrous.ops.measuring import example
from atrous.ops.problem import JOBS, Problem

WIDE = Problem("forward", 1, (64, 64), 64, (500,), (3,), (1,), ((4, 0),), (2,))


def test_estimates_know_where_pytorch_is_slow() -> None:
    assert [CHOOSER.explain(replace(WIDE, job=job)).algorithm for job in JOBS] == ["loops"] * 3
    dense = replace(WIDE, groups=1, padding=((2, 2),))
    assert CHOOSER.explain(dense).algorithm == "aten"
    far = Problem(
        "input gradient", 1, (64, 64), 1, (128, 128), (3, 3), (1, 1), ((8, 8),) * 2, (8, 8)
    )
    assert CHOOSER.explain(far).algorithm == "flipped"


def test_every_estimate_is_a_time() -> None:
    for job in JOBS:
        for groups in (1, 64):
            choice = CHOOSER.explain(replace(WIDE, job=job, groups=groups))
            assert set(choice.seconds) | set(choice.reasons) >= {"aten", "loops", "phases"}
            assert all(0 < seconds < 1 for seconds in choice.seconds.values())
            assert not choice.is_measured


def test_what_is_measured_is_kept_and_chosen() -> None:
    choice = CHOOSER.measure(WIDE)
    assert choice.is_measured
    assert set(choice.seconds) == {one.name for one in runnable(WIDE)}
    choices.forget()
    assert Chooser().explain(WIDE).seconds == choice.seconds
    assert not Chooser().explain(replace(WIDE, lengths=(501,))).is_measured


def test_pytorch_is_left_only_for_a_gain() -> None:
    names = [one.name for one in runnable(WIDE)]
    choices.keep(WIDE, dict.fromkeys(names, 1.0) | {"loops": 0.98})
    assert CHOOSER.explain(WIDE).algorithm == "aten"
    choices.keep(WIDE, dict.fromkeys(names, 1.0) | {"loops": 0.9})
    assert CHOOSER.explain(WIDE).algorithm == "loops"


def test_what_is_called_often_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    for deterministic in (True, False):
        chooser = Chooser()
        monkeypatch.setattr(
            torch, "are_deterministic_algorithms_enabled", lambda told=deterministic: told
        )
        for _ in range(OFTEN):
            assert not chooser.explain(WIDE).is_measured
            chooser.seen(WIDE)
        assert chooser.explain(WIDE).is_measured != deterministic


def test_a_broken_or_forbidden_file_is_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = choices.file()
    assert path is not None
    path.parent.mkdir(parents=True)
    for text in ("{", "[" * 100_000, '{"seconds": []}', '{"seconds": {"a": 3}}', "4"):
        path.write_text(text)
        choices.forget()
        assert choices.kept(WIDE) is None
    told = json.dumps({"seconds": {choices._key(WIDE): {"aten": "1"}, "other": {"aten": None}}})
    path.write_text(told)
    choices.forget()
    assert CHOOSER.explain(WIDE).algorithm == "loops"
    choices.keep(WIDE, {"aten": 1.0})
    choices.forget()
    assert choices.kept(WIDE) == {"aten": 1.0}
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(Path, "home", nobody)
    monkeypatch.delenv("XDG_CACHE_HOME")
    choices.keep(WIDE, {"aten": 3.0})
    assert choices.kept(WIDE) == {"aten": 3.0}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    choices.keep(WIDE, {"aten": 2.0})
    assert choices.kept(WIDE) == {"aten": 2.0}


def nobody() -> Path:
    raise RuntimeError("Could not determine home directory.")


def fails(*_: object) -> dict[str, float]:
    raise MemoryError


def test_measuring_unasked_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chooser, "measured", fails)
    mine = Chooser()
    for _ in range(OFTEN + 1):
        mine.seen(WIDE)
    assert not mine.explain(WIDE).is_measured


def test_what_is_repeatable_does_not_depend_on_times(monkeypatch: pytest.MonkeyPatch) -> None:
    choices.keep(WIDE, {one.name: 1.0 for one in runnable(WIDE)})
    assert CHOOSER.explain(WIDE).algorithm == "aten"
    monkeypatch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: True)
    assert CHOOSER.explain(WIDE).algorithm == "loops"


def test_measuring_leaves_random_numbers_alone() -> None:
    torch.manual_seed(0)
    before = torch.get_rng_state()
    example(WIDE)
    assert torch.equal(torch.get_rng_state(), before)

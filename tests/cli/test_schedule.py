"""`atrous schedule` as a user sees it."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from torch import nn

import atrous
from atrous.design.schedule.families import FAMILIES
from commands import call as command

call = partial(command, "schedule")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    call(*arguments, "--json")
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["schema"] == "atrous.schedule/1"
    return found


def test_a_plan_and_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--field", "60") == 0
    lines = capsys.readouterr().out.splitlines()
    plan = atrous.schedule(60)
    rates = " ".join(map(str, plan.dilations))
    assert lines[0] == f"plan: 4 layers of kernel 3, dilations {rates}"
    assert lines[1] == "  field 61: 30 before, 30 after; no holes"
    assert lines[4] == "  asked: the smallest field from 60 on, kernel 3, no holes"
    assert "proven" in lines[5]
    rows = [line.split()[0] for line in lines[-6:]]
    assert rows == ["plan", "next", "next", "next", "next", "doubling"][-len(rows) :] or (
        rows[-1] == "doubling" and "plan" in " ".join(lines[-8:])
    )
    assert not any(line != line.rstrip() for line in lines[:6])


def test_json_says_what_the_plan_says(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "--field", "100:120", "--kernel", "3/5", "--map-size", "40", "--verify")
    plan = atrous.schedule((100, 120), {3, 5}, map_size=40)
    assert found == {
        **json.loads(plan.to_json()),
        "verified": list(plan.verify().checked),
    }
    assert found["optimal"] is plan.is_optimal
    assert found["schedule"]["field"] == plan.field
    assert [own["dead_taps"] for own in found["schedule"]["on_map"]] == [0] * len(plan.dilations)


def test_options_are_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    for options, arguments in [
        (["--field", "40", "--kernel", "3,3,5"], {"kernel": [3, 3, 5]}),
        (["--field", "40", "--kernel", "any"], {"kernel": None}),
        (["--field", "40", "--causal", "--kernel", "2"], {"causal": True, "kernel": 2}),
        (["--field", "40", "--strides", "1,2,1,1"], {"strides": [1, 2, 1, 1]}),
        (["--field", "40", "--front", "7,1,2", "--front", "3"], {"front": [(7, 1, 2), (3,)]}),
        (["--field", "40", "--objective", "cheap"], {"objective": "cheap"}),
        (["--field", "40", "--objective", "cv=1,macs=0.5"], {"objective": {"cv": 1, "macs": 0.5}}),
        (["--field", "40", "--holes", "--layers", "3"], {"holes": True, "layers": 3}),
        (["--field", "40", "--max-dilation", "9"], {"max_dilation": 9}),
        (["--field", "40", "--parameters", "16"], {"parameters": 16}),
        (["--field", "40", "--budget", "5000", "--channels", "8", "--dims", "2"],
         {"budget": 5000, "channels": 8, "dims": 2}),
    ]:  # fmt: skip
        plan = atrous.schedule(40, **{"kernel": 3, **arguments})  # type: ignore[arg-type]
        assert told(capsys, *options) == json.loads(plan.to_json()), options
    assert told(capsys, "--reach", "9")["schedule"]["reach"] == [9, 9]


def test_the_code_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--field", "60", "--code", "--channels", "3", "--dims", "2") == 0
    scope: dict[str, Any] = {}
    exec(capsys.readouterr().out, scope)
    net = scope["context"]()
    assert isinstance(net[0], nn.Conv2d)
    assert atrous.receptive_field(net, (1, 3, 90, 90)).size == (61, 61)


def test_what_nothing_meets_says_what_to_relax(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--field", "100", "--layers", "3") == 2
    message = " ".join(capsys.readouterr().err.split())
    assert "Relax one constraint: field=27 instead of 100; or layers=5 instead of 3" in message
    assert call("--field", "100", "--layers", "3", "--json") == 2
    found = json.loads(capsys.readouterr().out)
    assert found["possible"] is False
    assert {"constraint": "layers", "given": 3, "needed": 5} in found["relaxations"]


@pytest.mark.parametrize("name", sorted(FAMILIES))
def test_families(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--family", name) == 0
    assert capsys.readouterr().out.startswith(f"{name}: ")
    found = told(capsys, "--family", name.replace("_", "-"))
    own = FAMILIES[name]()
    told_field = found.get("schedule", found.get("pyramid"))["field"]
    assert told_field == own.field


def test_families_take_their_options(capsys: pytest.CaptureFixture[str]) -> None:
    beats = told(
        capsys, "--family", "beat_synchronous", "--tempo", "60,90,120,180", "--frame-rate", "100"
    )
    assert beats["schedule"]["dilations"] == [1, 1, 2, 4, 8, 33, 50, 67, 100]
    covering = ["--family", "time_covering", "--seconds", "2", "--sample-rate", "16000"]
    assert len(told(capsys, *covering, "--kernel", "3")["schedule"]["dilations"]) == 14
    assert call("--family", "hdc", "--rates", "1,2,9", "--map-size", "9") == 0
    text = capsys.readouterr().out
    assert "4 holes" in text
    assert "dead taps" in text
    assert call("--family", "list") == 0
    listed = capsys.readouterr().out
    assert all(name in listed for name in FAMILIES)
    listed = told(capsys, "--family", "list")["families"]
    names = [row.get("schedule", row.get("pyramid"))["name"] for row in listed]
    assert names == list(FAMILIES)
    front = ["--family", "beat-synchronous", "--front", "1,3,9,27", "--count", "3"]
    assert told(capsys, *front)["schedule"]["dilations"] == [1, 3, 9, 27, 33, 58, 100]
    pyramid = told(capsys, "--family", "aspp", "--no-pointwise", "--rates", "6")["pyramid"]
    assert (pyramid["pointwise"], pyramid["read"]) == (False, 9)
    assert not told(capsys, "--family", "time-covering", "--no-causal")["schedule"]["causal"]
    assert call("--family", "wavenet", "--cycles", "1", "--code") == 0
    assert "def wavenet(" in capsys.readouterr().out


def test_rates_too_wide_for_a_map_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    # Two of three taps of rate 36 are padding wherever it stands on 33 positions.
    arguments = ("--family", "aspp", "--rates", "12,24,36", "--map-size", "33")
    assert call(*arguments) == 0
    last = capsys.readouterr().out.rstrip().splitlines()[-1].split()
    assert last[0] == "36" and last[-1] == "2"
    assert call(*arguments, "--json") == 0
    told = json.loads(capsys.readouterr().out)["pyramid"]["on_map"]
    assert [own["dead_taps"] for own in told] == [0, 0, 2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--field", "x"], "--field must be a number as 1024 or a range"),
        (["--field", "1:2:3"], "--field must be a number as 1024 or a range"),
        ([], "field or reach must be given"),
        (["--field", "9", "--kernel", "a"], "--kernel must be whole numbers"),
        (["--field", "9", "--objective", "cv=x"], "--objective must be numbers"),
        (["--field", "9", "--objective", "speed"], "objective must be 'uniform' or 'cheap'"),
        (["--field", "9", "--rates", "1,2"], "--rates must be given with --family"),
        (["--field", "9", "--json", "--code"], "only one of --json and --code"),
        (["--family", "saw"], "Did you mean 'sawtooth'"),
        (
            ["--family", "hdc", "--layers", "3"],
            "--layers must be left out with --family hdc, got 3",
        ),
        (["--family", "hdc", "--reach", "3"], "--reach must be left out with --family"),
        (["--family", "hdc", "--objective", "cheap"], "--objective must be left out with"),
        (["--family", "hdc", "--kernel", "any"], "--kernel must be one number with --family"),
        (["--family", "base-k", "--field", "9:12"], "field must be a whole number"),
        (["--family", "list", "--code"], "--code must be given with one family"),
        (["--family", "list", "--layers", "3"], "--layers must be given with one family"),
        (["--field", "60", "--front", "7x1"], "--front must be a layer as kernel,dilation,stride"),
        (["--field", "60", "--front", "7,1,2,3"], "Give it once per layer"),
        (["--field", "60", "--channels", "0"], "channels must be a whole number of at least 1"),
        (["--field", "1000000000"], "at most 4,194,304 to be decided exactly, got 1,000,000,000."),
        (["--field", "9", "--kernel", "3/4,5"], "--kernel must be whole numbers"),
        (["--family", "aspp", "--code"], "--code must be given for a chain"),
    ],
)
def test_mistakes_are_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(*arguments) == 2
    assert message in " ".join(capsys.readouterr().err.split())

"""`atrous densify` as a user sees it."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch

from commands import call as command

NET = """\
import torch
import torch.nn.functional as F
from torch import nn


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.MaxPool2d(2), nn.Conv2d(2, 2, 3, 2, 1))


class Plain(nn.Module):
    def forward(self, x):
        return F.max_pool2d(x, 2)
"""


call = partial(command, "densify")


pytestmark = pytest.mark.usefixtures("here")


def test_changes_and_proof_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("net.py:net", "--input", "1x64x64", "--output-stride", "2") == 0
    told = capsys.readouterr().out
    assert "Sequential at output stride 2: 2 modules changed" in told
    assert "MaxPool2d" in told and "as it is, on every phase" in told and "1 -> 2" in told
    assert "output: 12 x 13 -> 48 x 52" in told and "differs by" in told


def test_json_holds_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--input", "1x64x64", "--output-stride", "2,4", "--sizes", "40x41", "--json")
    assert call("net.py:net", *arguments) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["schema"] == "atrous.densify/1"
    assert found["output_stride"] == [2, 4] and found["error"] < 1e-9
    assert found["shapes"] == [[1, 1, 40, 41]]
    assert found["compared"][0]["density"] == [4, 2]


def test_the_dense_model_is_saved(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("--input", "1x64x64", "--output-stride", "1", "--save", "out/dense.pt2")
    assert call("net.py:net", *arguments) == 0
    assert "exported for any size" in capsys.readouterr().out
    dense = torch.export.load(here / "out/dense.pt2").module()
    namespace: dict[str, object] = {}
    exec(NET, namespace)
    net = namespace["net"]().eval()  # type: ignore[operator]
    x = torch.randn(3, 1, 50, 61)
    torch.testing.assert_close(dense(x)[..., ::8, ::8], net(x))


def test_failures_are_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("net.py:Plain", "--input", "1x64x64", "--output-stride", "1")
    assert call(*arguments) == 2
    told = capsys.readouterr().err
    assert "net.py:13" in told and "F.max_pool2d(x, 2)" in told and "--as-graph" in told
    assert call(*arguments, "--as-graph") == 0
    for option, value in (("--output-stride", "x"), ("--sizes", "9,9"), ("--save", "dense.onnx")):
        assert call("net.py:net", "--input", "1x64x64", option, value) == 2
        assert f"{option} must be" in capsys.readouterr().err

"""The command line as a user sees it: output, JSON, files, and errors without tracebacks."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

import atrous
from atrous.cli.main import run
from commands import call


def test_without_arguments_the_bundled_model(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect") == 0
    out = capsys.readouterr().out
    assert "Segmenter on x 1x3x513x513" in out
    assert "global, because of head.pool.0" in out
    assert "head.branches.3.0.0" in out


def test_json_is_what_the_function_says(capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)  # spectra are those of the weights
    assert call("inspect", "atrous:tcn", "--input", "1x400", "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    from atrous.models import create

    torch.manual_seed(0)
    assert printed == atrous.inspect(create("tcn"), (1, 1, 400)).to_dict()
    assert printed["schema"] == "atrous.inspect/2"
    for node in printed["nodes"]:
        for axis in node["field"]["axes"]:
            for key in ("size", "stride", "start", "reach_before", "reach_after", "growth"):
                assert isinstance(axis[key], int | float)


def test_one_node_and_depth_and_branches(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("inspect", "atrous:segmenter", "--input", "3x129x129", "--node", "layer2") == 0
    assert "layer2: field 39, stride 8, start -19" in capsys.readouterr().out
    assert call("inspect", "atrous:segmenter", "--input", "3x129x129", "--depth", "1") == 0
    out = capsys.readouterr().out
    assert "layer1" in out
    assert "layer1.body" not in out
    assert call("inspect", "--input", "3x129x129", "--node", "head.project", "--branches") == 0
    assert "head.branches.3.1" in capsys.readouterr().out


def test_files_modules_and_saved_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\n"
        "def build(width=4):\n    return nn.Sequential(nn.Conv1d(1, width, 3), nn.ReLU())\n"
        "def needs(width):\n    return build(width)\n"
        "made = build()\n"
        "number = 3\n"
        "def wrong():\n    return 3\n"
    )
    place = str(tmp_path / "mine.py")
    assert call("inspect", f"{place}:build", "--input", "1x20", "--json") == 0
    assert call("inspect", f"{place}:made", "--input", "1x20", "--json") == 0
    capsys.readouterr()
    torch.export.save(
        torch.export.export(nn.Conv1d(1, 1, 7).eval(), (torch.zeros(1, 1, 20),)),
        tmp_path / "net.pt2",
    )
    assert call("inspect", str(tmp_path / "net.pt2"), "--json") == 0
    assert json.loads(capsys.readouterr().out)["nodes"][-1]["field"]["axes"][0]["size"] == 7
    assert call("inspect", "torch.nn:Identity", "--input", "1x20", "--json") == 0
    capsys.readouterr()
    for name, message in (
        (f"{place}:biuld", "got 'biuld'. Did you mean 'build'?"),
        (f"{place}:needs", "needs width. Give them defaults"),
        (f"{place}:number", "must be a module or make one when called, got int"),
        (f"{place}:wrong", "must return a torch.nn.Module, got int"),
        (f"{tmp_path}/mien.py:build", "file must exist"),
        (f"{tmp_path}/none.pt2", "must be an existing file"),
        ("torch.nm:Identity", "Did you mean 'torch.numa' or 'torch.nn'"),
        ("nonsense", "MODEL must look like"),
        ("resnet50", "Did you mean 'torchvision:resnet50'?"),
    ):
        assert call("inspect", name, "--input", "1x20") == 2
        captured = capsys.readouterr()
        assert message in captured.err.replace("\n", " ")
        assert captured.out == ""
        assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["atrous:segmentor"], "Did you mean 'atrous:segmenter'?"),
        (["torchvision:resnet5"], "Did you mean 'torchvision:resnet50'"),
        (["timm:convnext_tinny"], "Did you mean 'timm:convnext_tiny'"),
        (["--input", "4x65x65"], "An input of shape (1, 3, 65, 65) fits."),
        (["--input", "1x3x65x65"], "On the command line: --input 3x65x65."),
        (["--input", "3x0x65"], "--input must have lengths of 1 or more"),
        (["--input", "3xax65"], "--input must be a shape without batch"),
        (["--dtype", "float33"], "--dtype must be a type of torch"),
        (["--dtype", "complex64"], "x must be real and not quantised"),
        (["--node", "layer9"], "Did you mean 'layer3' or"),
        (["--axes", "2;3"], "--axes must be numbers"),
        (["--axes", "7"], "axes must be whole numbers between -4 and 3"),
        (["--nonsense"], "No such option"),
        (["--batch", "0"], "--batch must be at least 1, got 0"),
        (["--depth", "two"], "--depth"),
        (["--node", "layer1", "--output", "output"], "must not both be given"),
        (["--node", "layer1", "--html", "a.html"], "must be given without --node"),
        (["--html", "/"], "got the folder '/'"),
        (["torch.nn:Identity"], "--input must be given for 'torch.nn:Identity'"),
    ],
)
def test_errors_are_one_message_and_code_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if any(a.startswith(("torchvision", "timm")) for a in arguments):
        pytest.importorskip(arguments[0].partition(":")[0])
    assert call("inspect", *arguments) == 2
    captured = capsys.readouterr()
    assert message in captured.err.replace("\n", " ")
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match="lengths of 1 or more"):
        run(["inspect", "--input", "3x0x65", "--debug"])


def test_reports_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    html, data = tmp_path / "new" / "a.html", tmp_path / "a.json"
    assert call("inspect", "--input", "3x65x65", "--html", str(html), "--json-file", str(data)) == 0
    page = html.read_text()
    assert page.startswith("<!doctype html>")
    assert "layer3.body" in page
    assert json.loads(data.read_text())["model"] == "Segmenter"
    assert f"written to {html}" in capsys.readouterr().out.replace("\n", "")


def test_the_program_runs_as_a_process() -> None:
    command = [sys.executable, "-m", "atrous", "inspect", "atrous:tcn", "--input", "1x100"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "\x1b" not in done.stdout


def test_names_from_the_model_are_escaped(tmp_path: Path) -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.add_module("<b>[red]", nn.Conv1d(1, 1, 3))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return getattr(self, "<b>[red]")(x)

    report = atrous.inspect(Outer(), (1, 1, 9))
    assert "<b>[red]" not in report.to_html()
    assert "&lt;b&gt;[red]" in report.to_html()
    assert "<b>[red]" in str(report)


def test_narrow_terminals_keep_names_fields_and_status() -> None:
    from rich.console import Console

    from atrous.models import create
    from atrous.report.text.inspection import render

    found = atrous.inspect(create("segmenter"), (1, 3, 65, 65)).inspection
    for width, last in ((60, "status"), (80, "status"), (200, "MACs")):
        console = Console(width=width, force_terminal=False)
        with console.capture() as captured:
            console.print(render(found, depth=1))
        lines = captured.get().splitlines()
        assert lines[1].split()[0] == "node"
        assert lines[1].split()[-1] == last
        layer = next(line for line in lines if line.startswith("layer3"))
        assert "103" in layer
        assert "exact" in layer


def test_no_arguments_print_the_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert call() == 0
    assert "inspect" in capsys.readouterr().out
    assert call("--version") == 0
    assert atrous.__version__ in capsys.readouterr().out


@pytest.mark.parametrize("dtype", ["bfloat16", "float16", "float64"])
def test_a_type_of_floating_point_is_the_models_too(
    dtype: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "typed.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n"
        "    return nn.Sequential(nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4))\n\n\n"
        "def half():\n    return net().bfloat16()\n"
    )
    name = f"{tmp_path / 'typed.py'}:net"
    size = torch.finfo(getattr(torch, dtype)).bits // 8
    given = ("--input", "2x50", "--dtype", dtype)
    assert call("inspect", name, *given, "--json") == 0
    cost = json.loads(capsys.readouterr().out)["cost"]
    # Weights of 24 + 4 + 4 + 4; the input and both results are there at once.
    assert cost["weight_bytes"] == size * (24 + 4 + 4 + 4)
    assert cost["inference_bytes"] == size * 50 * (2 + 4 + 4)
    assert call("inspect", name, "--against", f"{tmp_path / 'typed.py'}:half", *given) == 0
    assert call("lint", name, *given, "--isolated") in (0, 1)
    capsys.readouterr()
    # Without the option a model is fed what it is made of.
    assert call("inspect", f"{tmp_path / 'typed.py'}:half", "--input", "2x50", "--json") == 0
    assert json.loads(capsys.readouterr().out)["cost"]["inference_bytes"] == 2 * 50 * (2 + 4 + 4)


def test_an_exported_program_has_its_type(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "net.pt2"
    net = nn.Conv1d(1, 1, 3).bfloat16().eval()
    torch.export.save(torch.export.export(net, (torch.zeros(1, 1, 9).bfloat16(),)), file)
    assert call("inspect", str(file)) == 0
    assert call("inspect", str(file), "--dtype", "float16") == 2
    assert "--dtype must be the type that" in capsys.readouterr().err

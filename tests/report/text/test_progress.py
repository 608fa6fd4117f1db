"""What a terminal is shown while something goes on."""

from __future__ import annotations

import io
import sys
import time
from contextlib import redirect_stderr, redirect_stdout

import pytest
from torch import Tensor, nn

from atrous.graph.capture import capture
from atrous.report.text.progress import counting, working


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_spinner_and_bar_are_shown_in_a_terminal_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with working("loading net", after=0.01):
        time.sleep(0.3)
    assert "loading net" in sys.stderr.getvalue()
    with counting("batches", after=0.01) as told:
        told(3, 8)
        time.sleep(0.3)
    assert "batches" in sys.stderr.getvalue()
    assert "3/8" in sys.stderr.getvalue()


def test_the_spinner_is_shown_while_a_model_is_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    # Capturing silences what a model prints, to both streams.
    class Slow(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            sys.stderr.write("a word of the model")
            time.sleep(0.3)
            return x * 2

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stderr", Terminal())
    with working("capturing", after=0.01):
        capture(Slow(), (1, 4))
        during = sys.stderr.getvalue()
    assert "capturing" in during
    assert "a word" not in sys.stderr.getvalue()


def test_streams_stay_where_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    out, err = Terminal(), Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    shown = working("silenced", after=0.05)
    with shown, redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        # It starts in here, and ends out there.
        time.sleep(0.3)
    assert sys.stdout is out
    assert sys.stderr is err


def test_nothing_is_shown_elsewhere_or_of_what_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream, after in ((io.StringIO(), 0.0), (Terminal(), 60.0)):
        monkeypatch.setattr(sys, "stderr", stream)
        with working("loading net", after=after), counting("batches", after=after) as told:
            told(1, None)
        assert stream.getvalue() == ""

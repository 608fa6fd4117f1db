"""Settings for every test."""

import gc

import pytest
import torch

# Workers run side by side: one thread each.
torch.set_num_threads(1)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later search for garbage."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded under "summary": mixes and counts that people should see."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "summary":
                terminalreporter.write_line(str(value))

"""The command line, called as a user calls it."""

from __future__ import annotations

import pytest

from atrous.cli.main import run


def call(*arguments: str) -> int:
    """The exit code of a command line; what it prints is for `capsys`."""
    with pytest.raises(SystemExit) as stopped:
        run(list(arguments))
    return int(stopped.value.code or 0)


NET = """\
from torch import nn


class Net(nn.Module):
    def __init__(self, *dilations):
        super().__init__()
        self.layers = nn.Sequential(
            *(nn.Conv1d(1, 1, 3, dilation=d, padding=d) for d in dilations)
        )

    def forward(self, x):
        return self.layers(x)


def holey():
    return Net(2, 2)


def plain():
    return nn.Sequential(*Net(2, 2).layers)


def hopeless():
    return Net(9, 9)


def sound():
    return Net(1, 2)
"""
"""A file of networks with holes and without."""

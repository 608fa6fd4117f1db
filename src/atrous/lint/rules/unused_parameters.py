"""Modules hold parameters that no output uses.

What it finds
    Parameters of which nothing is left on any way from the input to any output, in inference: the
    layer is made and never called, its result is thrown away, or it serves training alone. Told is
    the outermost module that holds no other parameters, each with what it holds.

Why it matters
    Such a layer takes memory, in the optimizer three times over, and a place in every checkpoint.
    It gets no gradient: training in parallel (`DistributedDataParallel`) stops with an error, or
    searches for such parameters at every step. Often it is a layer that was meant to be called, as
    a second normalisation in place of which the first is used again, and no error ever says so.

    Auxiliary heads that only training uses are there on purpose: this is a note.

Example
    A head that nothing calls::

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Conv2d(3, 8, 3)
                self.head = nn.Conv2d(8, 2, 1)

            def forward(self, x):
                return self.body(x)

Use instead
    Its result, or no head::

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.body = nn.Conv2d(3, 8, 3)
                self.head = nn.Conv2d(8, 2, 1)

            def forward(self, x):
                return self.head(self.body(x))
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from atrous.lint.facts.layers import percent
from atrous.lint.rule import Case, Found, lint_rule
from atrous.lint.subject import Subject


class _Head(nn.Module):
    """A body, and a head that is called, called in vain, or not."""

    def __init__(self, use: str) -> None:
        super().__init__()
        self.use = use
        self.body = nn.Conv2d(2, 2, 3)
        self.head = nn.Sequential(nn.Conv2d(2, 4, 1), nn.ReLU(), nn.Conv2d(4, 2, 1))
        self.scale = nn.Parameter(torch.ones(2, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        if self.use == "vain":
            self.head(x)
        y: Tensor = self.head(x) if self.use == "all" else x
        return y if self.use == "no scale" else y * self.scale


def _tied() -> nn.Module:
    """Two layers that share their weights."""
    net = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3))
    net[2].weight = net[0].weight
    return net


def _bad() -> Iterator[Case]:
    yield Case(_Head("none"), (1, 2, 8, 8), path="head")
    yield Case(_Head("vain"), (1, 2, 8, 8), path="head")
    yield Case(_Head("no scale"), (1, 2, 8, 8), path="")


def _good() -> Iterator[Case]:
    yield Case(_Head("all"), (1, 2, 8, 8))
    yield Case(_tied(), (1, 2, 8, 8))
    yield Case(nn.LSTM(2, 3, batch_first=True, bidirectional=True), torch.zeros(1, 9, 2))


@lint_rule(
    "ATR306",
    "unused-parameters",
    severity="note",
    bad=_bad,
    good=_good,
    per_output=False,
)
def check(subject: Subject, settings: Mapping[str, Any]) -> Iterator[Found]:
    """Find parameters that no node on the way to an output reads."""
    model = subject.model
    if model is None:
        return
    known = dict(model.named_parameters(remove_duplicate=False))
    read = {name for node in subject.program.nodes.values() for name in node.parameters}
    used = {id(known[name]) for name in read if name in known}
    dead = {name for name, parameter in known.items() if id(parameter) not in used}
    total = sum(parameter.numel() for parameter in model.parameters())
    for path, names in _tops(known, dead).items():
        own = {id(known[name]): known[name] for name in names}
        count = sum(parameter.numel() for parameter in own.values())
        size = sum(parameter.numel() * parameter.element_size() for parameter in own.values())
        bare = path in dead
        what = f"the parameter '{path}'" if bare else f"the parameters of '{path}'"
        yield Found(
            f"no output that depends on the input uses {what}: {count:,} numbers, "
            f"{percent(count / max(total, 1))} of the model's, {size:,} bytes",
            fix=_fix(path, bare),
            numbers={"parameters": count, "bytes": size, "share": count / max(total, 1)},
            path=path.rpartition(".")[0] if bare else path,
        )


def _tops(known: Collection[str], dead: Collection[str]) -> dict[str, list[str]]:
    """Unused parameters by the outermost module all of whose parameters are unused, in order; those
    that lie beside used ones by themselves."""
    alive = {""}
    for name in known:
        if name not in dead:
            parts = name.split(".")
            alive.update(".".join(parts[:depth]) for depth in range(1, len(parts)))
    found: dict[str, list[str]] = {}
    for name in known:
        if name in dead:
            parts = name.split(".")
            paths = (".".join(parts[:depth]) for depth in range(1, len(parts) + 1))
            found.setdefault(next(path for path in paths if path not in alive), []).append(name)
    return found


def _fix(path: str, bare: bool) -> str:
    if not bare:
        return f'# where nothing is to call it:\nmodel.set_submodule("{path}", nn.Identity())'
    holder, _, name = path.rpartition(".")
    module = f'model.get_submodule("{holder}")' if holder else "model"
    return f'# where nothing is to use it:\n{module}.register_parameter("{name}", None)'

"""Running lint rules in tests, and mending what they find with the code they give."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from atrous.graph.capture import Inputs, capture
from atrous.lint.check import check
from atrous.lint.finding import Finding
from atrous.lint.rule import Setting, find_rule, lint_rules
from atrous.lint.subject import Declared, Subject


def linted(
    model: nn.Module,
    x: Inputs,
    *rules: str,
    declared: Mapping[str, Any] | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> list[Finding]:
    """What rules find, by default all of those that run without being asked for.

    Settings are for the first rule.
    """
    wanted = [find_rule(r) for r in rules] or [r for r in lint_rules().values() if r.default]
    subject = Subject(capture(model, x), model, Declared.of(declared or {}))
    return check(subject, wanted, {wanted[0].name: settings or {}})


def warnings_of(model: nn.Module, x: Inputs, *rules: str) -> list[str]:
    """The same as text."""
    return [str(f) for f in worse_than_notes(model, x, *rules)]


def worse_than_notes(
    model: nn.Module, x: Inputs, *rules: str, declared: Mapping[str, Any] | None = None
) -> list[Finding]:
    """What they find that is worse than a note."""
    return [f for f in linted(model, x, *rules, declared=declared) if f.severity != "note"]


def only(found: list[Finding]) -> Finding:
    """The one finding there is."""
    assert len(found) == 1, [str(f) for f in found]
    return found[0]


def mend(model: nn.Module, finding: Finding) -> nn.Module:
    """Put what the fix makes in the place of the module that the finding is about."""
    made = eval(finding.fix, {"nn": nn, "F": F, "torch": torch})
    if not finding.path:
        assert isinstance(made, nn.Module)
        return made
    model.set_submodule(finding.path, made)
    return model

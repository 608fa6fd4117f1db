"""Rules asked about a model, one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from atrous.graph.capture import Inputs, capture
from atrous.lint.check import check
from atrous.lint.finding import Finding
from atrous.lint.rule import find_rule
from atrous.lint.subject import Declared, Subject


def judged(
    code: str,
    model: nn.Module,
    x: Inputs,
    declared: Mapping[str, Any] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> list[Finding]:
    """What one rule says of a model."""
    rule = find_rule(code)
    subject = Subject(capture(model, x), model, Declared.of(declared or {}))
    return check(subject, [rule], {rule.name: settings or {}})


def warnings_of(
    code: str, model: nn.Module, x: Inputs, declared: Mapping[str, Any] | None = None
) -> list[Finding]:
    """The same without notes."""
    return [f for f in judged(code, model, x, declared) if f.severity != "note"]

"""Running lint rules in tests, and mending what they find with the code they give."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from atrous.graph.capture import Inputs, capture
from atrous.lint.check import check
from atrous.lint.finding import Finding
from atrous.lint.rule import LintRule, Setting, find_rule, lint_rules
from atrous.lint.subject import Declared, Subject

CHANGES_SHAPES = {"ATR202", "ATR402"}
"""Rules about the size or the place of a map: their fixes may change it."""


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


def assert_fix_mends(
    model: nn.Module,
    x: Inputs,
    rule: LintRule,
    finding: Finding,
    *,
    declared: Mapping[str, Any] | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> bool:
    """A fix that is a module stands in for the one it is about: the network still runs, nothing is
    found there any more, and what comes out has the same shape unless the rule is about shapes.

    Weights are kept where they fit. False where the fix is no module, or tells more to do.
    """
    ast.parse(finding.fix)
    if not finding.fix.startswith("nn.") or "#" in finding.fix.partition("\n")[0]:
        return False
    assert finding.fix.count("\n") == 0 or finding.fix.partition("\n")[2].startswith("# or"), (
        finding
    )
    old = model.get_submodule(finding.path)
    new = mend(deepcopy(model), finding)
    made = new.get_submodule(finding.path)
    assert repr(made) != repr(old), f"the fix changes nothing: {finding}"
    state, own = old.state_dict(), made.state_dict()
    if {k: v.shape for k, v in state.items()} == {k: v.shape for k, v in own.items()}:
        made.load_state_dict(state)
    made.to(next(old.parameters()).dtype).train(old.training)
    before = Subject(capture(model, x), model, Declared.of(declared or {}))
    after = Subject(capture(new, x), new, Declared.of(declared or {}))
    if rule.code not in CHANGES_SHAPES:
        shapes = [
            [p.nodes[n].shape for n in p.outputs.values()] for p in (before.program, after.program)
        ]
        assert shapes[0] == shapes[1], finding
    left = check(after, [rule], {rule.name: settings or {}})
    assert finding.path not in {f.path for f in left}, (str(finding), finding.fix, left)
    return True

"""What a lint rule is, and the registry of all."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from inspect import cleandoc
from pkgutil import iter_modules
from sys import modules
from typing import Any

from torch import nn

from atrous.graph.capture import Inputs
from atrous.graph.program import Node, nearest
from atrous.lint.finding import SEVERITIES, Number, Severity
from atrous.lint.subject import Subject

Setting = bool | int | float | str


@dataclass(frozen=True)
class Found:
    """What a rule yields: a finding without what the rule itself tells.

    Attributes:
        message: what is wrong and why it matters, with the numbers.
        node: the node it is about; None for the model as a whole.
        fix: code that can be pasted.
        numbers: what was measured.
        severity: where it differs from the rule's own.
        autofix: the public function that mends this case, where it differs from the rule's own.
        also: other nodes of which the same is said: one cause, told once.
        layers: the nodes that cause it, where that is known.
        path: the module it is about, where no node stands for it.
    """

    message: str
    node: Node | None = None
    fix: str = ""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    severity: Severity | None = None
    autofix: str | None = None
    also: tuple[Node, ...] = ()
    layers: tuple[Node, ...] = ()
    path: str = ""


@dataclass(frozen=True)
class Case:
    """A model to try a rule on.

    Attributes:
        model: the model.
        x: its input, or the input's shape.
        declared: what the user declares of it (see `Declared`).
        settings: the rule's settings.
        path: the module at which the finding must be, for a bad case.
    """

    model: nn.Module
    x: Inputs
    declared: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Setting] = field(default_factory=dict)
    path: str | None = None


Check = Callable[[Subject, Mapping[str, Any]], Iterator[Found]]


@dataclass(frozen=True)
class LintRule:
    """One rule.

    Attributes:
        code: as "ATR101"; the first digit tells the topic (see `TOPICS`).
        name: as "holes".
        severity: of its findings, if they do not say otherwise.
        check: yields what it finds, given the subject and the settings.
        page: the rule's page: the docstring of its file.
        settings: names and defaults; the type of a default is the type of its values.
        default: whether it runs without being asked for.
        autofix: the public function that mends what it finds.
        bad: models on which it must find something.
        good: models on which it must not.
        others: severities that its findings may have besides.
        limits: the smallest and largest value of settings that are numbers; from 0 on by default.
        per_output: whether it judges the way to one output, and is asked for each.
        includes: codes of rules whose findings are the same cause, where all the layers that cause
            them are among those of a finding of this one.
    """

    code: str
    name: str
    severity: Severity
    check: Check
    page: str
    settings: Mapping[str, Setting]
    default: bool
    autofix: str
    bad: Callable[[], Iterator[Case]]
    good: Callable[[], Iterator[Case]]
    others: tuple[Severity, ...] = ()
    limits: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    per_output: bool = True
    includes: tuple[str, ...] = ()

    @property
    def severities(self) -> tuple[Severity, ...]:
        """Those that its findings may have, the worst first."""
        return tuple(s for s in SEVERITIES if s == self.severity or s in self.others)

    @property
    def summary(self) -> str:
        """The first line of the page."""
        return self.page.splitlines()[0]


TOPICS = {
    "ATR1": "coverage: what one output reads inside its field",
    "ATR2": "borders and map size",
    "ATR3": "field size and cost",
    "ATR4": "alignment",
    "ATR5": "causality, streaming, tiling",
    "ATR6": "frequency",
    "ATR9": "legacy",
}

_RULES: dict[str, LintRule] = {}


def lint_rule(
    code: str,
    name: str,
    *,
    severity: Severity,
    bad: Callable[[], Iterator[Case]],
    good: Callable[[], Iterator[Case]],
    settings: Mapping[str, Setting] | None = None,
    default: bool = True,
    autofix: str = "",
    others: tuple[Severity, ...] = (),
    limits: Mapping[str, tuple[float, float]] | None = None,
    per_output: bool = True,
    includes: tuple[str, ...] = (),
) -> Callable[[Check], Check]:
    """Register a rule; the docstring of its file becomes its page.

    Raises:
        ValueError: if the code or the name is taken, or the code is of no topic.
    """
    if code[:4] not in TOPICS or len(code) != 6:
        raise ValueError(f"code must be one of {', '.join(TOPICS)} and two digits, got {code!r}.")
    for known in _RULES.values():
        if code == known.code or name == known.name:
            raise ValueError(f"rule must be new, got {code} {name}: {known.code} {known.name} is.")

    def register(check: Check) -> Check:
        page = cleandoc(modules[check.__module__].__doc__ or "")
        _RULES[code] = LintRule(
            code, name, severity, check, page, settings or {}, default, autofix, bad, good, others,
            limits or {}, per_output, includes,
        )  # fmt: skip
        return check

    return register


def lint_rules() -> dict[str, LintRule]:
    """All rules by code, in order."""
    from atrous.lint import rules

    for module in iter_modules(rules.__path__):
        import_module(f"{rules.__name__}.{module.name}")
    return dict(sorted(_RULES.items()))


def find_rule(code: str) -> LintRule:
    """A rule by its code or name.

    Raises:
        ValueError: if there is none; the message names the nearest.
    """
    known = lint_rules()
    for rule in known.values():
        if code in (rule.code, rule.name):
            return rule
    names = [*known, *(rule.name for rule in known.values())]
    meant = [name for name in names if name.lower() == code.lower()] or names
    raise ValueError(f"rule must be a code or a name, got {code!r}.{nearest(code, meant)}")


def selected(selectors: Iterable[str]) -> set[str]:
    """The codes that selectors name: "ALL", a code, a name, or the beginning of codes ("ATR1").

    Raises:
        ValueError: if a selector names nothing; the message names the nearest.
    """
    known = lint_rules()
    found: set[str] = set()
    for selector in selectors:
        if selector == "ALL":
            mine = set(known)
        else:
            mine = {c for c, r in known.items() if selector == r.name}
            if selector.startswith("ATR"):
                mine |= {c for c in known if c.startswith(selector)}
        begins = selector.upper()
        if not mine and begins.startswith("ATR") and any(c.startswith(begins) for c in known):
            raise ValueError(
                f"codes must be written in capitals, got {selector!r}. Did you mean {begins!r}?"
            )
        found |= mine or {find_rule(selector).code}
    return found

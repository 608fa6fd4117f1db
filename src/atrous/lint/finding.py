"""What a rule found: where, how bad, the numbers, and how to mend it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from atrous.shown import Shown

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")
"""From the worst to the mildest: an error is wrong whatever was meant, a warning is wrong in most
cases, a note is worth knowing. The names are those of SARIF."""

Number = int | float | str | bool | Sequence[int] | Sequence[float] | Sequence[str]


@dataclass(frozen=True)
class Finding(Shown):
    """One finding.

    Attributes:
        code: the rule's code, as "ATR101".
        severity: how bad it is.
        path: module path in the model; "" for the model as a whole.
        message: what is wrong and why it matters, in a sentence or two, with the numbers.
        fix: code that can be pasted; "" where there is none.
        name: the rule's name, as "holes".
        source: `file:line` of the call, for the whole model of its class; "" if unknown.
        made: `file:line` of the statement that makes the module; "" if it is not found.
        numbers: what was measured, for programs.
        autofix: the public function that mends it, as "redesign"; "" if there is none.
    """

    code: str
    severity: Severity
    path: str
    message: str
    fix: str = ""
    name: str = ""
    source: str = ""
    made: str = ""
    numbers: Mapping[str, Number] = field(default_factory=dict)
    autofix: str = ""

    @property
    def line(self) -> str:
        """`file:line` of what to change: where the module is made, else where it is called."""
        return self.made or self.source

    def __str__(self) -> str:
        where = self.path or "the model"
        return f"{self.code} {self.severity} at {where}: {self.message}"


def added(before: Iterable[Finding], after: Iterable[Finding]) -> int:
    """How many findings are new: of a rule at a place that had none, or not as many.

    >>> one, other = Finding("ATR101", "warning", "a", ""), Finding("ATR101", "warning", "b", "")
    >>> added([one], [one, other])
    1
    """
    known = Counter((finding.code, finding.path) for finding in before)
    return (Counter((finding.code, finding.path) for finding in after) - known).total()

"""What `atrous.redesign` returns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.text import Text
from torch import nn

from atrous.design.redesign.result import Change, Redesign
from atrous.design.redesign.state import State, state_of
from atrous.report.json.redesign import redesign_to_dict
from atrous.report.results.findings import Findings
from atrous.report.results.saving import printed, saved, saved_json
from atrous.report.text.findings import summary
from atrous.report.text.quantities import counted
from atrous.report.text.redesign import code_block, redesign_parts
from atrous.shown import InNotebooks

_WIDEST = 120


@dataclass(frozen=True, repr=False)
class Redesigned(InNotebooks):
    """A model without holes, what was changed for it, and the proof.

    Attributes:
        design: what was done, as data.
        lint_before: what lint finds in the model as it was.
        findings: what it finds in the changed one.
    """

    design: Redesign
    lint_before: Findings
    findings: Findings

    @property
    def model(self) -> nn.Module:
        """The changed model: a copy, of the same class, with the same weights by name and shape."""
        return self.design.model

    @property
    def changes(self) -> tuple[Change, ...]:
        """The layers that change; empty if there was nothing to mend."""
        return self.design.changes

    @cached_property
    def before(self) -> tuple[State, ...]:
        """What the judged values read in the model as it was."""
        return tuple(map(state_of, self.design.before))

    @cached_property
    def after(self) -> tuple[State, ...]:
        """What they read in the changed one."""
        return tuple(map(state_of, self.design.after))

    @property
    def title(self) -> str:
        """The model and its input."""
        return self.lint_before.title

    def code(self) -> str:
        """Lines that make the same changes to a model that is called `model`."""
        return "\n".join(edit.code for edit in self.design.edits)

    def script(self, path: str | Path | None = None) -> str:
        """A module with a function `apply(model)` that does so; also written to `path` if given."""
        name = self.lint_before.model
        slots = dict.fromkeys((edit.slot.path, edit.slot.name) for edit in self.design.edits)
        lines = [
            f'"""Dilations and paddings that leave {name} no holes, found by atrous.redesign."""',
            "",
            "",
            "def apply(model):",
            f'    """Change a {name} in place; its weights stay as they are."""',
            "    modules = dict(model.named_modules(remove_duplicate=False))",
            "    for path, setting in (",
            *(f"        {slot!r}," for slot in slots),
            "    ):",
            "        if not hasattr(modules.get(path), setting):",
            '            place = f"{path}.{setting}" if path else setting',
            "            raise ValueError(",
            f'                f"model must be a {name} with {{place!r}}, got a "',
            '                f"{type(model).__name__} without it. Use the model these changes "',
            '                "were found for."',
            "            )",
            *(f"    {line}" for line in self.code().splitlines()),
            "    return model",
        ]
        return saved("\n".join(lines) + "\n", path)

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return {
            **redesign_to_dict(self.design),
            "model": self.lint_before.model,
            "input": {"name": self.lint_before.input, "shape": list(self.lint_before.shape)},
            "lint": {"before": self.lint_before.to_dict(), "after": self.findings.to_dict()},
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text; also written to `path` if given."""
        return saved_json(self.to_dict(), path)

    def lint_lines(self) -> Iterator[RenderableType]:
        """What lint said before, and says now."""
        counts = Counter(f"{found.code} {found.name}" for found in self.lint_before)
        now = Counter(f"{found.code} {found.name}" for found in self.findings)
        mended = counts - now
        if mended:
            told = ", ".join(f"{name}" + (f" x{n}" if n > 1 else "") for name, n in mended.items())
            yield Text(f"lint: {counted(sum(mended.values()), 'finding')} mended, {told}")
        yield Text("lint after: ").append_text(_first(summary(self.findings.judgement)))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = min(options.max_width, _WIDEST)
        yield from redesign_parts(self.design, self.title, width)
        if self.changes:
            yield Text("")
            yield from self.lint_lines()
            yield Text("")
            yield Text("the changes as code:", style="dim")
            yield code_block(self.code().splitlines())

    def __str__(self) -> str:
        return "\n".join(line.rstrip() for line in printed(self).splitlines())

    __repr__ = __str__


def _first(lines: list[RenderableType]) -> Text:
    first = lines[0]
    assert isinstance(first, Text)
    return first

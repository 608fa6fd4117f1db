"""A redesign for the terminal: what changes, what is read before and after, the code."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from atrous.design.redesign.result import Change, Redesign
from atrous.design.redesign.state import State, state_of
from atrous.report.text.fields import joined
from atrous.report.text.pictures import picture
from atrous.report.text.quantities import counted
from atrous.report.text.tables import plain_table
from atrous.report.views.colours import HOLE

_UNTOLD = ("dilation", "_reversed_padding_repeated_twice")
"""Settings that the dilation and the padding tell."""
_ARROW = " → "
_NARROWEST = 24
"""Columns of a picture below which two have no room beside each other."""


def redesign_parts(found: Redesign, title: str, width: int) -> Iterator[RenderableType]:
    """The parts of a report.

    Args:
        found: what was done.
        title: the model and its input.
        width: columns for the pictures.
    """
    yield Text(title, style="italic")
    if not found.changes:
        yield Text("no holes: nothing to change", style="green")
        return
    yield Text(told(found))
    yield Text("")
    yield changes_table(found.changes)
    yield Text("")
    yield states_table(found)
    yield from pictures(found, width)


def told(found: Redesign) -> str:
    """What was done, in a sentence."""
    layers = counted(len(found.changes), "layer")
    why = "no smaller change does it" if found.is_least else "no smaller change was found"
    how = f" ({'; '.join(found.searched)})" if found.searched else ""
    return f"{layers} changed; {why}{how}"


def change_cells(change: Change) -> tuple[str, str, str, str]:
    """A layer, its kernel, its dilation, and the paddings that go with it."""
    beside = []
    for edit in change.edits:
        if edit.slot.path == change.path and edit.slot.name in _UNTOLD:
            continue
        own = edit.slot.path == change.path and edit.slot.name == "padding"
        key = "" if edit.slot.key is None else f"[{edit.slot.key!r}]"
        path = f"{edit.slot.path}." if edit.slot.path not in ("", change.path) else ""
        name = "" if own else f"{path}{edit.slot.name}{key} "
        beside.append(f"{name}{_short(edit.before)}{_ARROW}{_short(edit.after)}")
    dilation = f"{_short(change.before)}{_ARROW}{_short(change.after)}"
    return (
        change.label,
        _short(change.kernel_size, " x "),
        dilation,
        "\n".join(beside) or "by itself",
    )


def changes_table(changes: Sequence[Change]) -> Table:
    """One row per layer that changes."""
    table = plain_table()
    table.add_column("layer", overflow="fold")
    table.add_column("kernel", justify="right", no_wrap=True)
    table.add_column("dilation", no_wrap=True)
    table.add_column("padding", overflow="fold")
    for change in changes:
        table.add_row(*map(Text, change_cells(change)))
    return table


STATE_HEAD = ("value", "", "field", "read", "holes", "counts vary by")


def state_rows(found: Redesign) -> Iterator[tuple[str, str, str, str, str, str]]:
    """What is read, a row before and a row after for each value."""
    after = {(g.kind, g.output, g.node.label, g.source.label): state_of(g) for g in found.after}
    for goal in found.before:
        own = state_of(goal)
        mine = after.get((own.kind, own.output, own.node, own.reads))
        for k, (when, state) in enumerate((("before", own), ("after", mine))):
            if state is not None:
                yield _cells(state, when, first=k == 0)


def _cells(state: State, when: str, *, first: bool) -> tuple[str, str, str, str, str, str]:
    name = state.node if state.kind == "holes" else f"{state.node} of {state.reads}"
    nets = [factor for factor in state.factor if factor > 1]
    factor = f", every {joined(map(_ordinal, nets), ' x ')} position" if nets else ""
    return (
        name if first else "",
        when,
        joined(map(str, state.field), " x "),
        f"{state.density:.1%}{factor}",
        f"{state.holes:,}",
        f"{state.cv:.2f} of their mean",
    )


def states_table(found: Redesign) -> Table:
    """What is read before and after."""
    table = plain_table()
    for k, name in enumerate(STATE_HEAD):
        table.add_column(name, justify="right" if k in (2, 4) else "left", no_wrap=k > 0)
    for row in state_rows(found):
        table.add_row(*map(Text, row))
    return table


def pictures(found: Redesign, width: int) -> Iterator[RenderableType]:
    """The coverage of the first value that changes, before and after."""
    pair = _pictured(found)
    if pair is None:
        return
    before, after = pair
    flat = before.cover.counts.ndim == 1
    half = width if flat else (width - 4) // 2
    texts = []
    for when, state in (("before", before), ("after", after)):
        text = Text(f"{when}\n")
        text.append(picture(state.cover, width=max(half, _NARROWEST)))
        text.highlight_regex(r"[·▚]+", style=HOLE)
        text.no_wrap = True
        texts.append(text)
    yield Text("")
    if flat or half < _NARROWEST:
        yield Group(texts[0], Text(""), texts[1])
        return
    grid = Table.grid(padding=(0, 4, 0, 0))
    grid.add_row(*texts)
    yield grid


def _pictured(found: Redesign) -> tuple[State, State] | None:
    pairs = [
        (own, other)
        for own in found.before
        for other in found.after
        if (own.kind, own.output, own.node.label) == (other.kind, other.output, other.node.label)
        and not own.is_met
    ]
    return (state_of(pairs[0][0]), state_of(pairs[0][1])) if pairs else None


def code_block(lines: Iterable[str]) -> RenderableType:
    """Lines of Python, indented; each ends where its text does, as they are copied."""
    code = Syntax("", "python", theme="ansi_dark").highlight("\n".join(lines))
    code.rstrip()
    return Group(*(Padding(row, (0, 0, 0, 2), expand=False) for row in code.split()))


def _ordinal(number: int) -> str:
    """A number as a place in a row: 2nd, 3rd, 12th."""
    teen = number % 100 in (11, 12, 13)
    return f"{number}{'th' if teen else {1: 'st', 2: 'nd', 3: 'rd'}.get(number % 10, 'th')}"


def _short(value: Any, between: str = ", ") -> str:
    """One number where all are the same."""
    if not isinstance(value, tuple):
        return str(value)
    return joined(map(str, value), between)

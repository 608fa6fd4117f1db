"""Designs side by side, as a table, as bars and as JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from atrous.analysis.cost.comparison import Design
from atrous.analysis.cost.shifts import ShiftError
from atrous.report.json.cost import costs_to_dict
from atrous.report.json.inspection import field_to_dict
from atrous.report.results.saving import printed, saved_json
from atrous.report.text import quantities as q
from atrous.report.text.fields import size_text, stride_text
from atrous.report.text.tables import plain_table
from atrous.shown import InNotebooks

SCHEMA = "atrous.compare/1"
_BAR_WIDTH = 40
_NAME_WIDTH = 30

Cells = list[tuple[str, str]]
"""Per design: what is shown, and its ratio to the first."""


@dataclass(frozen=True, repr=False)
class Comparison(InNotebooks):
    """What `atrous.compare` returns: prints as a table with a column per design.

    Attributes:
        designs: the designs, in the order given; ratios refer to the first.
        shifts: the shifts of the input that were tried.
        device: where time was measured, and with how many threads; "" if it was not.
    """

    designs: tuple[Design, ...]
    shifts: tuple[int, ...]
    device: str = ""

    def __getitem__(self, name: str) -> Design:
        """A design by its name.

        Raises:
            KeyError: if there is none of that name.
        """
        for design in self.designs:
            if design.name == name:
                return design
        known = ", ".join(repr(design.name) for design in self.designs)
        raise KeyError(f"design must be one of {known}, got {name!r}.")

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return {
            "schema": SCHEMA,
            "device": self.device,
            "designs": [_design_to_dict(design, self.shifts) for design in self.designs],
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text; also written to `path` if given."""
        return saved_json(self.to_dict(), path)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        endless = options.update(max_width=10_000)
        first, rest = self.designs[0], list(self.designs[1:])
        # The first design is in every table, and as many others as there is room for.
        while True:
            some = len(rest)
            while some > 1 and (
                console.measure(self._table([first, *rest[:some]]), options=endless).maximum
                > options.max_width
            ):
                some -= 1
            yield self._table([first, *rest[:some]])
            rest = rest[some:]
            if not rest:
                break
            yield Text("")
        yield Text("")
        bars = list(self._bars())
        yield from (*bars, Text("")) if bars else ()
        yield from (Text(line, style="dim") for line in self._notes())

    def _rows(self, designs: Sequence[Design]) -> Iterator[tuple[str, Cells]]:
        def ratios(value: Callable[[Design], float | None], show: Callable[[Any], str]) -> Cells:
            values = [value(design) for design in designs]
            return [
                ("?", "")
                if v is None
                else (show(v), "" if k == 0 or not values[0] else q.ratio(v, values[0]))
                for k, v in enumerate(values)
            ]

        def words(value: Callable[[Design], str]) -> Cells:
            return [(value(design), "") for design in designs]

        yield "field", words(lambda d: size_text(d.field) if d.field else "reads no input")
        yield "  of it read", words(lambda d: "?" if d.read is None else q.share(d.read))
        yield "output", words(lambda d: "x".join(map(str, d.output_shape)))
        yield "  stride", words(lambda d: stride_text(d.field) if d.field else "-")
        yield "weights", ratios(lambda d: d.cost.weights, q.number)
        yield "  and biases", words(lambda d: q.number(d.cost.biases))
        yield "MACs", ratios(lambda d: d.cost.macs, q.number)
        yield "memory needed", ratios(lambda d: d.cost.inference, q.size)
        yield "  held by eager", ratios(lambda d: d.cost.eager, q.size)
        yield "  kept to train", ratios(_saved, q.size)
        yield "  peak, training", ratios(_peak, q.size)
        if any(design.time for design in designs):
            yield "time", ratios(_median, q.seconds)
            yield (
                "  quartiles",
                words(
                    lambda d: (
                        f"{q.seconds(d.time.low)} to {q.seconds(d.time.high)}" if d.time else "?"
                    )
                ),
            )
        for k, shift in enumerate(self.shifts):
            yield f"error, shift {shift}", words(lambda d, k=k: _shift_text(d.shifts[k]))  # type: ignore[misc]

    def _table(self, designs: Sequence[Design]) -> Table:
        table = plain_table()
        table.add_column("")
        for design in designs:
            table.add_column(
                Text(design.name), justify="right", overflow="fold", max_width=_NAME_WIDTH
            )
            table.add_column("", justify="left", style="dim", no_wrap=True)
        for title, cells in self._rows(designs):
            table.add_row(title, *(part for cell in cells for part in cell))
        return table

    def _bars(self) -> Iterator[Text]:
        """The costs that differ, as bars."""
        kinds: list[tuple[str, Callable[[Design], float | None]]] = [
            ("weights", lambda d: d.cost.weights),
            ("MACs", lambda d: d.cost.macs),
            ("memory", lambda d: d.cost.inference),
            ("time", _median),
        ]
        names = [abbreviated(design.name, _NAME_WIDTH) for design in self.designs]
        widest = max(map(len, names))
        for title, value in kinds:
            values = [value(design) or 0 for design in self.designs]
            if len(set(values)) < 2:
                continue
            for k, (name, v) in enumerate(zip(names, values, strict=True)):
                head = f"{title if k == 0 else '':8s}{name:>{widest}} "
                yield Text.assemble(head, (q.bar(v, max(values), _BAR_WIDTH), "cyan"))

    def _notes(self) -> Iterator[str]:
        yield (
            f"ratios are to {self.designs[0].name}; memory is that of activations: needed where "
            "each value is freed after its last reader, held by an eager call, kept by autograd"
        )
        errors = [error for d in self.designs for error in d.shifts if error is not None]
        if errors:
            yield "error of f(shifted input) against f(input) shifted, relative, clear of borders"
        if any(error.between for error in errors):
            yield "* the shift falls between outputs; the neighbour that fits best is taken"
        if any(error.whole for error in errors):
            yield "+ the output reads an axis whole; borders and what wraps around take part"
        if any(error is None for d in self.designs for error in d.shifts):
            yield "? no output is clear of the border, or the model has several inputs or rates"
        if self.device:
            yield f"time: median of samples taken in turns, {self.device}"
        for design in self.designs:
            if design.cost.untrainable:
                yield f"{design.name}: training not known, {design.cost.untrainable}"
            if design.cost.unknown:
                yield f"{design.name}: MACs without {', '.join(design.cost.unknown)} (no rule)"

    def __str__(self) -> str:
        return printed(self)

    __repr__ = __str__


def abbreviated(name: str, width: int) -> str:
    """A name that fits, its beginning left out if need be."""
    return name if len(name) <= width else "…" + name[len(name) - width + 1 :]


def _saved(design: Design) -> int | None:
    return None if design.cost.training is None else design.cost.training.saved


def _peak(design: Design) -> int | None:
    return None if design.cost.training is None else design.cost.training.peak


def _median(design: Design) -> float | None:
    return None if design.time is None else design.time.median


def _shift_text(error: ShiftError | None) -> str:
    if error is None:
        return "?"
    marks = " *" * error.between + " +" * error.whole
    return ("none" if error.exact else q.share(error.error)) + marks


def _design_to_dict(design: Design, shifts: Sequence[int]) -> dict[str, Any]:
    return {
        "name": design.name,
        "output": {"label": design.output, "shape": list(design.output_shape)},
        "field": None if design.field is None else field_to_dict(design.field),
        "read": design.read,
        "cost": costs_to_dict(design.cost),
        "shifts": [
            {"shift": shift, **(vars(error) if error is not None else {"error": None})}
            for shift, error in zip(shifts, design.shifts, strict=True)
        ],
        "time": None if design.time is None else vars(design.time),
    }

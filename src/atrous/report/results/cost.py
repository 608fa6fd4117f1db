"""What a model costs, as a table and as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from atrous.analysis.cost.cost import Costs
from atrous.report.json.cost import costs_to_dict, nodes_to_list
from atrous.report.results.saving import printed, saved_json
from atrous.report.text import quantities as q
from atrous.report.text.tables import plain_table
from atrous.shown import InNotebooks

SCHEMA = "atrous.cost/1"
_PROFILE_WIDTH = 60


@dataclass(frozen=True, repr=False)
class Cost(Costs, InNotebooks):
    """What `atrous.cost` returns: prints as a table of modules, and saves itself as JSON."""

    def table(self, depth: int = 1) -> Table:
        """A row per module cut at `depth`."""
        table = plain_table()
        table.add_column("module", overflow="fold")
        for title in ("nodes", "params", "MACs", "share", "made", "held", "kept"):
            table.add_column(title, justify="right", no_wrap=True)
        for row in self.modules(depth):
            saved = "?" if row.saved is None else _bytes(row.saved)
            table.add_row(
                Text(row.path or "(outside modules)"),
                str(row.nodes) if row.nodes else "",
                q.count(row.parameters),
                q.count(row.macs),
                q.share(row.macs / self.macs) if row.macs else "",
                _bytes(row.allocated),
                _bytes(row.live),
                saved,
            )
        return table

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, strings and numbers, with a schema version."""
        return {"schema": SCHEMA, **costs_to_dict(self), "nodes": nodes_to_list(self)}

    def to_json(self, path: str | Path | None = None) -> str:
        """The same as JSON text; also written to `path` if given."""
        return saved_json(self.to_dict(), path)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        shapes = ", ".join(f"{n} {'x'.join(map(str, s))}" for n, s in self.input_shapes.items())
        yield Text(f"{self.model} on {shapes}", style="italic")
        yield self.table()
        yield Text("")
        yield from map(Text, self._summary(options.max_width))
        yield Text(
            "made: bytes that come into being; held: most at one time, freed after the last "
            "reader; kept: by autograd for the backward pass",
            style="dim",
        )

    def _summary(self, width: int) -> list[str]:
        least = "at least " if self.unknown else ""
        lines = [
            f"{q.counted(self.parameters, 'parameter')} ({q.size(self.weight_bytes)}), "
            f"{self.biases:,} of them biases; {least}{q.number(self.macs)} MACs"
            + (f", and {q.number(self.constant_macs)} on constants" if self.constant_macs else "")
        ]
        inference = f"activations in inference: {q.size(self.inference)} needed, at {self.widest}"
        if self.eager is not None:
            inference += f"; eager PyTorch holds {q.size(self.eager)}"
        lines.append(inference)
        profile = q.profile([node.live for node in self.nodes], min(_PROFILE_WIDTH, width - 22))
        lines.append(f"  from input to output {profile}")
        if self.training is None:
            lines.append(f"activations in training: not known ({self.untrainable})")
        else:
            lines.append(
                f"activations in training: {q.size(self.training.saved)} kept for the backward "
                f"pass, {q.size(self.training.peak)} at the peak with gradients"
            )
        if self.unknown:
            lines.append(f"not counted, for want of a rule: {', '.join(self.unknown)}")
        return lines

    def __str__(self) -> str:
        return printed(self)

    __repr__ = __str__


def _bytes(value: int) -> str:
    return q.size(value) if value else ""

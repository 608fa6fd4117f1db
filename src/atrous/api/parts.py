"""What a report holds besides the inspection, asked for one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from atrous.analysis.cost.cost import costs
from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.coverage.question import coverage
from atrous.analysis.effective.effective import EffectiveField
from atrous.analysis.inspection import Inspection
from atrous.analysis.kernels import kernels
from atrous.analysis.spectrum.spectrum import spectrum
from atrous.analysis.stages import stage_label, stages
from atrous.api.effective import effective_field
from atrous.graph.capture import Inputs, floating_type, is_shape, only_shapes
from atrous.graph.program import Node, Program
from atrous.graph.shell import CaptureError
from atrous.lint.judgement import judge
from atrous.lint.settings import Settings
from atrous.lint.subject import Subject
from atrous.report.parts import Parts, Stage

Told = TypeVar("Told")
_REFUSALS = (
    ValueError, LookupError, NotImplementedError, CaptureError, MemoryError
)  # fmt: skip
"""How an analysis says that it has no answer for this model."""


@dataclass(frozen=True, eq=False)
class Gathering:
    """Asks every analysis about a captured model; a part without an answer leaves its reason.

    Attributes:
        program: the captured model.
        model: the model.
        x: the input it was captured on.
        inspection: what is known of its nodes.
        effective: how many random batches effective fields are measured on; 0 for none.
    """

    program: Program
    model: nn.Module | ExportedProgram
    x: Inputs
    inspection: Inspection
    effective: int = 0
    _missing: dict[str, str] = field(default_factory=dict)

    def __call__(self) -> Parts:
        """All parts."""
        module = self.model if isinstance(self.model, nn.Module) else None
        subject = Subject(self.program, module, input=self.inspection.input)
        return Parts(
            judgement=self._asked("findings", lambda: judge(subject, Settings(severity="note"))),
            costs=self._asked("cost", lambda: costs(self.program, self.model, self.x)),
            stages=tuple(self._stages()),
            spectrum=self._asked(
                "spectrum",
                lambda: spectrum(self.program, self.inspection.model, input=self.inspection.input),
            ),
            kernels=kernels(self.program),
            missing=self._missing,
        )

    def _asked(self, part: str, ask: Callable[[], Told]) -> Told | None:
        try:
            return ask()
        except _REFUSALS as error:
            # The text of a KeyError would be quoted.
            told = str(error.args[0]) if error.args else type(error).__name__
            self._missing.setdefault(part, told)
            return None

    def _stages(self) -> list[Stage]:
        found = []
        for name in stages(self.inspection):
            node = self.program.nodes[name]
            seen = self._asked("coverage", lambda node=node: self._coverage(node))  # type: ignore[misc]
            if seen is None or not seen.counts.size:
                continue
            measured = None
            if self.effective:
                measured = self._asked(
                    "effective field",
                    lambda node=node, seen=seen: self._effective(node, seen),  # type: ignore[misc]
                )
            found.append(Stage(name, stage_label(self.inspection, name), seen, measured))
        return found

    def _coverage(self, node: Node) -> Coverage:
        told = self.inspection
        return coverage(self.program, node, input=told.input, axes=told.axes, local=True)

    def _effective(self, node: Node, seen: Coverage) -> EffectiveField:
        # The module's own value where the node is that: then the model itself runs.
        labelled = self.program.find(node.label) is node if node.place.label else False
        kind = floating_type(self.model) if isinstance(self.model, nn.Module) else None
        return effective_field(
            self.model,
            _drawn(self.x, self.effective, kind),
            node=node.label if labelled else node.name,
            input=self.inspection.input,
            axes=self.inspection.axes,
            at=[own[0] for own in seen.at],
            unpack=lambda item: item,
            progress=False,
        )


def _drawn(x: Inputs, batches: int, kind: torch.dtype | None) -> list[Any]:
    """Batches of standard normal numbers in the place of every float tensor of an input."""
    random = torch.Generator().manual_seed(0)
    plain = isinstance(x, Mapping) and not only_shapes(x)

    def like(value: Any) -> Any:
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                return value
            return torch.randn(value.shape, generator=random).to(value.dtype)
        if isinstance(value, Mapping):
            return {key: like(item) for key, item in value.items()}
        if isinstance(value, tuple | list):
            if is_shape(value):
                if plain:
                    return value
                return torch.randn(tuple(value), generator=random).to(
                    kind or torch.get_default_dtype()
                )
            return tuple(map(like, value))
        return value

    return [like(x) for _ in range(batches)]

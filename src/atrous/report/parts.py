"""What a report holds besides the inspection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from atrous.analysis.cost.cost import Costs
from atrous.analysis.coverage.coverage import Coverage
from atrous.analysis.effective.effective import EffectiveField
from atrous.analysis.kernels import KernelUse
from atrous.analysis.spectrum.spectrum import Spectrum
from atrous.lint.judgement import Judgement


@dataclass(frozen=True)
class Stage:
    """One node along the depth, looked into.

    Attributes:
        name: the node.
        label: what to call it.
        coverage: the routes from its central output to the input, along the ways that read nothing
            whole.
        effective: how much each input position weighs for the same output; None if not measured.
    """

    name: str
    label: str
    coverage: Coverage
    effective: EffectiveField | None = None


@dataclass(frozen=True)
class Parts:
    """Findings, cost, stages, spectrum and kernels of a model.

    Attributes:
        judgement: what lint says; None if it could not be told.
        costs: what it costs; None likewise.
        stages: a dozen nodes along the depth, in order.
        spectrum: what its layers pass; None likewise.
        kernels: its distinct windows.
        missing: what could not be told, and why: "cost" -> reason.
    """

    judgement: Judgement | None = None
    costs: Costs | None = None
    stages: tuple[Stage, ...] = ()
    spectrum: Spectrum | None = None
    kernels: tuple[KernelUse, ...] = ()
    missing: Mapping[str, str] = field(default_factory=dict)

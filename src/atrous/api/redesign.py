"""Models with holes made hole-free, judged before and after."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from atrous.api.arguments import check_depends, one_of_both
from atrous.api.lint import findings, settings_of
from atrous.design.redesign.redesign import redesigned
from atrous.graph.capture import Inputs, capture
from atrous.graph.program import Program
from atrous.lint.finding import added
from atrous.report.results.findings import Findings
from atrous.report.results.redesign import Redesigned


def redesign(
    model: nn.Module,
    x: Inputs,
    *,
    node: str | None = None,
    input: str | None = None,
    output: str | None = None,
    smaller_field: bool = False,
    settings: str | Path | Mapping[str, Any] | None = None,
) -> Redesigned:
    """The same model with dilations that leave no holes, and the field it has.

    Dilations and the paddings that go with them are all that changes: as few layers as can be, then
    by as little as can be. Maps keep their lengths, values their places, causal layers their side;
    weights keep their names and shapes, so that a trained model can be trained on. Where no
    dilations give the same field without holes, the next larger one is taken.

    A change counts only once the changed model has been captured and measured: every output has
    its shape, its field no holes, in all dimensions and phases, and `atrous.lint` finds nothing of
    the kind, and nothing new if that can be had.

    Args:
        model: a module; it stays as it is.
        x: an input, as in `receptive_field`. Its values do not matter.
        node: mend what this module or node reads, instead of the outputs.
        input: the name of the input that is read; by default the first.
        output: the label of the output to mend; by default all that read it.
        smaller_field: where layers in a row cannot read the field without holes, whatever their
            dilations, give them the largest that they can, instead of an error.
        settings: what `lint` goes by, as there.

    Returns:
        A `Redesigned`: `.model`, `.changes`, `.before` and `.after`, `.findings`, `.code()`,
        `.script()`, `.to_json()`; it prints itself. Without holes, an unchanged copy.

    Raises:
        RedesignError: if no dilations do it, with what was tried and what would help.
        KeyError: if there is no such node, input or output.
        ValueError: if node and output are both given, the output does not depend on the input, or
            an operator on the way has no rule.
        TypeError: if the model is no module.
        CaptureError: if it cannot run on `x`, be exported or be copied.

    Example:
        >>> from torch import nn
        >>> net = nn.Sequential(*(nn.Conv1d(4, 4, 3, dilation=d, padding=d) for d in (2, 2, 2)))
        >>> mended = redesign(net, (1, 4, 64))
        >>> print(mended.code())
        model[0].dilation = (1,)
        model[0].padding = (1,)
        model[2].dilation = (3,)
        model[2].padding = (3,)
        >>> mended.before[0].field, mended.after[0].field, mended.after[0].holes
        ((13,), (13,), 0)
    """
    if not isinstance(model, nn.Module):
        raise TypeError(
            f"model must be a torch.nn.Module, got {type(model).__name__}. Redesign the module "
            "that it was exported from."
        )
    one_of_both(node, output)
    program = capture(model, x)
    target = program.find(node) if node is not None else None
    if node is not None or output is not None:
        check_depends(
            program,
            target or program.output(output),
            input=input,
            node=node,
            output=output,
        )
    asked = settings_of(settings)
    judge = partial(findings, asked=asked, input=input, output=output)
    before = judge(program, model)
    judged: dict[int, Findings] = {}

    def wrong(made: nn.Module, captured: Program) -> int:
        judged[id(made)] = judge(captured, made)
        return added(before, judged[id(made)])

    design = redesigned(
        program,
        model,
        x,
        input=input,
        outputs=(output,) if output is not None else (),
        node=target,
        smaller=smaller_field,
        accept=wrong,
    )
    return Redesigned(design, before, judged.get(id(design.model), before))

"""What the model costs, by module and over its depth."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from atrous.analysis.cost.cost import Costs, ModuleCost
from atrous.report.page.markup import bar, card, section, sortable, text
from atrous.report.text.quantities import count, counted, share, size

_MOST_ROWS = 32
_MOST_POINTS = 400

_HEAD = (
    ("module", "path of the module", False),
    ("nodes", "operations in it", True),
    ("params", "parameters that are read here first", True),
    ("MACs", "multiply-accumulate operations", True),
    ("made", "bytes of activations that come into being here", True),
    ("held", "the most bytes of activations held at one time meanwhile", True),
    ("kept", "bytes that training keeps for the backward pass", True),
)

_COLUMNS: tuple[tuple[Callable[[ModuleCost], int | None], Callable[[int], str], bool], ...] = (
    (lambda row: row.parameters, count, True),
    (lambda row: row.macs, count, True),
    (lambda row: row.allocated, size, True),
    (lambda row: row.live, size, False),
    (lambda row: row.saved, size, True),
)


def cost(found: Costs | None, missing: str = "") -> str:
    """The section."""
    if found is None:
        return section("cost", "Cost", f'<p class="note">not known: {text(missing)}</p>')
    rows = found.modules(_depth(found))
    table = sortable("cost-table", _HEAD, [_row(row, rows) for row in rows], "cost by module")
    lead = (
        "Memory is that of activations: no parameters, and nothing that an operator needs inside "
        "itself. Values are freed after their last reader. Numbers with k, M, G are rounded; point "
        "at one to read it whole."
    )
    body = f'<ul class="cards">{"".join(_cards(found))}</ul>{_profile(found)}{table}'
    if found.training is None:
        body += f'<p class="note">training not known: {text(found.untrainable)}</p>'
    if found.unknown:
        body += (
            f'<p class="warn">not counted, for want of a rule: {text(", ".join(found.unknown))}</p>'
        )
    return section("cost", "Cost", body, lead)


def _cards(found: Costs) -> list[str]:
    least = "at least " if found.unknown else ""
    cards = [
        card("weights", size(found.weight_bytes), counted(found.parameters, "parameter")),
        card("MACs", count(found.macs) or "0", f"{least}{found.macs:,}"),
        card("inference", size(found.inference), f"needed, at {found.widest}"),
    ]
    if found.eager is not None:
        cards.append(card("eager PyTorch", size(found.eager), "held while Python names values"))
    if found.training is not None:
        saved, peak = found.training.saved, found.training.peak
        cards.append(card("training", size(peak), f"at the peak; {size(saved)} kept for backward"))
    else:
        cards.append(card("training", "not known", "see below"))
    return cards


def _depth(found: Costs) -> int:
    """The deepest level of modules with a readable number of rows."""
    deepest = max((len(node.calls) for node in found.nodes), default=1)
    depth = 1
    while depth < deepest and len(found.modules(depth + 1)) <= _MOST_ROWS:
        depth += 1
    return depth


def _row(row: ModuleCost, rows: tuple[ModuleCost, ...]) -> str:
    cells = "".join(
        _bar([value(other) for other in rows], value(row), show, adds_up)
        for value, show, adds_up in _COLUMNS
    )
    name = text(row.path or "(outside modules)")
    return (
        f'<tr><th scope="row">{name}</th><td class="n" data-v="{row.nodes}">{row.nodes}</td>'
        f"{cells}</tr>"
    )


def _bar(
    all_values: list[int | None], value: int | None, show: Callable[[int], str], adds_up: bool
) -> str:
    """A number beside a bar that is longest for the largest of its column."""
    if value is None:
        return '<td class="bars" data-v="-1" title="not known">?</td>'
    known = [v for v in all_values if v is not None]
    whole, largest = sum(known), max(known)
    told = f"{value:,}"
    if adds_up and value:
        told += f": {share(value / whole)} of all"
    shown = bar(value / largest if largest else 0.0, show(value) if value else "")
    return f'<td class="bars" data-v="{value}" title="{text(told)}">{shown}</td>'


def _profile(found: Costs) -> str:
    """Bytes held over the order of computation."""
    held = [node.live for node in found.nodes]
    top = max(held, default=0)
    if not top:
        return ""
    columns = min(_MOST_POINTS, len(held))
    edges = [len(held) * k // columns for k in range(columns + 1)]
    tops = [max(held[a:b]) for a, b in pairwise(edges)]
    steps = "".join(f"H{k}V{100 - 100 * t / top:.1f}H{k + 1}" for k, t in enumerate(tops))
    return (
        '<figure class="profile"><svg viewBox="0 0 '
        f'{columns} 100" preserveAspectRatio="none" role="img" aria-label="activations held over '
        f'the order of computation, up to {size(top)}"><path d="M0 100{steps}V100z"/></svg>'
        f"<figcaption>Activations held, from input to output: up to {size(top)} at "
        f"<code>{text(found.widest)}</code></figcaption></figure>"
    )

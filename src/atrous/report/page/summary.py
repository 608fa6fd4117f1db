"""The first things to know: size, stride, what is read, cost, status."""

from __future__ import annotations

from math import prod

from atrous.analysis.fields.field import AxisField, Field
from atrous.analysis.inspection import Inspection
from atrous.lint.finding import SEVERITIES
from atrous.report.page.markup import card, crossed, section, text
from atrous.report.parts import Parts
from atrous.report.text.fields import describe_field, joined, place_cells, titled_fields
from atrous.report.text.quantities import count, counted, share, size

_MOST_APART = 3
_TO = "\u2013"
_PLUS = "\u00a0+\u00a0"
"""Not broken over lines."""
_MEANING = {
    "exact": "to the last position",
    "bound": "no more than this",
    "global": "an operator reads all",
    "unknown": "an operator has no rule",
}


def summary(found: Inspection, parts: Parts) -> str:
    """Cards of the first output, and a sentence per output."""
    titled = titled_fields(found)
    cards = (
        _field_cards(titled[0][1], found, parts)
        if titled
        else [card("field", "none", f"no output depends on {found.input}", "bad")]
    )
    cards += _cost_cards(found, parts)
    if parts.judgement is not None:
        cards.append(_findings_card(parts))
    told = "".join(
        f"<p>{text(describe_field(field, title).plain)}</p>".replace("\n", "<br>")
        for title, field in titled
    )
    return section(
        "summary", "Summary", f'<ul class="cards">{"".join(cards)}</ul>{told}{_notes(found)}'
    )


def _field_cards(field: Field, found: Inspection, parts: Parts) -> list[str]:
    lengths = crossed(axis.length for axis in field.axes)
    sizes = _sizes(field)
    note = f"of an input of {lengths}"
    told, where = field, ""
    if field.status == "global":
        bounded = any(moving(axis) for axis in field.axes)
        last = found.row(parts.stages[-1].name).field if parts.stages else None
        note = "and, by a global operator, all" if bounded else f"{lengths} positions"
        if not bounded and last is not None:
            # Behind a global operator, what was there before it is worth telling.
            told, where = last, f", at {_last(parts)}"
            note += f"; {_bounded(last)} before that{where}"
        sizes = _bounded(field)
    cards = [card("field", sizes, note)]
    strides = joined((place_cells(axis)[1] for axis in told.axes), ", ")
    cards.append(card("stride", strides, f"input steps per output step{where}"))
    cards.append(_reach_card(told, where))
    if parts.stages:
        seen = parts.stages[-1].coverage
        holes = prod(seen.span) - int(seen.read.sum())
        is_output = parts.stages[-1].name in found.outputs.values()
        span = "of the span" if is_output else f"of the span at {_last(parts)}"
        note = f"{span}; {counted(holes, 'hole') if holes else 'no holes'}"
        cards.append(card("read", share(seen.density), note, "bad" if holes else ""))
    cause = next((axis.cause for axis in field.axes if axis.status == field.status), "")
    about = _MEANING.get(field.status, "") + (f": {cause}" if cause else "")
    cards.append(card("status", field.status, about, f"status-{field.status}"))
    return cards


def _reach_card(field: Field, where: str) -> str:
    """Before and after the output's own position: once where all axes agree, else one by one."""
    told = [place_cells(axis)[3].replace("+", _PLUS) for axis in field.axes]
    note = "before + after its own position"
    if len(set(told)) > 1:
        note += f", along axes {', '.join(str(axis.axis) for axis in field.axes)}"
    return card("reach", joined(told, ", "), note + where)


def _bounded(field: Field) -> str:
    return _sizes(field).replace("all, ", "")


def _sizes(field: Field) -> str:
    """The size per axis; once where all axes agree and it would be long."""
    told = [place_cells(axis)[0] for axis in field.axes]
    told = [t if t == "-" else t.replace("-", _TO) for t in told]
    plain = all(t.isdigit() for t in told)
    return crossed(dict.fromkeys(told) if len(set(told)) == 1 and not plain else told)


def _last(parts: Parts) -> str:
    return parts.stages[-1].label


def _cost_cards(found: Inspection, parts: Parts) -> list[str]:
    least = "at least " if found.unknown else ""
    cards = [
        card("parameters", count(found.parameters) or "0", f"{found.parameters:,}"),
        card("MACs", count(found.macs) or "0", f"{least}{found.macs:,}"),
    ]
    costs = parts.costs
    if costs is not None:
        training = "" if costs.training is None else f"; {size(costs.training.saved)} kept to train"
        cards.append(card("memory", size(costs.inference), f"activations in inference{training}"))
    return cards


def _findings_card(parts: Parts) -> str:
    assert parts.judgement is not None
    told = {s: sum(f.severity == s for f in parts.judgement.findings) for s in SEVERITIES}
    words = ", ".join(counted(n, s) for s, n in told.items() if n)
    style = "bad" if told["error"] or told["warning"] else ""
    return card("findings", str(sum(told.values())), words or "nothing to mend", style)


def _notes(found: Inspection) -> str:
    notes = _apart(found)
    reasons: dict[str, list[str]] = {}
    for node, reason in found.unknown:
        reasons.setdefault(reason, []).append(node)
    for reason, nodes in reasons.items():
        more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
        notes += (
            f'<p class="warn">unknown: {text(reason)} (at {text(nodes[0])}{more}); teach it with '
            "<code>atrous.rule</code></p>"
        )
    if len(found.inputs) > 1:
        notes += f'<p class="note">Fields of nodes refer to input {text(repr(found.input))}.</p>'
    return notes


def _apart(found: Inspection) -> str:
    """Branches that meet out of step; many are folded away."""
    told = dict.fromkeys(
        f'<p class="warn">out of step: {text(m)} <span class="note">{text(m.source)}</span></p>'
        for m in found.misalignments
    )
    if len(told) <= _MOST_APART:
        return "".join(told)
    return (
        f'<details><summary class="warn">Branches meet out of step at {counted(len(told), "place")}'
        f"</summary>{''.join(told)}</details>"
    )


def moving(axis: AxisField) -> AxisField | None:
    """The field along the ways on which nothing is read whole; None if there are none."""
    own = axis.local if axis.status == "global" else axis
    return own if own is not None and own.status in ("exact", "bound") else None

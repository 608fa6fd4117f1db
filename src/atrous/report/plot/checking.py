"""What a picture was given must be what it draws; else the error says what draws it."""

from __future__ import annotations

_DRAWN_BY = {
    "Coverage": "atrous.plot.coverage",
    "RouteTree": "atrous.plot.stack",
    "Report": "atrous.plot.growth",
    "Inspection": "atrous.plot.growth",
    "LinearMap": "atrous.plot.matrix",
    "EffectiveField": "atrous.plot.effective_field",
    "SpectrumReport": "atrous.plot.spectrum",
    "Spectrum": "atrous.plot.spectrum",
    "LayerSpectrum": "atrous.plot.spectrum",
    "Comparison": "atrous.plot.cost",
    "Cost": "atrous.plot.cost, in a dict by name",
    "IndexMap": "atrous.plot.index_map",
    "Plan": "atrous.plot.schedule",
    "Schedule": "atrous.plot.schedule",
}


def check_drawn(name: str, value: object, kinds: tuple[type, ...], made_by: str) -> None:
    """Check that a value is of a kind that a picture draws.

    Args:
        name: what the argument is called.
        value: what was given.
        kinds: what it may be, the usual one first.
        made_by: the call that makes the usual one.

    Raises:
        TypeError: if it is of another kind; it says what draws that, or what to call.
    """
    if isinstance(value, kinds):
        return
    got = type(value).__name__
    other = _DRAWN_BY.get(got)
    advice = f"Draw {got} with {other}." if other else f"Pass what {made_by} returns."
    kind = kinds[0].__name__
    article = "an" if kind[0] in "AEIOU" else "a"
    raise TypeError(
        f"{name} must be {article} {kind}, which {made_by} returns, got {got}. {advice}"
    )

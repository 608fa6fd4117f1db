"""One self-contained page of a model: it opens anywhere, without a network."""

from __future__ import annotations

from importlib import resources

from atrous.analysis.inspection import Inspection
from atrous.report.page import cost, findings, growth, kernels, maps, nodes, spectrum, summary
from atrous.report.page.markup import crossed, data, text
from atrous.report.parts import Parts
from atrous.report.text.quantities import counted
from atrous.report.views import colours

_SECTIONS = {
    "summary": "Summary",
    "findings": "Findings",
    "growth": "Growth",
    "coverage": "Coverage",
    "nodes": "Nodes",
    "cost": "Cost",
    "kernels": "Kernels",
    "spectrum": "Spectrum",
}


def to_html(found: Inspection, parts: Parts | None = None) -> str:
    """The page; every text that comes from the model is escaped.

    Summary, findings and tables are there without scripts; with them tables sort, fold and filter,
    and the maps are drawn.

    Args:
        found: the inspection.
        parts: what is known besides; without it the page has summary, growth and nodes.
    """
    shape = crossed(found.input_shape)
    more = _more(parts) if parts is not None else {}
    sections = {
        "summary": summary.summary(found, parts or Parts()),
        "findings": more.get("findings", ""),
        "growth": growth.growth(found),
        "coverage": more.get("coverage", ""),
        "nodes": nodes.nodes(found),
        **{name: more.get(name, "") for name in ("cost", "kernels", "spectrum")},
    }
    links = "".join(
        f'<a href="#{name}">{_SECTIONS[name]}</a>' for name, body in sections.items() if body
    )
    told = {
        "growth": growth.growth_data(found),
        "stages": maps.maps_data(parts or Parts()),
        "ramp": list(colours.RAMP),
        "hole": colours.HOLE,
        "mark": colours.MARK,
    }
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>{text(found.model)}: receptive fields</title>"
        f"<style>{_asset('page.css')}</style></head>\n<body>"
        '<a class="skip" href="#summary">To the content</a>'
        f"<header><div><h1>{text(found.model)}</h1>"
        f"<p>on {text(found.input)} {shape}; {counted(len(found.rows), 'node')}</p></div>"
        '<button type="button" id="theme" class="js">Theme</button></header>\n'
        f'<nav aria-label="sections"><div class="links">{links}</div></nav>\n'
        f"<main>{''.join(sections.values())}</main>\n"
        f"{data('data', told)}<script>{_asset('page.js')}</script></body></html>\n"
    )


def _more(parts: Parts) -> dict[str, str]:
    missing = parts.missing
    return {
        "findings": findings.findings(parts.judgement, missing.get("findings", "")),
        "coverage": maps.maps(parts),
        "cost": cost.cost(parts.costs, missing.get("cost", "")),
        "kernels": kernels.kernels(parts.kernels),
        "spectrum": spectrum.spectrum(parts.spectrum, missing.get("spectrum", "")),
    }


def _asset(name: str) -> str:
    assets = resources.files("atrous.report.page").joinpath("assets")
    return assets.joinpath(name).read_text(encoding="utf-8")

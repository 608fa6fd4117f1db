"""Findings by severity, with their places and fixes."""

from __future__ import annotations

from itertools import groupby

from atrous.lint.finding import Finding
from atrous.lint.judgement import Judgement
from atrous.lint.rule import lint_rules
from atrous.report.formats.rule_page import sections
from atrous.report.page.markup import section, text
from atrous.report.text.quantities import counted


def findings(judgement: Judgement | None, missing: str = "") -> str:
    """The section; what no rule minds is said too."""
    if judgement is None:
        return section("findings", "Findings", f'<p class="note">not known: {text(missing)}</p>')
    groups = []
    for severity, found in groupby(judgement.findings, key=lambda finding: finding.severity):
        mine = list(found)
        items = "".join(map(_finding, mine))
        count = counted(len(mine), severity)
        # Notes are worth knowing, errors and warnings worth doing something about.
        opened = "" if severity == "note" and len(mine) > 3 else " open"
        groups.append(
            f'<details class="group"{opened}><summary><span class="tag {severity}">{count}</span>'
            f'</summary><ul class="findings">{items}</ul></details>'
        )
    if not groups:
        what = counted(len(judgement.rules), "rule")
        groups.append(f'<p class="good">Nothing found by {what}.</p>')
    rest = []
    if judgement.ignored:
        rest.append(f"{len(judgement.ignored)} ignored by comments or settings")
    rest += [f"{code} could not judge: {reason}" for code, reason in judgement.unjudged]
    groups += [f'<p class="note">{text(line)}</p>' for line in rest]
    return section("findings", "Findings", "".join(groups))


def _finding(found: Finding) -> str:
    place = f"<code>{text(found.path)}</code>" if found.path else "the model"
    line = f' <span class="note">{text(found.line)}</span>' if found.line else ""
    fix = ""
    if found.fix:
        fix = (
            '<div class="fix"><p>Use instead</p><button type="button" class="copy js">Copy</button>'
            f'<pre tabindex="0"><code>{text(found.fix)}</code></pre></div>'
        )
    return (
        f'<li class="finding {found.severity}"><h3><span class="code">{text(found.code)}</span> '
        f"{text(found.name)} at {place}</h3><p>{text(found.message)}</p>{fix}"
        f'<p class="place">{line}</p>{_about(found.code)}</li>'
    )


def _about(code: str) -> str:
    rule = lint_rules().get(code)
    told = sections(rule.page).get("Why it matters", "") if rule else ""
    if not told:
        return ""
    paragraphs = "".join(f"<p>{text(part)}</p>" for part in told.split("\n\n"))
    return f"<details><summary>Why it matters</summary>{paragraphs}</details>"

"""The page of a report: what is escaped, and what a browser makes of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import atrous
from browser import CHROMIUM, Browser, browser
from pages import MODELS, NASTY, Page, reported


@pytest.fixture(scope="module")
def shown() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs the program `chromium`")
    with browser() as opened:
        yield opened


def nasty() -> nn.Module:
    """A model whose names try to leave their place on the page."""
    kind = type(NASTY, (nn.Sequential,), {})
    net = kind()
    for k in range(3):
        inner = kind()
        inner.add_module(f"{NASTY} {k}".replace(".", ""), nn.Conv1d(1, 1, 3, dilation=2))
        inner.add_module("` + alert(1) + `", nn.ReLU())
        net.add_module(f"<b onmouseover=alert(1)> {k}", inner)
    return net


def test_names_are_shown_and_never_run(shown: Browser, tmp_path: Path) -> None:
    report = atrous.inspect(nasty(), (1, 1, 32), effective=1)
    text = report.to_html(tmp_path / "nasty.html")
    page = Page(text)
    assert not any(tag in ("img", "b") for tag, _ in page.elements)
    shown.open(tmp_path / "nasty.html")
    assert shown.run("document.title").endswith(": receptive fields")
    assert NASTY in shown.run("document.querySelector('h1').textContent")
    assert shown.run("document.querySelectorAll('img, b').length") == 0
    assert NASTY in shown.run(
        "document.getElementById('growth-told').textContent + "
        "document.getElementById('nodes-table').textContent"
    )
    assert shown.problems == []


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(("width", "dark"), [(1280, False), (390, True)])
def test_opens_without_errors_or_requests(
    name: str, width: int, dark: bool, shown: Browser, tmp_path: Path
) -> None:
    _, report, _ = reported(name)
    report.to_html(tmp_path / "page.html")
    shown.open(tmp_path / "page.html", width=width, dark=dark)
    # Nothing is wider than the screen: what is, scrolls in its own frame.
    assert shown.run("document.documentElement.scrollWidth") == width
    drawn = "document.getElementById('routes-map')"
    assert shown.run(
        f"{drawn}.getContext('2d').getImageData(0, 0, {drawn}.width, {drawn}.height)"
        ".data.some((v) => v > 0)"
    )
    assert shown.requests == [(tmp_path / "page.html").as_uri()]
    assert shown.problems == []


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 1, 3, padding=1), nn.Conv2d(1, 1, 5, padding=2)

    def forward(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        return {"sum": self.first(x) + self.second(y), "other": self.second(y)}


class Constant(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.new_ones(3)


UNUSUAL: dict[str, tuple[Any, Any]] = {
    "several inputs and outputs": (Both(), (torch.zeros(2, 1, 9, 9), torch.zeros(2, 1, 9, 9))),
    "nothing depends on the input": (Constant(), (1, 3, 8)),
    "a single node": (nn.Identity(), (1, 3, 8)),
    "half precision": (nn.Conv1d(1, 1, 3, dilation=2).half(), (1, 1, 32)),
    "tokens": (nn.Sequential(nn.Embedding(9, 4)), torch.zeros(1, 7, dtype=torch.long)),
    "in training": (nn.Sequential(nn.Conv1d(1, 2, 3), nn.BatchNorm1d(2)).train(), (2, 1, 16)),
    "no map": (nn.Linear(4, 4), (1, 4)),
    "attention": (nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (1, 10, 8)),
}


@pytest.mark.parametrize("name", UNUSUAL)
def test_unusual_models_have_a_page_and_stay_as_they_were(
    name: str, shown: Browser, tmp_path: Path
) -> None:
    model, x = UNUSUAL[name]
    before = {key: value.clone() for key, value in model.state_dict().items()}
    training, random = model.training, torch.get_rng_state()
    report = atrous.inspect(model, x, effective=1)
    Page(report.to_html(tmp_path / "page.html"))
    json.loads(report.to_json())
    shown.open(tmp_path / "page.html", width=390)
    assert shown.problems == []
    assert model.training == training
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    if name == "several inputs and outputs":
        assert report.parts.missing == {}
        assert report.parts.stages[-1].effective is not None


def test_tables_sort_filter_and_fold(shown: Browser, tmp_path: Path) -> None:
    _, report, _ = reported("segmenter")
    report.to_html(tmp_path / "page.html")
    shown.open(tmp_path / "page.html")
    visible = (
        "[...document.querySelectorAll('#nodes-table tbody tr')].filter((r) => !r.hidden)"
        ".map((r) => r.id.slice(2))"
    )
    rows = report.inspection.rows
    shown.run("document.querySelectorAll('#nodes-table thead button')[10].click()")
    assert shown.run("document.querySelectorAll('#nodes-table th')[10].ariaSort") == "descending"
    by_macs = {row.name: row.macs for row in rows}
    told = [by_macs[name] for name in shown.run(visible)]
    assert told == sorted(by_macs.values(), reverse=True)
    shown.run("document.getElementById('in-order').click()")
    shown.run("document.getElementById('unfold').click()")
    assert [name for name in shown.run(visible) if name] == [row.name for row in rows]
    shown.run("document.getElementById('fold').click()")
    assert len(shown.run(visible)) < 20
    # By keyboard: the first module opens.
    shown.run("document.querySelector('.twist').focus()")
    shown.press("Enter")
    assert shown.run("document.querySelector('.twist').ariaExpanded") == "true"
    shown.run(
        "(() => { const f = document.getElementById('filter'); f.value = 'conv2d head'; "
        "f.dispatchEvent(new Event('input')); })()"
    )
    wanted = [r.name for r in rows if r.kind == "conv2d" and "head" in r.label]
    assert shown.run(visible) == wanted
    assert shown.problems == []


def test_the_slider_moves_through_the_depth(shown: Browser, tmp_path: Path) -> None:
    _, report, _ = reported("segmenter")
    report.to_html(tmp_path / "page.html")
    shown.open(tmp_path / "page.html")
    label = "document.getElementById('depth-told').textContent"
    last, before = report.parts.stages[-1], report.parts.stages[-2]
    assert shown.run(label).startswith(last.label)
    shown.run("document.getElementById('depth').focus()")
    shown.press("ArrowLeft")
    assert shown.run(label).startswith(before.label)
    note = shown.run("document.getElementById('routes-note').textContent")
    stop = before.coverage.start[0] + before.coverage.span[0] - 1
    assert note.startswith(f"axis 2: {before.coverage.start[0]} to {stop} of 97")
    # A position on the map, told with its count.
    shown.run("document.getElementById('routes-map').focus()")
    shown.press("ArrowDown")
    shown.press("ArrowRight")
    at = [n // 2 + 1 for n in before.coverage.span]
    count = int(before.coverage.counts[tuple(at)])
    told = shown.run("document.getElementById('cell-told').textContent")
    place = ", ".join(str(a + b) for a, b in zip(before.coverage.start, at, strict=True))
    assert told.startswith(f"position {place}: ")
    shown_count = told.partition(": ")[2].partition(" route")[0]
    if count < 10**7:
        assert shown_count == f"{count:,}"
    else:
        assert shown_count.startswith("≈ ")
        assert float(shown_count[2:]) == pytest.approx(count, rel=6e-4)
    assert "of the effective field" in told
    assert shown.problems == []


def test_the_table_is_searched_and_walked_by_keyboard(shown: Browser, tmp_path: Path) -> None:
    _, report, _ = reported("segmenter")
    report.to_html(tmp_path / "page.html")
    shown.open(tmp_path / "page.html")
    focused = "document.activeElement.id || document.activeElement.textContent"
    visible = (
        "[...document.querySelectorAll('#nodes-table tbody tr')].filter((r) => !r.hidden)"
        ".map((r) => r.id.slice(2)).filter(Boolean)"
    )
    shown.press("/")
    assert shown.run(focused) == "filter"
    shown.send("Input.insertText", text="relu")
    wanted = [r.name for r in report.inspection.rows if "relu" in f"{r.label} {r.kind}"]
    assert shown.run(visible) == wanted
    shown.press("Escape")
    assert shown.run("document.getElementById('filter').value") == ""
    # One operator alone.
    shown.run(
        "(() => { const k = document.getElementById('kind'); k.value = 'conv2d'; "
        "k.dispatchEvent(new Event('change')); })()"
    )
    wanted = [r.name for r in report.inspection.rows if r.kind == "conv2d"]
    assert shown.run(visible) == wanted
    told = shown.run("document.getElementById('shown').textContent")
    assert told == f"{len(wanted)} of {len(report.inspection.rows)} nodes"
    chosen = shown.run("document.getElementById('kind').selectedOptions[0].textContent")
    assert chosen == f"conv2d ({len(wanted)})"
    # From module to module.
    shown.run("document.getElementById('in-order').click()")
    shown.run("document.getElementById('fold').click()")
    twists = "[...document.querySelectorAll('.twist')].filter((t) => !t.closest('tr').hidden)"
    folded = shown.run(f"{twists}.map((t) => t.textContent)")
    shown.run(f"{twists}[0].focus()")
    shown.press("ArrowDown")
    assert shown.run(focused) == folded[1]
    shown.press("ArrowRight")
    assert shown.run(f"{twists}[1].ariaExpanded") == "true"
    shown.press("ArrowLeft")
    assert shown.run(f"{twists}[1].ariaExpanded") == "false"
    shown.press("ArrowUp")
    assert shown.run(focused) == folded[0]
    assert shown.problems == []


@pytest.mark.parametrize("width", [390, 800])
def test_every_section_is_linked_within_the_screen(
    width: int, shown: Browser, tmp_path: Path
) -> None:
    _, report, _ = reported("segmenter")
    report.to_html(tmp_path / "page.html")
    shown.open(tmp_path / "page.html", width=width)
    boxes = shown.run(
        "[...document.querySelectorAll('nav a, #theme')].map((a) => {"
        "const b = a.getBoundingClientRect(); return [b.left, b.right, b.top, b.bottom]; })"
    )
    assert len(boxes) == 9  # eight sections and the theme
    assert all(left >= 0 and right <= width for left, right, _, _ in boxes)
    for k, (left, _, top, _) in enumerate(boxes):
        # None lies over another.
        for l2, r2, t2, b2 in boxes[k + 1 :]:
            assert left >= r2 or boxes[k][1] <= l2 or top >= b2 or boxes[k][3] <= t2


def test_the_browser_notices_a_broken_page(shown: Browser, tmp_path: Path) -> None:
    (tmp_path / "broken.html").write_text("<script>nothing.here()</script>")
    shown.open(tmp_path / "broken.html")
    assert "nothing is not defined" in " ".join(shown.problems)

"""The page of a report: its structure, its numbers, what is escaped, what a browser makes of it."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous.models import create
from atrous.report.page.markup import crossed
from browser import CHROMIUM, Browser, browser

VOID = {"meta", "input", "br", "img", "link", "hr"}
NASTY = "</script><img src=x onerror='alert(1)'>\"&'é∑"


class Page(HTMLParser):
    """Elements with their attributes and text; unbalanced tags are errors."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.tables: dict[str, list[list[tuple[str, str | None]]]] = {}
        self._table = ""
        self._name = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        self.elements.append((tag, told))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self._table = told.get("id") or ""
            self.tables[self._table] = []
        if tag == "tr":
            self.tables[self._table].append([])
        if tag in ("td", "th"):
            self.tables[self._table][-1].append(("", told.get("data-v")))
        self._name = told.get("id") or ""

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        if self._name:
            self.texts[self._name] = self.texts.get(self._name, "") + data
        if "td" in self.open or ("th" in self.open and "tr" in self.open):
            text, value = self.tables[self._table][-1][-1]
            self.tables[self._table][-1][-1] = (text + data, value)

    @property
    def data(self) -> Any:
        return json.loads(self.texts["data"])


class Volume(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 2, 3, dilation=2, padding=2)
        self.second = nn.Conv3d(2, 2, 3, dilation=2, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.second(self.first(x)))


MODELS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "segmenter": (lambda: create("segmenter"), (1, 3, 97, 129)),
    "tcn": (lambda: create("tcn"), (1, 1, 400)),
    "volume": (Volume, (1, 1, 11, 12, 13)),
}


@cache
def reported(name: str) -> tuple[nn.Module, atrous.Report, Page]:
    torch.manual_seed(0)
    build, shape = MODELS[name]
    model = build().eval()
    report = atrous.inspect(model, shape, effective=1 if name == "segmenter" else 0)
    return model, report, Page(report.to_html())


def unpacked(table: dict[str, Any], shape: list[int]) -> np.ndarray:
    raw = base64.b64decode(table["index"])
    index = np.frombuffer(raw, dtype=np.uint8 if table["bytes"] == 1 else "<u2")
    return np.array(table["values"], dtype=float)[index].reshape(shape)


@pytest.mark.parametrize("name", MODELS)
def test_the_page_is_well_formed_and_needs_no_network(name: str) -> None:
    _, report, page = reported(name)
    ids = [told["id"] for _, told in page.elements if told.get("id")]
    assert len(ids) == len(set(ids))
    links = [told["href"] for tag, told in page.elements if tag == "a"]
    assert all(link and link.startswith("#") and link[1:] in ids for link in links)
    for tag, told in page.elements:
        assert tag not in ("link", "iframe", "img")
        assert "src" not in told
        assert not any(key.startswith("on") for key in told)
    assert "http:" not in report.to_html() and "https:" not in report.to_html()
    assert "@import" not in report.to_html() and "url(" not in report.to_html()


@pytest.mark.parametrize("name", MODELS)
def test_the_table_of_nodes_holds_the_numbers_of_the_api(name: str) -> None:
    model, report, page = reported(name)
    shape = MODELS[name][1]
    costs = {node.name: node for node in atrous.cost(model, shape).nodes}
    rows = {row.name: row for row in report.inspection.rows}
    ids = [told.get("id") or "" for tag, told in page.elements if tag == "tr"]
    shown = {i[2:] for i in ids if i.startswith("n-")}
    assert shown == set(rows)
    head = [text for text, _ in page.tables["nodes-table"][0]]
    nodes = page.tables["nodes-table"][1:]
    in_order = [i for i in ids if i.startswith("n-")]
    plain = [row for row, i in zip(nodes, _row_ids(page), strict=True) if i]
    for cells, name_ in zip(plain, in_order, strict=True):
        row = rows[name_[2:]]
        told = dict(zip(head, cells, strict=True))
        assert told["operator"][0] == row.kind
        assert int(told["params"][1] or 0) == row.parameters
        assert int(told["MACs"][1] or 0) == row.macs
        assert int(told["memory"][1] or 0) == costs[row.name].allocated
        field = (
            atrous.receptive_field(model, shape, node=row.name)
            if row.label in ("layer3.body.0.0", "3.second", "second")
            else row.field
        )
        assert field is not None
        assert int(told["field"][1] or 0) == max(field.size)
        assert told["status"][0] == field.status


def _row_ids(page: Page) -> list[str]:
    """For each row of the table of nodes after its head, the node's id, "" for a module."""
    found = []
    for tag, told in page.elements:
        if tag == "tr" and "data-level" in told:
            found.append(told.get("id") or "")
    return found


@pytest.mark.parametrize("name", MODELS)
def test_maps_are_the_coverage_of_the_api(name: str) -> None:
    model, report, page = reported(name)
    shape = MODELS[name][1]
    assert report.parts.stages
    for stage, told in zip(report.parts.stages, page.data["stages"], strict=True):
        seen = atrous.coverage(model, shape, node=stage.name, local=True)
        for view in told["views"]:
            others = tuple(k for k, a in enumerate(seen.axes) if a not in view["axes"])
            counts = np.asarray(seen.counts.sum(axis=others), dtype=float)
            assert view["block"] == [1] * counts.ndim
            assert view["start"] == [seen.start[seen.axes.index(a)] for a in view["axes"]]
            drawn = unpacked(view["routes"], view["shape"])
            # Four digits are told of counts from ten million on, all of the others.
            np.testing.assert_allclose(drawn, counts, rtol=6e-4)
            small = counts < 10**7
            assert (drawn[small] == counts[small]).all()
            assert ((drawn == 0) == (counts == 0)).all()
    last = report.parts.stages[-1].name
    assert last in report.inspection.outputs.values()


def test_effective_fields_are_those_of_the_api() -> None:
    model, report, page = reported("segmenter")
    stage, told = report.parts.stages[-1], page.data["stages"][-1]
    assert stage.effective is not None
    drawn = torch.randn(1, 3, 97, 129, generator=torch.Generator().manual_seed(0))
    alone = atrous.effective_field(
        model, drawn, node=stage.name, at=[own[0] for own in stage.coverage.at], progress=False
    )
    view = told["views"][0]
    inside = alone.energy[stage.coverage.window]
    np.testing.assert_allclose(unpacked(view["energy"], view["shape"]), inside, rtol=2e-3)


def test_large_maps_are_reduced_and_lose_no_hole() -> None:
    # Four taps of 64 and a 2: 195 positions, of which four are read.
    net = nn.Conv2d(1, 1, (1, 4), dilation=(1, 64))
    report = atrous.inspect(net, (1, 1, 3, 300))
    (stage,) = report.parts.stages
    (view,) = Page(report.to_html()).data["stages"][0]["views"]
    assert stage.coverage.span == (1, 193)
    assert view["block"] == [2, 2]
    drawn = unpacked(view["routes"], view["shape"])
    assert drawn.shape == (1, 97)  # ceil(193 / 2)
    assert np.flatnonzero(drawn[0]).tolist() == [0, 32, 64, 96]  # 64 / 2 apart
    bits = np.unpackbits(np.frombuffer(base64.b64decode(view["partly"]), dtype=np.uint8))
    # The last block holds a single position, which is read; the others a hole as well.
    assert np.flatnonzero(bits).tolist() == [0, 32, 64]
    assert "are reduced" in report.to_html()


@pytest.mark.parametrize("name", MODELS)
def test_json_holds_the_same_parts(name: str) -> None:
    model, report, page = reported(name)
    shape = MODELS[name][1]
    told = json.loads(report.to_json())
    assert told["schema"] == "atrous.inspect/2"
    assert told == report.to_dict()
    assert told["missing"] == {}
    costs = atrous.cost(model, shape)
    assert told["cost"]["inference_bytes"] == costs.inference
    assert told["cost"]["macs"] == costs.macs == told["macs"]
    notes = atrous.lint(model, shape, severity="note")
    assert [(f["code"], f["path"]) for f in told["findings"]] == [(f.code, f.path) for f in notes]
    spectra = atrous.spectrum(model, shape).to_dict()["layers"]
    assert told["spectrum"] == json.loads(json.dumps(spectra))
    for stage, packed in zip(told["stages"], page.data["stages"], strict=True):
        seen = atrous.coverage(model, shape, node=stage["node"], local=True)
        assert stage["coverage"]["holes"] == len(seen.holes)
        assert stage["coverage"]["density"] == seen.density
        assert stage["coverage"]["routes"] == seen.total
        assert len(stage["maps"]) == len(packed["views"])
    layers = [layer for use in told["kernels"] for layer in use["layers"]]
    convolutions = [n for n, m in model.named_modules() if type(m).__name__.startswith("Conv")]
    assert set(convolutions) <= set(layers)


class Hourglass(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv3d(1, 2, 3, dilation=(1, 2, 2), padding=(1, 2, 2))
        self.down = nn.Conv3d(2, 2, (1, 3, 3), stride=(1, 2, 2), padding=(0, 1, 1))
        self.up = nn.ConvTranspose3d(2, 1, (1, 4, 4), stride=(1, 2, 2), padding=(0, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.down(self.first(x)))


def test_axes_that_differ_are_told_one_by_one() -> None:
    page = atrous.inspect(Hourglass(), (1, 1, 8, 16, 16)).to_html()
    # Depth: 1 and 1. Height: dilation 2 reads 2 and 2 more; `down` 1 and 1; output o of `up` with
    # kernel 4, stride 2, padding 1 reads o // 2 - 1 + o % 2 to o // 2 + o % 2: output 0 reads down
    # -1 and 0, -2 and 0 of its input in input steps, so 2 + 1 + 2 before and 0 + 1 + 2 after;
    # output 1 reads down 0 and 1, the inputs 0 and 2 against its own 1: 4 and 4. Together 5 and 4.
    assert '<p class="big">1 + 1, 5 + 4, 5 + 4</p>' in page.replace("\u00a0", " ")
    assert "before + after its own position, along axes 2, 3, 4" in page
    cells = [[text for text, _ in row] for row in Page(page).tables["nodes-table"]]
    reach = cells[0].index("reach")
    assert [row[reach] for row in cells[1:]] == ["0+0", "1+1, 2+2, 2+2", "1+1, 3+3, 3+3",
                                                 "1+1, 5+4, 5+4"]  # fmt: skip
    assert cells[3][cells[0].index("stride")] == "1, 2, 2"
    assert cells[3][cells[0].index("field")] == crossed([3, 7, 7])


def test_kernels_of_transposed_convolutions_are_drawn() -> None:
    report = atrous.inspect(Hourglass(), (1, 1, 8, 16, 16))
    assert [use.kind for use in report.parts.kernels] == ["conv3d", "conv3d", "conv_transpose3d"]
    page = report.to_html().replace(" \u00d7 ", " x ")
    assert "1 x 4 x 4 taps, dilation 1: spans 1 x 4 x 4; on an input spread by 1 x 2 x 2" in page
    assert "1 x 3 x 3 taps, dilation 1: spans 1 x 3 x 3; stride 1 x 2 x 2" in page


def test_one_of_a_thing_is_no_plural() -> None:
    page = atrous.inspect(nn.Conv1d(1, 1, 1, bias=False), (1, 1, 8)).to_html()
    body = page.split("</style>")[1].split("<script")[0]
    things = "layer|node|hole|parameter|finding|tap|rule|image|note|warning"
    assert re.findall(rf"(?<![\d.,])1 (?:{things})s", body) == []
    assert "1 layer left out" in page and "1 parameter<" in page


def test_rounded_counts_say_so() -> None:
    net = nn.Sequential(*(nn.Conv1d(1, 1, 9) for _ in range(9)))
    report = atrous.inspect(net, (1, 1, 200))
    page = Page(report.to_html())
    shown = [row[4][0] for row in page.tables["stages-table"][1:]]
    # Nine taps per layer: 9 ** n routes through n layers; 9 ** 7 = 4,782,969, 9 ** 8 = 43,046,721.
    assert "4,782,969" in shown and "≈ 4.3e7" in shown
    titles = [told.get("title") for tag, told in page.elements if tag == "td"]
    assert "43,046,721" in titles
    macs = atrous.cost(net, (1, 1, 200)).macs
    assert f'<p class="note">{macs:,}</p>' in report.to_html()


def test_a_plain_inspection_computes_nothing_else() -> None:
    report = atrous.inspect(create("tcn"), (1, 1, 100))
    str(report)
    assert "parts" not in vars(report)
    assert report.parts is report.parts


def test_a_part_without_an_answer_says_why() -> None:
    class Sorted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.linalg.svdvals(x)

    report = atrous.inspect(nn.Sequential(nn.Conv2d(1, 1, 3), Sorted()), (1, 1, 8, 8))
    page = report.to_html()
    Page(page)
    assert report.inspection.unknown
    assert "no rule" in page
    json.loads(report.to_json())


def test_effective_must_be_a_number_of_batches() -> None:
    with pytest.raises(ValueError, match=r"effective must be a number of batches, .* got -1"):
        atrous.inspect(nn.Conv1d(1, 1, 3), (1, 1, 8), effective=-1)


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

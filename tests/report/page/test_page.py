"""The page of a report: its structure, and its numbers beside the API's."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import atrous
from atrous.models import create
from atrous.report.page.markup import crossed
from pages import MODELS, Page, reported


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

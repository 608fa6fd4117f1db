"""What notebooks show: fragments of HTML that stand by themselves."""

from __future__ import annotations

import inspect
import re
from base64 import b64decode
from io import BytesIO
from typing import get_type_hints
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib import image
from torch import nn

import atrous
from atrous.geometry import Window, index_map
from atrous.models import create
from atrous.report.views.colours import HOLE, rgb
from atrous.shown import Shown, as_html
from samples import dilated


def parsed(shown: Shown) -> ElementTree.Element:
    """The fragment, which is well-formed and loads nothing."""
    text = shown._repr_html_()
    assert "http" not in text
    assert "<script" not in text
    return ElementTree.fromstring(f"<div>{text}</div>")


def test_a_field_is_a_table() -> None:
    field = atrous.receptive_field(create("segmenter"), (1, 3, 129, 129), node="layer2")
    cells = [cell.text for cell in parsed(field).iter("td")]
    assert cells[:7] == ["2", "39", "8", "-19", "19+19", "100%", "exact"]


def test_the_image_of_a_coverage_has_a_pixel_per_position() -> None:
    cover = atrous.coverage(dilated(2, 3, axes=2), (1, 1, 24, 24))
    (drawn,) = parsed(cover).iter("image")
    data = drawn.attrib["href"].removeprefix("data:image/png;base64,")
    # matplotlib's reader is another implementation of the format.
    pixels = (image.imread(BytesIO(b64decode(data)), format="png")[..., :3] * 255).round()
    assert pixels.shape[:2] == cover.counts.shape
    orange = (pixels == rgb(HOLE)).all(axis=-1)
    assert np.array_equal(orange, cover.counts == 0)
    # The larger the count, the darker.
    order = [pixels[cover.counts == count].mean() for count in np.unique(cover.counts)[1:]]
    assert order == sorted(order, reverse=True)


def test_the_bars_of_a_coverage_tell_holes() -> None:
    cover = atrous.coverage(dilated(2, 2), (1, 1, 24))
    bars, holes, *_ = parsed(cover).iter("path")
    assert bars.attrib["d"].count("M") == int((cover.counts > 0).sum())
    assert holes.attrib["d"].count("M") == len(cover.holes)
    assert holes.attrib["fill"] == HOLE


def test_large_coverages_say_that_they_are_reduced() -> None:
    cover = atrous.coverage(create("tcn"), (1, 1, 4000), at=3900)
    assert "reduced: one cell is 7 positions" in cover._repr_html_()
    assert len(cover._repr_html_()) < 50_000


def test_an_empty_coverage() -> None:
    net = nn.Sequential(nn.ConstantPad1d((9, 0), 0.0), nn.Conv1d(1, 1, 3))
    cells = [c.text for c in parsed(atrous.coverage(net, (1, 1, 10), at=0)).iter("td")]
    assert cells == ["nothing"]


def test_a_tree_has_its_dots_and_taps() -> None:
    tree = atrous.routes(dilated(2, 2), (1, 1, 24))
    (edges,) = parsed(tree).iter("path")
    assert edges.attrib["d"].count("M") == tree.edges
    fills = [dot.attrib["fill"] for dot in parsed(tree).iter("circle")]
    assert fills.count(HOLE) == 4
    assert len([f for f in fills if f not in (HOLE, "none")]) == sum(
        len(level.positions) for level in tree.levels
    )
    assert "<pre>" in atrous.routes(nn.Conv1d(1, 1, 4500), (1, 1, 4500))._repr_html_()


def test_an_index_map_has_its_cells() -> None:
    taps = index_map((5, 6), (Window(3, dilation=2, left=1),) * 2, (0, 0))
    assert len(list(parsed(taps).iter("rect"))) == 30
    assert len(list(parsed(taps).iter("path"))) == 5  # taps on padding
    solid = index_map((3, 3, 3), (Window(2),) * 3, (0, 0, 0))
    assert "<pre>" in solid._repr_html_()


class Odd(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.add_module("a<b>&'", nn.Conv1d(1, 1, 3))

    def forward(self, x: object) -> object:
        return next(self.children())(x)


def test_names_from_the_model_are_escaped() -> None:
    for shown in (
        atrous.routes(Odd(), (1, 1, 9)),
        atrous.coverage(Odd(), (1, 1, 9)),
        atrous.receptive_field(Odd(), (1, 1, 9)),
    ):
        assert isinstance(shown, Shown)
        assert re.search(r"a&lt;b&gt;&amp;", ElementTree.tostring(parsed(shown)).decode())


@pytest.mark.parametrize("kind", [atrous.Field, atrous.Coverage, atrous.RouteTree])
def test_results_are_shown_by_report_alone(kind: type) -> None:
    assert issubclass(kind, Shown)
    assert as_html.dispatch(kind).__module__.startswith("atrous.report")


def returned() -> dict[str, type]:
    """What the public functions return, by their annotations; and the classes that are public."""
    found: dict[str, type] = {}
    for name, value in vars(atrous).items():
        if name.startswith("_"):
            continue
        if inspect.isfunction(value):
            kind = get_type_hints(value).get("return")
            if isinstance(kind, type) and kind not in (str, torch.Tensor, torch.nn.Module):
                found[name] = kind
        elif isinstance(value, type) and not issubclass(value, Exception):
            found[name] = value
    return found


def test_every_public_function_is_walked_through() -> None:
    functions = {
        name
        for name, value in vars(atrous).items()
        if inspect.isfunction(value) and not name.startswith("_")
    }
    # A text, tensors, a decorator, and models.
    models = {"accelerate", "densify"}
    apart = {"picture", "frequency_response", "chain_response", "rule", *models}
    assert functions - set(returned()) == apart


@pytest.mark.parametrize("name", returned())
def test_every_public_result_is_shown_in_notebooks(name: str) -> None:
    assert callable(getattr(returned()[name], "_repr_html_", None))


def test_branches_their_limit_and_advice_on_strides_are_tables() -> None:
    net = create("segmenter")
    found = atrous.branches(net, (1, 3, 129, 129), node="head.project")
    cells = [cell.text for cell in parsed(found).iter("td")]
    assert cells[:4] == ["head.branches.0.1", "2", str(found[0].size[0]), "8"]
    assert cells[::9] == [field.node for field in found for _ in field.axes]
    assert "head.branches.0.1" in str(found)
    none = atrous.branches(nn.Conv1d(1, 1, 3), (1, 1, 9), node="conv1d")
    assert len(none) < 2

    limit = atrous.limiting_branch(net, (1, 3, 129, 129), node="head.project")
    shown = "".join(parsed(limit).itertext())
    assert limit.limiting in shown and "passes everything" in shown
    assert f"largest stride that folds nothing passed: {limit.stride}" in shown

    advice = atrous.safe_stride(1.0, 4)
    assert "".join(parsed(advice).itertext()) == str(advice)
    # A single tap passes all alike: of stride 4, three quarters fold.
    folded = atrous.alias_energy(torch.ones(1, 1, 1), stride=4)
    assert "75.0%" in folded._repr_html_() and "75.0%" in str(folded)


def test_results_nobody_taught_show_their_text() -> None:
    class Plain(Shown):
        def __str__(self) -> str:
            return "1 < 2"

    assert Plain()._repr_html_() == "<pre>1 &lt; 2</pre>"


def test_an_effective_field_is_its_text_and_an_image_whose_darkest_pixel_is_the_peak() -> None:
    net = nn.Sequential(*(nn.Conv2d(1, 1, 3, padding=1) for _ in range(3)))
    found = atrous.effective_field(net, torch.randn(2, 1, 20, 30))
    (drawn,) = parsed(found).iter("img")
    data = drawn.attrib["src"].removeprefix("data:image/png;base64,")
    pixels = image.imread(BytesIO(b64decode(data)), format="png")[..., :3].mean(-1)
    assert pixels.shape == found.energy.shape
    assert pixels.argmin() == found.energy.argmax()
    line = atrous.effective_field(nn.Conv1d(1, 1, 3), torch.randn(2, 1, 20))
    assert "axis 2:" in line._repr_html_()


@pytest.mark.parametrize("name", ["matrix", "spectrum", "aliasing", "cost", "compare"])
def test_tables_are_shown_as_they_print(name: str) -> None:
    net, shape = nn.Conv1d(1, 1, 3, stride=2), (1, 1, 20)
    found = {
        "matrix": lambda: atrous.matrix(net, shape),
        "spectrum": lambda: atrous.spectrum(net, shape),
        "aliasing": lambda: atrous.aliasing(net, shape),
        "cost": lambda: atrous.cost(net, shape),
        "compare": lambda: atrous.compare([net], shape),
    }[name]()
    assert parsed(found)[0].text == str(found).strip("\n") or str(found) in parsed(found)[0].text

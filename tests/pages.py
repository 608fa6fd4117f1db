"""The page of a report as its elements, tables and data; models that have one."""

from __future__ import annotations

import json
from functools import cache
from html.parser import HTMLParser
from typing import Any

import torch
from torch import Tensor, nn

import atrous
from atrous.models import create

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

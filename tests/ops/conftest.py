"""Measured times stay out of the user's folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from atrous.ops import choices, chooser


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(chooser.CHOOSER, "_chosen", {})
    choices.forget()
    yield
    choices.forget()

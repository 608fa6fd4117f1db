"""What tests of several commands need."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import NET


@pytest.fixture
def here(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder that holds net.py alone: the test file's own `NET`, where it has one."""
    (tmp_path / "net.py").write_text(getattr(request.module, "NET", NET))
    monkeypatch.chdir(tmp_path)
    return tmp_path

"""Measured times, kept on disk for this machine and these versions."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch

from atrous.ops.problem import Problem

_lock = threading.Lock()
_times: dict[str, dict[str, float]] | None = None


def kept(problem: Problem) -> dict[str, float] | None:
    """The seconds of every algorithm that was measured on a problem, if it was."""
    return _all().get(_key(problem))


def keep(problem: Problem, seconds: dict[str, float]) -> None:
    """Keep times, in this process and, where the folder can be written to, for later ones."""
    with _lock:
        times = _all()
        times[_key(problem)] = seconds
        path = file()
        if path is None:
            return
        try:
            # Another process may have measured others meanwhile.
            merged = {**_read(path), **times}
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=path.parent, delete=False, suffix=".tmp") as new:
                json.dump({"about": _about(), "seconds": merged}, new, indent=1)
            try:
                os.replace(new.name, path)
            except OSError:
                os.unlink(new.name)
        except OSError:
            return


def forget() -> None:
    """Read times anew when they are next asked for."""
    global _times
    _times = None


def file() -> Path | None:
    """Where times of this machine and these versions are kept; None where nobody is at home."""
    try:
        root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    digest = hashlib.sha256(json.dumps(_about(), sort_keys=True).encode()).hexdigest()[:12]
    return Path(root) / "atrous" / f"convolutions-{digest}.json"


def _all() -> dict[str, dict[str, float]]:
    global _times
    if _times is None:
        _times = _read(file())
    return _times


def _read(path: Path | None) -> dict[str, dict[str, float]]:
    """The times in a file; what is no time is left out."""
    try:
        found = json.loads(path.read_text())["seconds"] if path else {}
        return {
            key: dict(times) for key, times in found.items() if all(map(_is_time, times.values()))
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _is_time(value: object) -> bool:
    return isinstance(value, float) and value > 0


def _key(problem: Problem) -> str:
    told = {name: str(value) for name, value in asdict(problem).items()}
    return json.dumps({**told, "threads": torch.get_num_threads()}, sort_keys=True)


@cache
def _about() -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "torch": torch.__version__,
        **{name: _version(name) for name in ("atrous", "numba")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None

"""From the name of a model on the command line to the model."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.export import ExportedProgram

from atrous import models
from atrous.graph.capture import floating_type, quiet
from atrous.graph.program import nearest


@dataclass(frozen=True)
class Resolved:
    """A model and what it is usually fed.

    Attributes:
        model: the module or exported program.
        input_shape: shape of a usual input with batch; None if not known.
        source: `file:line` of the callable that makes it; "" if not known.
    """

    model: nn.Module | ExportedProgram
    input_shape: tuple[int, ...] | None
    source: str = ""

    @property
    def dtype(self) -> torch.dtype:
        """The type of a usual input: the model's own, or that of an exported program's input."""
        if isinstance(self.model, nn.Module):
            return floating_type(self.model)
        return next((value.dtype for value in _given(self.model)), torch.get_default_dtype())


def resolve(name: str) -> Resolved:
    """The model of a name.

    Args:
        name: `atrous:NAME`, `torchvision:NAME`, `timm:NAME`, `package.module:callable`,
            `file.py:callable`, or a saved `.pt2` program.

    Raises:
        ValueError: if there is no such model; the message names the nearest.
    """
    if name.endswith(".pt2"):
        return _saved(name)
    place, colon, member = name.rpartition(":")
    if not colon or not member or not place:
        raise ValueError(
            f"MODEL must look like package.module:callable, file.py:callable, program.pt2 or "
            f"atrous:NAME, torchvision:NAME, timm:NAME, got {name!r}."
            + (_in_a_library(name) or nearest(name, models.names(), "atrous:"))
        )
    libraries: dict[str, Callable[[str], Resolved]] = {
        "atrous": _bundled,
        "torchvision": _torchvision,
        "timm": _timm,
    }
    if place in libraries:
        return libraries[place](member)
    found = _member(_module(place), member, place)
    code = getattr(found, "__code__", None)
    source = f"{code.co_filename}:{code.co_firstlineno}" if code else ""
    return Resolved(_make(found, name), None, source)


def _in_a_library(name: str) -> str:
    """Which library has a model of just this name, as a question; "" if none does."""
    for library, module in (("torchvision", "torchvision.models"), ("timm", "timm")):
        if importlib.util.find_spec(library) is not None:
            known: Any = importlib.import_module(module)
            if name in known.list_models():
                return f" Did you mean '{library}:{name}'?"
    return ""


def _bundled(name: str) -> Resolved:
    if name not in models.names():
        raise ValueError(
            f"atrous:NAME must be one of {', '.join(models.names())}, got {name!r}."
            + nearest(name, models.names(), "atrous:")
        )
    return Resolved(models.create(name), models.card(name).input_shape)


def _torchvision(name: str) -> Resolved:
    library: Any = _library("torchvision", "torchvision.models")
    known = library.list_models()
    if name not in known:
        raise ValueError(
            f"torchvision:NAME must be a model of torchvision, got {name!r}."
            + nearest(name, known, "torchvision:")
        )
    accepted = inspect.signature(library.get_model_builder(name)).parameters
    options = {k: None for k in ("weights", "weights_backbone") if k in accepted}
    return Resolved(library.get_model(name, **options), (1, 3, 224, 224))


def _timm(name: str) -> Resolved:
    library: Any = _library("timm", "timm")
    if not library.is_model(name):
        raise ValueError(
            f"timm:NAME must be a model of timm, got {name!r}."
            + nearest(name, library.list_models(), "timm:")
        )
    model = library.create_model(name, pretrained=False)
    return Resolved(model, (1, *model.pretrained_cfg["input_size"]))


def _library(name: str, module: str) -> Any:
    if importlib.util.find_spec(name) is None:
        raise ValueError(f"{name} must be installed for {name}:NAME. Install atrous[vision].")
    return importlib.import_module(module)


def _saved(name: str) -> Resolved:
    if not Path(name).is_file():
        raise ValueError(f"MODEL must be an existing file, got {name!r}.{_similar_file(name)}")
    try:
        with quiet():
            program = torch.export.load(name)
    except Exception as error:
        raise ValueError(
            f"{name!r} must be a program saved by torch.export.save: {error}."
        ) from error
    values = _given(program)
    return Resolved(program, tuple(values[0].shape) if values else None)


def _given(program: ExportedProgram) -> list[torch.Tensor]:
    """The tensors that an exported program takes, without their values."""
    names = program.graph_signature.user_inputs
    values = [node.meta["val"] for node in program.graph.nodes if node.name in names]
    return [value for value in values if isinstance(value, torch.Tensor)]


def _module(place: str) -> Any:
    if place.endswith(".py"):
        path = Path(place)
        if not path.is_file():
            raise ValueError(f"MODEL's file must exist, got {place!r}.{_similar_file(place)}")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(path.stem, module)
        sys.path.insert(0, str(path.parent.resolve()))
        try:
            spec.loader.exec_module(module)
        except (Exception, SystemExit) as error:
            raise ValueError(
                f"MODEL's file must import, but {place!r} fails: {_told(error)}."
            ) from error
        finally:
            sys.path.pop(0)
        return module
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise
        raise ValueError(
            f"MODEL's module must be importable, but there is no {error.name!r} in {place!r}."
            f"{nearest(place, _siblings(place))}"
        ) from error


def _told(error: BaseException) -> str:
    """What went wrong and in which line."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}: {error}{where}"


def _siblings(place: str) -> list[str]:
    """Modules of the innermost package of `place` that exists, or beside it."""
    from pkgutil import iter_modules

    package = place.rpartition(".")[0]
    while package:
        try:
            found = importlib.import_module(package)
        except ImportError:
            package = package.rpartition(".")[0]
            continue
        return [f"{package}.{m.name}" for m in iter_modules(getattr(found, "__path__", []))]
    return [m.name for m in iter_modules()]


def _similar_file(name: str) -> str:
    path = Path(name)
    siblings = [p.name for p in path.parent.glob(f"*{path.suffix}")] if path.parent.is_dir() else []
    return nearest(path.name, siblings)


def _member(module: Any, name: str, place: str) -> Any:
    if not hasattr(module, name):
        public = [n for n in dir(module) if callable(getattr(module, n)) and not n.startswith("_")]
        raise ValueError(
            f"MODEL's callable must exist in {place}, got {name!r}.{nearest(name, public)}"
        )
    return getattr(module, name)


def _make(found: Any, name: str) -> nn.Module:
    if isinstance(found, nn.Module):
        return found
    if not callable(found):
        raise ValueError(
            f"MODEL must be a module or make one when called, got {type(found).__name__} "
            f"for {name!r}."
        )
    needed = [
        parameter.name
        for parameter in inspect.signature(found).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]
    if needed:
        raise ValueError(
            f"MODEL's callable must need no arguments, but {name!r} needs {', '.join(needed)}. "
            "Give them defaults, or name a function that calls it with them."
        )
    try:
        model = found()
    except (Exception, SystemExit) as error:
        raise ValueError(f"MODEL's callable {name!r} fails when called: {_told(error)}.") from error
    if not isinstance(model, nn.Module):
        raise ValueError(
            f"MODEL's callable must return a torch.nn.Module, got {type(model).__name__} "
            f"from {name!r}."
        )
    return model

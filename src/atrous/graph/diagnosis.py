"""Why a model could not be captured, in the user's terms: where, what, and what to do."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from inspect import signature
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from atrous.graph.hooks import without_onlookers
from atrous.graph.program import is_torch_file
from atrous.graph.shell import CaptureError, shell_copy

_REASONS: tuple[tuple[str, str, str], ...] = (
    (
        "data-dependent",
        "the control flow depends on the values of a tensor",
        "Use torch.where, masks or torch.cond instead of a Python if or loop on tensor values, or "
        "analyse the part before it as a model of its own",
    ),
    (
        "GuardOnDataDependentSymNode",
        "the control flow or a shape depends on the values of a tensor",
        "Use torch.where, masks or a fixed shape, or analyse the part before it as a model of "
        "its own",
    ),
    (
        "DataDependentOutputException",
        "a tensor's value is turned into a Python number",
        "Keep it a tensor: avoid .item(), float(...), int(...) and bool(...) on values",
    ),
    (
        "DynamicOutputShapeException",
        "the shape of a result depends on the values of a tensor",
        "Replace boolean indexing, nonzero or unique by masks, or analyse the part before it as a "
        "model of its own",
    ),
    (
        "numpy",
        "a tensor is turned into a NumPy array",
        "Use torch operations in forward",
    ),
)


_CONTROL_FLOW = ("if", "elif", "while", "for", "assert")


def explain(
    error: Exception, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> CaptureError:
    """The error to raise for a failed export."""
    where = _place(error)
    shapes = ", ".join(
        str(tuple(v.shape)) for v in (*args, *kwargs.values()) if isinstance(v, Tensor)
    )
    name = type(model).__name__
    failure, module = run_on_fakes(model, args, kwargs)
    if failure is None or _is_data_dependent(failure):
        reason, remedy = _reason(failure or error, where)
        return CaptureError(f"{name} cannot be captured{where}: {reason}. {remedy}.")
    said = _first_sentence(failure)
    at = f" at {module!r}" if module else ""
    fit = fitting_shape(model, args, kwargs)
    todo = (
        f"An input of shape {fit} fits." if fit is not None else _advice(failure, model, args)
    )  # fmt: skip
    found = CaptureError(
        f"{name} does not run on an input of shape {shapes}{at}{_place(failure)}: {said}. {todo}"
    )
    found.fitting_shape = fit
    return found


def told_failure(
    error: Exception, model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[str, str]:
    """Where a model failed on an input, and what was said there, as one clause; and the module."""
    failure, module = run_on_fakes(model, args, kwargs)
    told = failure or error
    at = f"at {module!r}" if module else "in its forward"
    return f"{at}{_place(told)}: {_first_sentence(told)}", module


def _advice(failure: Exception, model: nn.Module, args: tuple[Any, ...]) -> str:
    """What to do about a model that does not run."""
    text = str(failure)
    takes = ", ".join(signature(model.forward).parameters)
    if isinstance(failure, TypeError) and "forward()" in text:
        return f"Its forward takes ({takes}): give an input for each, as a tuple or by name."
    if isinstance(failure, AttributeError | NameError | ImportError | KeyError):
        return "Mend that line; the model fails in the same way when it is called."
    if any(not a.is_floating_point() for a in args if isinstance(a, Tensor)) and "type" in text:
        return "Give a floating-point input."
    return f"Check the inputs' shapes and types against forward({takes})."


def _is_data_dependent(error: Exception) -> bool:
    text = f"{type(error).__name__} {error}"
    return any(key in text for key, _, _ in _REASONS[:4])


def _reason(error: Exception, where: str) -> tuple[str, str]:
    text = f"{type(error).__name__}: {error}"
    if _is_data_dependent(error) and any(f"({word} " in where for word in _CONTROL_FLOW):
        return _REASONS[0][1:]
    for key, reason, remedy in _REASONS:
        if key in text:
            return reason, remedy
    return (
        f"torch.export says: {_first_sentence(error)}",
        "Rewrite that line in plain tensor operations, or analyse its submodules one by one",
    )


def _first_sentence(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else type(error).__name__
    if isinstance(error, KeyError | AttributeError | TypeError | AssertionError):
        text = f"{type(error).__name__}: {text}"
    return text.rstrip(".")


def _place(error: BaseException) -> str:
    """` in forward at file:line ("code")` of the last frame outside torch; "" if unknown."""
    frames = traceback.extract_tb(error.__traceback__)
    own = __file__.rpartition("graph")[0]
    theirs = [f for f in frames if not is_torch_file(f.filename) and not f.filename.startswith(own)]
    theirs = [f for f in theirs if not f.filename.startswith("<")]
    if not theirs:
        return ""
    frame = theirs[-1]
    return f" at {frame.filename}:{frame.lineno} ({frame.line})"


def run_on_fakes(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Exception | None, str]:
    """Run a copy on tensors without data: the exception if any, and the module it came from."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    shell = without_onlookers(shell_copy(model, mode.from_tensor))
    names = {id(module): name for name, module in shell.named_modules()}
    active: list[str] = []

    def enter(module: nn.Module, _: Any) -> None:
        active.append(names.get(id(module), ""))

    def leave(module: nn.Module, *_: Any) -> None:
        active.pop()

    for module in shell.modules():
        module.register_forward_pre_hook(enter, prepend=True)
        module.register_forward_hook(leave)
    try:
        with mode, torch.no_grad():
            shell(*_fake(args, mode), **_fake(dict(kwargs), mode))
    except Exception as error:
        return error, active[-1] if active else ""
    return None, ""


def _fake(value: Any, mode: FakeTensorMode) -> Any:
    def convert(leaf: Any) -> Any:
        return mode.from_tensor(leaf) if isinstance(leaf, Tensor) else leaf

    return torch.utils._pytree.tree_map(convert, value)


def fitting_shape(
    model: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[int, ...] | None:
    """A shape near that of the single tensor given on which the model runs; None if none is found.

    Tries the channels of the first layer, a batch axis more or less, and usual sizes.
    """
    tensors = [v for v in (*args, *kwargs.values()) if isinstance(v, Tensor)]
    if len(tensors) != 1:
        return None
    given = tensors[0]
    for shape in _candidates(model, tuple(given.shape)):
        trial = torch.empty(shape, dtype=given.dtype, device="meta")
        trial = torch.empty_like(trial, device=given.device) if trial.numel() < 2**24 else trial
        new_args = tuple(trial if v is given else v for v in args)
        new_kwargs = {k: trial if v is given else v for k, v in kwargs.items()}
        if run_on_fakes(model, new_args, new_kwargs)[0] is None:
            return shape
    return None


_USUAL_SIZES = (224, 32, 28, 64, 96, 128, 256, 299, 227, 160, 192, 112, 240, 384, 512, 48, 16)


def _candidates(model: nn.Module, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    axes, channels = _first_layer(model)
    forms: list[tuple[int, ...]] = []
    spatial = shape[-axes:] if axes and len(shape) >= axes else shape[2:]
    if channels is not None:
        if axes:
            spatial = (*spatial, *spatial[-1:] * (axes - len(spatial))) if spatial else (64,) * axes
            forms.append((shape[0] if len(shape) == axes + 2 else 1, channels, *spatial))
        else:
            forms.append((*shape[:-1], channels))
            forms.append((1, channels))
        near = spatial[-1] if spatial else 224
        for size in sorted(_USUAL_SIZES, key=lambda size: abs(size - near)):
            forms.append((1, channels, *(size,) * axes))
        if axes == 3:
            forms += [(1, channels, t, size, size) for t in (16, 32, 64) for size in (112, 224)]
    forms.append((1, *shape))
    return list(dict.fromkeys(f for f in forms if f != shape))


def _first_layer(model: nn.Module) -> tuple[int, int | None]:
    """Spatial axes and input channels of the first layer that has them."""
    for module in model.modules():
        if isinstance(module, nn.modules.conv._ConvNd):
            return len(module.kernel_size), module.in_channels
        if isinstance(module, nn.Linear):
            return 0, module.in_features
    return 0, None

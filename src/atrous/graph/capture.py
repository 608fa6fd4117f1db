"""From a model to its program, leaving the model as it was."""

from __future__ import annotations

import io
import logging
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from inspect import signature
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from atrous.graph.build import build_program
from atrous.graph.diagnosis import explain, run_on_fakes
from atrous.graph.hooks import without_onlookers
from atrous.graph.program import Program
from atrous.graph.recurrences import WholeRecurrences
from atrous.graph.shell import shell_copy

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]


def capture(model: nn.Module | ExportedProgram, x: Inputs) -> Program:
    """The program of a model at the size of `x`, in inference mode.

    Args:
        model: any module that `torch.export` can trace, or a program it has exported.
        x: the input: a tensor, a tuple of positional arguments, a mapping of keyword arguments, or
            the shape of a single float tensor, as `(1, 3, 224, 224)`. In a tuple, and in a mapping
            that holds no tensor, shapes stand for tensors. Values do not matter. An exported
            program without dynamic shapes takes only those it was exported for.

    Raises:
        ValueError: if an input has no elements, or is quantised or complex.
        CaptureError: if the model cannot run on it, or cannot be exported; says where and why.

    The model's parameters, buffers, training flags, hooks and attributes stay as they are, and so
    does the state of the random number generators: the tracing runs on a shell copy that shares the
    parameters' memory. Hooks that compute something, as weight norms do, take part; those that only
    look on, as to record values, are tried on zeros, as copies, and left out.
    """
    if isinstance(model, ExportedProgram):
        return _of_exported(model, x)
    shell = without_onlookers(shell_copy(model))
    args, kwargs = arguments(x, floating_type(model))
    kwargs = in_order(model, kwargs)
    with quiet(), same_random_state():
        try:
            with torch.no_grad(), WholeRecurrences():
                exported = torch.export.export(shell, args, kwargs, strict=False)
        except Exception as error:
            raise explain(error, model, args, kwargs) from error
        return build_program(exported)


def runs(model: nn.Module, x: Inputs) -> bool:
    """Whether a model runs on an input, told without computing anything, on a copy: what does not
    cannot be captured, and this is told in a fraction of the time.

    Example:
        >>> runs(nn.Conv1d(2, 2, 3), (1, 2, 8)), runs(nn.Conv1d(2, 2, 3), (1, 4, 8))
        (True, False)
    """
    args, kwargs = arguments(x, floating_type(model))
    with quiet(), same_random_state():
        error, _ = run_on_fakes(model, args, in_order(model, kwargs))
    return error is None


def in_order(model: nn.Module, kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments in the order of the signature."""
    order = list(signature(model.forward).parameters)
    return dict(sorted(kwargs.items(), key=lambda i: order.index(i[0]) if i[0] in order else -1))


def given_values(
    program: Program, model: nn.Module | ExportedProgram, x: Inputs
) -> dict[str, Tensor]:
    """The values of a program's inputs, by name; those given as shapes have none.

    Args:
        program: what `capture(model, x)` gave.
        model: what was captured.
        x: the input it was captured at.
    """
    args: tuple[Any, ...] = (_ONLY_A_SHAPE,)
    kwargs: dict[str, Any] = {}
    if isinstance(x, Mapping):
        args = ()
        kwargs = dict(x) if isinstance(model, ExportedProgram) else in_order(model, x)
        if only_shapes(x):
            kwargs = {k: _ONLY_A_SHAPE if is_shape(item) else item for k, item in kwargs.items()}
    elif isinstance(x, Tensor):
        args = (x,)
    elif not is_shape(x):
        args = tuple(_ONLY_A_SHAPE if is_shape(item) else item for item in x)
    leaves = pytree.tree_leaves((args, kwargs))
    found = [leaf for leaf in leaves if leaf is _ONLY_A_SHAPE or isinstance(leaf, Tensor)]
    pairs = zip(program.inputs, found, strict=True)
    return {name: value for name, value in pairs if isinstance(value, Tensor)}


_ONLY_A_SHAPE = object()
"""In place of an input whose values are not given."""


def _of_exported(exported: ExportedProgram, x: Inputs) -> Program:
    """The program of an exported one; where it has free sizes, at the sizes of `x`."""
    args, kwargs = arguments(x)
    names = exported.graph_signature.user_inputs
    placeholders = {n.name: n.meta.get("val") for n in exported.graph.nodes if n.name in names}
    expected = [v for v in placeholders.values() if isinstance(v, Tensor)]
    given = [v for v in pytree.tree_leaves((args, kwargs)) if isinstance(v, Tensor)]
    free = any(isinstance(n, torch.SymInt) for value in expected for n in value.shape)
    if free:
        with quiet(), same_random_state():
            try:
                module = exported.module()
                with WholeRecurrences():
                    again = torch.export.export(module, args, kwargs, strict=False)
                return build_program(again)
            except Exception as error:
                raise explain(error, module, args, kwargs) from error
    shapes = [[tuple(v.shape) for v in values] for values in (expected, given)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"x must have the shapes the program was exported for, {_listed(shapes[0])}, got "
            f"{_listed(shapes[1])}. Export it with dynamic shapes to analyse other sizes."
        )
    return build_program(exported)


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes))


def floating_type(model: nn.Module) -> torch.dtype:
    """The type a shape stands for: that of the first floating-point parameter."""
    found = (p.dtype for p in model.parameters() if p.is_floating_point())
    return next(found, torch.get_default_dtype())


def arguments(
    x: Inputs, dtype: torch.dtype | None = None
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional and keyword arguments that `x` stands for, checked.

    Shapes, alone, in a tuple of arguments or in a mapping without tensors, become tensors of type
    `dtype`.

    Raises:
        ValueError: if an input has no elements, or is quantised or complex.
        TypeError: if `x` is none of the accepted forms.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(x, Tensor):
        args = (x,)
    elif isinstance(x, Mapping):
        kwargs = dict(x)
        if only_shapes(x):
            kwargs = {k: _of_shape(v, dtype) if is_shape(v) else v for k, v in x.items()}
    elif is_shape(x):
        args = (_of_shape(x, dtype),)
    elif isinstance(x, Sequence) and x and not isinstance(x, str):
        args = tuple(_of_shape(item, dtype) if is_shape(item) else item for item in x)
    else:
        raise TypeError(
            "x must be a tensor, a shape, a tuple of arguments or a dict of keyword arguments, "
            f"got {type(x).__name__}."
        )
    for path, leaf in pytree.tree_flatten_with_path((args, kwargs))[0]:
        if isinstance(leaf, Tensor):
            _check_input(leaf, pytree.keystr(path[1:]))
    seen: set[int] = set()

    def own(leaf: Any) -> Any:
        # One tensor given twice stands for two inputs.
        again = isinstance(leaf, Tensor) and id(leaf) in seen
        seen.add(id(leaf))
        return torch.empty_like(leaf) if again else leaf

    args, kwargs = pytree.tree_map(own, (args, kwargs))
    return args, kwargs


def is_shape(value: Any) -> bool:
    """Whether a value is the shape of a tensor: whole numbers, at least one."""
    return (
        isinstance(value, Sequence)
        and len(value) > 0
        and all(isinstance(n, int | np.integer) and not isinstance(n, bool) for n in value)
    )


def only_shapes(x: Mapping[str, Any]) -> bool:
    """Whether the shapes in a mapping of keyword arguments stand for tensors: it holds none."""
    return not any(isinstance(leaf, Tensor) for leaf in pytree.tree_leaves(dict(x)))


def _of_shape(shape: Any, dtype: torch.dtype | None) -> Tensor:
    sizes = tuple(int(n) for n in shape)
    if min(sizes) < 1:
        raise ValueError(
            f"x must have at least one element, got shape {sizes}. "
            "Give every axis a length of 1 or more."
        )
    return torch.empty(sizes, dtype=dtype)


def _check_input(tensor: Tensor, path: str) -> None:
    where = f" at x{path}" if path not in ("", "[0]") else ""
    if tensor.is_quantized or tensor.is_complex():
        what = "quantised" if tensor.is_quantized else "complex"
        raise ValueError(
            f"x must be real and not quantised, got a {what} tensor ({tensor.dtype}){where}. "
            + ("Dequantise it." if tensor.is_quantized else "Split it with torch.view_as_real.")
        )
    if tensor.numel() == 0:
        raise ValueError(
            f"x must have at least one element, got shape {tuple(tensor.shape)}{where}. "
            "Give every axis a length of 1 or more."
        )


@contextmanager
def quiet() -> Iterator[None]:
    """No warnings, log lines or prints from the tracer while it works."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    # This one does not heed `logging.disable`, and pytest listens to it.
    traced = logging.getLogger("torch.__trace")
    was_disabled, traced.disabled = traced.disabled, True
    sink = io.StringIO()
    try:
        with warnings.catch_warnings(), redirect_stdout(sink), redirect_stderr(sink):
            warnings.simplefilter("ignore")
            yield
    finally:
        traced.disabled = was_disabled
        logging.disable(level)


@contextmanager
def same_random_state() -> Iterator[None]:
    """Leave every random number generator as it was found."""
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)

"""From a model to its program, leaving the model as it was."""

from __future__ import annotations

import logging
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.utils import _pytree as pytree

from atrous.graph.build import build_program
from atrous.graph.diagnosis import explain
from atrous.graph.program import Program
from atrous.graph.shell import shell_copy

Inputs = Tensor | Sequence[Any] | Mapping[str, Any]


def capture(model: nn.Module | ExportedProgram, x: Inputs) -> Program:
    """The program of a model at the size of `x`, in inference mode.

    Args:
        model: any module that `torch.export` can trace, or a program it has exported.
        x: the input: a tensor, a tuple of positional arguments, a mapping of keyword arguments, or
            the shape of a single float tensor, as `(1, 3, 224, 224)`. Values do not matter.

    Raises:
        ValueError: if an input has no elements, or is quantised or complex.
        CaptureError: if the model cannot run on it, or cannot be exported; says where and why.

    The model's parameters, buffers, training flags, hooks and attributes stay as they are, and so
    does the state of the random number generators: the tracing runs on a shell copy that shares the
    parameters' memory.
    """
    if isinstance(model, ExportedProgram):
        return build_program(model)
    args, kwargs = arguments(x)
    shell = shell_copy(model)
    with _quiet(), _same_random_state():
        try:
            exported = torch.export.export(shell, args, kwargs, strict=False)
        except Exception as error:
            raise explain(error, model, args, kwargs) from error
    return build_program(exported)


def arguments(x: Inputs) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional and keyword arguments that `x` stands for, checked.

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
    elif isinstance(x, Sequence) and x and all(isinstance(n, int) for n in x):
        if min(x) < 1:
            raise ValueError(
                f"x must have at least one element, got shape {tuple(x)}. "
                "Give every axis a length of 1 or more."
            )
        args = (torch.empty(tuple(x)),)
    elif isinstance(x, Sequence) and x and not isinstance(x, str):
        args = tuple(x)
    else:
        raise TypeError(
            "x must be a tensor, a shape, a tuple of arguments or a dict of keyword arguments, "
            f"got {type(x).__name__}."
        )
    for path, leaf in pytree.tree_flatten_with_path((args, kwargs))[0]:
        if isinstance(leaf, Tensor):
            _check_input(leaf, pytree.keystr(path[1:]))
    return args, kwargs


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
def _quiet() -> Iterator[None]:
    """No warnings or log lines from the tracer while it works."""
    level = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


@contextmanager
def _same_random_state() -> Iterator[None]:
    state, numpy_state = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)

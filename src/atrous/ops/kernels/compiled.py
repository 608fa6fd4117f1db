"""Loops compiled by Numba: when, with which freedoms, and what they need of the machine.

A kernel takes one argument, the address of whole numbers: shapes, steps, and the addresses of
tensors. That is what `team` can hand to every thread of PyTorch. It is compiled for each kind of
number when it is first called, and kept on disk.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from llvmlite import ir
from numba import carray, cfunc, njit, types
from numba.core.cgutils import raw_memcpy
from numba.extending import intrinsic, overload
from rich.console import Console

_log = logging.getLogger("atrous")

_MATH = {"contract", "nsz", "reassoc"}
"""Sums may be in any order; what is no number stays none."""

ADDRESSES = types.CPointer(types.int64)


def inner(function: Callable[..., Any]) -> Any:
    """A function that kernels call."""
    how = {"nogil": True, "fastmath": _MATH, "boundscheck": False}
    try:
        return njit(cache=True, **how)(function)
    except RuntimeError:  # no folder can be written to
        return njit(**how)(function)


class Kernel:
    """A function that is compiled for a kind of number when its address is asked for.

    Args:
        name: for people.
        body: what to compile: `body(numbers, like)`, where `like` is a pointer to numbers of the
            kind computed with.
    """

    def __init__(self, name: str, body: Any) -> None:
        self.name = name
        self._body = body
        self._made: dict[torch.dtype, Any] = {}
        self._lock = threading.Lock()

    def address(self, dtype: torch.dtype) -> int:
        """Where the function for these numbers lies in memory."""
        made = self._made.get(dtype)
        if made is None:
            with self._lock:
                made = self._made.get(dtype) or self._compile(dtype)
                self._made[dtype] = made
        address: int = made.address
        return address

    def _compile(self, dtype: torch.dtype) -> Any:
        body, pointer_to = self._body, _POINTERS[dtype]

        def entry(numbers: Any) -> None:
            body(numbers, pointer_to(0))

        kind, began = str(dtype).removeprefix("torch."), time.perf_counter()
        with Console(stderr=True).status(f"compiling: {self.name}, {kind} (kept for next time)"):
            try:
                made = cfunc(types.void(ADDRESSES), cache=True)(entry)
            except RuntimeError:  # no folder can be written to
                made = cfunc(types.void(ADDRESSES))(entry)
        if not made.cache_hits:
            taken = time.perf_counter() - began
            _log.info("compiled %s for %s in %.1f s", self.name, kind, taken)
        return made


def _pointer_to(element: Any) -> Any:
    @intrinsic
    def pointer_to(context: Any, address: Any) -> Any:
        return types.CPointer(element)(types.int64), _pointer

    return pointer_to


def _pointer(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))


to_doubles = _pointer_to(types.float64)
to_whole = _pointer_to(types.int64)
_POINTERS = {
    torch.float32: _pointer_to(types.float32),
    torch.float64: to_doubles,
    # Numba has no such numbers: their bits are those of whole ones.
    torch.bfloat16: _pointer_to(types.uint16),
}


@intrinsic
def pointer_like(context: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers of the same kind as those of another."""
    return like(types.int64, like), _pointer


@inner
def array(address: Any, like: Any, shape: Any) -> Any:
    """The numbers at an address."""
    return carray(pointer_like(address, like), shape)


@intrinsic
def claim(context: Any, counter: Any) -> Any:
    """The number at an address, which grows by one in the same moment."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        one = ir.Constant(ir.IntType(64), 1)
        return builder.atomic_rmw("add", arguments[0], one, "monotonic")

    return types.int64(ADDRESSES), generate


@intrinsic
def _copy_bytes(context: Any, to: Any, to_at: Any, source: Any, from_at: Any, count: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        ends = []
        for array, at, kind in zip(
            arguments[:4:2], arguments[1:4:2], signature.args[:4:2], strict=True
        ):
            data = context.make_array(kind)(context, builder, array).data
            ends.append(builder.gep(data, [at]))
        size = context.get_abi_sizeof(context.get_data_type(to.dtype))
        raw_memcpy(builder, ends[0], ends[1], arguments[4], size)
        return context.get_dummy_value()

    return types.none(to, types.int64, source, types.int64, types.int64), generate


def copy(to: Any, to_at: Any, source: Any, from_at: Any, count: Any) -> None:
    """Copy numbers from a place in a contiguous array to a place in another, by bytes if alike."""


@overload(copy, strict=False)
def _copy(to: Any, to_at: Any, source: Any, from_at: Any, count: Any) -> Any:
    if to.dtype == source.dtype:

        def by_bytes(to: Any, to_at: Any, source: Any, from_at: Any, count: Any) -> None:
            _copy_bytes(to, to_at, source, from_at, count)

        return by_bytes

    def by_numbers(to: Any, to_at: Any, source: Any, from_at: Any, count: Any) -> None:
        here, there = np.uint64(to_at), np.uint64(from_at)
        for t in range(np.uint64(count)):
            to[here + t] = narrow(widen(source[there + t]), to[here + t])

    return by_numbers


@intrinsic
def _from_bits(context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = builder.zext(arguments[0], ir.IntType(32))
        return builder.bitcast(builder.shl(wide, ir.Constant(ir.IntType(32), 16)), ir.FloatType())

    return types.float32(types.uint16), generate


@intrinsic
def _to_bits(context: Any, number: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(32))

    return types.uint32(types.float32), generate


def widen(stored: Any) -> Any:
    """The number to compute with."""


def narrow(number: Any, like: Any) -> Any:
    """What is stored of a number, rounded to even."""


def zero_of(like: Any) -> Any:
    """0, of the kind that numbers at a pointer are computed with."""


@overload(zero_of, strict=False)
def _zero_of(like: Any) -> Any:
    if like.dtype == types.float64:
        return lambda like: np.float64(0)
    return lambda like: np.float32(0)


@overload(widen, strict=False)
def _widen(stored: Any) -> Any:
    if stored == types.uint16:
        return lambda stored: _from_bits(stored)
    return lambda stored: stored


@overload(narrow, strict=False)
def _narrow(number: Any, like: Any) -> Any:
    if like != types.uint16:
        return lambda number, like: number

    def rounded(number: Any, like: Any) -> Any:
        bits = _to_bits(number)
        half = np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))
        kept = np.uint16((bits + half) >> np.uint32(16))
        return kept if number == number else np.uint16(0x7FC0)

    return rounded
